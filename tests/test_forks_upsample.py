"""SegNet's unpooling and darknet's reorg against loops over every value."""

import itertools

import numpy as np
import pytest
import torch
from one_layer import close, one_layer, random, run

from prototxt.errors import InputError


@pytest.mark.parametrize(
    ("param", "size"),
    [
        ("", (6, 10)),
        ("scale: 3", (9, 15)),
        ("scale_h: 2 scale_w: 4", (6, 20)),
        ("pad_out_w: true", (6, 9)),
        ("upsample_h: 7 upsample_w: 5 scale: 4", (7, 5)),
        ("upsample_h: 7 upsample_w: 5 scale: 1 pad_out_h: true", (7, 5)),
    ],
)
def test_unpooling_is_a_loops(param: str, size: tuple[int, int]) -> None:
    x, dy = random(2, 3, 3, 5), random(2, 3, *size, seed=1)
    places = size[0] * size[1]
    mask = np.random.Generator(np.random.PCG64(0)).integers(0, min(places, 12), x.shape)  # some meet
    net = one_layer(f'type: "Upsample" top: "y" upsample_param {{ {param} }}', x=x.shape, mask=x.shape)
    blobs = run(net, x=x, mask=mask)
    top, gradient = np.zeros((2, 3, places), np.float32), np.zeros_like(x)
    for n, c, h, w in np.ndindex(*x.shape):
        top[n, c, mask[n, c, h, w]] = x[n, c, h, w]
        gradient[n, c, h, w] = dy.reshape(top.shape)[n, c, mask[n, c, h, w]]
    close(blobs["y"], top.reshape(dy.shape), 1e-6)
    blobs["y"].backward(torch.from_numpy(dy))
    close(blobs["in/x"].grad, gradient)


def test_a_place_outside_of_the_plane_is_named() -> None:
    net = one_layer('type: "Upsample" top: "y"', x=(1, 1, 2, 2), mask=(1, 1, 2, 2))
    with pytest.raises(InputError, match='layer "it": mask 16 of sample 0 is out of range, 0 to 15'):
        net(torch.zeros(1, 1, 2, 2), torch.full((1, 1, 2, 2), 16.0))


@pytest.mark.parametrize(
    ("bottoms", "param", "line"),
    [
        (2, "scale: 1", "are 2 or more"),
        (2, "scale: 3 pad_out_h: true", "go with a scale of 2"),
        (1, "scale: 0", "scale must be at least 1"),
        (1, "upsample_h: 4 upsample_w: 4", "takes 2 bottoms, not 1"),
    ],
)
def test_what_upsample_refuses(bottoms: int, param: str, line: str) -> None:
    shapes = {f"x{i}": (1, 1, 2, 2) for i in range(bottoms)}
    with pytest.raises(InputError, match=line):
        one_layer(f'type: "Upsample" top: "y" upsample_param {{ {param} }}', **shapes)


def reorg(x: np.ndarray, stride: int, reverse: bool) -> np.ndarray:
    """Darknet's loop: the bottom's memory one way, the top's the other."""
    count, channels, height, width = x.shape
    few, top = channels // stride**2, np.zeros(x.size, x.dtype)
    for b, k, j, i in itertools.product(range(count), range(channels), range(height), range(width)):
        near = i + width * (j + height * (k + channels * b))
        column = i * stride + k // few % stride
        row = j * stride + k // few // stride
        far = column + width * stride * (row + height * stride * (k % few + few * b))
        top[far if reverse else near] = x.flat[near if reverse else far]
    if reverse:
        return top.reshape(count, few, height * stride, width * stride)
    return top.reshape(count, channels * stride**2, height // stride, width // stride)


@pytest.mark.parametrize(("stride", "reverse"), [(1, False), (2, False), (3, False), (2, True), (3, True)])
def test_reorg_is_darknets_loop(stride: int, reverse: bool) -> None:
    x = random(2, 2 * stride**2, 2 * stride, 3 * stride)
    flag = str(reverse).lower()
    net = one_layer(f'type: "Reorg" top: "y" reorg_param {{ stride: {stride} reverse: {flag} }}', x=x.shape)
    close(run(net, x=x)["y"], reorg(x, stride, reverse), 0)


@pytest.mark.parametrize(
    ("shape", "param", "line"),
    [
        ((1, 4, 4, 4), "", "stride must be at least 1"),
        ((1, 6, 4, 4), "stride: 2", "stride² 4 does not divide 6 channels"),
        ((1, 4, 4, 5), "stride: 2", "stride 2 does not divide"),
    ],
)
def test_what_reorg_refuses(shape: tuple[int, ...], param: str, line: str) -> None:
    with pytest.raises(InputError, match=line):
        one_layer(f'type: "Reorg" top: "y" reorg_param {{ {param} }}', x=shape)
