"""Layers that move values about, against numpy."""

import numpy as np
import pytest
import torch
from one_layer import close, one_layer, random, run


@pytest.mark.parametrize(
    ("shape", "param", "wanted"),
    [
        ((2, 8), "shape { dim: 2 dim: 2 dim: 4 }", (2, 2, 4)),
        ((2, 8), "shape { dim: 0 dim: 2 dim: -1 }", (2, 2, 4)),
        ((2, 3, 8), "shape { dim: 2 dim: 4 } axis: 2", (2, 3, 2, 4)),
        ((2, 3, 8), "shape { dim: -1 dim: 4 } axis: 1 num_axes: 2", (2, 6, 4)),
        ((2, 3, 8), "shape { dim: 6 } axis: 0 num_axes: 2", (6, 8)),
        ((2, 3, 8), "shape { dim: 1 } axis: 1 num_axes: 0", (2, 1, 3, 8)),
        ((2, 3, 8), "shape { dim: 1 dim: 1 } axis: -1", (2, 3, 8, 1, 1)),
        ((2, 3, 8), "shape { dim: 0 dim: 4 dim: -1 } axis: -3", (2, 3, 4, 2)),
        ((2, 3, 8), "shape { dim: 0 dim: 0 dim: 2 dim: 4 }", (2, 3, 2, 4)),
        ((6,), "shape { dim: -1 dim: 1 }", (6, 1)),
    ],
)
def test_reshape(shape: tuple, param: str, wanted: tuple) -> None:
    net = one_layer(f'type: "Reshape" top: "y" reshape_param {{ {param} }}', x=shape)
    x = random(*shape)
    close(net(torch.from_numpy(x)), x.reshape(wanted))


@pytest.mark.parametrize(
    ("axis", "end", "wanted"),
    [(1, -1, (2, 60)), (2, 3, (2, 3, 20)), (-2, -1, (2, 3, 20)), (0, -1, (120,)), (1, 2, (2, 12, 5)),
     (2, 2, (2, 3, 4, 5)), (2, 1, (2, 3, 1, 4, 5))],
)  # fmt: skip
def test_flatten(axis: int, end: int, wanted: tuple) -> None:
    net = one_layer(
        f'type: "Flatten" top: "y" flatten_param {{ axis: {axis} end_axis: {end} }}', x=(2, 3, 4, 5)
    )
    x = random(2, 3, 4, 5)
    close(net(torch.from_numpy(x)), x.reshape(wanted))


@pytest.mark.parametrize(
    ("param", "cut"),
    [
        ("", np.s_[:, :, 0:4, 0:3]),
        ("offset: 2", np.s_[:, :, 2:6, 2:5]),
        ("axis: 3 offset: 1", np.s_[:, :, :, 1:4]),
        ("axis: -1 offset: 1", np.s_[:, :, :, 1:4]),
        ("axis: 1 offset: 1 offset: 0 offset: 3", np.s_[:, 1:3, 0:4, 3:6]),
        ("axis: 0", np.s_[0:1, 0:2, 0:4, 0:3]),
    ],
)
def test_crop(param: str, cut: tuple) -> None:
    shapes = {"x": (2, 3, 7, 6), "size": (1, 2, 4, 3)}
    net = one_layer(f'type: "Crop" top: "y" crop_param {{ {param} }}', **shapes)
    x = random(*shapes["x"])
    blobs = run(net, x=x, size=random(*shapes["size"]))
    close(blobs["y"], x[cut])
    blobs["y"].sum().backward()
    wanted = np.zeros_like(x)
    wanted[cut] = 1
    close(blobs["in/x"].grad, wanted)
    assert not blobs["in/size"].grad.any()


@pytest.mark.parametrize(
    ("param", "axis", "points"),
    [("", 1, [2, 4]), ("axis: -1 slice_point: 1 slice_point: 4", 3, [1, 4]),
     ("slice_dim: 0 slice_point: 1 slice_point: 2", 0, [1, 2]),
     ("axis: 1 slice_point: 1 slice_point: 2", 1, [1, 2])],
)  # fmt: skip
def test_slice_and_concat_back(param: str, axis: int, points: list[int]) -> None:
    x = random(3, 6, 2, 5)
    net = one_layer(f'type: "Slice" top: "a" top: "b" top: "c" slice_param {{ {param} }}', x=x.shape)
    blobs = run(net, x=x)
    parts = np.split(x, points, axis)
    for name, part in zip("abc", parts, strict=True):
        close(blobs[name], part)
    shapes = {name: part.shape for name, part in zip("abc", parts, strict=True)}
    for legacy in ("concat_dim", "axis"):
        back = one_layer(f'type: "Concat" top: "y" concat_param {{ {legacy}: {axis} }}', **shapes)
        close(run(back, **dict(zip("abc", parts, strict=True)))["y"], x)


def test_slice_and_concat_of_one() -> None:
    x = random(2, 3)
    close(one_layer('type: "Slice" top: "a"', x=(2, 3))(torch.from_numpy(x)), x)
    close(one_layer('type: "Concat" top: "y"', x=(2, 3))(torch.from_numpy(x)), x)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_tile(axis: int) -> None:
    x = random(2, 3, 4)
    net = one_layer(f'type: "Tile" top: "y" tile_param {{ axis: {axis} tiles: 3 }}', x=x.shape)
    blobs = run(net, x=x)
    close(blobs["y"], np.concatenate([x] * 3, axis))
    dy = random(*blobs["y"].shape, seed=1)
    blobs["y"].backward(torch.from_numpy(dy))
    close(blobs["in/x"].grad, sum(np.split(dy, 3, axis)))


def test_filter_several_bottoms_and_none_left() -> None:
    shapes = {"a": (4, 2), "b": (4, 3, 2), "pick": (4, 1, 1)}
    net = one_layer('type: "Filter" top: "p" top: "q"', **shapes)
    a, b, pick = random(4, 2), random(4, 3, 2), np.array([0, 2, 0, -1], np.float32).reshape(4, 1, 1)
    blobs = run(net, a=a, b=b, pick=pick)
    close(blobs["p"], a[[1, 3]])
    close(blobs["q"], b[[1, 3]])
    (blobs["p"].sum() + blobs["q"].sum()).backward()
    assert blobs["in/a"].grad.sum(1).tolist() == [0, 2, 0, 2]
    assert run(net, a=a, b=b, pick=pick * 0)["q"].shape == (0, 3, 2)


def test_batch_reindex_repeats_and_adds_gradients() -> None:
    net = one_layer('type: "BatchReindex" top: "y"', x=(3, 2), index=(4,))
    x = random(3, 2)
    blobs = run(net, x=x, index=np.array([2, 0, 2, 2]))
    close(blobs["y"], x[[2, 0, 2, 2]])
    blobs["y"].sum().backward()
    assert blobs["in/x"].grad[:, 0].tolist() == [1, 0, 3]


def greatest(row: np.ndarray, k: int) -> list[int]:
    """Indices by value, then by index, both descending, as sorting pairs gives them."""
    return sorted(range(len(row)), key=lambda i: (row[i], i), reverse=True)[:k]


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("values", [False, True])
def test_argmax_of_whole_samples(k: int, values: bool) -> None:
    x = np.round(random(3, 2, 4))
    param = f"argmax_param {{ top_k: {k} out_max_val: {str(values).lower()} }}"
    y = one_layer(f'type: "ArgMax" top: "y" {param}', x=x.shape)(torch.from_numpy(x))
    rows = x.reshape(3, -1)
    indices = np.array([greatest(row, k) for row in rows])
    wanted = [indices, np.take_along_axis(rows, indices, 1)] if values else [indices]
    close(y, np.stack(wanted, 1).astype(np.float32))


def test_argmax_of_whole_samples_keeps_the_number_of_axes() -> None:
    assert one_layer('type: "ArgMax" top: "y"', x=(2, 3, 4, 5))(torch.zeros(2, 3, 4, 5)).shape == (2, 1, 1, 1)
    assert one_layer('type: "ArgMax" top: "y"', x=(2, 3))(torch.zeros(2, 3)).tolist() == [[[2.0]], [[2.0]]]


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("values", [False, True])
def test_argmax_along_an_axis(axis: int, values: bool) -> None:
    x = np.round(random(3, 4, 2))
    k = min(2, x.shape[axis])
    param = f"argmax_param {{ axis: {axis} top_k: {k} out_max_val: {str(values).lower()} }}"
    y = one_layer(f'type: "ArgMax" top: "y" {param}', x=x.shape)(torch.from_numpy(x))
    indices = np.apply_along_axis(lambda row: np.array(greatest(row, k)), axis, x)
    close(y, (np.take_along_axis(x, indices, axis) if values else indices).astype(np.float32))


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("operation", ["SUM", "ASUM", "SUMSQ", "MEAN"])
def test_reduction(axis: int, operation: str) -> None:
    x = random(2, 3, 4)
    x[0, 0, 0] = 0
    param = f"reduction_param {{ operation: {operation} axis: {axis} coeff: -1.5 }}"
    blobs = run(one_layer(f'type: "Reduction" top: "y" {param}', x=x.shape), x=x)
    kept = axis % 3
    rows = x.reshape(*x.shape[:kept], -1).astype(np.float64)
    value, slope = {
        "SUM": (rows.sum(-1), np.ones_like(rows)),
        "ASUM": (np.abs(rows).sum(-1), np.sign(rows)),
        "SUMSQ": ((rows**2).sum(-1), 2 * rows),
        "MEAN": (rows.mean(-1), np.ones_like(rows) / rows.shape[-1]),
    }[operation]
    close(blobs["y"], -1.5 * value)
    blobs["y"].sum().backward()
    close(blobs["in/x"].grad, -1.5 * slope.reshape(x.shape))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("transpose", ["false", "true"])
def test_inner_product(axis: int, transpose: str) -> None:
    x = random(2, 3, 4)
    param = f'num_output: 5 axis: {axis} transpose: {transpose} weight_filler {{ type: "gaussian" }}'
    net = one_layer(f'type: "InnerProduct" top: "y" inner_product_param {{ {param} }}', x=x.shape)
    w, b = (blob.detach().numpy() for blob in net.params["it"])
    flat = x.reshape(*x.shape[:axis], -1)
    close(net(torch.from_numpy(x)), flat @ (w if transpose == "true" else w.T) + b)


def test_embed_keeps_every_axis() -> None:
    param = 'num_output: 3 input_dim: 4 weight_filler { type: "gaussian" } bias_filler { value: 2 }'
    net = one_layer(f'type: "Embed" top: "y" embed_param {{ {param} }}', x=(2, 3))
    w, b = net.params["it"]
    assert w.shape == (4, 3) and b.tolist() == [2, 2, 2]
    x = torch.tensor([[0.0, 3, 1], [1, 1, 2]])
    close(net(x), w.detach().numpy()[x.long().numpy()] + 2)
    bare = one_layer(
        'type: "Embed" top: "y" embed_param { num_output: 3 input_dim: 4 bias_term: false }', x=(2,)
    )
    assert len(bare.params["it"]) == 1
