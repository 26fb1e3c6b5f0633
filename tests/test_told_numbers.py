"""How far told numbers and distributions are from the true ones, held to values by hand and to OpenCV's EMD."""

import cv2
import numpy as np
import pytest

from eval.distributions import are_distributions, earth_movers, means, normalised
from eval.numbers import absolute_errors, constant_guess


def test_the_median_is_the_constant_that_is_nearest_on_the_mean() -> None:
    trained = np.array([[1.0, 10], [2, 30], [9, 20], [3, 90], [2, 40]])
    assert constant_guess(trained).tolist() == [2, 30]
    assert absolute_errors(constant_guess(trained), trained).mean(0).tolist() == [9 / 5, 100 / 5]
    for other in (np.array([1.9, 29]), np.array([2.1, 31]), trained.mean(0)):
        assert (absolute_errors(other, trained).mean(0) > [9 / 5, 100 / 5]).all()


def test_the_earth_movers_distance_by_hand() -> None:
    """Cumulative: .5 .75 1 1 and 0 .25 .5 1, which differ by .5 .5 .5 0."""
    told, true = np.array([[0.5, 0.25, 0.25, 0]]), np.array([[0, 0.25, 0.25, 0.5]])
    assert earth_movers(told, true, 1) == pytest.approx(1.5 / 4)
    assert earth_movers(told, true, 2) == pytest.approx(np.sqrt(0.75 / 4))
    assert earth_movers(told, told, 2) == 0
    opposite = np.array([[1.0, 0, 0, 0]]), np.array([[0, 0, 0, 1.0]])
    assert earth_movers(*opposite, 1) == pytest.approx(3 / 4)
    assert earth_movers(*opposite, 2) == pytest.approx(np.sqrt(3 / 4))


def test_with_r_of_1_it_is_the_work_of_moving_earth() -> None:
    """OpenCV solves the transport itself, with a distance of 1 from a value to the next."""
    drawn = np.random.default_rng(0)
    told, true = drawn.dirichlet(np.ones(10), 20), drawn.dirichlet(np.full(10, 0.3), 20)
    at = np.arange(10)[:, None]
    for ours, one, other in zip(earth_movers(told, true, 1), told, true, strict=True):
        signatures = (np.hstack([each[:, None], at]).astype(np.float32) for each in (one, other))
        work, _, _ = cv2.EMD(*signatures, cv2.DIST_L1)
        assert 10 * ours == pytest.approx(work, abs=1e-4)


def test_means_count_from_1() -> None:
    assert means(np.array([[0, 0, 1.0], [0.5, 0, 0.5], [1, 0, 0]])).tolist() == [3, 2, 1]


def test_what_is_no_distribution_is_made_one() -> None:
    made = normalised(np.array([[2.0, 1, 1], [-1, 3, 1], [-1, -2, 0]]))
    assert made.tolist() == [[0.5, 0.25, 0.25], [0, 0.75, 0.25], [1 / 3] * 3]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([[0.1, 0.2, 0.7], [0, 1, 0]], True),
        ([[0.333, 0.333, 0.333]], True),
        ([[0.1, 0.2, 0.7], [0, 1, 1]], False),
        ([[-0.1, 0.2, 0.9]], False),
        ([[1.0], [1]], False),
    ],
)
def test_labels_that_sum_to_1_are_distributions(labels: list[list[float]], expected: bool) -> None:
    assert are_distributions(np.array(labels)) is expected
