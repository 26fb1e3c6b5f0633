"""R-FCN's hard examples, and Dropout that scales in TEST, against loops."""

import numpy as np
import pytest
import torch
from one_layer import close, one_layer, random, run

from prototxt.errors import InputError

ANNOTATOR = (
    'type: "BoxAnnotatorOHEM" top: "l" top: "w" box_annotator_ohem_param { roi_per_img: %d ignore_label: %d }'
)


@pytest.mark.parametrize("per_image", [1, 3, 100])
def test_the_greatest_losses_of_each_image_stay(per_image: int) -> None:
    rng = np.random.Generator(np.random.PCG64(per_image))
    image = rng.integers(0, 3, 20)
    arrays = {
        "rois": np.hstack([image[:, None], rng.uniform(0, 9, (20, 4))]),
        "loss": rng.permutation(20).astype(np.float32).reshape(20, 1, 1, 1),
        "labels": rng.integers(0, 5, (20, 1)),
        "weights": rng.uniform(size=(20, 8)),
    }
    net = one_layer(ANNOTATOR % (per_image, 255), **{name: x.shape for name, x in arrays.items()})
    blobs = run(net, **arrays)
    for i in range(20):
        better = sum(
            arrays["loss"].flat[j] > arrays["loss"].flat[i] for j in range(20) if image[j] == image[i]
        )
        stays = better < per_image
        assert blobs["l"].flatten()[i] == (arrays["labels"].flat[i] if stays else 255)
        close(blobs["w"][i].flatten(), arrays["weights"][i].astype(np.float32) * stays)
    assert not blobs["l"].requires_grad and not blobs["w"].requires_grad


@pytest.mark.parametrize(
    ("shapes", "line"),
    [
        ([(4, 5), (4, 1), (3, 1), (4, 8)], "bottoms differ in num, height or width"),
        (
            [(4, 4), (4, 1), (4, 1), (4, 8)],
            r"takes rois of 5 values, one loss and one label, not \[4, 1, 1\]",
        ),
    ],
)
def test_what_does_not_fit_is_named(shapes: list[tuple[int, ...]], line: str) -> None:
    named = dict(zip(("rois", "loss", "labels", "weights"), shapes, strict=True))
    with pytest.raises(InputError, match=line):
        one_layer(ANNOTATOR % (2, -1), **named)


@pytest.mark.parametrize(
    ("param", "divisor"),
    [
        ("normalization: PRE_FIXED pre_fixed_normalizer: 16", 16),
        ("normalization: PRE_FIXED pre_fixed_normalizer: 0.5", 1),  # at least 1
        ("normalization: NONE", 1),
        ("normalize: false", 6),
        ("ignore_label: 2", 4),
    ],
)
def test_losses_of_labels_and_what_divides_their_sum(param: str, divisor: int) -> None:
    x, label = random(6, 4), np.array([0, 2, 1, 2, 3, 1], np.float32)
    prob = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    each = -np.log(prob[np.arange(6), label.astype(int)])
    each[(label == 2) & ("ignore" in param)] = 0
    for kind, dialect in (
        ("SoftmaxWithLossOHEM", 'dialect: "rfcn"'),
        ("SoftmaxWithLossOHEM", ""),
        ("SoftmaxWithLoss", ""),
    ):
        if kind == "SoftmaxWithLoss" and "PRE_FIXED" in param:
            continue
        tops = 'top: "loss" top: "prob" top: "each" loss_weight: 1 loss_weight: 0 loss_weight: 0'
        net = one_layer(f'type: "{kind}" {dialect} {tops} loss_param {{ {param} }}', x=(6, 4), label=(6,))
        blobs = run(net, x=x, label=label)
        is_intels = (kind, dialect) == ("SoftmaxWithLossOHEM", "")
        close(blobs["prob"], prob * (not is_intels))
        close(blobs["each"], each)
        summed = each[:4] if is_intels and "ignore" in param else each  # Intel's sums as many as count
        close(blobs["loss"], np.float32(summed.sum() / divisor))
        blobs["loss"].backward()
        slope = (prob - np.eye(4, dtype=np.float32)[label.astype(int)]) * (each != 0)[:, None]
        close(blobs["in/x"].grad, slope / divisor)


@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
def test_dropout_may_scale_in_test(phase: str) -> None:
    layer = 'type: "Dropout" top: "y" dropout_param { dropout_ratio: 0.25 scale_train: false }'
    net = one_layer(layer, phase=phase, x=(100, 100))
    y = net(torch.ones(100, 100))
    assert isinstance(y, torch.Tensor)
    values = y.unique().tolist()
    assert values == ([0, 1] if phase == "TRAIN" else [0.75])
    assert abs(y.mean().item() - 0.75) < 0.03
