"""Layers of the fork of the tuning series' author beyond what its recordings hold, by loops in float64."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from one_layer import close, one_layer, random, run

from converters import Network, load_net
from converters.export.deploy import deploy, with_softmax
from converters.export.onnx_file import deploy_net
from eval.parity import write_onnx
from prototxt.errors import InputError


def softmax(x: np.ndarray, axis: int) -> np.ndarray:
    e = np.exp(x.astype(np.float64) - x.max(axis, keepdims=True))
    p: np.ndarray = e / e.sum(axis, keepdims=True)
    return p


def both(net: Network, **inputs: np.ndarray) -> tuple[float, np.ndarray]:
    """The loss, and the gradient of the first input."""
    blobs = run(net, **inputs)
    net.loss({value: blobs[value.blob] for value in net.graph.outputs}).backward()  # type: ignore[no-untyped-call]
    gradient = blobs[f"in/{next(iter(inputs))}"].grad
    assert gradient is not None
    return blobs["y"].item(), gradient.numpy()


def by_images(scores: np.ndarray, labels: np.ndarray, axis: int) -> tuple[float, np.ndarray]:
    """AdaptedWeightedSoftmaxWithLoss: the loss by each image's counts, the gradient by those of all before."""
    p = np.moveaxis(softmax(scores, axis), axis, -1)
    outer = math.prod(scores.shape[:axis])
    flat, marks = p.reshape(outer, -1, p.shape[-1]), labels.reshape(outer, -1).astype(int)
    slope, loss, found, rest = flat.copy(), 0.0, 0, 0
    for image, own in enumerate(marks):
        above, zero = int((own > 0).sum()), int((own == 0).sum())
        found, rest = found + above, rest + zero
        for at, label in enumerate(own):
            loss -= math.log(flat[image, at, label]) * (zero if label > 0 else above) / (above + zero)
            slope[image, at, label] -= 1
            slope[image, at] *= (rest if label > 0 else found) / (found + rest)
    return loss / marks.size, np.moveaxis(slope.reshape(p.shape), -1, axis) / marks.size


@pytest.mark.parametrize(
    ("shape", "axis", "most"),
    [((3, 4, 2, 5), 1, 4), ((2, 3, 4, 5), 2, 4), ((5, 3), 1, 3), ((4, 3), 1, 1), ((1, 3, 6), -2, 3)],
)
def test_what_is_found_weighs_by_what_is_not(shape: tuple[int, ...], axis: int, most: int) -> None:
    """Of a flat classifier the loss is 0 and the gradient is not; of labels of 0 alone both are."""
    field = (
        f"softmax_param {{ axis: {axis} pos_mult: 9 }} loss_param {{ ignore_label: 0 normalization: NONE }}"
    )
    of_labels = tuple(side for at, side in enumerate(shape) if at != axis % len(shape))
    net = one_layer(f'type: "AdaptedWeightedSoftmaxWithLoss" top: "y" {field}', x=shape, label=of_labels)
    x, label = random(*shape), np.random.default_rng(1).integers(0, most, of_labels)
    loss, gradient = both(net, x=x, label=label)
    wanted = by_images(x, label, axis % len(shape))
    assert loss == pytest.approx(wanted[0], rel=3e-6, abs=1e-9)
    close(torch.tensor(gradient), wanted[1], 6e-6)


def test_an_image_of_neither_kind_has_no_number_and_of_one_kind_none() -> None:
    net = one_layer('type: "AdaptedWeightedSigmoidCrossEntropyLoss" top: "y"', x=(2, 3), t=(2, 3))
    x = random(2, 3)
    loss, gradient = both(net, x=x, t=np.array([[1, 1, 1], [0, 0, 0]]))
    assert loss == 0 and not gradient.any()
    loss, gradient = both(net, x=x, t=np.array([[0.5, 2, -1], [0, 1, 0]]))
    assert math.isnan(loss)
    close(torch.tensor(gradient[0]), (1 / (1 + np.exp(-x[0])) - [0.5, 2, -1]) / 2)


@pytest.mark.parametrize("normalize", ["", "normalize: true", "normalize: false normalization: FULL"])
@pytest.mark.parametrize(("cid", "ignore"), [(0, 2), (1, 0), (7, 1)])
def test_one_class_weighs_what_it_is_told(normalize: str, cid: int, ignore: int) -> None:
    field = f"softmax_param {{ axis: -1 pos_mult: 2.5 pos_cid: {cid} }} loss_param {{ ignore_label: {ignore} {normalize} }}"
    net = one_layer(
        f'type: "FixedWeightedSoftmaxWithLoss" top: "y" loss_weight: 2 {field}', x=(4, 3, 3), label=(4, 3)
    )
    x, label = random(4, 3, 3), np.random.default_rng(2).integers(0, 3, (4, 3))
    p, loss, slope = softmax(x, 2), 0.0, np.zeros((4, 3, 3))
    for at in np.ndindex(4, 3):
        if label[at] != ignore:
            weight = 2.5 if label[at] == cid else 1
            loss -= weight * math.log(p[at][label[at]])
            slope[at] = weight * (p[at] - np.eye(3)[label[at]])
    count = (label != ignore).sum() if "true" in normalize else 12
    found, gradient = both(net, x=x, label=label)
    assert found == pytest.approx(loss / count, rel=3e-6)
    close(torch.tensor(gradient), 2 * slope / count, 6e-6)


def test_no_position_left_has_no_number() -> None:
    field = "loss_param { ignore_label: 1 normalize: true }"
    net = one_layer(f'type: "FixedWeightedSoftmaxWithLoss" top: "y" {field}', x=(2, 3), label=(2,))
    loss, gradient = both(net, x=random(2, 3), label=np.ones(2))
    assert math.isnan(loss) and np.isnan(gradient).all()


DISTILS = 'type: "KnowledgeDistillation" top: "y" knowledge_distillation_param { temperature: 2.5 } %s'


@pytest.mark.parametrize(
    ("norm", "divisor"),
    [
        ("", 11),
        ("normalization: FULL", 15),
        ("normalization: BATCH_SIZE", 3),
        ("normalize: false", 3),
        ("normalize: true", 11),
        ("normalization: NONE normalize: true", 1),
    ],
)
def test_a_student_is_judged_by_its_teacher(norm: str, divisor: int) -> None:
    text = DISTILS % f"loss_weight: 0.5 loss_param {{ ignore_label: 255 {norm} }}"
    net = one_layer(text, x=(3, 4, 5), t=(3, 4, 5), label=(3, 1, 5))
    x, t = random(3, 4, 5) * 4, random(3, 4, 5, seed=1) * 4
    label = np.zeros((3, 1, 5))
    label[0, 0, 1] = label[1, 0, :2] = label[2, 0, 4] = 255
    p, q, counts = softmax(x / 2.5, 1), softmax(t / 2.5, 1), label != 255
    loss, gradient = both(net, x=x, t=t, label=label)
    assert loss == pytest.approx((q * np.log(q / p) * counts).sum() / divisor, rel=3e-6)
    close(torch.tensor(gradient), 0.5 * 2.5 * (p - q) * counts / divisor, 6e-6)


def test_a_student_near_its_teacher_is_told_how_near() -> None:
    """The loss is what is left of numbers a thousand times as great."""
    net = one_layer(DISTILS % "", x=(5, 10), t=(5, 10))
    x = random(5, 10)
    t = x + random(5, 10, seed=1) / 50
    p, q = (softmax(scores.astype(np.float64) / 2.5, 1) for scores in (x, t))
    assert both(net, x=x, t=t)[0] == pytest.approx((q * np.log(q / p)).sum() / 5, rel=1e-6)


def test_all_positions_ignored_are_divided_by_1() -> None:
    net = one_layer(DISTILS % "loss_param { ignore_label: 3 }", x=(2, 4), t=(2, 4), label=(2,))
    loss, gradient = both(net, x=random(2, 4), t=random(2, 4, seed=1), label=np.full(2, 3))
    assert loss == 0 and not gradient.any()


def test_the_loss_without_loss_in_its_name_is_one(tmp_path: Path) -> None:
    text = 'layer { name: "fc" type: "InnerProduct" bottom: "x" top: "fc" inner_product_param { num_output: 4 } }'
    net = load_net(
        'input: "x" input_shape { dim: 2 dim: 3 } input: "t" input_shape { dim: 2 dim: 4 }'
        f'{text} layer {{ name: "kd" bottom: "fc" bottom: "t" {DISTILS % ""} }}'
    )
    assert [value.blob for value in deploy(net.graph).outputs] == ["fc"]
    assert write_onnx(net, tmp_path / "n.onnx")


def shuffled(x: np.ndarray, group: int, block: int) -> tuple[np.ndarray, list[tuple[int, int, int]]]:
    """The top, and who went where: (group, channel in it, channel of the top)."""
    size, top = x.shape[1] // group, np.zeros_like(x)
    moves = []
    for g in range(group):
        for c in range(size // block):
            for k in range(block):
                to = (c % group) * size + (c // group) * block + k
                top[:, to] = x[:, g * size + c * block + k]
                moves.append((g, c * block + k, to))
    return top, moves


@pytest.mark.parametrize(
    ("channels", "group", "block"), [(8, 2, 1), (12, 2, 2), (12, 2, 3), (18, 3, 2), (9, 3, 1), (8, 2, 4)]
)
def test_the_last_groups_channels_stay_and_all_groups_get_their_gradient(
    channels: int, group: int, block: int, tmp_path: Path
) -> None:
    field = f"channel_shuffle_param {{ group: {group} shuffle_channel_num: {block} }}"
    net = one_layer(f'type: "ChannelShuffle" top: "y" {field}', x=(2, channels, 2, 3))
    x, dy = random(2, channels, 2, 3), random(2, channels, 2, 3, seed=1)
    top, moves = shuffled(x, group, block)
    blobs = run(net, x=x)
    assert np.array_equal(blobs["y"].detach().numpy(), top)
    blobs["y"].backward(torch.from_numpy(dy))
    wanted = np.zeros_like(x)
    for g, channel, to in moves:
        wanted[:, g * (channels // group) + channel] = dy[:, to]
    assert blobs["in/x"].grad is not None and np.array_equal(blobs["in/x"].grad.numpy(), wanted)
    if block == 1:
        assert write_onnx(net, tmp_path / "n.onnx")


@pytest.mark.parametrize("shape", [(2, 6, 3, 4), (2, 6, 5), (3, 4)])
def test_pattern_0_turns_an_items_memory(shape: tuple[int, ...], tmp_path: Path) -> None:
    field = "channel_shuffle_param { shuffle_pattern: 0 group: 7 }"
    net = one_layer(f'type: "ChannelShuffle" top: "y" {field}', x=shape)
    x = random(*shape)
    wanted = x.reshape(shape[0], shape[1], -1).transpose(0, 2, 1).reshape(shape)
    assert np.array_equal(run(net, x=x)["y"].detach().numpy(), wanted)
    assert write_onnx(net, tmp_path / "n.onnx")


JUDGED = {
    "as by hand": ([3, -1, 0, -2, 5], [1, 2, -1, -3, 0.9], (1 / 2, 1 / 2, 1 / 2, 1 / 2, 1 / 2)),
    "no label counts": ([3, -1], [0.5, -0.9], (0, 0, 0, 0, 0)),
    "no positive found": ([-3, -1], [1, -1], (0, 1, 0, 0, 0)),
    "no negative refused": ([3, 1], [1, -1], (1, 0, 0, 0.5, 2 / 3)),
    "positives alone": ([3, -1], [1, 2], (0.5, 0, math.nan, 1, 2 / 3)),
    "negatives alone": ([3, -1], [-1, -2], (0, 0.5, math.nan, 0, 0)),
}


@pytest.mark.parametrize("case", JUDGED)
def test_hits_of_either_kind(case: str) -> None:
    scores, labels, wanted = JUDGED[case]
    net = one_layer('type: "MultiLabelAccuracy" top: "y"', x=(1, len(scores)), label=(1, len(scores)))
    y = run(net, x=np.array([scores]), label=np.array([labels]))["y"]
    assert y.shape == (1, 5, 1, 1)
    np.testing.assert_allclose(y.flatten().numpy(), wanted, rtol=1e-6)


def test_a_label_of_0_teaches_nothing() -> None:
    net = one_layer('type: "MultiLabelSigmoidLoss" top: "y" loss_weight: 3', x=(2, 3), label=(2, 3, 1, 1))
    x, label = random(2, 3), np.array([[1, 0, -2], [0.25, -0.5, 0]]).reshape(2, 3, 1, 1)
    loss, gradient = both(net, x=x, label=label)
    marks = label.reshape(2, 3)
    signs = np.sign(marks)
    assert loss == pytest.approx((np.log1p(np.exp(-signs * x)) * (signs != 0)).sum() / 2, rel=3e-6)
    close(torch.tensor(gradient), 3 * (1 / (1 + np.exp(-x)) - (marks > 0)) * (marks != 0) / 2, 6e-6)


LARGE = 'type: "LargeMarginInnerProduct" %s largemargin_inner_product_param { num_output: 3 %s weight_filler { type: "gaussian" std: 1 } }'


@pytest.mark.parametrize(("kind", "times"), [("DOUBLE", 2), ("TRIPLE", 3), ("QUADRUPLE", 4)])
def test_the_labels_angle_is_multiplied_and_its_gradient_is_the_derivative(kind: str, times: int) -> None:
    net = one_layer(
        LARGE % ('top: "y" top: "l"', f"type: {kind} base: 3 lambda_min: 3"), x=(40, 5), label=(40,)
    )
    x, label = random(40, 5), np.arange(40) % 3
    blobs = run(net, x=x, label=label)
    weight = net.params["it"][0].detach().numpy().astype(np.float64)
    own, size = weight[label], np.linalg.norm(x, axis=1) * np.linalg.norm(weight[label], axis=1)
    angle = np.arccos((x * own).sum(1) / size)
    turns = np.floor(angle * times / np.pi)
    psi = (-1) ** turns * np.cos(times * angle) - 2 * turns
    wanted = x.astype(np.float64) @ weight.T
    wanted[np.arange(40), label] = (size * psi + 3 * (x * own).sum(1)) / 4
    assert len(set(turns)) == times and blobs["l"].tolist() == [3]
    close(blobs["y"], wanted.astype(np.float32))
    double = net.double()
    features = torch.from_numpy(x[:6]).double().requires_grad_()
    labels = torch.from_numpy(label[:6]).double()
    ((name, blob),) = double.named_parameters()
    assert torch.autograd.gradcheck(
        lambda x, w: torch.func.functional_call(double, {name: w}, (x, labels))["y"], (features, blob)
    )


def test_lambda_falls_and_axes_before_the_features_stay() -> None:
    net = one_layer(
        LARGE % ('top: "y" top: "l"', "type: DOUBLE axis: 2 base: 10 gamma: 0.5 iteration: 1 lambda_min: 3"),
        x=(2, 3, 4),
        label=(2, 3),
    )
    x, label = random(2, 3, 4), np.arange(6).reshape(2, 3) % 3
    for wanted in (10 / 2, 10 / 2.5, 10 / 3, 3):
        blobs = run(net, x=x, label=label)
        assert blobs["l"].item() == pytest.approx(wanted) and blobs["y"].shape == (2, 3, 3)
    flat = one_layer(LARGE % ('top: "y" top: "l"', "type: DOUBLE base: 3"), x=(6, 4), label=(6,))
    flat.load_state_dict(net.state_dict())
    other = run(flat, x=x.reshape(6, 4), label=label.reshape(6))["y"]
    close(blobs["y"].reshape(6, 3), other.detach().numpy())


TWO = {"x": (2, 4), "t": (2, 4)}
ABORTS = [
    (LARGE % ('top: "y"', ""), {"x": (2, 4), "label": (2,)}, "takes 2 tops, not 1"),
    (LARGE % ('top: "y" top: "l"', ""), {"x": (2, 4), "label": (3,)}, "3 labels for 2 items"),
    (DISTILS % "loss_param { ignore_label: 255 }", TWO, "ignore_label without a third bottom"),
    (DISTILS % "", {**TWO, "label": (2,)}, "a third bottom without ignore_label"),
    (DISTILS % "loss_param { ignore_label: 1 }", {**TWO, "label": (2, 2)}, "4 labels for 2 positions"),
    (DISTILS % "", {"x": (2, 4), "t": (2, 3)}, "bottoms differ"),
    (DISTILS % "", {"x": (2, 4), "t": (2, 2, 2)}, "bottoms differ around axis 1"),
    ('type: "AsymEuclideanLoss" top: "y"', {"x": (2, 4), "t": (2, 3)}, "bottoms differ"),
    ('type: "AdaptedWeightedSoftmaxWithLoss" top: "y" top: "p"', {"x": (2, 4), "l": (2,)}, "0 to 1 tops, not 2"),
    ('type: "FixedWeightedSoftmaxWithLoss" top: "y" top: "p"', {"x": (2, 4), "l": (2,)}, "0 to 1 tops, not 2"),
    ('type: "MultiLabelSigmoidLoss" top: "y" top: "p"', TWO, "0 to 1 tops, not 2"),
    *(
        (f'type: "ChannelShuffle" top: "{top}" bottom: "x" channel_shuffle_param {{ {field} }}', {"x": (2, 12)}, why)
        for field, why, top in (
            ("group: 5", "12 channels by group 5 must be a multiple", "y"),
            ("group: 4", "12 channels by group 4 must be a multiple", "y"),
            ("group: 2 shuffle_channel_num: 4", "a multiple of that and of shuffle_channel_num 4", "y"),
            ("shuffle_channel_num: 5", "12 channels by group 1 must be a multiple", "y"),
            ("group: 0", "group must be at least 1", "y"),
            ("shuffle_pattern: 2", "shuffle_pattern is 0 or 1, not 2", "y"),
            ("group: 2", "does not work in place", "x"),
        )
    ),
    ('type: "ChannelShuffle" top: "y" shuffle_channel_param { group: 2 }', {"x": (2, 4)}, "ShuffleNet's"),
    ('type: "ShuffleChannel" top: "y" channel_shuffle_param { group: 2 }', {"x": (2, 4)}, "longpeng2008's"),
]  # fmt: skip


@pytest.mark.parametrize(("layer", "shapes", "reason"), ABORTS)
def test_what_the_fork_ends_at_is_one_line(
    layer: str, shapes: dict[str, tuple[int, ...]], reason: str
) -> None:
    with pytest.raises(InputError, match=f'layer "it": .*{reason}') as caught:
        one_layer(layer, **shapes)
    assert "\n" not in str(caught.value)


def test_force_backward_asks_a_distillations_labels_for_a_gradient() -> None:
    text = DISTILS % "loss_param { ignore_label: 1 }"
    with pytest.raises(InputError, match='layer "it": force_backward asks a gradient of the bottom "label"'):
        one_layer(text, head="force_backward: true", x=(2, 4), t=(2, 4), label=(2,))
    one_layer(DISTILS % "", head="force_backward: true", x=(2, 4), t=(2, 4))


def test_a_softmax_in_a_losss_place_weighs_no_class() -> None:
    text = 'type: "FixedWeightedSoftmaxWithLoss" top: "y" softmax_param { axis: 2 pos_mult: 3 pos_cid: 0 }'
    head = 'layer { name: "f" type: "Convolution" bottom: "x" top: "f" convolution_param { num_output: 2 kernel_size: 1 } }'
    net = load_net(
        'input: "x" input_shape { dim: 2 dim: 3 dim: 4 dim: 5 } input: "label" input_shape { dim: 2 dim: 2 dim: 5 }'
        f'{head} layer {{ name: "it" bottom: "f" bottom: "label" {text} }}'
    )
    ending = with_softmax(deploy(net.graph), net.graph).nodes[-1].layer
    assert ending.type == "Softmax" and ending.softmax_param.ListFields()[0][1] == 2
    assert len(ending.softmax_param.ListFields()) == 1


@pytest.mark.parametrize("axis", [1, 2])
def test_a_deployed_net_has_the_plain_products_and_no_label(axis: int, tmp_path: Path) -> None:
    """As a deploy prototxt of such a net has them, an InnerProduct, which takes the layer's blob."""
    shape = (2, 5, 4)[: axis + 1]
    param = f"type: TRIPLE axis: {axis} base: 3"
    head = 'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "y" bottom: "label" softmax_param { axis: -1 } }'
    text = LARGE % ('bottom: "x" bottom: "label" top: "y" top: "l"', param)
    net = one_layer(f"{text} }} {head[:-1]}", x=shape, label=shape[:-1])
    assert [(value.blob) for value in deploy(net.graph).inputs] == ["x"]
    assert write_onnx(net, tmp_path / "n.onnx")
    small, x = deploy_net(net), random(*shape)
    wanted = (x.reshape(2, -1) if axis == 1 else x) @ net.params["it"][0].detach().numpy().T
    close(run(small, x=x)["y"], wanted)
    net.save_caffemodel(tmp_path / "n.caffemodel")
    kept = (
        f'type: "InnerProduct" top: "y" inner_product_param {{ num_output: 3 bias_term: false axis: {axis} }}'
    )
    plain = one_layer(kept, x=shape)
    assert plain.load_weights(tmp_path / "n.caffemodel") == ([], [])
    close(run(plain, x=x)["y"], wanted)


def test_a_layer_that_goes_on_with_lambda_keeps_its_label() -> None:
    text = LARGE % ('bottom: "x" bottom: "label" top: "y" top: "l"', "")
    net = one_layer(f'{text} }} layer {{ name: "p" type: "Power" bottom: "l" top: "p"', x=(2, 4), label=(2,))
    assert [value.blob for value in deploy(net.graph).inputs] == ["x", "label"]
