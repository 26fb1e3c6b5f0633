"""Faults that converters of Caffe nets are known for: each layer's right values by hand, through the module, the
ONNX file and the generated source.

What stands elsewhere, with a recording of real Caffe:

| fault | test |
|---|---|
| pooling of every size, stride and pad | test_layers_sizes.py, test_layers_windows.py |
| pooling and LRN as other readers of ONNX compute them | test_onnx_clients.py |
| layers of Caffe 1.0 and of forks against their recordings | test_layers.py |
| a layer that is dropped from a file | test_parity.py |
| broken and foreign weight files | test_weights.py, test_weights_bad.py |
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from one_layer import one_layer, random

from converters import Network, load_net
from eval.verdict.engines import by_onnxruntime, by_source
from eval.verdict.held import net_values
from prototxt.caffe_pb2 import NetParameter
from prototxt.errors import InputError
from zoo.conversion import Request, built, read_file, wired

Array = np.ndarray
NET = "layer {{ name: 'x' type: 'Input' top: 'x' input_param {{ shape {{ dim: 1 dim: 3 }} }} }} {}"
IP = "layer { name: 'ip' type: 'InnerProduct' bottom: 'x' top: 'y' inner_product_param { num_output: 4 } }"

SCALE = "layer { name: 's' type: 'Scale' bottom: 'y' top: 'z' scale_param { bias_term: true } }"


def everywhere(net: Network, right: Array, top: str = "y", **feeds: Array) -> None:
    """Module, file and source compute the right values: to 3e-6 of the largest, golden/README's of a layer."""
    for engine in (net_values, by_onnxruntime, by_source):
        values = engine(net, feeds)
        theirs = next(array for value, array in values.items() if value.blob == top)
        assert theirs.shape == right.shape, engine.__name__
        assert np.abs(theirs - right).max() <= 3e-6 * np.abs(right).max(), engine.__name__


def windows(x: Array, kernel: int, stride: int, pad: int, how: Callable[[Array, int], float]) -> Array:
    """Caffe's pooling as a loop (pooling_layer.cpp): the size is rounded up, a last window that would start
    beyond image and padding goes, and ``how`` is given a window's pixels and its area within both.
    """
    size = x.shape[-1]
    count = -(-(size + 2 * pad - kernel) // stride) + 1
    count -= pad > 0 and (count - 1) * stride >= size + pad
    y = np.zeros((*x.shape[:2], count, count))
    for n, c, i, j in np.ndindex(y.shape):
        spans = []
        for at in (i, j):
            start = at * stride - pad
            spans.append((max(start, 0), min(start + kernel, size), min(start + kernel, size + pad) - start))
        (top, bottom, height), (left, right, width) = spans
        y[n, c, i, j] = how(x[n, c, top:bottom, left:right], height * width)
    return y


def mean(pixels: Array, area: int) -> float:
    return float(pixels.sum(dtype=np.float64)) / area


def largest(pixels: Array, _: int) -> float:
    return float(pixels.max())


@pytest.mark.parametrize(
    ("method", "how", "size", "kernel", "stride", "pad"),
    [
        ("AVE", mean, 6, 3, 2, 1),  # borders count the padding, and the last window ends one beyond it
        ("AVE", mean, 7, 3, 2, 0),
        ("AVE", mean, 8, 3, 2, 0),  # the last window is clipped: 2 pixels, not 3
        ("MAX", largest, 8, 3, 2, 0),
        ("MAX", largest, 5, 2, 2, 1),  # a fourth window would start in the padding alone
        ("AVE", mean, 5, 2, 2, 1),
    ],
)
def test_pooling_at_the_borders(
    method: str, how: Callable[[Array, int], float], size: int, kernel: int, stride: int, pad: int
) -> None:
    x = random(1, 2, size, size) + 1
    param = f"pool: {method} kernel_size: {kernel} stride: {stride} pad: {pad}"
    net = one_layer(f'type: "Pooling" top: "y" pooling_param {{ {param} }}', x=x.shape)
    everywhere(net, windows(x, kernel, stride, pad, how), x=x)


def test_lrn_across_channels_has_its_k() -> None:
    x = random(2, 5, 3, 3)
    squares = np.pad(x.astype(np.float64) ** 2, ((0, 0), (1, 1), (0, 0), (0, 0)))
    sums = sliding_window_view(squares, 3, axis=1).sum(-1)
    net = one_layer('type: "LRN" top: "y" lrn_param { local_size: 3 alpha: 0.5 beta: 0.75 k: 2 }', x=x.shape)
    everywhere(net, x / (2 + 0.5 / 3 * sums) ** 0.75, x=x)


def test_lrn_within_a_channel_takes_the_mean_of_a_square() -> None:
    x = random(2, 3, 6, 6)
    means = windows(x.astype(np.float64) ** 2, 3, 1, 1, mean)
    param = "local_size: 3 alpha: 0.5 beta: 0.75 norm_region: WITHIN_CHANNEL"
    net = one_layer(f'type: "LRN" top: "y" lrn_param {{ {param} }}', x=x.shape)
    everywhere(net, x * (1 + 0.5 * means) ** -0.75, x=x)


def test_eltwise_has_its_coefficients() -> None:
    a, b = random(2, 3, 4, 4), random(2, 3, 4, 4, seed=1)
    param = "operation: SUM coeff: 2 coeff: -0.5"
    net = one_layer(f'type: "Eltwise" top: "y" eltwise_param {{ {param} }}', a=a.shape, b=b.shape)
    everywhere(net, 2 * a - 0.5 * b, a=a, b=b)


@pytest.mark.parametrize(
    ("layer", "rule"),
    [
        ('type: "ReLU" top: "y" relu_param { negative_slope: 0.1 }', lambda x: np.where(x > 0, x, 0.1 * x)),
        ('type: "Swish" top: "y" swish_param { beta: 1.7 }', lambda x: x / (1 + np.exp(-1.7 * x))),
        ('type: "Softmax" top: "y" softmax_param { axis: 2 }', lambda x: _softmax(x, 2)),
        ('type: "Softmax" top: "y" softmax_param { axis: -1 }', lambda x: _softmax(x, 3)),
        ('type: "MVN" top: "y"', lambda x: _mvn(x, (2, 3))),
        ('type: "MVN" top: "y" mvn_param { across_channels: true }', lambda x: _mvn(x, (1, 2, 3))),
        (
            'type: "MVN" top: "y" mvn_param { normalize_variance: false }',
            lambda x: x - x.mean((2, 3), keepdims=True),
        ),
    ],
)  # fmt: skip
def test_a_layers_own_number_counts(layer: str, rule: Callable[[Array], Array]) -> None:
    x = random(2, 3, 4, 5)
    everywhere(one_layer(layer, x=x.shape), rule(x.astype(np.float64)), x=x)


def _softmax(x: Array, axis: int) -> Array:
    powers = np.exp(x)
    return powers / powers.sum(axis, keepdims=True)


def _mvn(x: Array, axes: Sequence[int]) -> Array:
    """eps is added to the deviation, not to the variance (mvn_layer.cpp)."""
    apart = x - x.mean(tuple(axes), keepdims=True)
    return apart / (np.sqrt((apart**2).mean(tuple(axes), keepdims=True)) + 1e-9)


def test_an_inner_product_may_be_transposed() -> None:
    x, weight = random(2, 3), random(3, 4, seed=1)
    param = "num_output: 4 transpose: true bias_term: false"
    net = one_layer(f'type: "InnerProduct" top: "y" inner_product_param {{ {param} }}', x=x.shape)
    _give(net.params["it"][0], weight)
    everywhere(net, x.astype(np.float64) @ weight, x=x)


@torch.no_grad()
def _give(blob: torch.Tensor, values: Array) -> None:
    blob.copy_(torch.from_numpy(values))


@pytest.mark.parametrize("outputs", [3, 4])
def test_a_scale_behind_a_transposed_inner_product(outputs: int) -> None:
    """In the file it is in the matrix, whose columns make the outputs; with three, rows are as many."""
    net = load_net(NET.format(IP.replace("num_output: 4", f"num_output: {outputs} transpose: true") + SCALE))
    blobs = [*net.params["ip"], *net.params["s"]]
    matrix, bias, scale, shift = arrays = [random(*blob.shape, seed=n) for n, blob in enumerate(blobs)]
    for blob, array in zip(blobs, arrays, strict=True):
        _give(blob, array)
    x = random(1, 3, seed=4)
    everywhere(net, (x.astype(np.float64) @ matrix + bias) * scale + shift, "z", x=x)


def test_dilation_is_an_axis_own() -> None:
    x, weight = random(1, 2, 7, 8), random(3, 2, 3, 2, seed=1)
    param = "num_output: 3 kernel_h: 3 kernel_w: 2 dilation: 2 dilation: 3 bias_term: false"
    net = one_layer(f'type: "Convolution" top: "y" convolution_param {{ {param} }}', x=x.shape)
    _give(net.params["it"][0], weight)
    right = np.zeros((1, 3, 3, 5))
    for i, j in np.ndindex(3, 5):
        taken = x[0, :, i : i + 5 : 2, j : j + 4 : 3].astype(np.float64)
        right[0, :, i, j] = (weight * taken).sum((1, 2, 3))
    everywhere(net, right, x=x)


RULED = NET.format(
    "layer { name: 'a' type: 'Power' bottom: 'x' top: 'y' power_param { scale: 2 } exclude { phase: TEST } }"
    "layer { name: 'b' type: 'Power' bottom: 'x' top: 'y' power_param { scale: 3 } exclude { phase: TRAIN }"
    " exclude { stage: 'deploy' } }"
    "layer { name: 'c' type: 'Power' bottom: 'x' top: 'y' power_param { scale: 5 } include { stage: 'deploy' } }"
)


@pytest.mark.parametrize(("stages", "scale"), [((), 3), (("deploy",), 5)])
def test_rules_choose_the_layers(stages: Sequence[str], scale: int, tmp_path: Path) -> None:
    path, x = tmp_path / "net.prototxt", random(1, 3)
    path.write_text(RULED)
    request = Request(net=str(path), stages=stages)
    net = built(wired(read_file(request, print), request), request, print)
    everywhere(net, scale * x, x=x)


def caffemodel(path: Path, legacy: bool, **layers: Sequence[Array]) -> Path:
    """A file with these blobs; legacy ones have four axes, as Caffe wrote them before 2014."""
    message = NetParameter(name="net")
    for name, blobs in layers.items():
        layer = message.layer.add(name=name, type="InnerProduct")
        for blob in blobs:
            sizes = [1] * (4 - blob.ndim) + list(blob.shape)
            kept = layer.blobs.add(data=blob.ravel().tolist())
            if legacy:
                kept.num, kept.channels, kept.height, kept.width = sizes
            else:
                kept.shape.dim.extend(blob.shape)
    path.write_bytes(message.SerializeToString())
    return path


@pytest.mark.parametrize("legacy", [True, False])
def test_legacy_biases_of_four_axes_and_layers_that_the_net_lacks(legacy: bool, tmp_path: Path) -> None:
    """A bias of (1, 1, 1, C) is one of C; a layer of the file alone is passed over and said, as in Caffe."""
    weight, bias, x = random(4, 3), random(4, seed=1), random(1, 3, seed=2)
    path = caffemodel(tmp_path / "w.caffemodel", legacy, ghost=[weight], ip=[weight, bias])
    net = load_net(NET.format(IP))
    lacks, extra = net.load_weights(path)
    assert not lacks and "ghost" in str(extra)
    everywhere(net, x.astype(np.float64) @ weight.T + bias, x=x)


def test_a_layer_of_an_unknown_type_is_an_error() -> None:
    odd = "layer { name: 'odd' type: 'Whatever' bottom: 'x' top: 'z' }"
    with pytest.raises(InputError, match=r"Whatever") as caught:
        load_net(NET.format(odd + IP.replace("bottom: 'x'", "bottom: 'z'")))
    assert caught.value.layer == "odd" or "odd" in str(caught.value)
