"""Numbers that no layer computes with are one line, and odd ones that Caffe takes are taken."""

import pytest
import torch
from one_layer import one_layer, random, run
from torch.utils._python_dispatch import TorchDispatchMode

from converters import load_net
from converters.layers.parts.boxes.matching import NONE, matched
from prototxt.errors import InputError

X = {"x": (1, 2, 6, 6)}
RPN = {"scores": (1, 2, 4, 4), "deltas": (1, 4, 4, 4), "info": (1, 4)}
TARGETS = {"scores": (1, 18, 4, 4), "truths": (2, 5), "info": (1, 3), "data": (1, 3, 9, 9)}
PROPOSAL = 'type: "Proposal" top: "rois" proposal_param {{ {} }}'
PYTHON = 'type: "Python" {} python_param {{ module: "rpn.{}_layer" layer: "{}Layer" param_str: "{}" }}'
PRIORS = 'type: "PriorBox" top: "y" prior_box_param {{ {} }}'
EVALUATE = 'type: "DetectionEvaluate" top: "y" detection_evaluate_param {{ num_classes: {} }}'
FOUND = {"found": (1, 1, 3, 7), "true": (1, 1, 2, 8)}
CTC = 'type: "CtcLoss" top: "y" ctc_loss_param {{ alphabet_size: 3 time_step: 2 blank_label: {} }}'
SPOKEN = {"scores": (2, 1, 3), "labels": (1, 2)}


def proposals(options: str) -> str:
    return PYTHON.format('top: "rois"', "proposal", "Proposal", options)


def targets(options: str) -> str:
    return PYTHON.format('top: "a" top: "b" top: "c" top: "d"', "anchor_target", "AnchorTarget", options)


@pytest.mark.parametrize(
    ("layer", "shapes", "says"),
    [
        ('type: "Pooling" top: "y" pooling_param { kernel_size: 3 stride: 4294967295 }', X, "stride 4294967295"),
        ('type: "LRN" top: "y" lrn_param { local_size: 4294967295 }', X, "local_size 4294967295"),
        *((PROPOSAL.format(f"ratio: {n} scale: 8"), RPN, "ratios") for n in ("0", "-1", "nan", "inf")),
        (PROPOSAL.format("ratio: 1 scale: inf"), RPN, "scales"),
        (proposals("'feat_stride': 18446744073709551616"), RPN, "no 'feat_stride'"),
        (proposals("'feat_stride': 16, 'scales': [1], 'ratios': [1e999]"), RPN, "ratios"),
        (targets("'feat_stride': 16, 'allowed_border': 'x'"), TARGETS, "allowed_border 'x'"),
        (targets(f"'feat_stride': 16, 'allowed_border': {2**64}"), TARGETS, "allowed_border"),
        *((PRIORS.format(f"min_size: {n}"), {"a": X["x"], "b": X["x"]}, "min_size") for n in ("inf", "nan", "1e38")),
        (PRIORS.format("min_size: 4 max_size: inf"), {"a": X["x"], "b": X["x"]}, "max_size"),
        *((PRIORS.format(f"min_size: 4 flip: true aspect_ratio: {n}"), {"a": X["x"], "b": X["x"]}, f"aspect_ratio {n}")
          for n in ("0", "nan", "inf")),
        (EVALUATE.format(2**31 - 1), FOUND, "elements"),
        (EVALUATE.format(2**32 - 1), FOUND, "num_classes"),
        *((f'type: "RReLU" top: "y" rrelu_param {{ {n} }}', X, "lb below ub") for n in ("lb: nan", "lb: -inf", "ub: inf")),
        *((f'type: "TopK" top: "y" topk_param {{ k: 2 a: {n} }}', X, "values of an item") for n in ("inf", "nan", "1e38")),
        *((f'type: "RankHardLoss" top: "y" rank_param {{ neg_num: 2 pair_size: 2 {n} }}', {"x": (4, 3), "t": (4,)},
           "parts of neg_num") for n in ("hard_ratio: inf", "rand_ratio: nan")),
        *((CTC.format(n), SPOKEN, f"blank_label {n}") for n in (3, 65536, -1)),
    ],
)  # fmt: skip
def test_what_nothing_can_be_computed_with_is_one_line(layer: str, shapes: dict, says: str) -> None:
    with pytest.raises(InputError, match=says) as error:
        one_layer(layer, **shapes)
    assert 'layer "it"' in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        ('type: "Pooling" pooling_param { kernel_size: 1 stride: 0 }', "stride must be at least 1"),
        ('type: "Pooling" pooling_param { kernel_size: 1 pad: 4294967295 }', "beyond any blob"),
    ],
)
def test_numbers_that_place_no_pixel_align_no_crop(layer: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        load_net(
            'input: "x" input_shape { dim: 1 dim: 2 dim: 9 dim: 9 }'
            f'layer {{ name: "p" bottom: "x" top: "p" {layer} }}'
            'layer { name: "crop" type: "Crop" bottom: "p" bottom: "x" top: "y" }',
            dialect="longjon",
        )


@pytest.mark.parametrize("pool", ["MAX", "AVE", "STOCHASTIC"])
@pytest.mark.parametrize("mode", ["CEIL", "FLOOR"])
def test_a_stride_that_leaves_the_image_at_once_needs_no_room(pool: str, mode: str) -> None:
    text = 'type: "Pooling" top: "y" pooling_param {{ pool: {} kernel_size: 3 stride: {} round_mode: {} }}'
    x = abs(random(1, 2, 6, 6))
    tops = [run(one_layer(text.format(pool, n, mode), **X), x=x)["y"] for n in (7, 2**31 - 1)]
    assert torch.equal(*tops) and tops[0].shape[2:] == ((2, 2) if mode == "CEIL" else (1, 1))


@pytest.mark.parametrize("pool", ["MAX", "AVE"])
def test_a_stride_in_time_needs_no_room(pool: str) -> None:
    text = (
        'type: "Pooling3D" top: "y" pooling3d_param {{ pool: {} kernel_size: 2 kernel_depth: 2 '
        "stride: {} temporal_stride: {} }}"
    )
    x = random(1, 2, 4, 6, 6)
    tops = [run(one_layer(text.format(pool, n, n), x=x.shape), x=x)["y"] for n in (7, 2**31 - 1)]
    assert torch.equal(*tops) and tops[0].shape == (1, 2, 2, 2, 2)


def test_a_convolution_whose_stride_leaves_the_image_has_a_gradient() -> None:
    text = (
        'type: "Convolution" top: "y" convolution_param {{ num_output: 4 kernel_size: 3 pad: 1 stride: {} }}'
    )
    weight, grads = torch.from_numpy(random(4, 2, 3, 3)), []
    for stride in (8, 65536, 2**31 - 1):
        net = one_layer(text.format(stride), **X)
        net.params["it"][0].data.copy_(weight)
        blobs = run(net, x=random(1, 2, 6, 6))
        blobs["y"].sum().backward()  # type: ignore[no-untyped-call]
        assert blobs["y"].shape == (1, 4, 1, 1)
        grads.append((blobs["in/x"].grad, net.params["it"][0].grad))
    assert all(torch.equal(a, b) for other in grads[1:] for a, b in zip(grads[0], other, strict=True))


def test_a_pixels_deconvolution_has_a_gradient_whatever_its_stride() -> None:
    text = 'type: "Deconvolution" top: "y" convolution_param { num_output: 4 kernel_size: 3 stride: 65536 }'
    net = one_layer(text, x=(1, 2, 1, 1))
    blobs = run(net, x=random(1, 2, 1, 1))
    blobs["y"].sum().backward()  # type: ignore[no-untyped-call]
    grad, weight = blobs["in/x"].grad, net.params["it"][0]
    assert grad is not None and torch.allclose(grad[0, :, 0, 0], weight.sum((1, 2, 3)), atol=1e-5)


@pytest.mark.parametrize(("theta", "colour"), [("1e-45", 1.0), ("nan", 1.0), ("3", float("nan"))])
def test_a_mean_field_of_no_place_is_one_line(theta: str, colour: float) -> None:
    text = f'type: "MultiStageMeanfield" top: "y" multi_stage_meanfield_param {{ num_iterations: 2 theta_beta: {theta} }}'
    shapes = {"a": (1, 2, 3, 3), "b": (1, 2, 3, 3), "c": (1, 3, 3, 3)}
    with pytest.raises(InputError, match=r'layer "it": .*theta'):
        one_layer(text, **shapes)(*(torch.full(shape, colour) for shape in shapes.values()))


def test_biases_of_odd_number_are_taken_as_many_as_there_are_boxes() -> None:
    text = (
        'type: "YoloDetectionOutput" top: "y" yolo_detection_output_param { num_classes: 2 num_box: 1 '
        "confidence_threshold: 0 biases: 2 biases: 3 %s }"
    )
    x = random(1, 7, 3, 3)
    tops = [run(one_layer(text % more, x=x.shape), x=x)["y"] for more in ("", "biases: 5")]
    assert torch.equal(*tops)


class Counting(TorchDispatchMode):
    """How often torch looks for a greatest value."""

    rounds = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.rounds += func is torch.ops.aten.max.dim
        return func(*args, **(kwargs or {}))


def test_matching_takes_no_more_rounds_than_there_are_boxes() -> None:
    truths = torch.tensor([[0.0, 0, 1, 1], [2, 2, 3, 3]]).repeat(500, 1)
    boxes = torch.tensor([[0.0, 0, 1, 0.5], [2, 2, 3, 3], [7, 7, 8, 8]])
    with Counting() as counting:
        matches = matched(boxes, truths, torch.ones(1000, dtype=torch.bool), None)
    assert matches.truth.tolist() == [0, 1, NONE] and counting.rounds <= 1 + len(boxes)
