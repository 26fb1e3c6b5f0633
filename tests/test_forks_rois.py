"""Pooling of regions against loops over every pixel, with ties, empty bins and rois outside of the map."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from one_layer import close, one_layer, random, run

from eval.parity import write_onnx
from prototxt.errors import InputError

ROI = 'type: "ROIPooling" top: "y" roi_pooling_param { pooled_h: %d pooled_w: %d spatial_scale: %g }'
PSROI = (
    'type: "PSROIPooling" top: "y" psroi_pooling_param { output_dim: %d group_size: %d spatial_scale: %g }'
)


def rounded(x: float) -> int:
    return int(math.copysign(math.floor(abs(x) + 0.5), x))


def rois(count: int, images: int, side: float, seed: int = 0) -> np.ndarray:
    random = np.random.Generator(np.random.PCG64(seed))
    corners = np.round(random.uniform(-0.4 * side, 1.3 * side, (count, 4)) * 2) / 2  # halves occur
    return np.hstack([random.integers(0, images, (count, 1)), corners]).astype(np.float32)


def bins(first: int, last: int, count: int, size: int) -> list[range]:
    length = max(last - first + 1, 1)
    edges = [(k * length // count + first, -(-(k + 1) * length // count) + first) for k in range(count)]
    return [range(min(max(a, 0), size), min(max(b, 0), size)) for a, b in edges]


def roi_pooled(
    x: np.ndarray, boxes: np.ndarray, dy: np.ndarray, scale: float
) -> tuple[np.ndarray, np.ndarray]:
    top, gradient = np.zeros_like(dy), np.zeros_like(x)
    for r, (image, x1, y1, x2, y2) in enumerate(boxes):
        corners = [rounded(float(np.float32(v) * np.float32(scale))) for v in (x1, y1, x2, y2)]
        rows = bins(corners[1], corners[3], dy.shape[2], x.shape[2])
        columns = bins(corners[0], corners[2], dy.shape[3], x.shape[3])
        for c, i, j in np.ndindex(*dy.shape[1:]):
            places = [(h, w) for h in rows[i] for w in columns[j]]
            if places:
                best = max(places, key=lambda at, c=c: x[int(image), c, *at])  # the first of equal ones
                top[r, c, i, j] = x[int(image), c, *best]
                gradient[int(image), c, *best] += dy[r, c, i, j]
    return top, gradient


@pytest.mark.parametrize(("pooled", "scale"), [((2, 3), 0.5), ((7, 7), 0.25), ((1, 1), 1 / 16), ((5, 1), 1)])
@pytest.mark.parametrize("has_ties", [False, True])
def test_roi_pooling_is_a_loops(pooled: tuple[int, int], scale: float, has_ties: bool) -> None:
    x = random(2, 3, 9, 13)
    x = np.round(x) if has_ties else x
    boxes, dy = rois(30, 2, 12 / scale), random(30, 3, *pooled, seed=1)
    net = one_layer(ROI % (*pooled, scale), x=x.shape, rois=boxes.shape)
    blobs = run(net, x=x, rois=boxes)
    top, gradient = roi_pooled(x, boxes, dy, scale)
    blobs["y"].backward(torch.from_numpy(dy))
    close(blobs["y"], top)
    close(blobs["in/x"].grad, gradient)
    assert blobs["in/rois"].grad is None
    with torch.no_grad():  # without places, which only gradients need
        close(net(torch.from_numpy(x), torch.from_numpy(boxes)), top)


def means(x: np.ndarray, boxes: np.ndarray, dy: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    top, gradient, one = np.zeros_like(dy), np.zeros_like(x), np.float32(1)
    group, scale = dy.shape[2], np.float32(scale)
    for r, (image, *corners) in enumerate(boxes):
        start = [np.float32(rounded(v)) * scale for v in corners[:2]]
        step = [
            max(np.float32(rounded(v) + 1) * scale - s, np.float32(0.1)) / np.float32(group)
            for v, s in zip(corners[2:], start, strict=True)
        ]
        spans = []
        for axis, size in ((1, x.shape[2]), (0, x.shape[3])):
            low = [math.floor(np.float32(k) * step[axis] + start[axis]) for k in range(group)]
            high = [math.ceil((np.float32(k) + one) * step[axis] + start[axis]) for k in range(group)]
            spans.append(
                [range(min(max(a, 0), size), min(max(b, 0), size)) for a, b in zip(low, high, strict=True)]
            )
        for c, i, j in np.ndindex(*dy.shape[1:]):
            places = [(h, w) for h in spans[0][i] for w in spans[1][j]]
            channel = (c * group + i) * group + j
            for at in places:
                top[r, c, i, j] += x[int(image), channel, *at] / len(places)
                gradient[int(image), channel, *at] += dy[r, c, i, j] / len(places)
    return top, gradient


@pytest.mark.parametrize(("dim", "group", "scale"), [(2, 3, 0.5), (3, 1, 1 / 16), (1, 7, 0.25), (2, 2, 1)])
def test_psroi_pooling_is_a_loops(dim: int, group: int, scale: float) -> None:
    x, boxes = random(2, dim * group**2, 9, 13), rois(30, 2, 12 / scale)
    dy = random(30, dim, group, group, seed=1)
    net = one_layer(PSROI % (dim, group, scale), x=x.shape, rois=boxes.shape)
    blobs = run(net, x=x, rois=boxes)
    top, gradient = means(x, boxes, dy, scale)
    blobs["y"].backward(torch.from_numpy(dy))
    close(blobs["y"], top)
    close(blobs["in/x"].grad, gradient)


def test_means_keep_their_digits_beside_large_values() -> None:
    """Differences of sums over the whole map would have rounding errors of its largest values."""
    x = random(1, 1, 40, 60)
    x[..., :10, :10] *= 1e6
    net = one_layer(PSROI % (1, 1, 1), x=x.shape, rois=(1, 5))
    y = net(torch.from_numpy(x), torch.tensor([[0.0, 50, 30, 58, 38]]))
    assert isinstance(y, torch.Tensor)
    close(y, x[..., 30:39, 50:59].mean(keepdims=True), 1e-5)  # of a small mean of large terms


@pytest.mark.parametrize(
    ("layer", "shapes", "line"),
    [
        (ROI % (0, 1, 1), {"x": (1, 1, 2, 2), "rois": (1, 5)}, "pooled_h must be at least 1"),
        (ROI % (1, 1, 1), {"x": (1, 2), "rois": (1, 5)}, "pools (N, C, H, W), not 2 axes"),
        (ROI % (1, 1, 1), {"x": (1, 1, 2, 2), "rois": (1, 4)}, "takes rois of 5 values, not (1, 4)"),
        (PSROI % (2, 3, 1), {"x": (1, 8, 2, 2), "rois": (1, 5)}, "= 18 channels, not 8"),
        ('type: "PSROIPooling" top: "y"', {"x": (1, 8, 2, 2), "rois": (1, 5)}, "spatial_scale must be given"),
    ],
)
def test_what_does_not_fit_is_one_line(layer: str, shapes: dict, line: str) -> None:
    with pytest.raises(InputError) as error:
        one_layer(layer, **shapes)
    assert line in str(error.value) and "\n" not in str(error.value)


def test_an_image_that_is_not_there_is_named() -> None:
    net = one_layer(ROI % (1, 1, 1), x=(2, 1, 2, 2), rois=(1, 5))
    with pytest.raises(InputError, match='layer "it": image 2 of sample 0 is out of range, 0 to 1'):
        net(torch.zeros(2, 1, 2, 2), torch.tensor([[2.0, 0, 0, 1, 1]]))


def test_no_rois_give_an_empty_top() -> None:
    for layer, channels in ((ROI % (2, 2, 1), 3), (PSROI % (1, 2, 1), 4)):
        net = one_layer(layer, x=(1, channels, 4, 4), rois=(1, 5))
        y = net(torch.zeros(1, channels, 4, 4), torch.zeros(0, 5))
        assert isinstance(y, torch.Tensor) and y.shape[0] == 0


@pytest.mark.parametrize("layer", [ROI % (3, 2, 0.25), PSROI % (3, 2, 0.25)])
def test_a_file_pools_the_same(layer: str, tmp_path: Path) -> None:
    """write_onnx holds the file to the net, with rois that begin and end outside."""
    write_onnx(one_layer(layer, x=(1, 12, 9, 13), rois=(20, 5)), tmp_path / "net.onnx")
