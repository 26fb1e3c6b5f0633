"""What nets that tell numbers are judged by: known by their losses, and held to figures worked out by hand."""

import numpy as np
import pytest
import torch

from converters.graph import Graph, build_graph
from converters.net_state import net_state
from prototxt.errors import InputError
from prototxt.text import parse_net
from zoo.tasks.distributions import Distributions
from zoo.tasks.numbers import Numbers
from zoo.tasks.told import task_of, trained_on

DATA = """
layer { name: "data" type: "ImageData" top: "data" top: "label"
  image_data_param { source: "list.txt" batch_size: 2 new_height: 8 new_width: 8 } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 3 } }
"""


def graph(text: str, data: str = DATA) -> Graph:
    return build_graph(parse_net(data + text), net_state("TEST"))


def against_label(kind: str, told: str = "ip", label: str = "label") -> str:
    return f'layer {{ name: "loss" type: "{kind}" bottom: "{told}" bottom: "{label}" top: "{kind}" }}'


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (against_label("EuclideanLoss"), "numbers"),
        (against_label("EuclideanLoss", "label", "ip"), "numbers"),
        (against_label("L1Loss"), "numbers"),
        (against_label("SmoothL1Loss"), "numbers"),
        (
            'layer { name: "flat" type: "Flatten" bottom: "label" top: "flat" }'
            + against_label("EuclideanLoss", "ip", "flat"),
            "numbers",
        ),
        (
            'layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }'
            + against_label("EuclideanLoss", "prob"),
            "distributions",
        ),
        (against_label("SoftmaxWithLoss"), "classes"),
        (against_label("SoftmaxWithLoss") + against_label("EuclideanLoss"), "classes"),
        (against_label("EuclideanLoss", "ip", "data"), "classes"),
        ("", "classes"),
    ],
)
def test_the_task_is_told_by_the_loss(text: str, name: str) -> None:
    assert task_of(graph(text)).name == name


def test_the_training_labels_say_whether_they_are_distributions() -> None:
    numbers, shares = np.array([[3.0, 4], [5, 6]]), np.array([[0.25, 0.75], [0.75, 0.25]])
    told = [trained_on(task, labels) for task in (Numbers(), Distributions()) for labels in (numbers, shares)]
    assert told == [Numbers((4.0, 5.0)), Distributions((0.5, 0.5))] * 2
    classes = task_of(graph(""))
    assert trained_on(classes, shares) is classes


def test_the_errors_of_two_numbers_by_hand() -> None:
    """Errors 1 2 3 6 and 10 0 20 10; the guesses', 5 and 30, 4 1 1 2 and 20 10 0 10."""
    true = torch.tensor([[1.0, 10], [4, 20], [6, 30], [7, 40]]).reshape(4, 2, 1, 1)
    told = torch.tensor([[2.0, 20], [2, 20], [3, 10], [13, 30]])
    task = Numbers((5.0, 30.0))
    columns = task.columns(task.sums(told, true))
    assert columns["images"] == 4
    assert columns["each_mae"] == [3.0, 10.0] and columns["each_mae_constant"] == [2.0, 10.0]
    assert columns["mae"] == 6.5 and columns["mae_constant"] == 6.0
    assert columns["mae_low"] < 6.5 < columns["mae_high"]


def test_the_interval_is_that_of_drawing_pictures() -> None:
    """Of 400 errors their mean's, by Student's t."""
    errors = np.random.default_rng(0).exponential(2, 400)
    task = Numbers((0.0,))
    columns = task.columns(task.sums(torch.from_numpy(errors)[:, None], torch.zeros(400)))
    spread = 1.966 * errors.std(ddof=1) / 20
    assert columns["mae"] == pytest.approx(errors.mean())
    assert columns["mae_low"] == pytest.approx(errors.mean() - spread, abs=0.2 * spread)
    assert columns["mae_high"] == pytest.approx(errors.mean() + spread, abs=0.2 * spread)
    assert "each_mae" not in columns


def test_without_a_training_list_no_guess_is_judged() -> None:
    task = Numbers()
    columns = task.columns(task.sums(torch.tensor([[1.0], [2]]), torch.tensor([2.0, 4])))
    assert columns["mae"] == 1.5 and columns["mae_constant"] is None
    shares = Distributions()
    columns = shares.columns(shares.sums(torch.tensor([[1.0, 0]] * 2), torch.tensor([[0.0, 1]] * 2)))
    assert columns["emd1"] == 0.5 and columns["emd_constant"] is None


def test_distributions_by_hand() -> None:
    """Cumulative, told .5 1 1 (twice), true 0 .5 1 and .75 1 1, guessed .25 .5 1."""
    true = torch.tensor([[0, 0.5, 0.5], [0.75, 0.25, 0]]).reshape(2, 3, 1, 1)
    told = torch.tensor([[0.5, 0.5, 0], [0.5, 0.5, 0]])
    task = Distributions((0.25, 0.25, 0.5))
    columns = task.columns(task.sums(told, true))
    assert columns["emd1"] == pytest.approx((1 / 3 + 0.25 / 3) / 2)
    assert columns["emd"] == pytest.approx((np.sqrt(0.5 / 3) + 0.25 / np.sqrt(3)) / 2)
    assert columns["mean_error"] == pytest.approx((1 + 0.25) / 2)
    assert columns["emd_constant"] == pytest.approx((0.25 / np.sqrt(3) + np.sqrt(0.5 / 3)) / 2)
    assert columns["mean_error_constant"] == pytest.approx((0.25 + 1) / 2)


def test_another_number_of_labels_is_told() -> None:
    with pytest.raises(InputError, match="the net tells 3 numbers a picture, its labels are 2"):
        Numbers().sums(torch.zeros(4, 3), torch.zeros(4, 2))


def test_of_several_crops_the_mean_is_told() -> None:
    told, true = torch.tensor([[1.0], [3], [10], [20]]), torch.tensor([2.0, 12])
    task = Numbers()
    assert task.columns(task.sums(told, true))["mae"] == 1.5
