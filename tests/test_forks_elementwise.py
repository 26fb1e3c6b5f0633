"""What forks do to each element or channel, where no recording shows it."""

from itertools import islice

import numpy as np
import pytest
import torch
from one_layer import close, one_layer, random, run

from converters.layers.forks.spatial.bilinear import glibc_rand
from converters.layers.registry import rules_of
from prototxt.errors import InputError


def test_rand_is_glibcs() -> None:
    assert list(islice(glibc_rand(1), 3)) == [1804289383, 846930886, 1681692777]


COMPACT = 'type: "CompactBilinear" top: "y" compact_bilinear_param {{ num_output: 8 sum_pool: {} }}'


def test_compact_bilinear_of_each_pixel_adds_up_to_that_of_all() -> None:
    a, b = random(2, 3, 4, 5), random(2, 6, 4, 5, seed=1)
    of_all = run(one_layer(COMPACT.format("true"), a=a.shape, b=b.shape), a=a, b=b)["y"]
    of_each = run(one_layer(COMPACT.format("false"), a=a.shape, b=b.shape), a=a, b=b)["y"]
    assert of_each.shape == (2, 8, 4, 5)
    close(of_each.sum((2, 3), keepdim=True), of_all.detach().numpy(), 3e-6)


SCALE = 'type: "ChannelScale" top: "y" channel_scale_param { %s }'


@pytest.mark.parametrize(
    ("fields", "value", "of_x", "of_scale"),
    [
        ("", 6, 3, 2),
        ("do_forward: false", 2, 3, 2),
        ("do_backward_feature: false", 6, 1, 2),
        ("do_backward_scale: false", 6, 3, 0),
    ],
)
def test_channel_scale_leaves_out_what_it_is_told(
    fields: str, value: float, of_x: float, of_scale: float
) -> None:
    net = one_layer(SCALE % fields, x=(1, 1, 1, 1), s=(1, 1, 1, 1))
    blobs = run(net, x=np.full((1, 1, 1, 1), 2.0), s=np.full((1, 1, 1, 1), 3.0))
    blobs["y"].sum().backward()  # type: ignore[no-untyped-call]
    found = [blobs["y"].item(), *(blobs[f"in/{name}"].grad.item() for name in "xs")]  # type: ignore[union-attr]
    assert found == [value, of_x, of_scale]


@pytest.mark.parametrize(("number", "used"), [(2.0, 2.0), (9.0, 4.0), (-1.0, 0.5)])
def test_a_global_scale_is_a_blobs_within_its_bounds(number: float, used: float) -> None:
    fields = "global_scale: true max_global_scale: 4 min_global_scale: 0.5"
    net = one_layer(f'top: "n" {SCALE % fields}', "TRAIN", x=(2, 3, 2, 2), s=(2, 1, 2, 2))
    (blob,) = net.params["it"]
    assert blob.tolist() == [-1]
    blob.fill_(number)
    x, s, dy = random(2, 3, 2, 2), random(2, 1, 2, 2, seed=1), random(2, 3, 2, 2, seed=2)
    blobs = run(net, x=x, s=s)
    close(blobs["n"], np.float32(used) * x)
    assert blob.tolist() == blobs["y"].tolist() == [used]
    blobs["n"].backward(torch.from_numpy(dy))
    assert blobs["in/x"].grad is not None and blobs["in/s"].grad is not None
    close(blobs["in/x"].grad, s * dy)
    close(blobs["in/s"].grad, (x * dy).sum(1, keepdims=True))


def test_truncations_bounds_are_0_and_5_where_nothing_is_said() -> None:
    x = np.array([-1, 0, 2, 5, 6], np.float32)
    blobs = run(one_layer('type: "Truncation" top: "y"', x=x.shape), x=x)
    assert blobs["y"].tolist() == [0, 0, 2, 5, 5]
    blobs["y"].sum().backward()
    assert blobs["in/x"].grad is not None and blobs["in/x"].grad.tolist() == [0, 0, 1, 0, 0]


@pytest.mark.parametrize("slope", [0.0, 0.5, -2.0])
def test_relu6_caps_what_a_slope_below_0_makes_of_values_below_0(slope: float) -> None:
    x = np.array([[-5, -1, 0, 1, 6, 7]], np.float32)
    blobs = run(
        one_layer(f'type: "ReLU6" top: "y" relu6_param {{ negative_slope: {slope} }}', x=x.shape), x=x
    )
    close(blobs["y"], np.minimum(np.maximum(x, 0) + slope * np.minimum(x, 0), 6))
    blobs["y"].sum().backward()
    wanted = ((x > 0) + slope * (x <= 0)) * (x < 6)
    assert blobs["in/x"].grad is not None
    close(blobs["in/x"].grad, wanted.astype(np.float32))


def test_rrelu_draws_its_divisors_in_training() -> None:
    net = one_layer('type: "RReLU" top: "y" rrelu_param { lb: 2 ub: 4 }', "TRAIN", x=(1000, 2))
    torch.manual_seed(0)
    x = np.full((1000, 2), -1.0, np.float32)
    x[:, 1] = 5
    y = run(net, x=x)["y"].detach()
    assert y[:, 1].eq(5).all() and -0.5 <= y[:, 0].min() < -0.45 and -0.3 < y[:, 0].max() <= -0.25


@pytest.mark.parametrize("kind", ["SeLU", "SeLu"])
def test_selu_in_place_takes_its_gradient_from_the_top(kind: str) -> None:
    net = one_layer(f'type: "{kind}" bottom: "x" top: "x" selu_param {{ lambda: 2 alpha: 0.5 }}', x=(1, 2))
    blobs = run(net, x=[[-1.0, 3.0]])
    blobs["x"].sum().backward()  # type: ignore[no-untyped-call]
    low = float(np.exp(-1.0)) - 1
    close(blobs["x"], np.array([[low, 6]]))
    gradient = blobs["in/x"].grad
    assert gradient is not None
    close(gradient, np.array([[np.exp(low), 2]]))


def test_local_weighted_convolution_is_local() -> None:
    param = "{ num_output: 2 kernel_size: 3 stride: 2 pad: 1 }"
    old = f'type: "LocalWeightedConvolution" top: "y" local_weighted_convolution_param {param}'
    x = random(1, 2, 5, 5)
    nets = [one_layer(text, x=x.shape) for text in (old, f'type: "Local" top: "y" local_param {param}')]
    nets[1].load_state_dict(nets[0].state_dict())
    ours, theirs = (run(net, x=x)["y"] for net in nets)
    assert ours.shape == (1, 2, 3, 3) and torch.equal(ours, theirs)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ('type: "RReLU" top: "y" rrelu_param { lb: 4 ub: 3 }', "takes lb below ub"),
        ('type: "SignedSqrt" bottom: "x" top: "x"', "does not work in place"),
        ('type: "ShuffleChannel" top: "y" shuffle_channel_param { group: 2 }', "group 2 must divide"),
    ],
)
def test_what_is_refused(layer: str, message: str) -> None:
    with pytest.raises(InputError, match=f'layer "it": .*{message}'):
        one_layer(layer, x=(2, 3))


def test_dropout_may_scale_by_the_root() -> None:
    layer = 'type: "Dropout" top: "y" dropout_param { dropout_ratio: 0.75 sqrt_scale: true }'
    for phase, values in (("TRAIN", {0.0, 2.0}), ("TEST", {1.0})):
        blobs = run(one_layer(layer, phase, x=(100, 100)), x=np.ones((100, 100)))
        blobs["y"].sum().backward()
        assert set(blobs["y"].flatten().tolist()) == values
        assert blobs["in/x"].grad is not None and torch.equal(blobs["in/x"].grad, blobs["y"])


def test_dropout_of_bayesian_segnet_drops_in_test() -> None:
    layer = 'type: "Dropout" top: "y" dropout_param { dropout_ratio: 0.25 sample_weights_test: true }'
    net = one_layer(layer, x=(100, 100))
    torch.manual_seed(0)
    y = run(net, x=np.ones((100, 100)))["y"].detach()
    assert set(y.flatten().tolist()) == {0.0, float(np.float32(4 / 3))} and 0.7 < (y > 0).float().mean() < 0.8
    (record,) = rules_of("Dropout")
    assert record.refuses_export is not None
    assert "draws at random" in record.refuses_export(net.module_of(net.graph.nodes[-1]), [])


ENET = """type: "Python" top: "y" python_param { module: "spatial_dropout" layer: "SpatialDropoutLayer"
  param_str: "{'phase': '%s', 'p': '%s'}" }"""


def test_enets_dropout_drops_whole_channels_by_the_phase_that_its_text_says() -> None:
    x = np.ones((6, 50, 2, 3))
    for phase in ("TRAIN", "TEST"):
        torch.manual_seed(0)
        blobs = run(one_layer(ENET % ("TRAIN", "0.2"), phase, x=x.shape), x=x)
        y = blobs["y"].detach()
        assert set(y.flatten().tolist()) == {0.0, 1.25}
        assert torch.equal(y, y[:, :, :1, :1].expand_as(y))
        assert 0.1 < (y == 0).float().mean() < 0.3
        blobs["y"].sum().backward()
        assert blobs["in/x"].grad is not None
        assert torch.equal(blobs["in/x"].grad, y[-1:].expand_as(y))  # the last image's draw, in all
        blobs = run(one_layer(ENET % ("TEST", "0.2"), phase, x=x.shape), x=x)
        assert torch.equal(blobs["y"].detach(), torch.full(x.shape, 1.25))


@pytest.mark.parametrize(("p", "reason"), [("1", "p 1 is not between"), ("much", "has no 'phase' and 'p'")])
def test_enets_dropout_that_is_refused(p: str, reason: str) -> None:
    with pytest.raises(InputError, match=f'layer "it": .*{reason}'):
        one_layer(ENET % ("TRAIN", p), x=(1, 2, 3, 3))


@pytest.mark.parametrize("shared", [False, True])
def test_eltwise_affine_is_a_slope_and_a_bias_a_channel(shared: bool) -> None:
    param = f"eltwise_affine_param {{ channel_shared: {str(shared).lower()} }}"
    for shape in ((2, 3, 4, 5), (4, 3)):
        net = one_layer(f'type: "EltwiseAffine" top: "y" {param}', x=shape)
        slope, bias = net.params["it"]
        assert slope.shape == bias.shape == (() if shared else (3,))
        assert set(slope.flatten().tolist()) == {float(np.float32(1.0001))}
        with torch.no_grad():
            slope.copy_(torch.from_numpy(random(*slope.shape)) if not shared else torch.tensor(0.7))
        x = random(*shape)
        blobs = run(net, x=x)
        slopes = slope.detach().numpy().reshape(-1, *(1,) * (len(shape) - 2))
        close(blobs["y"], x * slopes + bias.detach().numpy().reshape(slopes.shape))
        blobs["y"].sum().backward()
        assert slope.grad is not None and bias.grad is not None
        over = tuple(axis for axis in range(len(shape)) if shared or axis != 1)
        close(slope.grad, x.sum(over), 3e-5)
        close(bias.grad, np.ones_like(x).sum(over))


def test_apl_adds_hinges_of_every_values_own() -> None:
    net = one_layer('type: "APL" top: "y" apl_param { sums: 2 save_mem: true }', x=(3, 2, 2, 2))
    slope, offset = net.params["it"]
    assert slope.shape == offset.shape == (1, 1, 2, 8)
    assert slope.abs().max() <= 0.25 < offset.abs().max()
    x = random(3, 2, 2, 2)
    expected, by_x = np.zeros((3, 8)), np.zeros((3, 8))
    by_slope, by_offset = np.zeros(16), np.zeros(16)
    slopes, offsets = (blob.detach().numpy().ravel() for blob in (slope, offset))
    for sample, k in np.ndindex(3, 8):
        value = x.reshape(3, 8)[sample, k]
        expected[sample, k], by_x[sample, k] = max(value, 0), value > 0
        for place in (2 * k, 2 * k + 1):
            hinge = max(offsets[place] - value, 0)
            expected[sample, k] += slopes[place] * hinge
            by_x[sample, k] -= slopes[place] * (hinge > 0)
            by_slope[place] += hinge
            by_offset[place] += slopes[place] * (hinge > 0)
    blobs = run(net, x=x)
    close(blobs["y"], expected.reshape(x.shape))
    blobs["y"].sum().backward()
    gradients = blobs["in/x"].grad
    assert gradients is not None and slope.grad is not None and offset.grad is not None
    close(gradients, by_x.reshape(x.shape))
    close(slope.grad, by_slope.reshape(slope.shape))
    close(offset.grad, by_offset.reshape(offset.shape))
    with pytest.raises(InputError, match='layer "it": sums must be at least 1'):
        one_layer('type: "APL" top: "y"', x=(3, 2))
