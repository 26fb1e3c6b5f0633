"""What nets are judged by: which task a net has, and the figures of label maps with their intervals."""

from pathlib import Path

import numpy as np
import pytest
import torch

from converters.graph import build_graph
from converters.net_state import net_state
from eval.resampling import intervals
from eval.segmentation import class_ious, mean_iou, pixel_accuracy, pixel_counts
from eval.statistics import difference, interval
from prototxt.errors import InputError
from prototxt.text import parse_net, read_net
from zoo import catalogue
from zoo.tasks.classes import Classes
from zoo.tasks.maps import Maps, told_map
from zoo.tasks.told import kind_of, task_of

NAMED = np.array([[0, 0, 1], [2, 2, 1]])
TRUE = np.array([[0, 1, 1], [2, 255, 2]])


def scores_of(named: np.ndarray, classes: int) -> torch.Tensor:
    """(1, C, H, W) of which the named class's is the highest."""
    return torch.from_numpy(np.stack([named == each for each in range(classes)]).astype(np.float32))[None]


def counted(named: np.ndarray = NAMED, true: np.ndarray = TRUE, classes: int = 4) -> np.ndarray:
    labels = torch.from_numpy(true.astype(np.float32))[None, None]
    return pixel_counts(scores_of(named, classes), labels, {255})


def test_figures_of_a_map_by_hand() -> None:
    """Right are pixels 1, 3 and 4 of five; the one to ignore counts nowhere, though a class is told there."""
    sums = counted()
    assert sums.tolist() == [[1, 1, 1, 0, 2, 2, 1, 0, 1, 2, 2, 0]]
    assert pixel_accuracy(sums)[0].tolist() == [0.6]
    assert np.allclose(class_ious(sums)[0, :3], [1 / 2, 1 / 3, 1 / 2])
    assert np.isnan(class_ious(sums)[0, 3])  # neither told nor there
    assert np.allclose(mean_iou(sums), (1 / 2 + 1 / 3 + 1 / 2) / 3)


def test_figures_are_of_the_sums_over_images() -> None:
    """Two images of other sizes: the mean over images of their own IoUs would be another number."""
    one, two = counted(), counted(np.zeros((4, 4), int), np.zeros((4, 4), int))
    both = np.concatenate([one, two]).sum(0)
    assert np.allclose(class_ious(both)[0], 17 / 18)
    assert pixel_accuracy(both)[0] == 19 / 21


@pytest.mark.parametrize(
    ("labels", "classes", "words"),
    [
        (np.zeros((2, 2)), 4, "the scores are of 2×3 pixels, the label map of 2×2"),
        (TRUE, 2, "label 2 is out of range for 2 classes"),
        (np.full((2, 3), -1), 4, "label -1 is out of range for 4 classes"),
    ],
)
def test_maps_that_do_not_fit_are_refused(labels: np.ndarray, classes: int, words: str) -> None:
    with pytest.raises(InputError, match=words):
        counted(NAMED, labels, classes)


def test_a_mask_has_256_classes_at_most() -> None:
    scores = torch.eye(257)[:, None, 250:256]
    assert told_map(scores[:256]).tolist() == [[250, 251, 252, 253, 254, 255]]
    with pytest.raises(InputError, match="tells 257 classes, and a mask's pixels have 256 values"):
        told_map(scores)


def mean_of(sums: np.ndarray) -> np.ndarray:
    return sums[..., :1] / sums[..., 1:]


@pytest.mark.parametrize("runs", [1, 3])
def test_an_interval_of_sums_is_that_of_the_mean(runs: int) -> None:
    """Of a figure that is a mean both ways of drawing say the same, but for the draws' own chance."""
    drawn = np.random.default_rng(3)
    right = (drawn.random((runs, 400)) < 0.7).astype(float)
    other = (drawn.random((runs, 400)) < 0.6).astype(float)
    blocks = [[row] for row in range(400)]
    sums, others = (np.stack([each, np.ones_like(each)], 2) for each in (right, other))
    for ours, theirs in (
        (intervals([sums], mean_of)[0], interval(right, blocks)),
        (intervals([sums, others], mean_of)[0], difference(right, other, blocks)),
    ):
        assert ours.mean == pytest.approx(theirs.mean, abs=1e-12)
        assert [ours.low, ours.high] == pytest.approx([theirs.low, theirs.high], abs=0.004)
        assert (ours.over_seeds, ours.too_few) == (theirs.over_seeds, theirs.too_few)


def test_the_interval_of_a_mean_error_against_the_normal_formula() -> None:
    drawn = np.random.default_rng(4)
    errors = drawn.exponential(2.0, 500)
    sums = np.stack([errors, np.ones(500)], 1)[None]
    (ours,) = intervals([sums], mean_of, ends=None)
    half = 1.96 * errors.std(ddof=1) / np.sqrt(500)
    assert [ours.low, ours.high] == pytest.approx([ours.mean - half, ours.mean + half], abs=0.05)
    assert ours.is_real and not ours.over_seeds


def test_what_is_alike_in_all_images_may_be_otherwise_in_others() -> None:
    """30 of 30 right: Wilson's lower bound of 30 in 30."""
    sums = np.ones((1, 30, 2))
    (ours,) = intervals([sums], mean_of)
    assert (ours.mean, ours.high) == (1.0, 1.0)
    assert ours.low == pytest.approx(1 - 3.8415 / (30 + 3.8415), abs=1e-3)
    with pytest.raises(InputError, match="two photographs"):
        intervals([np.ones((1, 1, 2))], mean_of)


def test_a_class_that_stands_in_one_image_is_known_from_one() -> None:
    """Of 40 images one has it, and is told rightly in half of it: Wilson's bounds of 1 image."""
    sums = np.zeros((1, 40, 3))
    sums[0, 7] = 5, 5, 10
    (ours,) = intervals([sums], class_ious)
    share = 3.8415 / (1 + 3.8415)
    assert (ours.mean, ours.too_few) == (0.5, True)
    assert [ours.low, ours.high] == pytest.approx([0.5 - share / 2, 0.5 + share / 2], abs=1e-3)


def test_the_columns_of_a_row() -> None:
    task = Maps(frozenset({255}))
    columns = task.columns(np.concatenate([counted(), counted(TRUE % 255, TRUE)]))
    assert columns["images"] == 2
    assert columns["pixel_accuracy_low"] <= columns["pixel_accuracy"] <= columns["pixel_accuracy_high"]
    assert columns["class_iou"][3] is None and columns["class_iou_low"][3] is None
    alone = task.columns(counted())
    assert alone["pixel_accuracy"] == 0.6 and alone["pixel_accuracy_low"] is None


def test_the_task_is_told_by_the_net() -> None:
    """A shipped net of masks, one of classes, a deployed net without a judge, a smaller label map."""
    maps = task_of(build_graph(read_net(catalogue.find_prototxt("masknet")[0]), net_state("TEST")))
    assert maps == Maps(frozenset({255}))
    classes = build_graph(read_net(catalogue.find_prototxt("allconv6")[0]), net_state("TEST"))
    assert task_of(classes) == Classes()
    smaller = parse_net("""
      layer { name: "data" type: "ImageSegData" top: "data" top: "label" image_data_param { source: "l" batch_size: 1 }
        transform_param { crop_size: 8 } }
      layer { name: "score" type: "Convolution" bottom: "data" top: "score"
        convolution_param { num_output: 3 kernel_size: 1 stride: 2 } }
      layer { name: "less" type: "Pooling" bottom: "label" top: "less" pooling_param { kernel_size: 1 stride: 2 } }
      layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "less" top: "loss" }""")
    assert task_of(build_graph(smaller, net_state("TEST"))) == Maps(frozenset())
    assert (kind_of(None), kind_of("maps"), kind_of("of a later version")) == (Classes, Maps, Classes)


def test_the_room_is_shipped() -> None:
    assert "zoo.tasks" in (Path(__file__).parents[1] / "pyproject.toml").read_text()
