"""YOLO's outputs and losses against loops over every cell, box and truth."""

import math

import numpy as np
import pytest
import torch
from one_layer import close, one_layer, random, run

from converters.layers.parts.boxes import box_overlap
from prototxt.errors import InputError

ANCHORS = (12, 20, 37, 30, 30, 59, 60, 61, 52, 99, 116, 90)
V3 = (
    'type: "Yolov3DetectionOutput" top: "y" yolov3_detection_output_param { num_classes: 2 num_box: 2 '
    "confidence_threshold: 0.3 nms_threshold: %g mask_group_num: 2 mask: 3 mask: 5 mask: 0 mask: 1 "
    "anchors_scale: 32 anchors_scale: 16 " + " ".join(f"biases: {x}" for x in ANCHORS) + " }"
)
LOSS = (
    'type: "Yolov3" top: "loss" yolov3_param { num_class: 3 num: 3 mask: 3 mask: 4 mask: 5 thresh: 0.4 %s '
    + " ".join(f"biases: {x}" for x in ANCHORS)
    + " }"
)


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def overlap(a: list[float], b: list[float]) -> float:
    """Of x, y, width and height."""
    sides = [
        min(a[k] + a[k + 2] / 2, b[k] + b[k + 2] / 2) - max(a[k] - a[k + 2] / 2, b[k] - b[k + 2] / 2)
        for k in (0, 1)
    ]
    shared = 0 if min(sides) < 0 else sides[0] * sides[1]
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


def box(v: np.ndarray, i: int, j: int, size: tuple[int, int], n: int, scale: int) -> list[float]:
    """The box that raw values (x, y, w, h) of row i, column j and anchor n are; ``size`` is height, width."""
    sides = [math.exp(v[2 + k]) * ANCHORS[2 * n + k] / (size[1 - k] * scale) for k in (0, 1)]
    return [(j + sigmoid(v[0])) / size[1], (i + sigmoid(v[1])) / size[0], *sides]


def test_detections_of_two_maps_are_a_loops() -> None:
    maps = {"a": random(2, 14, 3, 5), "b": random(2, 14, 6, 10, seed=1)}
    found = []
    for (x, scale), anchors in zip(((maps["a"], 32), (maps["b"], 16)), ((3, 5), (0, 1)), strict=True):
        for image, i, j, n in np.ndindex(2, *x.shape[2:], 2):
            v = x[image, 7 * n : 7 * n + 7, i, j]
            for c in (0, 1):
                score = sigmoid(v[5 + c]) * sigmoid(v[4])
                if score > 0.3:
                    found.append((score, c + 1, box(v, i, j, x.shape[2:], anchors[n], scale)))
    kept: list[tuple[float, int, list[float]]] = []
    for one in sorted(found, key=lambda item: -item[0]):
        if all(overlap(one[2], other[2]) < 0.2 for other in kept):
            kept.append(one)
    rows = [
        [0, c, score, b[0] - b[2] / 2, b[1] - b[3] / 2, b[0] + b[2] / 2, b[1] + b[3] / 2]
        for score, c, b in kept
    ]
    net = one_layer(V3 % 0.2, a=(2, 14, 3, 5), b=(2, 14, 6, 10))
    assert 5 < len(kept) < len(found)
    close(run(net, **maps)["y"], np.array(rows, np.float32)[None, None], 1e-5)  # sums of a loop in float64


def test_nothing_found_is_a_row_an_image() -> None:
    net = one_layer(V3 % 0.5, a=(2, 14, 3, 5), b=(2, 14, 6, 10))
    y = net(torch.full((2, 14, 3, 5), -9.0), torch.full((2, 14, 6, 10), -9.0))
    assert isinstance(y, torch.Tensor) and y.tolist() == [[[[0] + [-1] * 6, [1] + [-1] * 6]]]


def test_no_image_gives_no_row_and_no_box_or_class_is_refused() -> None:
    net = one_layer(V3 % 0.5, a=(2, 14, 3, 5), b=(2, 14, 6, 10))
    assert net(torch.zeros(0, 14, 3, 5), torch.zeros(0, 14, 6, 10)).shape == (1, 1, 0, 7)
    for wrong, channels in (("num_classes: 0 num_box: 2", 10), ("num_classes: 2 num_box: 0", 1)):
        text = (V3 % 0.5).replace("num_classes: 2 num_box: 2", wrong)
        with pytest.raises(InputError, match='layer "it": takes maps of one box and one class at least'):
            one_layer(text, a=(1, channels, 3, 5), b=(1, channels, 6, 10))


def labels(*truths: tuple[float, ...]) -> np.ndarray:
    rows = np.zeros((1, 300, 5), np.float32)
    rows[0, : len(truths)] = truths
    return rows


# Two in one cell with one shape but different classes, one near, and one whose anchor is not in the mask.
TRUTHS = [
    (0, 0.3, 0.4, 0.5, 0.6),
    (2, 0.31, 0.42, 0.5, 0.6),
    (1, 0.8, 0.7, 0.7, 0.6),
    (1, 0.6, 0.1, 0.1, 0.1),
]


def expected(x: np.ndarray, iou_thresh: float) -> np.ndarray:
    """The deltas of (3, 8, H, W), place by squared distances, without smoothing."""
    size = x.shape[2:]
    delta = np.zeros_like(x)
    p = 1 / (1 + np.exp(-x))
    for n, i, j in np.ndindex(3, *size):
        here = box(x[n, :, i, j], i, j, size, n + 3, 32)
        delta[n, 4, i, j] = 0 if max(overlap(here, list(t[1:])) for t in TRUTHS) > 0.4 else p[n, 4, i, j]
    visited = set()
    for c, tx, ty, tw, th in TRUTHS:
        i, j = int(ty * size[0]), int(tx * size[1])
        shapes = [[0, 0, ANCHORS[2 * n] / size[1] / 32, ANCHORS[2 * n + 1] / size[0] / 32] for n in range(6)]
        fits = [overlap(shape, [0, 0, tw, th]) for shape in shapes]
        for n in range(3):
            if fits[n + 3] == max(fits) or fits[n + 3] > iou_thresh:
                weight = 2 - tw * th
                goal = [tx * size[1] - j, ty * size[0] - i]
                delta[n, :2, i, j] = weight * (p[n, :2, i, j] - goal)
                logs = [math.log(tw / shapes[n + 3][2]), math.log(th / shapes[n + 3][3])]
                delta[n, 2:4, i, j] = weight * (x[n, 2:4, i, j] - logs)
                delta[n, 4, i, j] = p[n, 4, i, j] - 1
                if (n, i, j) not in visited:
                    delta[n, 5:, i, j] = p[n, 5:, i, j]
                delta[n, 5 + c, i, j] = p[n, 5 + c, i, j] - 1
                visited.add((n, i, j))
    assert len(visited) >= 2
    return delta


@pytest.mark.parametrize("iou_thresh", [0.3, 1])
@pytest.mark.parametrize("size", [(4, 4), (3, 5)])
def test_yolov3_teaches_as_a_loop_does(iou_thresh: float, size: tuple[int, int]) -> None:
    param = f"coord_scale: 1 label_smooth_eps: 0 iou_thresh: {iou_thresh}"
    x = random(1, 24, *size)
    blobs = run(
        one_layer(LOSS % param, phase="TRAIN", x=x.shape, label=(1, 300, 5)), x=x, label=labels(*TRUTHS)
    )
    blobs["loss"].backward()
    delta = expected(x.reshape(3, 8, *size), iou_thresh)
    close(blobs["in/x"].grad, delta.reshape(x.shape), 1e-5)  # a loop in float64
    close(blobs["loss"], np.float32((delta**2).sum()), 1e-5)


def run_loss(param: str, x: np.ndarray) -> dict:
    blobs = run(
        one_layer(LOSS % param, phase="TRAIN", x=x.shape, label=(1, 300, 5)), x=x, label=labels(*TRUTHS)
    )
    blobs["loss"].backward()
    return blobs


def test_focal_loss_is_of_the_first_truth_of_a_box() -> None:
    x = random(1, 24, 4, 4)
    p, got = 1 / (1 + np.exp(-x)).reshape(3, 8, 4, 4), {}
    for focal in ("false", "true"):
        blobs = run_loss(f"label_smooth_eps: 0 class_scale: 2 use_focal_loss: {focal}", x)
        got[focal] = blobs["in/x"].grad.reshape(3, 8, 4, 4)
    hit = [(n, 1, 1) for n in range(3) if got["false"][n, 5, 1, 1]]
    assert hit  # by truths of class 0, and then of class 2
    for n, i, j in hit:
        values = p[n, 5:, i, j]
        right = values[0]
        factor = 0.5 * -(1 - right) * (2 * right * math.log(right) + right - 1)
        # where a truth comes by twice, its class has no factor any more
        wanted = 2 * np.array([values[0] - 1, values[1] * factor, values[2] - 1])
        close(got["true"][n, 6:, i, j], np.float32(wanted[1:]), 1e-5)
        assert got["true"][n, 5, i, j].item() in (
            pytest.approx(wanted[0], rel=1e-4),
            pytest.approx(wanted[0] * factor, rel=1e-4),
        )


def best_anchor(sides: list[float], kind: str) -> int:
    """Of those of a map of 4 by 4 cells."""
    shapes = torch.tensor(
        [[0, 0, w / 128, h / 128] for w, h in zip(ANCHORS[::2], ANCHORS[1::2], strict=True)]
    )
    return int(box_overlap.KINDS[kind](shapes, torch.tensor([[0, 0, *sides]])).argmax())


@pytest.mark.parametrize("kind", ["GIOU", "IOU", "DIOU", "CIOU"])
def test_a_place_learned_from_overlaps(kind: str) -> None:
    """All truths at a box add up, each at most by max_delta, and the logistic gradient slips."""
    x, size = random(1, 24, 4, 4), (4, 4)
    raw = x.reshape(3, 8, 4, 4)
    param = f"iou_loss: {kind} iou_normalizer: 0.5 iou_thresh: 1 %s"
    plain = run_loss(param % "max_delta: 0.3", x)
    logistic = run_loss(param % "max_delta: 0.3 use_logic_gradient: true", x)
    last = run_loss(param % "max_delta: 0.3 accumulate: false", x)
    moves, missing, taught = [], [], []
    for _, *truth in TRUTHS[:3]:
        i, j, n = int(truth[1] * 4), int(truth[0] * 4), best_anchor(truth[2:], kind) - 3
        here, goal = torch.tensor([box(raw[n, :, i, j], i, j, size, n + 3, 32)]), torch.tensor([truth])
        slopes = 0.5 * box_overlap.overlap_slopes(here, goal, kind)[0].numpy()
        slopes[2:] *= np.exp(raw[n, 2:4, i, j])
        moves.append(-slopes.clip(-0.3, 0.3))
        missing.append(1 - box_overlap.KINDS["DIOU" if kind == "IOU" else kind](here, goal).item())
        taught.append((n, slice(None), i, j))
    assert taught[0] == taught[1] != taught[2]
    gradients = [blobs["in/x"].grad.reshape(3, 8, 4, 4)[taught[0]] for blobs in (plain, logistic, last)]
    close(gradients[0][:4], np.float32(moves[0] + moves[1]), 1e-5)
    close(gradients[2][:4], np.float32(moves[1]), 1e-5)
    middle = raw[taught[0]][:2]
    close(gradients[1][:2], np.float32((moves[0] + moves[1])[:2] * middle * (1 - middle)), 1e-5)
    rest = plain["in/x"].grad.reshape(3, 8, 4, 4)[:, 4:].square().sum().item()
    assert plain["loss"].item() == pytest.approx(rest + 0.5 * sum(missing) / 3, rel=1e-4)


@pytest.mark.parametrize(
    ("param", "shapes", "line"),
    [
        ("num: 4", {"x": (1, 32, 4, 4), "t": (1, 300, 5)}, "takes 4 numbers of anchors in mask"),
        ("", {"x": (1, 25, 4, 4), "t": (1, 300, 5)}, "takes maps of 24 channels"),
        ("", {"x": (1, 24, 4, 4), "t": (1, 30, 5)}, "takes 300 rows of 5 numbers"),
    ],
)
def test_what_yolov3_refuses(param: str, shapes: dict, line: str) -> None:
    layer = LOSS % param
    if param.startswith("num"):
        layer = layer.replace("num: 3 ", "", 1)
    with pytest.raises(InputError, match=line):
        one_layer(layer, **shapes)


def test_a_truth_outside_of_the_map_is_named() -> None:
    net = one_layer(LOSS % "", x=(1, 24, 4, 4), t=(1, 300, 5))
    with pytest.raises(InputError, match='layer "it": cell 4 of sample 0 is out of range, 0 to 3'):
        net(torch.zeros(1, 24, 4, 4), torch.from_numpy(labels((0, 1.0, 0.5, 0.1, 0.1))))
