"""Each filler's distribution, and what it refuses."""

import math

import pytest
import torch
from torch import Tensor

from converters.filler import fans, fill
from prototxt.caffe_pb2 import FillerParameter
from prototxt.errors import InputError


def filled(shape: tuple[int, ...], **fields: object) -> Tensor:
    blob = torch.empty(shape)
    fill(blob, FillerParameter(**fields), torch.Generator().manual_seed(5))
    return blob


def is_normal(blob: Tensor, mean: float, std: float) -> None:
    """Mean and deviation within five standard errors, and the tails of a normal distribution."""
    n = blob.numel()
    z = (blob - mean) / std
    assert abs(z.mean().item()) < 5 / math.sqrt(n) and abs(z.std().item() - 1) < 5 / math.sqrt(2 * n)
    for limit, share in ((1, 0.3173), (2, 0.0455), (3, 0.0027)):
        assert abs((z.abs() > limit).float().mean().item() - share) < 5 * math.sqrt(share / n)


def is_uniform(blob: Tensor, least: float, most: float) -> None:
    """Every tenth of the range equally full, and nothing outside it."""
    assert blob.min() >= least and blob.max() <= most
    counts = torch.histc(blob, 10, least, most) / blob.numel()
    assert (counts - 0.1).abs().max().item() < 5 * math.sqrt(0.09 / blob.numel())


def test_constant() -> None:
    assert filled((2, 3), value=2.5).tolist() == [[2.5] * 3] * 2
    assert not filled((2,)).any()


def test_uniform() -> None:
    is_uniform(filled((200, 100), type="uniform", min=-2, max=3), -2, 3)
    is_uniform(filled((200, 100), type="uniform"), 0, 1)


def test_gaussian() -> None:
    is_normal(filled((200, 100), type="gaussian", mean=1, std=0.2), 1, 0.2)
    is_normal(filled((200, 100), type="gaussian"), 0, 1)


def test_sparse_gaussian_keeps_that_many_inputs_an_output() -> None:
    """Each weight stays with probability sparse / outputs, the outputs being the first axis."""
    blob = filled((50, 400), type="gaussian", std=0.3, sparse=10)
    kept = blob[blob != 0]
    assert abs(len(kept) / blob.numel() - 10 / 50) < 0.015
    is_normal(kept, 0, 0.3)
    assert not filled((5, 4), type="gaussian", sparse=0).any()


def test_gaussian_unitball_rows_have_length_1_in_any_direction() -> None:
    blob = filled((3000, 40), type="gaussian_unitball")
    assert (blob.square().sum(1) - 1).abs().max() < 1e-5
    assert abs(blob.mean().item()) < 5 / math.sqrt(40 * blob.numel())


@pytest.mark.parametrize("shape", [(3, 3), (3, 3, 1, 1)])
def test_identity_passes_what_it_reads(shape: tuple[int, ...]) -> None:
    blob = filled(shape, type="identity").view(3, 3)
    assert blob.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_positive_unitball_rows_sum_to_1() -> None:
    blob = filled((40, 5, 10), type="positive_unitball")
    rows = blob.reshape(40, -1)
    assert torch.allclose(rows.sum(1), torch.ones(40)) and (rows >= 0).all()
    assert abs((rows < 1 / 50).float().mean().item() - 0.5) < 0.06
    assert filled((3,), type="positive_unitball").tolist() == [1, 1, 1]


NORMS = [("FAN_IN", lambda i, o: i), ("FAN_OUT", lambda i, o: o), ("AVERAGE", lambda i, o: (i + o) / 2)]
SHAPES = [((60, 20, 3, 3), 180, 540), ((100, 300), 300, 100), ((20000,), 1, 20000)]


@pytest.mark.parametrize(("shape", "fan_in", "fan_out"), SHAPES)
@pytest.mark.parametrize(("norm", "pick"), NORMS)
def test_xavier_and_msra_scale_by_their_fan(shape, fan_in, fan_out, norm, pick) -> None:  # type: ignore[no-untyped-def]
    """fan_in: all but the first axis; fan_out: all but the second, of one axis the whole blob."""
    assert fans(torch.Size(shape)) == (fan_in, fan_out)
    n = pick(fan_in, fan_out)
    bound = math.sqrt(3 / n)
    is_uniform(filled(shape, type="xavier", variance_norm=norm), -bound - 1e-7, bound + 1e-7)
    is_normal(filled(shape, type="msra", variance_norm=norm), 0, math.sqrt(2 / n))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 16])
def test_bilinear_is_the_interpolation_kernel(size: int) -> None:
    blob = filled((2, 3, size, size), type="bilinear")
    half = math.ceil(size / 2)
    centre = (2 * half - 1 - half % 1) / (2 * half) if size % 2 == 0 else (size - 1) / (2 * half)
    ramp = [1 - abs(i / half - centre) for i in range(size)]
    wanted = torch.tensor([[a * b for a in ramp] for b in ramp])
    assert torch.allclose(blob, wanted.expand(2, 3, size, size), atol=1e-6)


def test_bilinear_upsamples_a_constant_to_itself() -> None:
    """The usual use: factor 2, kernel 4, stride 2, pad 1."""
    weight = filled((1, 1, 4, 4), type="bilinear")
    up = torch.conv_transpose2d(torch.ones(1, 1, 5, 5), weight, stride=2, padding=1)
    assert torch.allclose(up[..., 1:-1, 1:-1], torch.ones(1, 1, 8, 8))


def test_a_fill_is_a_function_of_its_generator() -> None:
    assert torch.equal(filled((9,), type="gaussian"), filled((9,), type="gaussian"))


@pytest.mark.parametrize(
    ("shape", "fields", "says"),
    [
        ((2, 2), {"type": "gausian"}, "is not one of"),
        ((2, 2), {"type": "uniform", "sparse": 1}, "sparse goes with the gaussian"),
        ((2, 2), {"type": "gaussian", "sparse": 3}, "passes 2 outputs"),
        ((2, 2), {"type": "gaussian", "std": -1}, "below 0"),
        ((2, 2), {"type": "gaussian", "std": float("nan")}, "nan is below 0 or no number"),
        ((2, 2), {"type": "uniform", "min": 1, "max": 0}, "above its max"),
        ((2, 2), {"type": "uniform", "min": float("nan")}, "above its max"),
        ((2, 2), {"type": "uniform", "min": -3e38, "max": 3e38}, "no range of floats"),
        ((2, 2), {"type": "bilinear"}, "square kernels"),
        ((2, 3), {"type": "identity"}, "as many inputs as outputs"),
        ((2, 2, 3, 3), {"type": "identity"}, "as many inputs as outputs"),
        ((2, 2, 3, 4), {"type": "bilinear"}, "square kernels"),
    ],
)
def test_what_a_filler_refuses(shape: tuple[int, ...], fields: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        filled(shape, **fields)
