"""Layers that change each value, where Caffe's rule has corners."""

import numpy as np
import pytest
import torch
from one_layer import close, one_layer, random, run

from prototxt.errors import InputError


def slope(layer: str, x: np.ndarray, phase: str = "TEST") -> tuple[torch.Tensor, torch.Tensor]:
    """(top, gradient of the sum of the top)."""
    blobs = run(one_layer(layer, phase, x=x.shape), x=x)
    blobs["y"].sum().backward()
    return blobs["y"], blobs["in/x"].grad


@pytest.mark.parametrize(
    ("layer", "at_zero"),
    [
        ('type: "ReLU"', 0.0),
        ('type: "ReLU" relu_param { negative_slope: 0.1 }', 0.1),
        ('type: "PReLU"', 0.25),
        ('type: "PReLU" prelu_param { channel_shared: true filler { value: 0.5 } }', 0.5),
        ('type: "ELU" elu_param { alpha: 0.3 }', 0.3),
        ('type: "AbsVal"', 0.0),
        ('type: "Clip" clip_param { min: 0 max: 1 }', 1.0),
        ('type: "Clip" clip_param { min: -1 max: 0 }', 1.0),
        ('type: "Swish" swish_param { beta: 2 }', 0.5),
        ('type: "BNLL"', 0.5),
    ],
)
def test_the_gradient_at_0_is_caffes(layer: str, at_zero: float) -> None:
    _, gradient = slope(f'{layer} top: "y"', np.zeros((2, 3), np.float32))
    assert np.allclose(gradient.numpy(), at_zero)


def test_prelu_blobs() -> None:
    per_channel = one_layer('type: "PReLU" top: "y"', x=(2, 3, 4)).params["it"][0]
    assert per_channel.tolist() == [0.25] * 3
    shared = one_layer('type: "PReLU" top: "y" prelu_param { channel_shared: true }', x=(2, 3, 4)).params[
        "it"
    ][0]
    assert shared.shape == () and shared.item() == 0.25


@pytest.mark.parametrize(
    ("param", "rule"),
    [
        ("", lambda x: x),
        ("power: 0", lambda x: x * 0 + 1),
        ("power: 0 scale: 0 shift: 0", lambda x: x * 0 + 1),
        ("power: 2 scale: 0.5 shift: 1", lambda x: (1 + 0.5 * x) ** 2),
        ("power: 3 scale: 0 shift: 2", lambda x: x * 0 + 8),
        ("power: 0.37 scale: 0.83 shift: 2.5", lambda x: (2.5 + 0.83 * x) ** 0.37),
        ("power: -2 shift: 0", lambda x: x**-2),
        ("scale: -3 shift: 1", lambda x: 1 - 3 * x),
    ],
)
def test_power(param: str, rule) -> None:  # type: ignore[no-untyped-def]
    x = np.abs(random(2, 5)) + 0.1
    blobs = run(one_layer(f'type: "Power" top: "y" power_param {{ {param} }}', x=x.shape), x=x)
    wide = x.astype(np.float64)
    close(blobs["y"], rule(wide))
    blobs["y"].sum().backward()
    close(blobs["in/x"].grad, (rule(wide + 1e-5) - rule(wide - 1e-5)) / 2e-5, 1e-5)


def test_powers_gradient_divides_by_the_base() -> None:
    """0/0 at a base of 0, where the derivative of x³ would be 0."""
    _, gradient = slope('type: "Power" top: "y" power_param { power: 3 }', np.array([0.0, 2.0], np.float32))
    assert np.isnan(gradient[0].item()) and gradient[1].item() == pytest.approx(12)


@pytest.mark.parametrize("base", [-1, 2, 0.5, 10])
@pytest.mark.parametrize(("scale", "shift"), [(1, 0), (0.7, 1.3)])
def test_exp_and_log(base: float, scale: float, shift: float) -> None:
    x = np.abs(random(2, 5)) + 0.1
    number = np.e if base == -1 else base
    param = f"{{ base: {base} scale: {scale} shift: {shift} }}"
    inner = shift + scale * x.astype(np.float64)
    top, gradient = slope(f'type: "Exp" top: "y" exp_param {param}', x)
    close(top, number**inner)
    close(gradient, scale * np.log(number) * number**inner)
    top, gradient = slope(f'type: "Log" top: "y" log_param {param}', x)
    close(top, np.log(inner) / np.log(number))
    close(gradient, scale / inner / np.log(number))


def test_threshold_is_strict() -> None:
    net = one_layer('type: "Threshold" top: "y" threshold_param { threshold: 0.5 }', x=(3,))
    assert net(torch.tensor([0.4, 0.5, 0.6])).tolist() == [0, 0, 1]


def test_bnll_of_large_values() -> None:
    x = np.array([-100, -20, 30, 49, 51, 1e4], np.float32)
    close(slope('type: "BNLL" top: "y"', x)[0], np.logaddexp(0, x.astype(np.float64)), 1e-6)


def test_eltwise_max_gives_ties_as_caffe_does() -> None:
    """Of the first two the second, then only a greater one."""
    shape = (4,)
    net = one_layer('type: "Eltwise" top: "y" eltwise_param { operation: MAX }', a=shape, b=shape, c=shape)
    a, b, c = ([1, 1, 3, 2], [1, 0, 1, 2], [1, 1, 3, 3])
    blobs = run(net, a=np.array(a), b=np.array(b), c=np.array(c))
    assert blobs["y"].tolist() == [1, 1, 3, 3]
    blobs["y"].sum().backward()
    grads = [blobs[f"in/{name}"].grad.tolist() for name in "abc"]
    assert grads == [[0, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]]


@pytest.mark.parametrize("stable", ["true", "false"])
def test_eltwise_prod(stable: str) -> None:
    shape = (3,)
    net = one_layer(
        f'type: "Eltwise" top: "y" eltwise_param {{ operation: PROD stable_prod_grad: {stable} }}',
        a=shape, b=shape, c=shape,
    )  # fmt: skip
    a, b, c = np.array([2, 0, 3]), np.array([3, 4, 1]), np.array([5, 6, 2])
    blobs = run(net, a=a, b=b, c=c)
    assert blobs["y"].tolist() == [30, 0, 6]
    blobs["y"].sum().backward()
    gradient = blobs["in/a"].grad.numpy()
    wanted = np.array([15, 24 if stable == "true" else np.nan, 2])
    assert np.allclose(gradient, wanted, equal_nan=True)
    assert blobs["in/b"].grad.tolist() == [10, 0, 6]


def test_eltwise_sum_with_coefficients() -> None:
    net = one_layer('type: "Eltwise" top: "y" eltwise_param { coeff: 2 coeff: -1 }', a=(2,), b=(2,))
    blobs = run(net, a=np.array([1, 2]), b=np.array([5, 7]))
    assert blobs["y"].tolist() == [-3, -3]
    blobs["y"].sum().backward()
    assert blobs["in/a"].grad.tolist() == [2, 2] and blobs["in/b"].grad.tolist() == [-1, -1]


@pytest.mark.parametrize("kind", ["Scale", "Bias"])
@pytest.mark.parametrize(
    ("param", "shape", "axis"),
    [("", (3,), 1), ("axis: 0", (2,), 0), ("axis: 1 num_axes: 2", (3, 4), 1),
     ("axis: -2 num_axes: -1", (3, 4), 1), ("axis: 2 num_axes: 0", (), 2),
     ("axis: 0 num_axes: -1", (2, 3, 4), 0), ("axis: -1", (4,), 2)],
)  # fmt: skip
def test_scale_and_bias_axes(kind: str, param: str, shape: tuple, axis: int) -> None:
    x, blob = random(2, 3, 4), random(*shape, seed=1)
    spread = blob.reshape(*shape, *(1,) * (3 - axis - len(shape)))
    wanted = x * spread if kind == "Scale" else x + spread
    field = f"{kind.lower()}_param"
    own = one_layer(f'type: "{kind}" top: "y" {field} {{ {param} }}', x=x.shape)
    assert own.params["it"][0].shape == shape
    with torch.no_grad():
        own.params["it"][0].copy_(torch.as_tensor(blob))
    close(own(torch.from_numpy(x)), wanted)
    if "num_axes" in param and shape:
        param = param.split(" num_axes", maxsplit=1)[0]
    if not shape:
        return
    given = one_layer(f'type: "{kind}" top: "y" {field} {{ {param} }}', x=x.shape, s=shape)
    blobs = run(given, x=x, s=blob)
    close(blobs["y"], wanted)
    dy = random(2, 3, 4, seed=2)
    blobs["y"].backward(torch.from_numpy(dy))
    full = (dy * x if kind == "Scale" else dy).astype(np.float64)
    outside = tuple(i for i in range(3) if not axis <= i < axis + len(shape))
    close(blobs["in/s"].grad, full.sum(outside))


@pytest.mark.parametrize("kind", ["Scale", "Bias"])
def test_a_scalar_scale_covers_everything(kind: str) -> None:
    """A second bottom without axes, as Reduction over everything makes it."""
    head = (
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }'
        'layer { name: "r" type: "Reduction" bottom: "x" top: "s" }'
    )
    net = one_layer(f'type: "{kind}" bottom: "x" bottom: "s" top: "y"', head=head)
    x = random(2, 3)
    close(net(torch.from_numpy(x)), x * x.sum() if kind == "Scale" else x + x.sum())


def test_scale_of_two_bottoms_keeps_a_bias_blob() -> None:
    net = one_layer(
        'type: "Scale" top: "y" scale_param { bias_term: true bias_filler { value: 3 } }', x=(2, 3, 4), s=(3,)
    )
    assert [blob.tolist() for blob in net.params["it"]] == [[3, 3, 3]]
    assert run(net, x=np.ones((2, 3, 4)), s=np.array([1, 2, 3]))["y"][0, :, 0].tolist() == [4, 5, 6]


@pytest.mark.parametrize("across", ["false", "true"])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 3, 4), (3, 4)])
@pytest.mark.parametrize("eps", [1e-9, 0.5])
def test_mvn(across: str, shape: tuple, eps: float) -> None:
    x = random(*shape)
    net = one_layer(f'type: "MVN" top: "y" mvn_param {{ across_channels: {across} eps: {eps} }}', x=shape)
    blobs = run(net, x=x)
    four = (*shape, *(1,) * (4 - len(shape)))
    assert blobs["y"].shape == four
    rows = x.reshape(shape[0] if across == "true" else shape[0] * shape[1], -1).astype(np.float64)
    centred = rows - rows.mean(1, keepdims=True)
    deviation = np.sqrt((centred**2).mean(1, keepdims=True)) + eps
    y = centred / deviation
    close(blobs["y"], y.reshape(four))
    dy = random(*four, seed=1)
    blobs["y"].backward(torch.from_numpy(dy))
    d = dy.reshape(rows.shape).astype(np.float64)
    wanted = (d - d.mean(1, keepdims=True) - y * (d * y).mean(1, keepdims=True)) / deviation
    if rows.shape[1] > 1:
        close(blobs["in/x"].grad, wanted.reshape(shape), 6e-6)


def test_dropout_scales_what_it_keeps() -> None:
    torch.manual_seed(0)
    x = np.ones((100, 100), np.float32)
    top, gradient = slope('type: "Dropout" top: "y" dropout_param { dropout_ratio: 0.8 }', x, "TRAIN")
    assert torch.equal(top, gradient)
    assert torch.allclose(top[top != 0], torch.tensor(5.0))
    assert abs((top == 0).float().mean().item() - 0.8) < 0.02
    assert torch.equal(slope('type: "Dropout" top: "y"', x)[0], torch.ones(100, 100))


@pytest.mark.parametrize("ratio", [0, 1, 1.5, -0.5])
def test_any_dropout_ratio_is_the_identity_in_test(ratio: float) -> None:
    """dropout_layer.cpp asks for a ratio between 0 and 1 by a DCHECK, which a release leaves out."""
    net = one_layer(f'type: "Dropout" top: "y" dropout_param {{ dropout_ratio: {ratio} }}', x=(2, 3))
    x = torch.from_numpy(random(2, 3))
    assert torch.equal(net(x), x)


def test_dropout_ratios_at_the_ends_and_beyond_in_train(capsys: pytest.CaptureFixture[str]) -> None:
    """0 keeps all; 1 is 0·∞ (scale 1/(1-ratio)); others caffe_rng_bernoulli refuses."""
    text = 'type: "Dropout" top: "y" dropout_param {{ dropout_ratio: {} }}'
    x = random(2, 3)
    top, gradient = slope(text.format(0), x, "TRAIN")
    assert torch.equal(top, torch.from_numpy(x)) and torch.equal(gradient, torch.ones(2, 3))
    assert capsys.readouterr().err == ""
    assert torch.cat(slope(text.format(1), x, "TRAIN")).isnan().all()
    assert capsys.readouterr().err.startswith('layer "it": dropout_ratio 1 drops everything')
    for ratio in (1.5, -0.5):
        with pytest.raises(InputError, match=r'layer "it": dropout_ratio \S+ is no probability'):
            one_layer(text.format(ratio), "TRAIN", x=(2, 3))


def test_batch_norm_with_a_zero_factor_and_one_axis() -> None:
    net = one_layer('type: "BatchNorm" top: "y" batch_norm_param { eps: 0.25 }', x=(5,))
    assert [blob.tolist() for blob in net.params["it"]] == [[0], [0], [0]]
    x = random(5)
    close(net(torch.from_numpy(x)), x / 0.5)
    train = one_layer('type: "BatchNorm" top: "y"', "TRAIN", x=(5,))
    close(train(torch.from_numpy(x)), (x - x.mean()) / np.sqrt(x.var() + 1e-5))
    mean, variance, factor = train.params["it"]
    assert factor.item() == 1
    assert mean.item() == pytest.approx(x.mean()) and variance.item() == pytest.approx(
        x.var(ddof=1), rel=1e-5
    )
