"""Losses and metrics of forks that no recording holds, by hand from the forks' sources."""

import math

import numpy as np
import pytest
import torch
from one_layer import close, one_layer, random, run

from converters import Network, load_net
from converters.layers.registry import record_of
from prototxt.errors import InputError

LABELS = np.array([0.0, 2, 1, 2], np.float32)
WEIGHTS = np.array([0.5, 0, 2, 1], np.float32)


def by_hand(x: np.ndarray, weights: np.ndarray, class_weights: np.ndarray) -> tuple[float, np.ndarray]:
    """happynear's loss and gradient, label by label (softmax_loss_layer.cpp, the CPU code)."""
    loss, whole, own = 0.0, 0.0, 0.0
    gradient = np.zeros_like(x)
    for row, label, weight in zip(range(len(x)), LABELS.astype(int), weights, strict=True):
        p = np.exp(x[row] - x[row].max())
        p /= p.sum()
        both = weight * class_weights[label]
        loss -= both * math.log(p[label])
        gradient[row] = both * (p - np.eye(3)[label])
        whole, own = whole + both, own + weight
    return loss / max(1, whole), gradient / max(1, own)


@pytest.mark.parametrize(
    ("param", "class_weights"),
    [
        ("", [1, 1, 1]),
        ("softmax_param { class_weight: 2 class_weight: 0.5 class_weight: 3 }", [2, 0.5, 3]),
    ],
)
def test_a_third_bottom_weighs_samples_as_happynears_does(param: str, class_weights: list[float]) -> None:
    net = one_layer(f'type: "SoftmaxWithLoss" top: "y" {param}', x=(4, 3), label=(4,), weight=(4,))
    assert net.graph.nodes[-1].layer.dialect == "happynear"
    x = random(4, 3)
    blobs = run(net, x=x, label=LABELS, weight=WEIGHTS)
    blobs["y"].backward()
    loss, gradient = by_hand(x, WEIGHTS, np.array(class_weights))
    assert blobs["y"].item() == pytest.approx(loss, rel=1e-6)
    gradients = blobs["in/x"].grad
    assert gradients is not None
    close(gradients, gradient)


def test_weights_of_pixels_are_divided_by_their_sum_or_by_the_batch() -> None:
    for mode, count in (("VALID", 5.0), ("BATCH_SIZE", 1.0), ("FULL", 4.0), ("NONE", 1.0)):
        text = f'type: "SoftmaxWithLoss" top: "y" loss_param {{ normalization: {mode} }}'
        net = one_layer(text, x=(1, 2, 2, 2), label=(1, 1, 2, 2), weight=(1, 1, 2, 2))
        ones = np.ones((1, 1, 2, 2), np.float32)
        y = run(net, x=np.zeros((1, 2, 2, 2)), label=ones, weight=1.25 * ones)["y"]
        assert y.item() == pytest.approx(5 * math.log(2) / count, rel=1e-6), mode


def test_class_weights_do_nothing_without_the_third_bottom() -> None:
    text = 'type: "SoftmaxWithLoss" top: "y" %s'
    plain = one_layer(text % "", x=(4, 3), label=(4,))
    weighed = one_layer(
        text % "softmax_param { class_weight: 2 class_weight: 0.5 class_weight: 3 }", x=(4, 3), label=(4,)
    )
    x = random(4, 3)
    assert run(plain, x=x, label=LABELS)["y"] == run(weighed, x=x, label=LABELS)["y"]


def test_a_loss_over_no_pixel_is_segnets_nan() -> None:
    param = "loss_param { ignore_label: 0 weight_by_label_freqs: true class_weighting: 1 class_weighting: 2 }"
    net = one_layer(f'type: "SoftmaxWithLoss" top: "y" {param}', x=(2, 2), label=(2,))
    assert run(net, x=np.zeros((2, 2)), label=np.zeros(2))["y"].isnan()


def test_weights_of_another_number_are_refused() -> None:
    with pytest.raises(InputError, match='layer "it": 2 class weights for 3 classes'):
        param = "weight_by_label_freqs: true class_weighting: 1 class_weighting: 2"
        one_layer(f'type: "SoftmaxWithLoss" top: "y" loss_param {{ {param} }}', x=(4, 3), label=(4,))
    with pytest.raises(InputError, match='layer "it": 3 weights for 4 labels'):
        one_layer('type: "SoftmaxWithLoss" top: "y"', x=(4, 3), label=(4,), weight=(3,))


SCORES = np.array([[1, 3, 3, 0], [2, 2, 5, 2], [0, 0, 0, 0]], np.float32)


def accuracy(net: Network, labels: list[float], **more: np.ndarray) -> float:
    return float(run(net, x=SCORES, label=np.array(labels), **more)["y"])


def test_of_equal_scores_the_larger_class_leads_and_of_equal_distances_the_smaller() -> None:
    larger = one_layer('dialect: "ssd" type: "Accuracy" top: "y"', x=(3, 4), label=(3,))
    assert accuracy(larger, [2, 2, 3]) == 1 and accuracy(larger, [1, 2, 0]) == pytest.approx(1 / 3)
    least = one_layer(
        'type: "Accuracy" top: "y" accuracy_param { min_is_better: true }', x=(3, 4), label=(3,)
    )
    assert accuracy(least, [3, 0, 0]) == 1 and accuracy(least, [3, 1, 1]) == pytest.approx(1 / 3)


def test_a_label_whose_weight_is_zero_does_not_count() -> None:
    net = one_layer('type: "Accuracy" top: "y"', x=(3, 4), label=(3,), weight=(3,))
    assert accuracy(net, [2, 0, 3], weight=np.array([1.0, 0, 1])) == 1
    assert math.isnan(accuracy(net, [2, 0, 3], weight=np.zeros(3)))


def test_seg_accuracy_counts_on_where_it_is_not_reset() -> None:
    text = 'type: "SegAccuracy" top: "y" seg_accuracy_param { reset: false }'
    net = one_layer(text, x=(1, 2, 1, 2), label=(1, 1, 1, 2))
    right = torch.tensor([[[[1.0, 0]], [[0, 1.0]]]])
    for label, share in (([0.0, 1], 1.0), ([1.0, 0], 0.5)):
        y = net(right, torch.tensor(label).reshape(1, 1, 1, 2))
        assert isinstance(y, torch.Tensor) and y.flatten().tolist() == pytest.approx(
            [share, share, 1 / (2 / share - 1)]
        )
    net.module_of(net.graph.nodes[-1]).reset()
    assert net(right, torch.tensor([0.0, 1]).reshape(1, 1, 1, 2)).flatten().tolist() == [1, 1, 1]  # type: ignore[union-attr]


def test_nets_of_caffe_are_told_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    net = load_net(
        'layer { name: "x" type: "Input" top: "x" top: "t" input_param { shape { dim: 2 dim: 2 } shape { dim: 2 } } } '
        'layer { name: "l" type: "SoftmaxWithLoss" bottom: "x" bottom: "t" top: "l" } '
        'layer { name: "a" type: "Accuracy" bottom: "x" bottom: "t" top: "a" }'
    )
    assert [record_of(node.layer).dialect_name for node in net.graph.nodes] == ["", "", ""]
    assert capsys.readouterr().err == ""
