"""A net called at another size than it was built with: as one built at that size, or an error that names
the layer.
"""

import copy
import random as chance
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from golden_cases import GOLDEN, arrays, named
from one_layer import close, one_layer, random
from recordings import CASES
from test_layers_windows import pool

from converters import Network, load_net
from prototxt.errors import InputError

Shapes = dict[str, tuple[int, ...]]


def others(shapes: Shapes) -> Iterator[Shapes]:
    """One size of all blobs smaller and larger, then one axis of one blob alone."""
    for size in sorted({n for shape in shapes.values() for n in shape}):
        for new in (size - 1, size + 1, 2 * size):
            if new:
                yield {name: tuple(new if n == size else n for n in s) for name, s in shapes.items()}
    for name, shape in shapes.items():
        for axis in range(len(shape)):
            yield {**shapes, name: (*shape[:axis], shape[axis] + 1, *shape[axis + 1 :])}


def resized(array: np.ndarray, shape: tuple[int, ...], wanted: Shapes) -> torch.Tensor:
    """The recorded values over and over, whole numbers such as labels within the least size."""
    is_whole = (array == np.round(array)).all()
    values = np.minimum(array, min(n for s in wanted.values() for n in s) - 1) if is_whole else array
    return torch.from_numpy(np.resize(values, shape).astype(np.float32))


def built(case: str, phase: str, shapes: Shapes) -> Network | None:
    try:
        return load_net(GOLDEN / "layers" / f"{case}.prototxt", phase=phase, input_shapes=shapes)
    except InputError:
        return None


def called(net: Network, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    for module in net.modules():
        if hasattr(module, "reset"):
            module.reset()
    torch.manual_seed(0)
    with torch.no_grad():
        return net.all_blobs(**inputs)


@pytest.mark.parametrize("case", CASES)
def test_every_recorded_net_at_other_sizes(case: str) -> None:
    data = arrays(GOLDEN / "layers" / f"{case}.npz")
    given = {name: x.numpy() for name, x in named(data, "in").items()}
    shapes = {name: x.shape for name, x in given.items()}
    net = load_net(GOLDEN / "layers" / f"{case}.prototxt", phase=str(data["phase"]))
    for wanted in others(shapes):
        inputs = {name: resized(given[name], s, wanted) for name, s in wanted.items()}
        ours, fresh = copy.deepcopy(net), built(case, str(data["phase"]), wanted)
        fits = fresh is not None and [x.shape for x in fresh.state_dict().values()] == [
            x.shape for x in net.state_dict().values()
        ]
        if not fits:
            with pytest.raises(InputError, match='layer "'):
                called(ours, inputs)
            continue
        fresh.load_state_dict(net.state_dict())
        theirs = called(fresh, inputs)
        for name, blob in called(ours, inputs).items():
            assert torch.allclose(blob, theirs[name], rtol=0, atol=0, equal_nan=True), (wanted, name)


def configurations(count: int) -> Iterator[tuple[dict[str, tuple[int, int]], str]]:
    draw = chance.Random(16)
    for _ in range(count):
        kernel = (draw.randint(1, 4), draw.randint(1, 4))
        pad = draw.choice([(0, 0), (draw.randrange(kernel[0]), draw.randrange(kernel[1]))])
        numbers = {"kernel": kernel, "stride": (draw.randint(1, 4), draw.randint(1, 4)), "pad": pad}
        yield numbers, draw.choice(["CEIL", "FLOOR"])


SIZES = [(9, 9), (8, 8), (5, 12), (12, 7), (10, 11)]


def pooling(method: str, numbers: dict[str, tuple[int, int]], mode: str) -> str:
    sides = " ".join(f"{name}_h: {pair[0]} {name}_w: {pair[1]}" for name, pair in numbers.items())
    second = 'top: "m"' if method == "MAX" else ""
    return f'type: "Pooling" top: "y" {second} pooling_param {{ pool: {method} {sides} round_mode: {mode} }}'


@pytest.mark.parametrize(("numbers", "mode"), list(configurations(40)))
def test_pooling_follows_the_size(numbers: dict[str, tuple[int, int]], mode: str) -> None:
    for method in ("MAX", "AVE"):
        net = one_layer(pooling(method, numbers, mode), x=(1, 1, *SIZES[0]))
        for size in SIZES:
            x = np.round(random(2, 1, *size) * 2)
            top, mask, _ = pool(x, None, method, *numbers.values(), mode)
            blobs = net.all_blobs(x=torch.from_numpy(x))
            finite = np.isfinite(top)
            assert tuple(blobs["y"].shape) == top.shape
            close(torch.where(torch.from_numpy(finite), blobs["y"], 0.0), np.where(finite, top, 0))
            if method == "MAX":
                close(blobs["m"], mask)


@pytest.mark.parametrize(("numbers", "mode"), list(configurations(15)))
def test_stochastic_pooling_follows_the_size(numbers: dict[str, tuple[int, int]], mode: str) -> None:
    """Sum of squares over the sum of a window that ends with the image (pooling_layer.cu)."""
    numbers = {**numbers, "pad": (0, 0)}
    (kernel, stride, _) = numbers.values()
    net = one_layer(pooling("STOCHASTIC", numbers, mode), x=(1, 1, *SIZES[0]))
    for size in SIZES:
        x = np.abs(random(1, 1, *size)) + 0.1
        shape = pool(x, None, "MAX", *numbers.values(), mode)[0].shape
        wanted = np.zeros(shape, np.float32)
        for i, j in np.ndindex(*shape[2:]):
            top, left = i * stride[0], j * stride[1]
            window = x[0, 0, top : top + kernel[0], left : left + kernel[1]].astype(np.float64)
            wanted[0, 0, i, j] = (window**2).sum() / max(window.sum(), 1e-30)
        close(net(torch.from_numpy(x)), wanted)


@pytest.mark.parametrize("method", ["MAX", "AVE"])
def test_a_pyramid_follows_the_size(method: str) -> None:
    param = f"spp_param {{ pyramid_height: 3 pool: {method} }}"
    net = one_layer(f'type: "SPP" top: "y" {param}', x=(1, 2, 8, 8))
    for size in ((7, 7), (13, 6), (4, 9), (16, 16)):
        x = torch.from_numpy(random(3, 2, *size))
        assert torch.equal(net(x), one_layer(f'type: "SPP" top: "y" {param}', x=tuple(x.shape))(x))
    with pytest.raises(InputError, match=r'layer "it".*smaller than the kernel'):
        net(torch.zeros(1, 2, 5, 8))


def test_what_a_layer_cannot_follow_is_told_with_its_name_and_shapes() -> None:
    net = one_layer('type: "InnerProduct" top: "y" inner_product_param { num_output: 2 }', x=(2, 3, 4, 4))
    with pytest.raises(InputError, match=r'layer "it": cannot take bottoms \(2, 3, 5, 4\): .*\(2, 60\)'):
        net(torch.zeros(2, 3, 5, 4))
    assert net(torch.zeros(7, 3, 4, 4)).shape == (7, 2)
    both = one_layer('type: "Eltwise" top: "y"', a=(2, 3), b=(2, 3))
    with pytest.raises(InputError, match=r'layer "it": bottoms differ in shape'):
        both(torch.zeros(2, 3), torch.zeros(1, 3))


def test_a_slice_cuts_what_there_is() -> None:
    parts = one_layer('type: "Slice" top: "y" top: "z" slice_param { axis: 0 }', x=(4, 2))
    assert [len(part) for part in parts(torch.zeros(10, 2)).values()] == [5, 5]
    with pytest.raises(InputError, match="5 cannot be cut into 2"):
        parts(torch.zeros(5, 2))
    points = one_layer('type: "Slice" top: "y" top: "z" slice_param { axis: 0 slice_point: 3 }', x=(4, 2))
    assert [len(part) for part in points(torch.zeros(9, 2)).values()] == [3, 6]


WINDOWS = ["kernel_size: 3 stride: 2", "kernel_size: 3 stride: 2 pad: 1", "kernel_size: 2 stride: 2 pad: 1",
           "kernel_size: 2 stride: 3", "kernel_size: 3 pad: 2 stride: 2", "kernel_size: 3 pad: 1",
           "kernel_size: 3 stride: 2 round_mode: FLOOR", "kernel_size: 3 stride: 3 pad_h: 2 pad_w: 0",
           "global_pooling: true"]  # fmt: skip


def poolings(method: str, has_masks: bool = True, skipped: str = "") -> str:
    """A convolution read by poolings of every kind, behind one of them an LRN and another pooling."""
    second = 'top: "m{0}"' if method == "MAX" and has_masks else ""
    branches = [
        f'layer {{ name: "p{i}" type: "Pooling" bottom: "c" top: "p{i}" {second.format(i)} '
        f"pooling_param {{ pool: {method} {windows} }} }}"
        for i, windows in enumerate(WINDOWS)
        if windows != skipped
    ]
    region = "ACROSS_CHANNELS" if method == "MAX" else "WITHIN_CHANNEL"
    return "\n".join(
        [
            'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 dim: 21 dim: 18 } } }',
            'layer { name: "c" type: "Convolution" bottom: "x" top: "c" convolution_param { num_output: 4 '
            'kernel_size: 1 weight_filler { type: "xavier" } } }',
            *branches,
            'layer { name: "n" type: "LRN" bottom: "p0" top: "n" lrn_param { local_size: 3 '
            f"norm_region: {region} }} }}",
            'layer { name: "q" type: "Pooling" bottom: "n" top: "q" '
            f"pooling_param {{ pool: {method} kernel_size: 2 stride: 2 }} }}",
            'layer { name: "s" type: "SPP" bottom: "c" top: "s" '
            f"spp_param {{ pyramid_height: 2 pool: {method} }} }}",
        ]
    )


@pytest.mark.parametrize("method", ["MAX", "AVE"])
def test_export_keeps_height_and_width_dynamic(method: str) -> None:
    net = load_net(poolings(method))
    batch, height, width = (torch.export.Dim(name, min=9, max=512) for name in ("batch", "height", "width"))
    shapes = {"inputs": ({0: batch, 2: height, 3: width},)}
    made = torch.export.export(net, (torch.zeros(9, 3, 21, 18),), dynamic_shapes=shapes).module()
    for size in ((21, 18), (20, 19), (9, 10), (11, 14), (31, 12)):
        x = torch.from_numpy(random(9, 3, *size))
        theirs = made(x)
        for name, ours in net(x).items():
            assert torch.allclose(theirs[name], ours, atol=1e-6, equal_nan=True), (name, size)
