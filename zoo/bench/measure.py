"""How ``zoo bench`` measures: files and accuracy first, then every latency by turns, then the rows."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, cast

from eval.choices import RUNTIMES
from eval.environment import versions
from eval.runtime import provider_name
from eval.speed.rounds import Samples, images_in_all, ratio
from prototxt.errors import InputError
from zoo.bench.files import CALIBRATION, Subject, images_tested, subjects
from zoo.bench.images import decode_lists
from zoo.bench.models import Model
from zoo.bench.pairs import find_pairs
from zoo.bench.row import LatencyRatio, Row
from zoo.bench.timing import ImageCounter, Lane, Settings, batches_of, timed
from zoo.terminal.console import notice
from zoo.terminal.progress import counting


def measure_models(models: Sequence[Model], settings: Settings) -> list[Row]:
    """A row for every model, precision, runtime, provider and batch size.

    A notice tells what is left out: a model that cannot be opened, a precision that it cannot be had in.
    Raises InputError for what cannot be timed, and where no model is left.
    """
    if settings.against and "fp32" not in settings.precisions:
        raise InputError("--against compares fp32 files: give fp32 among --precisions")
    for provider in settings.providers:
        provider_name(provider)  # before minutes are spent
    models = _opened(models)
    decode_lists(models, ("TEST", "TRAIN") if "int8" in settings.precisions else ("TEST",))
    with tempfile.TemporaryDirectory(prefix="zoo-bench-") as folder, counting("images") as show:
        meter = ImageCounter(show, _images_to_run(models, settings))
        made = _subjects(models, settings, Path(folder), meter)
        lanes, control = timed(made, settings, Path(folder), meter)
    measured = {id(subject.model) for subject in made}
    pairs = find_pairs([model for model in models if id(model) in measured])[0]
    return Rows(made, lanes, control, settings, pairs).all()


def _opened(models: Sequence[Model]) -> list[Model]:
    """The models whose file can be opened."""
    return _able(models, lambda model: [model] if model.inputs else [])


def _able(models: Sequence[Model], act: Callable[[Model], list[Any]]) -> list[Any]:
    """What ``act`` gives for every model, one after the other; a notice about each that it refuses.

    Raises InputError where it refuses all of them.
    """
    results: list[Any] = []
    errors = []
    for model in models:
        try:
            results += act(model)
        except InputError as error:
            errors.append(f"{model.where or model.name}: left out: {error}")
    if not results:
        raise InputError(errors[0] if errors else "nothing is left to be measured, as the lines above say")
    for line in errors:
        notice(line)
    return results


def _images_to_run(models: Sequence[Model], settings: Settings) -> int:
    """How many images the job computes if nothing is left out."""
    tested = sum(map(images_tested, models)) * len(settings.precisions)
    nets = {model.deploys: model for model in models}.values()
    engines = len(settings.precisions) * len(settings.providers) + len(settings.against)
    batches = [batches_of(model, settings) for model in nets for _ in range(engines)]
    return tested + images_in_all([*batches, batches[0]], settings.runs)


def _subjects(
    models: Sequence[Model], settings: Settings, scratch: Path, meter: ImageCounter
) -> list[Subject]:
    made: list[Subject] = _able(
        models,
        lambda model: subjects(model, settings.precisions, Path(tempfile.mkdtemp(dir=scratch)), meter),
    )
    if any(subject.about["calibration"] == "random pixels" for subject in made):
        notice(
            "int8 without training images is calibrated on random pixels: its speed counts, not its scores"
        )
    if any(subject.about["calibration"] == "judged images" for subject in made):
        notice(f"int8 is calibrated on up to {CALIBRATION} of the very pictures that a net is judged by")
    return made


@dataclass
class Rows:
    """Makes the rows from everything that was measured."""

    subjects: Sequence[Subject]
    lanes: Sequence[Lane]
    control: Lane
    settings: Settings
    pairs: Sequence[tuple[Model, Model]]

    def all(self) -> list[Row]:
        """Every row, model by model in the order given."""
        shared = {f"version_{name}": number for name, number in versions().items()}
        return [
            cast(Row, {**self._row(subject, lane, batch), **shared})
            for _, own in groupby(self.subjects, lambda subject: id(subject.model))
            for subject, lane in self._in_order(list(own))
            for batch in lane.batches
        ]

    def _in_order(self, own: Sequence[Subject]) -> list[tuple[Subject, Lane]]:
        """One model's subjects with their lanes: onnxruntime in every precision, then the other runtimes."""
        pairs = [
            (subject, lane)
            for subject in own
            for lane in self.lanes
            if lane.key[:2] == (subject.model.deploys, subject.precision)
        ]
        return sorted(pairs, key=lambda pair: RUNTIMES.index(pair[1].runtime))

    def _row(self, subject: Subject, lane: Lane, batch: int) -> Row:
        samples = lane.latency.samples[batch]
        p50, p90, p99 = (1000 * samples.percentile(q) for q in (50, 90, 99))
        to_fp32, to_gap = self._to_fp32(lane, batch, samples), self._to_gap(subject, lane, batch, samples)
        gap = self._gap_of(subject)
        return {
            **subject.about,
            "runtime": lane.runtime,
            "provider": lane.latency.provider,
            "processor": lane.latency.processor,
            "threads": self.settings.threads,
            "batch": batch,
            "latency_p50_ms": p50,
            "latency_p90_ms": p90,
            "latency_p99_ms": p99,
            "latency_spread": samples.spread,
            "images_per_second": batch / samples.percentile(50),
            "runs": samples.calls,
            "rounds": len(samples.rounds),
            "latency_floor": self._floor(batch),
            "latency_of": lane.subject.model.where or lane.subject.model.name,
            "to_fp32": to_fp32 and to_fp32.value,
            "to_fp32_low": to_fp32 and to_fp32.low,
            "to_fp32_high": to_fp32 and to_fp32.high,
            "to_fp32_told_apart": to_fp32 and to_fp32.is_told_apart,
            "gap": gap.name if gap else None,
            "gap_run": gap.where if gap else None,
            "to_gap": to_gap and to_gap.value,
            "to_gap_low": to_gap and to_gap.low,
            "to_gap_high": to_gap and to_gap.high,
            "to_gap_told_apart": to_gap and to_gap.is_told_apart,
        }

    def _to_fp32(self, lane: Lane, batch: int, samples: Samples) -> LatencyRatio | None:
        """This lane ÷ the same net's in onnxruntime, fp32, on the first provider."""
        first = self._lane(lane.subject.model.deploys, "fp32", "onnxruntime", self.settings.providers[0])
        return self._ratio(samples, first if first is not lane else None, batch)

    def _gap_of(self, subject: Subject) -> Model | None:
        """The GAP net from which the subject's differs in the head alone."""
        return next((gap for gap, fc in self.pairs if fc is subject.model), None)

    def _to_gap(self, subject: Subject, lane: Lane, batch: int, samples: Samples) -> LatencyRatio | None:
        """This lane ÷ that of the GAP net."""
        gap = self._gap_of(subject)
        return self._ratio(samples, self._lane(gap.deploys, *lane.key[1:]) if gap else None, batch)

    def _ratio(self, samples: Samples, other: Lane | None, batch: int) -> LatencyRatio | None:
        below = other.latency.samples.get(batch) if other else None
        if below is None:
            return None
        value = ratio(samples, below)
        low, high = (value.low, value.high) if value.low > 0 else (None, None)
        return LatencyRatio(value.value, low, high, value.is_told_apart(self._floor(batch)))

    def _floor(self, batch: int) -> float:
        """How far the first net is from itself in another process: less says nothing."""
        twice = [lane.latency.samples.get(batch) for lane in (self.control, self.lanes[0])]
        return ratio(twice[0], twice[1]).distance if twice[0] and twice[1] else 0.0

    def _lane(self, *key: Any) -> Lane | None:
        return next((lane for lane in self.lanes if lane.key == key), None)
