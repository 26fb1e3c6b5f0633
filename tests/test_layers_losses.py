"""Losses and Accuracy against loops over every position."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from one_layer import close, one_layer, random, run

from converters import load_net
from eval.probe import random_inputs, tensors
from prototxt.caffe_pb2 import BlobProto

MODES = [
    "",
    *(f"normalization: {mode}" for mode in ("FULL", "VALID", "BATCH_SIZE", "NONE")),
    "normalize: true",
    "normalize: false",
    "normalize: false normalization: FULL",
]
FLT_MIN = np.finfo(np.float32).tiny


def mode_of(text: str, default: str = "VALID") -> str:
    if "normalization" in text:
        return text.rpartition(" ")[2]
    return {"": default, "normalize: true": "VALID", "normalize: false": "BATCH_SIZE"}[text]


def softmax(x: np.ndarray, axis: int) -> np.ndarray:
    e = np.exp(x.astype(np.float64) - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def divisor(mode: str, positions: int, valid: int, outer: int) -> int:
    return max(1, {"FULL": positions, "VALID": valid, "BATCH_SIZE": outer, "NONE": 1}[mode])


@pytest.mark.parametrize("loss", ["SoftmaxWithLoss", "InfogainLoss"])
@pytest.mark.parametrize(("shape", "axis"), [((4, 5), 1), ((2, 3, 4), 1), ((2, 4, 3), -1), ((2, 3, 2, 2), 1)])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ignore", [None, 1, 255])
def test_losses_of_a_softmax(loss: str, shape: tuple, axis: int, mode: str, ignore: int | None) -> None:
    at = axis % len(shape)
    classes, label_shape = shape[at], shape[:at] + shape[at + 1 :]
    x, matrix = random(*shape), random(classes, classes, seed=3)
    rng = np.random.Generator(np.random.PCG64(1))
    label = rng.integers(0, classes, label_shape).astype(np.float32)
    if ignore == 255:
        label.flat[0] = 255
    skip = "" if ignore is None else f"ignore_label: {ignore}"
    own = "softmax_param" if loss == "SoftmaxWithLoss" else "infogain_loss_param"
    text = f'type: "{loss}" top: "y" top: "p" loss_param {{ {mode} {skip} }} {own} {{ axis: {axis} }}'
    third = {} if loss == "SoftmaxWithLoss" else {"h": (1, 1, classes, classes)}
    net = one_layer(text, x=shape, t=label_shape, **third)
    blobs = run(net, x=x, t=label, **({"h": matrix.reshape(1, 1, classes, classes)} if third else {}))
    p = np.moveaxis(softmax(x, at), at, -1).reshape(-1, classes)
    total, grad, valid = 0.0, np.zeros_like(p), 0
    for i, wanted in enumerate(label.reshape(-1).astype(int)):
        if ignore is not None and wanted == ignore:
            continue
        valid += 1
        row = np.eye(classes)[wanted] if loss == "SoftmaxWithLoss" else matrix[wanted].astype(np.float64)
        total -= (row * np.log(np.maximum(p[i], FLT_MIN))).sum()
        grad[i] = p[i] * row.sum() - row
    by = divisor(mode_of(mode), len(p), valid, int(np.prod(shape[:at])))
    close(blobs["y"], np.float32(total / by))
    close(blobs["p"], softmax(x, at))
    (3 * blobs["y"]).backward()
    moved = np.moveaxis((3 * grad / by).reshape(*label_shape, classes), -1, at)
    close(blobs["in/x"].grad, moved, 6e-6)


def test_the_loss_is_capped_and_its_gradient_is_not() -> None:
    net = one_layer('type: "SoftmaxWithLoss" top: "y"', x=(1, 2), t=(1,))
    blobs = run(net, x=np.array([[500.0, 0.0]]), t=np.array([1]))
    assert blobs["y"].item() == pytest.approx(-np.log(FLT_MIN))
    blobs["y"].backward()
    assert blobs["in/x"].grad.tolist() == [[1, -1]]


def test_infogain_matrix_from_a_file(tmp_path: Path) -> None:
    matrix = random(3, 3)
    path = tmp_path / "h.binaryproto"
    path.write_bytes(
        BlobProto(num=1, channels=1, height=3, width=3, data=matrix.reshape(-1)).SerializeToString()
    )
    from_file = one_layer(
        f'type: "InfogainLoss" top: "y" infogain_loss_param {{ source: "{path}" }}', x=(4, 3), t=(4,)
    )
    from_bottom = one_layer('type: "InfogainLoss" top: "y"', x=(4, 3), t=(4,), h=(1, 1, 3, 3))
    x, t = random(4, 3), np.array([0, 2, 1, 1])
    given = run(from_bottom, x=x, t=t, h=matrix.reshape(1, 1, 3, 3))["y"]
    assert run(from_file, x=x, t=t)["y"].item() == given.item()
    path.write_bytes(b"\xff\xff")
    for source, says in ((path, "no binaryproto"), (tmp_path / "none", "No such file")):
        text = f'type: "InfogainLoss" top: "y" infogain_loss_param {{ source: "{source}" }}'
        with pytest.raises(ValueError, match=says):
            one_layer(text, x=(4, 3), t=(4,))


def test_infogain_caps_the_loss_alone() -> None:
    net = one_layer('type: "InfogainLoss" top: "y"', x=(1, 2), t=(1,), h=(2, 2))
    blobs = run(net, x=np.array([[200.0, 0.0]]), t=np.array([1]), h=np.eye(2))
    assert blobs["y"].item() == pytest.approx(-np.log(1e-20), rel=1e-6)
    blobs["y"].backward()
    assert blobs["in/x"].grad.tolist() == [[1, -1]]


def test_multinomial_logistic_loss_caps_both_ways() -> None:
    net = one_layer('type: "MultinomialLogisticLoss" top: "y"', x=(2, 3), t=(2,))
    blobs = run(net, x=np.array([[0.2, 0.5, 0.3], [1.0, 0.0, 0.0]]), t=np.array([1, 2]))
    assert blobs["y"].item() == pytest.approx((-np.log(0.5) - np.log(1e-20)) / 2, rel=1e-6)
    blobs["y"].backward()
    close(blobs["in/x"].grad, np.array([[0, -1, 0], [0, 0, -0.5e20]], np.float32))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ignore", [None, -1])
def test_sigmoid_cross_entropy(mode: str, ignore: int | None) -> None:
    x = random(3, 4, 2) * 5
    t = np.abs(random(3, 4, 2, seed=1)).clip(0, 0.99)
    t[0, 0, 0] = t[1, 2, 1] = -1
    skip = "" if ignore is None else f"ignore_label: {ignore}"
    net = one_layer(
        f'type: "SigmoidCrossEntropyLoss" top: "y" loss_param {{ {mode} {skip} }}', x=x.shape, t=t.shape
    )
    blobs = run(net, x=x, t=t)
    wide, goal = x.astype(np.float64), t.astype(np.float64)
    valid = np.ones_like(wide, bool) if ignore is None else np.trunc(goal) != ignore
    each = np.logaddexp(0, wide) - wide * goal
    by = divisor(mode_of(mode, "BATCH_SIZE"), x.size, int(valid.sum()), len(x))
    close(blobs["y"], np.float32((each * valid).sum() / by))
    blobs["y"].backward()
    close(blobs["in/x"].grad, (1 / (1 + np.exp(-wide)) - goal) * valid / by)
    assert blobs["in/t"].grad is None


@pytest.mark.parametrize("legacy", ["false", "true"])
def test_contrastive_loss(legacy: str) -> None:
    a, b = random(5, 3), random(5, 3, seed=1)
    b[3] = a[3]  # a distance of 0
    similar = np.array([0, 1, 0, 0, 2], np.float32)
    text = (
        f'type: "ContrastiveLoss" top: "y" contrastive_loss_param {{ margin: 2.5 legacy_version: {legacy} }}'
    )
    blobs = run(one_layer(text, a=a.shape, b=b.shape, s=(5,)), a=a, b=b, s=similar)
    total, grad = 0.0, np.zeros((5, 3))
    for i in range(5):
        d = a[i].astype(np.float64) - b[i]
        square = float((d**2).sum())
        if similar[i]:
            total, grad[i] = total + square, d / 5
        elif legacy == "true":
            total += max(2.5 - square, 0)
            grad[i] = -d / 5 * (square < 2.5)
        else:
            room = max(2.5 - square**0.5, 0)
            total, grad[i] = total + room**2, -d * room / (square**0.5 + 1e-4) / 5
    close(blobs["y"], np.float32(total / 10))
    blobs["y"].backward()
    close(blobs["in/a"].grad, grad, 6e-6)
    close(blobs["in/b"].grad, -grad, 6e-6)


@pytest.mark.parametrize("norm", ["L1", "L2"])
@pytest.mark.parametrize("shape", [(4, 5), (3, 2, 2, 2)])
def test_hinge(norm: str, shape: tuple) -> None:
    x = random(*shape)
    x.flat[0] = -1.0  # a margin of 0
    t = np.arange(shape[0]) % 3
    net = one_layer(f'type: "HingeLoss" top: "y" hinge_loss_param {{ norm: {norm} }}', x=shape, t=(shape[0],))
    blobs = run(net, x=x, t=t)
    rows = x.reshape(shape[0], -1).astype(np.float64)
    sign = np.ones_like(rows)
    sign[np.arange(shape[0]), t] = -1
    margin = np.maximum(0, 1 + sign * rows)
    close(blobs["y"], np.float32((margin if norm == "L1" else margin**2).sum() / shape[0]))
    blobs["y"].backward()
    wanted = sign * (np.sign(margin) if norm == "L1" else 2 * margin) / shape[0]
    close(blobs["in/x"].grad, wanted.reshape(shape))


def test_euclidean_loss_reaches_both_bottoms() -> None:
    a, b = random(3, 2, 2), random(3, 4, seed=1)
    blobs = run(one_layer('type: "EuclideanLoss" top: "y" loss_weight: 2', a=a.shape, b=b.shape), a=a, b=b)
    d = a.reshape(3, 4) - b
    close(blobs["y"], np.float32((d**2).sum() / 6))
    blobs["y"].backward()
    close(blobs["in/a"].grad, (d / 3).reshape(a.shape))
    close(blobs["in/b"].grad, -d / 3)


@pytest.mark.parametrize(("shape", "axis"), [((6, 4), 1), ((2, 4, 3), 1), ((2, 3, 4), -1), ((4, 5), 0)])
@pytest.mark.parametrize("k", [1, 2, 4])
@pytest.mark.parametrize("ignore", [None, 2])
def test_accuracy(shape: tuple, axis: int, k: int, ignore: int | None) -> None:
    at = axis % len(shape)
    classes, label_shape = shape[at], shape[:at] + shape[at + 1 :]
    x = np.round(random(*shape))  # with ties
    label = np.random.Generator(np.random.PCG64(2)).integers(0, classes, label_shape)
    skip = "" if ignore is None else f"ignore_label: {ignore}"
    text = f'type: "Accuracy" top: "y" top: "each" accuracy_param {{ top_k: {k} axis: {axis} {skip} }}'
    blobs = run(one_layer(text, x=shape, t=label_shape), x=x, t=label)
    hits, seen = np.zeros(classes), np.zeros(classes)
    for row, t in zip(np.moveaxis(x, at, -1).reshape(-1, classes), label.reshape(-1), strict=True):
        if t == ignore:
            continue
        better = sum(row[j] >= row[t] for j in range(classes)) - 1
        hits[t] += better < k
        seen[t] += 1
    close(blobs["y"], np.float32(hits.sum() / seen.sum()))
    close(blobs["each"], np.divide(hits, seen, out=np.zeros(classes), where=seen > 0).astype(np.float32))


def test_accuracy_of_ignored_labels_alone_is_0() -> None:
    net = one_layer('type: "Accuracy" top: "y" accuracy_param { ignore_label: 1 }', x=(3, 2), t=(3,))
    assert run(net, x=random(3, 2), t=np.ones(3))["y"].item() == 0


@pytest.mark.parametrize("axis", range(-3, 3))
def test_softmax(axis: int) -> None:
    x = random(2, 3, 4) * 10
    net = one_layer(f'type: "Softmax" top: "y" softmax_param {{ axis: {axis} }}', x=x.shape)
    close(net(torch.from_numpy(x)), softmax(x, axis))


def test_loss_weights_of_several_tops_add_up() -> None:
    head = "".join(
        f'layer {{ name: "{n}" type: "Input" top: "{n}" input_param {{ shape {{ dim: 2 dim: 3 }} }} }}'
        for n in "ab"
    )
    text = 'type: "EuclideanLoss" bottom: "a" bottom: "b" top: "l" loss_weight: 0.5 }'
    scaled = 'layer { name: "p" type: "Power" bottom: "a" top: "q" loss_weight: 3'
    net = one_layer(text + scaled, head=head)
    a, b = torch.from_numpy(random(2, 3)), torch.zeros(2, 3)
    values = net.values({"a": a, "b": b})
    assert net.loss(values).item() == pytest.approx((0.5 * (a**2).sum() / 4 + 3 * a.sum()).item(), rel=1e-6)


def test_a_loss_may_leave_its_top_out() -> None:
    """Caffe makes the top itself: it counts, and is no output of the net."""
    head = "".join(
        f'layer {{ name: "{n}" type: "Input" top: "{n}" input_param {{ shape {{ dim: 2 }} }} }}' for n in "ab"
    )
    first = 'layer { name: "one" type: "EuclideanLoss" bottom: "a" bottom: "b" }'
    net = one_layer('type: "EuclideanLoss" bottom: "a" bottom: "b" loss_weight: 2', head=head + first)
    assert net.outputs == []
    values = net.values({"a": torch.ones(2), "b": torch.zeros(2)})
    assert net.loss(values).item() == pytest.approx(0.5 + 2 * 0.5)


def test_every_mode_is_covered() -> None:
    assert {mode_of(text) for text in MODES} == {"FULL", "VALID", "BATCH_SIZE", "NONE"}
    assert len(list(itertools.product(MODES, [None, 1, 255]))) == 24


def test_labels_are_drawn_among_the_classes_that_are_scored() -> None:
    text = (
        'layer { name: "in" type: "Input" top: "x" top: "y" input_param { shape { dim: 2 dim: 3 dim: 20 dim: 20 } '
        "shape { dim: 2 dim: 400 } } }"
        'layer { name: "r" type: "Reshape" bottom: "y" top: "z" reshape_param { shape { dim: 2 dim: 1 dim: 20 dim: 20 } } }'
        'layer { name: "l" type: "SoftmaxWithLoss" bottom: "x" bottom: "z" top: "l" }'
    )
    net = load_net(text)
    drawn = random_inputs(net)
    assert set(np.unique(drawn["y"])) == {0, 1, 2}
    assert torch.isfinite(net(*tensors(drawn).values())).all()
