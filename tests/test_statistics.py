"""Intervals, series of photographs, convergence and confusion, against figures known beforehand."""

import math
from statistics import NormalDist

import numpy as np
import pytest

from eval.accuracy import wilson
from eval.confusion import confusion, recall, worst
from eval.convergence import Reached, iterations_to, scatter, seconds_at, steadiness
from eval.series import block_length, name_blocks, series
from eval.statistics import difference, interval, mean_std, student_quantile
from prototxt.errors import InputError

Array = np.ndarray  # type: ignore[type-arg]


def test_mean_and_deviation() -> None:
    assert mean_std([1, 2, 3, 4]) == (2.5, pytest.approx(math.sqrt(5 / 3)))
    assert mean_std([0.5]) == (0.5, None)


@pytest.mark.parametrize(
    ("freedom", "value"), [(1, 12.7062), (2, 4.30265), (4, 2.77645), (30, 2.04227), (math.inf, 1.95996)]
)
def test_students_t_against_published_tables(freedom: float, value: float) -> None:
    assert student_quantile(0.975, freedom) == pytest.approx(value, rel=1e-4)


def singles(count: int) -> list[list[int]]:
    return [[index] for index in range(count)]


def test_one_run_is_judged_over_photographs_alone_and_says_so() -> None:
    right = (np.arange(400) < 300)[None]
    found = interval(right, singles(400))
    half = 1.96 * math.sqrt(0.75 * 0.25 / 400)
    assert found.mean == 0.75 and not found.over_seeds
    assert (found.low, found.high) == pytest.approx((0.75 - half, 0.75 + half), abs=0.004)
    assert difference(np.tile(right, (3, 1)), right, singles(400)).over_seeds is False
    assert difference(np.tile(right, (3, 1)), np.tile(right, (2, 1)), singles(400)).over_seeds


def test_photographs_are_paired_between_the_groups() -> None:
    """Two groups right on the same photographs but for eight: the photographs' own spread drops out."""
    random = np.random.default_rng(0)
    a = random.random((1, 400)) < 0.5
    b = a.copy()
    b[0, np.flatnonzero(a[0])[:8]] = False
    found = difference(a, b, singles(400))
    assert found.mean == pytest.approx(0.02) and found.is_real and found.high - found.low < 0.04
    same = difference(a, a, singles(400))
    unseen = 1.96**2 / (400 + 1.96**2)  # of other photographs so many may still tell the two apart
    assert (same.mean, same.is_real) == (0, False)
    assert (same.low, same.high) == pytest.approx((-unseen, unseen), rel=1e-4)
    assert difference(b, a, singles(400)).mean == pytest.approx(-0.02)


@pytest.mark.parametrize("seeds", [1, 3])
def test_where_photographs_are_all_alike_the_interval_is_wilsons(seeds: int) -> None:
    wrong = interval(np.zeros((seeds, 5)), singles(5))
    assert (wrong.mean, wrong.low, wrong.high) == (0, 0, pytest.approx(wilson(0, 5)[1], abs=1e-4))
    right = interval(np.ones((seeds, 5)), singles(5))
    assert (right.mean, right.low, right.high) == (1, pytest.approx(wilson(1, 5)[0], abs=1e-4), 1)
    apart = difference(np.ones((seeds, 2)), np.zeros((seeds, 2)), singles(2))
    assert apart.mean == apart.high == 1 and apart.low < 0 and not apart.is_real


def test_bounds_stay_among_the_shares_there_are() -> None:
    """One wrong of eight, and runs far apart: the widened interval would pass 100%."""
    right = np.ones((3, 8))
    right[0, :5] = 0
    found = interval(right, singles(8))
    assert 0 <= found.low < found.mean < found.high == 1
    lost = difference(np.full((2, 30), 1.0), np.full((2, 30), -1.0), singles(30), reach=2)
    assert (lost.mean, lost.high) == (2, 2) and 1 < lost.low < 2


def test_too_few_photographs_claim_nothing() -> None:
    """Every photograph speaks for one side, but for one: 19 are too few to claim it, 20 are enough."""
    for count, is_enough in ((19, False), (20, True)):
        a, b = np.ones((3, count)), np.zeros((3, count))
        b[:, 0] = 1
        found = difference(a, b, singles(count))
        assert found.low > 0 and found.is_real is is_enough and found.too_few is not is_enough


@pytest.mark.parametrize("count", [1, 2, 5, 10, 77, 1000])
def test_wilsons_bounds_are_shares(count: int) -> None:
    low, high = wilson(0, count)
    assert low >= 0 and f"{low:.1%}" == "0.0%" and high < 1
    assert low == 0 and 0 < wilson(1, count)[0] < wilson(1, count)[1] == 1  # a chart's bars need whole ends


def test_blocks_widen_and_leave_out_what_is_in_none() -> None:
    right = np.repeat(np.arange(40) % 4 > 0, 10)[None]  # ten neighbours are right or wrong together
    alone, blocks = interval(right, singles(400)), interval(right, np.arange(400).reshape(40, 10).tolist())
    ratio = (blocks.high - blocks.low) / (alone.high - alone.low)
    assert ratio == pytest.approx(math.sqrt(10), rel=0.1)
    assert interval(right, [[0, 1], [10, 11]]).mean == 0.5
    with pytest.raises(InputError, match="two blocks"):
        interval(right, [[0, 1]])


def test_three_runs_are_widened_as_students_t_asks() -> None:
    """Runs that differ by a constant and photographs that do not differ: the runs' part alone."""
    right = np.array([[i < n for i in range(1000)] for n in (480, 500, 520)])
    blocks = [list(range(start, 1000, 20)) for start in range(20)]
    found = interval(right, blocks, draws=40_000)
    assert found.high - found.mean == pytest.approx(4.303 * 0.02 / math.sqrt(3), rel=0.12)


def world(random: np.random.Generator) -> tuple[Array, Array, float]:
    """Two groups of three runs on 600 photographs in series of 30, and the true difference of their means.

    A photograph is right where the sum of normal parts is above 0: of the group, the run, the
    photograph (correlated along its series, partly shared by the groups), and of chance.
    """

    def along(deviation: float) -> Array:
        steps = random.normal(size=(20, 30))
        for at in range(1, 30):
            steps[:, at] = 0.8 * steps[:, at - 1] + 0.6 * steps[:, at]
        return deviation * steps.reshape(-1)

    shared = along(1.0)
    groups = [
        offset + shared + along(0.5) + random.normal(0, 0.1, (3, 1)) + random.normal(0, 0.7, (3, 600)) > 0
        for offset in (0.5, 0.3)
    ]
    spread = math.sqrt(1 + 0.25 + 0.01 + 0.49)
    return *groups, NormalDist().cdf(0.5 / spread) - NormalDist().cdf(0.3 / spread)


def test_the_interval_holds_the_truth_as_often_as_it_says_and_a_plain_one_does_not() -> None:
    random, trials = np.random.default_rng(4), 150
    paths = [f"s{i // 30}_{i % 30}.jpg" for i in range(600)]
    labels = [i // 60 for i in range(600)]
    held = plain = 0
    for _ in range(trials):
        a, b, truth = world(random)
        found = difference(a, b, name_blocks(paths, labels, np.concatenate([a, b])), draws=600)
        held += found.low <= truth <= found.high
        apart = a.mean(0) - b.mean(0)  # photographs one by one, runs as if there were no others
        plain += abs(apart.mean() - truth) < 1.96 * apart.std() / math.sqrt(600)
    assert held / trials >= 0.92, held / trials
    assert plain / trials <= 0.75, plain / trials


def test_series_go_by_class_folder_and_number() -> None:
    paths = ["a/x_10.jpg", "a/x_9.jpg", "b/x_1.jpg", "a/y_1.jpg", "a/x_11.jpg", "a/plain.jpg", "a/odd.jpg"]
    assert series(paths, [0, 0, 0, 0, 1, 2, 2]) == [[1, 0], [3], [2], [4], [6, 5]]


def test_blocks_are_as_long_as_neighbours_hang_together() -> None:
    random = np.random.default_rng(0)
    names = [f"p_{i}.jpg" for i in range(1200)]
    scattered = random.random((3, 1200)) < 0.5
    runs_of_eight = np.repeat(random.random((1, 150)) < 0.5, 8, axis=1)
    order = random.permutation(1200)
    for right, least, most in ((scattered, 1, 3), (runs_of_eight, 12, 24)):
        length = block_length(right, [0] * 1200, [list(range(1200))])
        assert least <= length <= most
        blocks = name_blocks([names[i] for i in order], [0] * 1200, right[:, order])
        assert sorted(row for block in blocks for row in block) == list(range(1200))
        assert max(map(len, blocks)) <= length
        for block in blocks:  # neighbours by name, wherever the list has them
            assert [order[row] for row in block] == list(range(order[block[0]], order[block[0]] + len(block)))
    assert name_blocks(["a.jpg", "b.jpg"], [0, 0], np.array([[True, False]])) == [[0], [1]]


LINES = [
    {"iteration": 0, "loss": 3.0, "images_per_second": None, "accuracy_at_1": 0.1},
    {"iteration": 50, "loss": 2.0, "images_per_second": 100.0},
    {"iteration": 100, "loss": 1.0, "images_per_second": 50.0, "accuracy_at_1": 0.5},
    {"iteration": 150, "loss": None, "images_per_second": None, "accuracy_at_1": 0.4},
    {"iteration": 200, "loss": 0.5, "images_per_second": 150.0, "accuracy_at_1": 0.8},
]


def test_seconds_and_the_way_to_a_share() -> None:
    assert seconds_at(LINES, 10) == pytest.approx([0, 5, 15, 20, 20 + 500 / 150])
    assert iterations_to(LINES, 0.5, 0.6, 10) == Reached(pytest.approx(50), pytest.approx(7.5))
    assert iterations_to(LINES, 0.9, 0.8, 10) == Reached(
        pytest.approx(190), pytest.approx(20 + 0.8 * 500 / 150)
    )
    assert iterations_to(LINES, 0.1, 0.5, 10) == Reached(0, 0)
    assert iterations_to(LINES, 1, 0.9, 10) is None
    assert seconds_at([{"iteration": 7, "images_per_second": None}], 10) == [0]


def test_scatter_sees_noise_and_no_trend() -> None:
    assert scatter([(0, 1), (10, 2), (40, 5), (50, 6)]) == pytest.approx(0, abs=1e-12)
    assert scatter([(0, 0), (1, 1)]) is None
    noise = np.random.default_rng(0).normal(0, 0.03, 4000)
    x = np.cumsum(np.random.default_rng(1).integers(1, 5, 4000))
    assert scatter([(a, 0.5 + a / 1e4 + n) for a, n in zip(x, noise, strict=True)]) == pytest.approx(
        0.03, rel=0.05
    )


def test_steadiness_is_of_the_last_half() -> None:
    lines = [
        {"iteration": i, "loss": math.exp(-i / 50), "accuracy_at_1": (i % 2 if i < 50 else 0.7)}
        for i in range(100)
    ]
    found = steadiness(lines)
    assert found.accuracy == pytest.approx(0, abs=1e-9) and found.loss == pytest.approx(0, abs=1e-9)
    assert steadiness(LINES).loss is None and steadiness(LINES).accuracy == pytest.approx(
        0.25 / math.sqrt(1.5)
    )


def test_confusion_and_recall() -> None:
    counts = confusion([0, 0, 1], [[0, 1, 1], [0, 0, 2]], 4)
    assert counts.tolist() == [[3, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert recall(counts) == [0.75, 0.5, None, None]


def test_the_worst_are_wrong_most_often_then_surest_then_first() -> None:
    predictions = [[0, 1, 1, 1, 1], [0, 0, 1, 1, 1]]
    confidence = [[0.9, 0.9, 0.5, 0.7, 0.5], [0.9, 0.99, 0.5, 0.6, 0.5]]
    assert worst([0] * 5, predictions, confidence, 9) == [3, 2, 4, 1]
    assert worst([0] * 5, predictions, confidence, 2) == [3, 2]
