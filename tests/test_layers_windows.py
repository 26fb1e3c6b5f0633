"""Layers that slide a window, against loops over every pixel."""

import itertools
import math
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from one_layer import close, one_layer, random, run

from converters.export.source import load_source
from eval.parity import write_onnx

POOLINGS = [
    (height, width, kernel, stride, pad, mode)
    for height, width in ((4, 7), (5, 5), (3, 2), (9, 6))
    for kernel, stride, pad in (
        ((2, 2), (2, 2), (0, 0)),
        ((3, 3), (2, 2), (0, 0)),
        ((3, 3), (2, 2), (1, 1)),
        ((3, 2), (1, 3), (2, 1)),
        ((1, 1), (2, 3), (0, 0)),
        ((2, 3), (3, 2), (1, 2)),
        ((2, 1), (4, 3), (0, 0)),
        ((5, 4), (3, 4), (4, 0)),
        ((4, 4), (3, 3), (0, 3)),
    )
    for mode in ("CEIL", "FLOOR")
]


def pool(
    x: np.ndarray, dy: np.ndarray | None, method: str, kernel: tuple, stride: tuple, pad: tuple, mode: str
):
    """(top, mask, gradient) as pooling_layer.cpp's loops have them, or None where it refuses."""
    sizes = x.shape[2:]
    rounded = {"CEIL": math.ceil, "FLOOR": math.floor}[mode]
    out = [rounded((n + 2 * p - k) / s) + 1 for n, k, s, p in zip(sizes, kernel, stride, pad, strict=True)]
    if any(pad):
        out = [
            o - 1 if (o - 1) * s >= n + p else o for o, s, n, p in zip(out, stride, sizes, pad, strict=True)
        ]
    if min(out) < 1:
        return None
    top = np.zeros((*x.shape[:2], *out), np.float32)
    mask = np.full(top.shape, -1, np.float32)
    grad = np.zeros_like(x)
    dy = np.ones_like(top) if dy is None else dy
    for n, c, i, j in np.ndindex(*top.shape):
        start = [i * stride[0] - pad[0], j * stride[1] - pad[1]]
        end = [min(start[a] + kernel[a], sizes[a] + pad[a]) for a in (0, 1)]
        area = (end[0] - start[0]) * (end[1] - start[1])
        rows = range(max(start[0], 0), min(end[0], sizes[0]))
        columns = range(max(start[1], 0), min(end[1], sizes[1]))
        if method == "AVE":
            total = sum(float(x[n, c, h, w]) for h, w in itertools.product(rows, columns))
            with np.errstate(all="ignore"):
                top[n, c, i, j] = np.float32(total) / np.float32(area)
            for h, w in itertools.product(rows, columns):
                grad[n, c, h, w] += dy[n, c, i, j] / area
            continue
        best = -np.finfo(np.float32).max
        for h, w in itertools.product(rows, columns):
            if x[n, c, h, w] > best:
                best, mask[n, c, i, j] = x[n, c, h, w], h * sizes[1] + w
        top[n, c, i, j] = best
        if mask[n, c, i, j] >= 0:
            h, w = divmod(int(mask[n, c, i, j]), sizes[1])
            grad[n, c, h, w] += dy[n, c, i, j]
    return top, mask, grad


@pytest.mark.parametrize("method", ["MAX", "AVE"])
@pytest.mark.parametrize(("height", "width", "kernel", "stride", "pad", "mode"), POOLINGS)
def test_pooling(
    method: str, height: int, width: int, kernel: tuple, stride: tuple, pad: tuple, mode: str
) -> None:
    x = np.round(random(2, 2, height, width) * 2)  # whole numbers: with ties
    wanted = pool(x, None, method, kernel, stride, pad, mode)
    sides = " ".join(
        f"{name}_h: {pair[0]} {name}_w: {pair[1]}"
        for name, pair in (("kernel", kernel), ("stride", stride), ("pad", pad))
    )
    second = 'top: "m"' if method == "MAX" else ""
    text = f'type: "Pooling" top: "y" {second} pooling_param {{ pool: {method} {sides} round_mode: {mode} }}'
    if wanted is None:
        with pytest.raises(ValueError, match="larger than"):
            one_layer(text, x=x.shape)
        return
    blobs = run(one_layer(text, x=x.shape), x=x)
    dy = random(*wanted[0].shape, seed=1)
    top, mask, _ = pool(x, dy, method, kernel, stride, pad, mode)
    finite = np.isfinite(top)  # a window without a pixel or an area
    close(torch.where(torch.from_numpy(finite), blobs["y"], 0.0), np.where(finite, top, 0))
    if method == "MAX":
        close(blobs["m"], mask)
    blobs["y"].backward(torch.from_numpy(np.where(finite, dy, 0)))
    close(blobs["in/x"].grad, pool(x, np.where(finite, dy, 0), method, kernel, stride, pad, mode)[2])


def convolve(
    x: np.ndarray, w: np.ndarray, b: np.ndarray, group: int, stride: list, pad: list, dilation: list
):
    """Cross-correlation of (N, C, …) over any number of axes, output by output."""
    axes = x.ndim - 2
    padded = np.pad(x.astype(np.float64), [(0, 0), (0, 0), *((p, p) for p in pad)])
    kernel = w.shape[2:]
    out = [(padded.shape[2 + a] - (dilation[a] * (kernel[a] - 1) + 1)) // stride[a] + 1 for a in range(axes)]
    y = np.zeros((len(x), len(w), *out))
    share = w.shape[1]
    for n, o in itertools.product(range(len(x)), range(len(w))):
        first = o // (len(w) // group) * share
        for place in np.ndindex(*out):
            window = tuple(
                slice(
                    place[a] * stride[a],
                    place[a] * stride[a] + dilation[a] * (kernel[a] - 1) + 1,
                    dilation[a],
                )
                for a in range(axes)
            )
            y[(n, o, *place)] = (padded[(n, slice(first, first + share), *window)] * w[o]).sum() + b[o]
    return y.astype(np.float32)


CONVOLUTIONS = [
    ((2, 4, 7), (2, 3), 2, [3], [2], [1], [1]),
    ((2, 4, 9), (1, 3), 1, [3], [1], [2], [2]),
    ((1, 4, 6, 7), (1, 2), 2, [3, 2], [2, 1], [1, 0], [1, 2]),
    ((2, 3, 5, 5), (1, 3), 3, [2], [1], [1], [2]),
    ((1, 2, 5, 4, 6), (1, 2), 1, [3, 2, 2], [1, 2, 3], [1, 0, 1], [2, 1, 1]),
    ((1, 4, 4, 4, 4), (1, 2), 2, [2], [2], [1], [1]),
]


def listed(**numbers: list[int]) -> str:
    return " ".join(f"{name}: {n}" for name, values in numbers.items() for n in values)


@pytest.mark.parametrize(("shape", "outputs", "group", "kernel", "stride", "pad", "dilation"), CONVOLUTIONS)
def test_convolution_and_its_transpose(
    shape: tuple, outputs: tuple, group: int, kernel: list, stride: list, pad: list, dilation: list
) -> None:
    axes = len(shape) - 2
    count = outputs[1] * group
    param = (
        f"num_output: {count} group: {group} "
        f"{listed(kernel_size=kernel, stride=stride, pad=pad, dilation=dilation)} "
        'force_nd_im2col: true weight_filler { type: "gaussian" } bias_filler { type: "gaussian" }'
    )
    net = one_layer(f'type: "Convolution" top: "y" convolution_param {{ {param} }}', x=shape)
    w, b = (blob.detach().numpy() for blob in net.params["it"])
    x = random(*shape)
    spread = [values if len(values) == axes else values * axes for values in (stride, pad, dilation)]
    y = convolve(x, w, b, group, *spread)
    blobs = run(net, x=x)
    close(blobs["y"], y)
    dy = random(*y.shape, seed=1)
    blobs["y"].backward(torch.from_numpy(dy))
    # With the same weights, the deconvolution of dy is the convolution's gradient, where it covers x.
    param = param.replace(f"num_output: {count}", f"num_output: {shape[1]} bias_term: false")
    back = one_layer(f'type: "Deconvolution" top: "y" convolution_param {{ {param} }}', x=dy.shape)
    assert len(back.params["it"]) == 1
    with torch.no_grad():
        back.params["it"][0].copy_(torch.from_numpy(w))
    up = run(back, x=dy)["y"]
    covered = tuple(slice(0, min(a, b)) for a, b in zip(up.shape, shape, strict=True))
    close(up[covered], blobs["in/x"].grad[covered].numpy())
    sides = zip(dy.shape[2:], w.shape[2:], *spread, strict=True)
    assert list(up.shape[2:]) == [s * (n - 1) + d * (k - 1) + 1 - 2 * p for n, k, s, p, d in sides]


@pytest.mark.parametrize("kind", ["Convolution", "Deconvolution"])
@pytest.mark.parametrize(("axis", "shape"), [(2, (2, 3, 4, 5, 5)), (-3, (2, 3, 4, 5, 5)), (0, (4, 5, 5))])
def test_axes_before_the_channels_are_batch(kind: str, axis: int, shape: tuple) -> None:
    param = f'num_output: 2 kernel_size: 3 axis: {axis} weight_filler {{ type: "gaussian" }}'
    net = one_layer(f'type: "{kind}" top: "y" convolution_param {{ {param} }}', x=shape)
    x = torch.from_numpy(random(*shape))
    plain = {"Convolution": torch.conv2d, "Deconvolution": torch.conv_transpose2d}[kind]
    wanted = plain(x.reshape(-1, 4, 5, 5), *net.params["it"])
    y = net(x)
    assert y.shape[: len(shape) - 3] == shape[: len(shape) - 3]
    assert torch.allclose(y.reshape(wanted.shape), wanted, atol=1e-6)


@pytest.mark.parametrize("kind", ["Convolution", "Deconvolution"])
def test_no_spatial_axis(kind: str) -> None:
    param = 'num_output: 6 kernel_size: 1 group: 2 weight_filler { type: "gaussian" }'
    net = one_layer(f'type: "{kind}" top: "y" convolution_param {{ {param} }}', x=(3, 4))
    w = net.params["it"][0].detach().numpy()
    assert w.shape == ((6, 2) if kind == "Convolution" else (4, 3))
    x = random(3, 4)
    halves = [
        x[:, 2 * g : 2 * g + 2] @ (w[3 * g : 3 * g + 3].T if kind == "Convolution" else w[2 * g : 2 * g + 2])
        for g in (0, 1)
    ]
    close(net(torch.from_numpy(x)), np.concatenate(halves, 1))


@pytest.mark.parametrize(
    ("shape", "param"),
    [
        ((2, 3, 6, 5), "kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 1 pad_h: 1 pad_w: 0"),
        ((2, 3, 7, 7), "kernel_size: 2 stride: 2 dilation: 3"),
        ((2, 2, 7), "kernel_size: 3 pad: 1"),
        ((1, 2, 4, 5, 3), "kernel_size: 2 stride: 1 stride: 2 stride: 1 pad: 1"),
        ((2, 2, 3, 4, 4), "kernel_size: 2 axis: 2"),
    ],
)
def test_im2col_is_what_a_convolution_multiplies(shape: tuple, param: str) -> None:
    """Columns of channels × kernel, times a weight matrix, are the convolution."""
    axis = 2 if "axis" in param else 1
    columns = one_layer(f'type: "Im2col" top: "y" convolution_param {{ {param} }}', x=shape)
    filler = 'num_output: 3 bias_term: false weight_filler { type: "gaussian" }'
    whole = one_layer(f'type: "Convolution" top: "y" convolution_param {{ {param} {filler} }}', x=shape)
    x = torch.from_numpy(random(*shape)).requires_grad_()
    w = whole.params["it"][0]
    cols = columns(x)
    y = torch.tensordot(w.flatten(1), cols.movedim(axis, 0), 1).movedim(0, axis)
    wanted = whole(x)
    assert torch.allclose(y, wanted, atol=1e-5)
    ours = torch.autograd.grad(y.sum(), x, retain_graph=True)[0]
    assert torch.allclose(ours, torch.autograd.grad(wanted.sum(), x)[0], atol=1e-5)


@pytest.mark.parametrize("method", ["MAX", "AVE"])
@pytest.mark.parametrize("size", [(7, 7), (8, 8), (13, 6), (4, 9)])
def test_pyramid(method: str, size: tuple) -> None:
    x = random(2, 3, *size)
    net = one_layer(f'type: "SPP" top: "y" spp_param {{ pyramid_height: 3 pool: {method} }}', x=x.shape)
    parts = []
    for bins in (1, 2, 4):
        kernel = tuple(math.ceil(n / bins) for n in size)
        pad = tuple((k * bins - n + 1) // 2 for k, n in zip(kernel, size, strict=True))
        parts.append(pool(x, None, method, kernel, kernel, pad, "CEIL")[0].reshape(2, -1))
    close(net(torch.from_numpy(x)), np.concatenate(parts, 1))


def test_a_pyramid_whose_padding_reaches_the_kernel_is_refused() -> None:
    """4 bins over 5 rows: kernels of 2 padded by 2, which Caffe's pooling does not take."""
    with pytest.raises(ValueError, match="must be smaller than the kernel"):
        one_layer('type: "SPP" top: "y" spp_param { pyramid_height: 3 }', x=(1, 1, 5, 8))


def test_a_pyramid_of_one_level_keeps_its_axes() -> None:
    net = one_layer('type: "SPP" top: "y" spp_param { pyramid_height: 1 }', x=(2, 3, 4, 5))
    assert net(torch.zeros(2, 3, 4, 5)).shape == (2, 3, 1, 1)


def stochastic(phase: str) -> torch.nn.Module:
    text = 'type: "Pooling" top: "y" pooling_param { pool: STOCHASTIC kernel_size: 3 stride: 2 }'
    return one_layer(text, phase=phase, x=(1, 1, 6, 6))


def test_stochastic_pooling_weighs_by_value() -> None:
    """Caffe's GPU rule; no recording of it exists, for its CPU build has none."""
    x = np.abs(random(1, 1, 6, 6))
    y = stochastic("TEST")(torch.from_numpy(x)).numpy()
    for i, j in np.ndindex(3, 3):
        window = x[0, 0, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3].astype(np.float64)
        assert y[0, 0, i, j] == pytest.approx((window**2).sum() / window.sum(), rel=1e-5)


@pytest.mark.parametrize("engine", ["module", "source", "file"])
def test_stochastic_pooling_of_values_below_0(engine: str, tmp_path: Path) -> None:
    """pooling_layer.cu gives 0 where the sum is not above 0; where it is small beside its terms, all agree."""
    net, x = stochastic("TEST"), random(1, 1, 6, 6)
    x[0, 0, :2, :3] = [[1, -1, 3], [-3, 2, -2]]
    x[0, 0, 2, :3] = [1e-4, 0, 0]  # their sum is this
    x[0, 0, 4:, 4:] = -1
    feeds = torch.from_numpy(x)
    if engine == "module":
        y = net(feeds).numpy()
    elif engine == "source":
        y = load_source(net).module(feeds).numpy()
    else:
        write_onnx(net, tmp_path / "a.onnx")
        session = onnxruntime.InferenceSession(tmp_path / "a.onnx", providers=["CPUExecutionProvider"])
        (y,) = session.run(None, {"x": x})
    for i, j in np.ndindex(3, 3):
        window = x[0, 0, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3].astype(np.float64)
        wanted = (window**2).sum() / window.sum() if window.sum() > 0 else 0
        assert y[0, 0, i, j] == pytest.approx(wanted, rel=1e-6), (i, j)
    assert y[0, 0, 0, 0] > 1e5 and y[0, 0, 2, 2] == 0


def test_stochastic_pooling_draws_in_proportion() -> None:
    torch.manual_seed(0)
    net, x = stochastic("TRAIN"), torch.zeros(1, 1, 6, 6)
    x[0, 0, 0, 0], x[0, 0, 1, 1] = 1.0, 3.0
    x.requires_grad_()
    drawn = torch.stack([net(x)[0, 0, 0, 0] for _ in range(2000)])
    assert set(drawn.tolist()) == {1.0, 3.0}
    assert abs((drawn == 3).float().mean().item() - 0.75) < 0.04
    (slope,) = torch.autograd.grad(drawn.sum(), x)
    assert slope[0, 0, 0, 0].item() == (drawn == 1).sum() and slope.sum().item() == 2000


@pytest.mark.parametrize("size", [1, 3, 5])
def test_lrn_across_channels(size: int) -> None:
    x = random(2, 6, 3, 4)
    param = f"lrn_param {{ local_size: {size} alpha: 0.7 beta: 0.6 k: 1.5 }}"
    net = one_layer(f'type: "LRN" top: "y" {param}', x=x.shape)
    wanted = np.zeros_like(x)
    for c in range(6):
        near = x[:, max(c - size // 2, 0) : c + size // 2 + 1].astype(np.float64)
        wanted[:, c] = x[:, c] * (1.5 + 0.7 / size * (near**2).sum(1)) ** -0.6
    close(net(torch.from_numpy(x)), wanted)


@pytest.mark.parametrize("size", [3, 5])
def test_lrn_within_a_channel_ignores_k(size: int) -> None:
    x = random(2, 2, 4, 6)
    param = f"lrn_param {{ local_size: {size} alpha: 0.7 beta: 0.6 k: 5 norm_region: WITHIN_CHANNEL }}"
    net = one_layer(f'type: "LRN" top: "y" {param}', x=x.shape)
    r = size // 2
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (r, r), (r, r)))
    wanted = np.zeros_like(x)
    for h, w in np.ndindex(4, 6):
        mean = (padded[:, :, h : h + size, w : w + size] ** 2).mean((2, 3))
        wanted[:, :, h, w] = x[:, :, h, w] * (1 + 0.7 * mean) ** -0.6
    close(net(torch.from_numpy(x)), wanted)
