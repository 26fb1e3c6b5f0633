"""Layers in place: one blob for bottom and top, as Caffe's CPU code reads and writes it."""

from typing import Any

import numpy as np
import pytest
import torch
from one_layer import close, random

from converters import in_place, load_net
from prototxt.errors import InputError

A, B, C, G = (random(2, 3, seed=seed) for seed in range(4))
FLT_MAX = np.finfo(np.float32).max


def net_text(layer: str, *inputs: str) -> str:
    fed = "".join(
        f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{ dim: 2 dim: 3 }} }} }}'
        for name in inputs
    )
    bottoms = "".join(f'bottom: "{name}" ' for name in inputs)
    return f'{fed} layer {{ name: "it" {bottoms} top: "{inputs[0]}" {layer} }}'


def passed(layer: str, *arrays: np.ndarray, needs: str = "abc") -> list[torch.Tensor | None]:
    """The top of a layer that works in place over ``a``, then every bottom's gradient for G."""
    names = "abc"[: len(arrays)]
    net = load_net(net_text(layer, *names), phase="TRAIN")
    tensors = [torch.tensor(x, requires_grad=name in needs) for name, x in zip(names, arrays, strict=True)]
    top = net(*tensors)
    if top.requires_grad:
        top.backward(torch.from_numpy(G))
    return [top, *(x.grad for x in tensors)]


def same(ours: list[torch.Tensor | None], *theirs: np.ndarray | None) -> None:
    for one, other in zip(ours, theirs, strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            close(one, other.astype(np.float32))


def eltwise(operation: str, more: str = "") -> str:
    return f'type: "Eltwise" eltwise_param {{ operation: {operation} {more} }}'


def test_a_sum_reads_its_first_bottom_as_zero() -> None:
    """a = 1 and b = 5 are 5, not 6 (real Caffe): the top, which is a, is set to 0 before a is read."""
    same(passed(eltwise("SUM"), A * 0 + 1, A * 0 + 5), A * 0 + 5, G, G)
    same(passed(eltwise("SUM"), A, B, C), B + C, G, G, G)


def test_a_sum_scales_the_gradient_that_the_bottoms_share() -> None:
    text = eltwise("SUM", "coeff: 2 coeff: 3 coeff: -1")
    same(passed(text, A, B, C), 3 * B - C, 2 * G, 6 * G, -2 * G)
    same(passed(text, A, B, C, needs="bc"), 3 * B - C, None, 3 * G, -G)


def test_a_maximum_never_takes_its_first_bottom() -> None:
    same(passed(eltwise("MAX"), A + 100, B), B, 0 * G, 0 * G)
    most = np.maximum(B, C)
    same(passed(eltwise("MAX"), A + 100, B, C, needs="bc"), most, None, G * (B >= C), G * (C > B))


def test_a_product_loses_the_top_s_gradient() -> None:
    same(passed(eltwise("PROD"), A, B), A * B, B * B, A * B * B * B)
    same(passed(eltwise("PROD"), A, B, needs="b"), A * B, None, A * B * G)
    same(passed(eltwise("PROD", "stable_prod_grad: false"), A, B), A * B, np.ones_like(A), A)


@pytest.mark.parametrize(
    ("layer", "top", "gradient"),
    [
        ('type: "Power" power_param { scale: 3 shift: 1 }', lambda a: 3 * a + 1, lambda y: 0 * y + 9),
        (
            'type: "Power" power_param { power: 2 scale: 3 shift: 1 }',
            lambda a: (3 * a + 1) ** 2,
            lambda y: (6 * (3 * y + 1)) ** 2,
        ),
        ('type: "Power" power_param { power: 3 }', lambda a: a**3, lambda y: 0 * y + 9),
        (
            'type: "Power" power_param { power: 3 shift: 9 }',
            lambda a: (a + 9) ** 3,
            lambda y: (3 * y / (y + 9)) ** 2,
        ),
        (
            'type: "Log" log_param { base: 2 scale: 0.1 shift: 9 }',
            lambda a: np.log2(0.1 * a + 9),
            lambda y: (0.1 / np.log(2) / (0.1 * y + 9)) ** 2,
        ),
        ('type: "BNLL"', lambda a: np.log1p(np.exp(a)), lambda y: G / (1 + np.exp(-y))),
        ('type: "Clip" clip_param { min: -0.1 max: 0.2 }', lambda a: a.clip(-0.1, 0.2), lambda y: G),
        (
            'type: "ReLU" relu_param { negative_slope: -0.5 }',
            lambda a: np.where(a > 0, a, -0.5 * a),
            lambda y: G,
        ),
        (
            'type: "ELU" elu_param { alpha: -0.5 }',
            lambda a: np.where(a > 0, a, -0.5 * (np.exp(a) - 1)),
            lambda y: G,
        ),
    ],
)
def test_a_gradient_is_read_off_what_was_written_over(layer: str, top: object, gradient: object) -> None:
    assert callable(top)
    assert callable(gradient)
    y = top(A.astype(np.float64))
    same(passed(layer, A), y, gradient(y))


@pytest.mark.parametrize(
    "layer",
    ['type: "ReLU"', 'type: "ELU"', 'type: "Sigmoid"', 'type: "TanH"', 'type: "Exp"', 'type: "Swish"'],
)
def test_others_are_the_same_in_place(layer: str, capsys: pytest.CaptureFixture[str]) -> None:
    x, apart = (torch.tensor(A, requires_grad=True) for _ in range(2))
    in_place = load_net(net_text(layer, "a"), phase="TRAIN")
    other = load_net(net_text(layer, "a").replace('top: "a" type: "', 'top: "y" type: "'), phase="TRAIN")
    for net, tensor in ((in_place, x), (other, apart)):
        net(tensor).backward(torch.from_numpy(G))
    assert torch.equal(x.grad, apart.grad)
    assert capsys.readouterr().err == ""


def test_what_differs_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    load_net(net_text(eltwise("SUM"), "a", "b"))
    assert capsys.readouterr().err.startswith('layer "it": Eltwise writes over its first bottom')
    load_net(net_text('type: "Power"', "a"))  # its values are right, and TEST asks for no more
    load_net(net_text(eltwise("PROD"), "a", "b"))
    assert capsys.readouterr().err == ""
    load_net(net_text('type: "Power"', "a"), phase="TRAIN")
    load_net(net_text(eltwise("PROD"), "a", "b"), phase="TRAIN")
    assert [line.split(":")[0] for line in capsys.readouterr().err.splitlines()] == ['layer "it"'] * 2


def chain(*layers: str) -> str:
    """A layer that makes the blob c, then layers in place over it."""
    made = f'layer {{ name: "l0" bottom: "x" top: "c" type: "{layers[0]}" }}'
    over = (
        f'layer {{ name: "l{n}" bottom: "c" top: "c" type: "{kind}" }}' for n, kind in enumerate(layers) if n
    )
    return INPUT + made + "".join(over)


@pytest.mark.parametrize(
    ("layers", "lost"),
    [
        (("Sigmoid", "Dropout"), ["l0"]),
        (("ELU", "ReLU", "Dropout"), ["l0"]),
        (("Scale", "ReLU", "BatchNorm"), ["l1"]),
        (("MVN", "ReLU"), ["l0"]),
        (("Scale", "MVN"), ["l1"]),
        (("ReLU", "BatchNorm"), []),  # not in place: its bottom is another blob
        (("Scale", "ReLU", "Dropout"), []),
        (("TanH", "ReLU"), []),
        (("BatchNorm", "Scale", "ReLU"), []),  # both keep copies
    ],
)
def test_gradients_that_caffe_reads_off_later_values_are_named(
    layers: tuple[str, ...], lost: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    load_net(chain(*layers), phase="TRAIN")
    told = capsys.readouterr().err.splitlines()
    assert [line.split('"')[1] for line in told] == lost
    assert all("here it is the derivative" in line for line in told)
    load_net(chain(*layers), phase="TEST")
    assert capsys.readouterr().err == ""


def test_a_blob_s_many_layers_in_place_are_gone_through_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def counting(*pair: Any) -> bool:
        asked.append(pair)
        return is_lost(*pair)

    is_lost = in_place._is_lost
    monkeypatch.setattr(in_place, "_is_lost", counting)
    load_net(chain(*["TanH", "ReLU", "Dropout"] * 40), phase="TRAIN")
    told = [line.split('"') for line in capsys.readouterr().err.splitlines()]
    assert [(line[1], line[3]) for line in told] == [(f"l{n}", f"l{n + 2}") for n in range(118) if n % 3 != 2]
    assert len(asked) <= 3 * 120


@pytest.mark.parametrize(
    ("power", "is_lost"),
    [("power: 1 scale: 3", False), ("power: 3 scale: 0", False), ("power: 2", False), ("power: 3", True)],
)
def test_a_power_reads_its_top_where_its_slope_does(
    power: str, is_lost: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """PowerLayer::Backward_cpu."""
    param = f'type: "Power" power_param {{ {power} }}'
    load_net(chain("Power", "Sigmoid").replace('type: "Power"', param), phase="TRAIN")
    assert ('layer "l0"' in capsys.readouterr().err) == is_lost


INPUT = 'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 2 } } }'
MADE = 'layer { name: "c" type: "Power" bottom: "x" top: "c" %s }'
READ = 'layer { name: "b" type: "Power" bottom: "c" top: "b" }'
OVER = 'layer { name: "r" type: "ReLU" bottom: "c" top: "c" }'


def test_in_place_after_another_reader_has_two_sources() -> None:
    """insert_splits.cpp gives both readers copies of other names, so that c is no longer r's bottom."""
    with pytest.raises(InputError, match=r'layer "r": top "c" is written in place, and layer "b" reads it'):
        load_net(INPUT + MADE % "" + READ + OVER)
    with pytest.raises(InputError, match=r"the loss_weight of layer \"c\" reads it"):
        load_net(INPUT + MADE % "loss_weight: 1" + OVER)
    with pytest.raises(InputError, match=r'top "a" is written in place, and layer "it" reads it'):
        load_net(net_text(eltwise("SUM") + ' bottom: "a"', "a"))


def test_in_place_before_other_readers_is_right() -> None:
    for text in (OVER + READ, OVER + OVER.replace('"r"', '"s"') + READ):
        load_net(INPUT + MADE % "" + text)
    load_net(INPUT + MADE % "loss_weight: 0" + OVER)
    over = OVER.replace('top: "c"', 'top: "c" loss_weight: 1')  # the loss is what r leaves
    load_net(INPUT + MADE % "" + over)


def test_rules_leave_readers_of_another_phase_out() -> None:
    read = READ.replace('name: "b"', 'name: "b" include { phase: TRAIN }')
    load_net(INPUT + MADE % "" + read + OVER, phase="TEST")
    with pytest.raises(InputError, match="produced by multiple sources"):
        load_net(INPUT + MADE % "" + read + OVER, phase="TRAIN")
