"""Layers that compare features with a vector a class, beyond what the recordings hold."""

from pathlib import Path

import numpy as np
import pytest
import torch
from one_layer import close, one_layer, random, run
from torch import Tensor

from converters import Network
from converters.export.deploy import deploy
from eval.parity import write_onnx
from prototxt.errors import InputError


def gradient(blobs: dict[str, Tensor], name: str) -> Tensor:
    found = blobs[f"in/{name}"].grad
    assert found is not None
    return found


@pytest.mark.parametrize("kind", ["L1", "L2"])
def test_vectors_may_come_from_a_bottom(kind: str) -> None:
    net = one_layer(
        f'type: "InnerDistance" top: "y" inner_distance_param {{ distance_type: "{kind}" }}',
        x=(3, 4),
        w=(5, 4),
    )
    x, w = random(3, 4), random(5, 4, seed=1)
    apart = x[:, None] - w
    y = run(net, x=x, w=w)["y"]
    close(y, np.abs(apart).sum(2) if kind == "L1" else (apart**2).sum(2))
    assert net.params == {}


def test_transposed_weights_are_read_as_the_forks_memory_has_them() -> None:
    fields = 'num_output: 3 transpose: true normalize: true weight_filler { type: "xavier" }'
    x, w = random(2, 5), random(3, 5, seed=1)
    unit = w / np.sqrt((w * w).sum(1, keepdims=True) + 1e-6)
    for kind, theirs in (
        ("InnerDistance", ((x[:, None] - unit) ** 2).sum(2)),
        ("InnerProduct", x @ unit.reshape(5, 3)),
    ):
        block = {"InnerDistance": "inner_distance_param", "InnerProduct": "inner_product_param"}[kind]
        net = one_layer(f'type: "{kind}" top: "y" {block} {{ {fields} bias_term: false }}', x=(2, 5))
        with torch.no_grad():
            net.params["it"][0].copy_(torch.from_numpy(w.reshape(5, 3)))
        blobs = run(net, x=x)
        close(blobs["y"], theirs)
        close(net.params["it"][0], unit.reshape(5, 3))  # for good
        blobs["y"].sum().backward()
        assert net.params["it"][0].grad is not None


def test_a_second_bottom_may_be_transposed() -> None:
    text = 'type: "InnerProduct" top: "y" inner_product_param { transpose: true bias_term: false }'
    x, w = random(2, 5), random(3, 5, seed=1)
    net = one_layer(text, x=(2, 5), w=(3, 5))
    close(run(net, x=x, w=w)["y"], x @ w.reshape(5, 3))


def test_far_from_the_origin_distances_lose_little() -> None:
    net = one_layer('type: "InnerDistance" top: "y"', x=(6, 8), w=(7, 8))
    x, w = 1000 + random(6, 8), 1000 + random(7, 8, seed=1)
    close(run(net, x=x, w=w)["y"], ((x[:, None].astype(np.float64) - w) ** 2).sum(2).astype(np.float32), 1e-6)


@pytest.mark.parametrize("kind", ["L1", "L2"])
def test_only_the_labels_vectors_are_sent_a_gradient(kind: str) -> None:
    text = 'type: "InnerDistance" top: "y" inner_distance_param { %s num_output: 4 weight_filler { type: "xavier" } }'
    both = f'distance_type: "{kind}" update_center_only: true'
    net = one_layer(text % both, phase="TRAIN", x=(3, 5), label=(3,))
    plain = one_layer(text % f'distance_type: "{kind}"', phase="TRAIN", x=(3, 5))
    x, label, top = random(3, 5), np.array([2, 0, 2]), torch.tensor(random(3, 4, seed=2))
    blobs, others = run(net, x=x, label=label), run(plain, x=x)
    (blobs["y"] * top).sum().backward()
    (others["y"] * top).sum().backward()
    close(gradient(blobs, "x"), gradient(others, "x").numpy())
    weight = net.params["it"][0].detach().numpy()
    wanted = np.zeros_like(weight)
    for row, column in enumerate(label):
        apart, factor = weight[column] - x[row], top[row, column].item()
        wanted[column] += (factor * (apart > 0) - (apart < 0)) if kind == "L1" else 2 * factor * apart
    found = net.params["it"][0].grad
    assert found is not None
    close(found, wanted)


@pytest.mark.parametrize(("kind", "times"), [("DOUBLE", 2), ("TRIPLE", 3), ("QUADRUPLE", 4)])
def test_the_labels_angle_is_multiplied(kind: str, times: int) -> None:
    """psi goes on where the cosine of the multiple would turn back: (-1)^k·cos(times·angle) - 2k."""
    net = margin(f"type: {kind} base: 0 lambda_min: 0", 40)
    x, label = random(40, 5), np.arange(40) % 3
    y = run(net, x=x, label=label)["y"].detach().numpy()
    weight = net.params["it"][0].detach().numpy().astype(np.float64)
    angle = np.arccos((x * weight[label]).sum(1) / np.linalg.norm(x, axis=1))
    turns = np.floor(angle * times / np.pi)
    psi = (-1) ** turns * np.cos(times * angle) - 2 * turns
    assert len(set(turns)) == times
    np.testing.assert_allclose(y[np.arange(40), label], np.linalg.norm(x, axis=1) * psi, atol=1e-4)


def margin(param: str, items: int) -> Network:
    filler = 'weight_filler { type: "xavier" }'
    text = f'type: "MarginInnerProduct" top: "y" top: "l" margin_inner_product_param {{ num_output: 3 {param} {filler} }}'
    return one_layer(text, phase="TRAIN", x=(items, 5), label=(items,))


def test_lambda_falls_with_every_pass() -> None:
    net = margin("type: DOUBLE base: 10 gamma: 0.5 iteration: 1 lambda_min: 3", 2)
    x, label = random(2, 5), np.array([0, 1])
    found = [run(net, x=x, label=label)["l"].item() for _ in range(4)]
    assert found == pytest.approx([10 / 2, 10 / 2.5, 10 / 3, 3])
    net.module_of(net.graph.nodes[-1]).reset()
    assert run(net, x=x, label=label)["l"].item() == pytest.approx(5)


def by_label(kind: str, param: str, phase: str = "TRAIN", tops: str = 'top: "y" top: "n"') -> Network:
    field = "label_specific_add_param" if kind.endswith("Add") else "label_specific_rescale_param"
    return one_layer(f'type: "{kind}" {tops} {field} {{ {param} }}', phase=phase, x=(2, 3), label=(2,))


SCORES, OWN = np.array([[0.5, -2, 1], [3, 0.25, -1]], np.float32), np.array([0, 2])


def test_a_labels_bias_grows_and_spares_what_it_would_turn() -> None:
    net = by_label(
        "LabelSpecificAdd", "bias_base: -0.2 bias_gamma: 1 bias_power: -1 bias_min: -0.9 bias_max: -0.2"
    )
    for bias in (-0.2, -0.7, -0.2 + 1 / 3 - 1, -0.9):
        blobs = run(net, x=SCORES, label=OWN)
        assert blobs["n"].item() == pytest.approx(bias)
        own = [0.5 + bias if -bias < 0.5 else 0.5, -1]
        assert blobs["y"][[0, 1], OWN].tolist() == pytest.approx(own)
    calm = by_label("LabelSpecificAdd", "bias: 5 transform_test: true", "TEST")
    assert run(calm, x=SCORES, label=OWN)["y"].tolist() == SCORES.tolist()


def test_a_labels_weight_falls_within_its_bounds_and_may_be_a_power() -> None:
    param = "positive_weight_base: 4 gamma: 1 power: 1 positive_weight_min: 1.5 positive_weight_max: 1.8"
    net = by_label("LabelSpecificRescale", f"{param} iteration: 0")
    for weight in (1.8, 1.5):
        blobs = run(net, x=SCORES, label=OWN)
        assert blobs["n"].item() == pytest.approx(weight)
        assert blobs["y"][[0, 1], OWN].tolist() == pytest.approx([0.5 * weight, -weight])
    power = by_label("LabelSpecificRescale", "positive_weight: 2 power_on_positive: true negative_weight: 3")
    blobs = run(power, x=SCORES, label=OWN)
    blobs["y"].sum().backward()
    assert blobs["y"].tolist() == [[0.25, -6, 3], [9, 0.75, -1]]
    assert gradient(blobs, "x").tolist() == [[1, 3, 3], [3, 3, 2]]


def test_in_place_the_rescaled_score_decides_whether_it_had_a_slope() -> None:
    text = 'type: "LabelSpecificRescale" bottom: "x" bottom: "label" top: "%s" label_specific_rescale_param { %s }'
    param = "positive_weight: 3 for_ip: true bias_fix: true"
    for top, slope in (("y", 3.0), ("x", 1.0)):  # 0.5 becomes 1.5 - 2, which is not above 0
        net = one_layer(text % (top, param), phase="TRAIN", x=(2, 3), label=(2,))
        blobs = run(net, x=SCORES, label=OWN)
        blobs[top].sum().backward()
        assert gradient(blobs, "x")[0, 0].item() == slope


@pytest.mark.parametrize(
    ("kind", "param", "left"),
    [
        ("LabelSpecificAdd", "bias: -0.35 transform_test: true", ["x"]),
        ("LabelSpecificRescale", "positive_weight: 2", ["x"]),
        ("LabelSpecificRescale", "positive_weight: 2 rescale_test: true", ["x", "label"]),
    ],
)
def test_a_deployed_net_asks_for_a_label_only_where_it_has_a_say(
    kind: str, param: str, left: list[str], tmp_path: Path
) -> None:
    net = by_label(kind, param, "TEST", 'top: "y"')
    assert [value.blob for value in deploy(net.graph).inputs] == left
    assert left != ["x"] or write_onnx(net, tmp_path / "n.onnx")
    own = by_label(kind, param, "TEST", 'top: "y" phase: TRAIN')
    assert [value.blob for value in deploy(own.graph).inputs] == ["x", "label"]


def test_a_pixel_of_zeros_stays_and_has_no_gradient() -> None:
    net = one_layer('type: "Norm" top: "y"', x=(2, 3))
    blobs = run(net, x=np.array([[0, 0, 0], [3, 0, 4]]))
    blobs["y"][:, 0].sum().backward()
    assert blobs["y"].shape == (2, 3, 1, 1) and blobs["y"][:, :, 0, 0].tolist()[0] == [0, 0, 0]
    assert gradient(blobs, "x")[0].tolist() == [0, 0, 0] and gradient(blobs, "x")[1].abs().sum() > 0


@pytest.mark.parametrize(
    "layer",
    [
        'type: "InnerDistance" top: "y" inner_distance_param { num_output: 4 normalize: true weight_filler { type: "xavier" } }',
        'type: "InnerDistance" top: "y" inner_distance_param { num_output: 4 distance_type: "L1" weight_filler { type: "xavier" } }',
        'type: "InnerProduct" top: "y" inner_product_param { num_output: 4 normalize: true weight_filler { type: "xavier" } }',
        'type: "L2Normalize" top: "y"',
        'type: "Norm" top: "y"',
    ],
)
def test_what_a_deployed_net_has_goes_into_a_file(layer: str, tmp_path: Path) -> None:
    net = one_layer(layer, x=(2, 6))
    assert write_onnx(net, tmp_path / "n.onnx")


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (
            'type: "InnerDistance" top: "y" inner_distance_param { num_output: 2 distance_type: "L3" }',
            "L1 or L2",
        ),
        ('type: "InnerDistance" top: "y"', "num_output must be at least 1"),
    ],
)
def test_what_the_fork_cannot_is_refused(layer: str, reason: str) -> None:
    with pytest.raises(InputError, match=f'layer "it": .*{reason}'):
        one_layer(layer, x=(2, 6))


@pytest.mark.parametrize(("phase", "count"), [("TRAIN", 2), ("TEST", 3)])
def test_the_largest_values_stay_and_learn(phase: str, count: int) -> None:
    net = one_layer('type: "TopK" top: "y" topk_param { k: 2 a: 1.9 }', phase=phase, x=(2, 4))
    x = np.array([[1, 4, 3, 2], [-1, -4, -3, -2]], np.float32)
    blobs = run(net, x=x)
    blobs["y"].sum().backward()
    stays = [[False, True, True, count == 3], [True, False, count == 3, True]]
    assert blobs["y"].tolist() == np.where(stays, x, 0).tolist()
    assert gradient(blobs, "x").bool().tolist() == stays
