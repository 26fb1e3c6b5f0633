"""Timing by turns: the order, the pairing, and what a quiet, a noisy and a drifting machine let one say."""

import random
from collections import Counter
from collections.abc import Callable
from statistics import median

import pytest

from eval.choices import ROUNDS
from eval.speed.rounds import (
    NOISY,
    Samples,
    calls_a_round,
    images_in_all,
    interleave,
    ratio,
    visits,
)


class Machine:
    """A clock that every worker's calls move on; ``slowness`` says how slow the machine is at a moment."""

    def __init__(self, slowness: Callable[[float], float] = lambda now: 1.0) -> None:
        self.now, self.slowness = 0.0, slowness
        self.turns: list[tuple[str, int, int]] = []

    def worker(self, name: str, seconds: float) -> "Worker":
        return Worker(self, name, seconds)


class Worker:
    """Takes so long an image, as a machine of that moment lets it."""

    def __init__(self, machine: Machine, name: str, seconds: float) -> None:
        self.machine, self.name, self.seconds = machine, name, seconds

    def times(self, batch: int, calls: int) -> list[float]:
        self.machine.turns.append((self.name, batch, calls))
        return [self._call(batch) for _ in range(calls)]

    def _call(self, batch: int) -> float:
        took = self.seconds * batch * self.machine.slowness(self.machine.now)
        self.machine.now += took
        return took


def jitter(share: float, seed: int = 0) -> Callable[[float], float]:
    drawn = random.Random(seed)
    return lambda now: 1 + share * drawn.random()


def compared(machine: Machine, first: float, second: float) -> list[dict[int, Samples]]:
    workers = [machine.worker("a", first), machine.worker("b", second)]
    return interleave(workers, [(1,), (1,)], 100, lambda images: None)


def noise(samples: list[dict[int, Samples]]) -> float:
    """The median spread, as notes.noise_warning takes it from rows."""
    return median(held.spread for own in samples for held in own.values())


def test_every_round_has_every_worker_once_at_each_batch_in_changing_order() -> None:
    batches = [(1, 8), (1, 8), (4,)]
    held = list(visits(batches, 10))
    each = len(held) // 10
    rounds = [held[at : at + each] for at in range(0, len(held), each)]
    for turns in rounds:
        assert sorted(turns) == [(0, 1), (0, 8), (1, 1), (1, 8), (2, 4)]
        sizes = [batch for _, batch in turns]
        assert len(list(dict.fromkeys(sizes))) == sum(
            a != b for a, b in zip(sizes, [0, *sizes], strict=False)
        )
    assert len({tuple(turns) for turns in rounds}) > 3
    firsts = Counter(next(worker for worker, batch in turns if batch == 1) for turns in rounds)
    assert set(firsts) == {0, 1}
    assert held == list(visits(batches, 10))


def test_calls_are_about_as_many_images_at_every_batch() -> None:
    assert calls_a_round(200, 1) == (ROUNDS, 10)
    assert calls_a_round(200, 4) == (ROUNDS, 3)
    assert calls_a_round(200, 64) == (ROUNDS, 1)
    assert calls_a_round(5, 1) == (5, 1)


def test_the_progress_adds_up_to_all() -> None:
    machine, done = Machine(), []
    workers = [machine.worker("a", 1), machine.worker("b", 2)]
    batches = [(1, 4), (2,)]
    interleave(workers, batches, 50, done.append)
    assert sum(done) == images_in_all(batches, 50)


def test_a_model_twice_as_slow_is_told_apart() -> None:
    slow, fast = compared(Machine(jitter(0.5)), 0.002, 0.001)
    found = ratio(slow[1], fast[1])
    assert found.value == pytest.approx(2, rel=0.1) and found.low <= found.value <= found.high
    assert found.is_told_apart() and ratio(fast[1], slow[1]).is_told_apart()


def test_equal_models_are_not_told_apart() -> None:
    """But for about one in a hundred, as an interval of 99% has it."""
    wrong = 0
    for seed in range(100):
        one, other = compared(Machine(jitter(0.5, seed)), 0.001, 0.001)
        wrong += ratio(one[1], other[1]).is_told_apart()
    assert wrong <= 5


def test_a_machine_that_slows_down_does_not_make_equal_models_look_different() -> None:
    """One after the other, the second would have met a machine three times as slow."""
    one, other = compared(Machine(lambda now: 1 + 2 * min(now / 0.3, 1)), 0.001, 0.001)
    found = ratio(one[1], other[1])
    assert 0.9 < found.value < 1.1 and not found.is_told_apart()
    assert one[1].spread > 0.5


def test_a_noisy_machine_is_told_and_a_quiet_one_is_not() -> None:
    assert noise(compared(Machine(jitter(3)), 0.001, 0.001)) > NOISY
    assert noise(compared(Machine(jitter(0.02)), 0.001, 0.001)) < NOISY


def test_what_one_net_differs_from_itself_counts_for_nothing() -> None:
    slow, fast = compared(Machine(), 0.00102, 0.001)
    assert ratio(slow[1], fast[1]).is_told_apart()
    assert not ratio(slow[1], fast[1]).is_told_apart(floor=0.03)
    assert not ratio(fast[1], slow[1]).is_told_apart(floor=0.03)


def test_too_few_rounds_tell_nothing() -> None:
    few = [Samples([[1.0]] * 7), Samples([[2.0]] * 7)]
    assert ratio(few[1], few[0]).value == 2 and not ratio(few[1], few[0]).is_told_apart()
    enough = [Samples([[1.0]] * 8), Samples([[2.0]] * 8)]
    assert ratio(enough[1], enough[0]).is_told_apart()


def test_the_interval_is_the_sign_tests() -> None:
    """Of twenty sorted values the fourth and the seventeenth bound the median (tables of the sign test)."""
    held = Samples([[float(value)] for value in range(1, 21)])
    found = ratio(held, Samples([[1.0]] * 20))
    assert (found.value, found.low, found.high) == (10.5, 4, 17)


def test_percentiles_and_spread() -> None:
    held = Samples([[1.0, 1.0, 4.0], [2.0, 2.0, 2.0]])
    assert held.medians == [1, 2] and held.calls == 6 and held.percentile(50) == 2
    assert held.spread == pytest.approx(0.8 / 1.5)
