"""How ``zoo bench`` measures: files and accuracy first, then every latency by turns, then the rows."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eval.latency import Latency, Worker, check_agreement, time_by_turns, workers
from eval.rounds import Samples, images_in_all, ratio
from prototxt.errors import InputError
from zoo.bench_files import Row, Subject, images_tested, job, subjects
from zoo.bench_pairs import find_pairs
from zoo.bench_rows import Model, decode
from zoo.console import cores, notice
from zoo.display import counting
from zoo.run_folder import versions

BATCHES = (1, 2, 4, 8, 16, 32, 64)
RUNS = 200


@dataclass(frozen=True)
class Settings:
    """What ``zoo bench`` was asked for; ``runs`` are timed calls at batch 1."""

    batches: Sequence[int] = BATCHES
    precisions: Sequence[str] = ("fp32",)
    providers: Sequence[str] = ("auto",)
    against: Sequence[str] = ()
    threads: int = field(default_factory=cores)
    runs: int = RUNS


@dataclass
class Lane:
    """One net in one runtime, timed for itself and for every model that differs from it in seed alone."""

    subject: Subject
    runtime: str
    provider: str
    batches: Sequence[int]
    latency: Latency = field(default_factory=lambda: Latency({}, "", ""))

    @property
    def key(self) -> tuple[bytes, str, str, str]:
        """What tells a lane from every other."""
        return self.subject.model.deploys, self.subject.precision, self.runtime, self.provider


class Meter:
    """A progress bar over the images that the whole job computes."""

    def __init__(self, show: Callable[[int, int], None], total: int) -> None:
        self.show, self.total, self.done = show, total, 0

    def __call__(self, images: int) -> None:
        """So many more are done."""
        self.done += images
        self.show(self.done, self.total)


def measure_models(models: Sequence[Model], settings: Settings) -> list[Row]:
    """A row for every model, precision, runtime, provider and batch size.

    Raises InputError for what cannot be opened, converted or timed; a notice tells what is left out.
    """
    if settings.against and "fp32" not in settings.precisions:
        raise InputError("--against compares fp32 files: give fp32 among --precisions")
    decode(models, ("TEST", "TRAIN") if "int8" in settings.precisions else ("TEST",))
    with tempfile.TemporaryDirectory(prefix="zoo-bench-") as folder, counting("images") as show:
        meter = Meter(show, _images_to_run(models, settings))
        held = _subjects(models, settings, Path(folder), meter)
        lanes, control = _timed(held, settings, Path(folder), meter)
    return Rows(held, lanes, control, settings, find_pairs(models)[0]).all()


def _images_to_run(models: Sequence[Model], settings: Settings) -> int:
    """How many images the job computes if nothing is left out."""
    tested = sum(map(images_tested, models)) * len(settings.precisions)
    nets = {model.deploys: model for model in models}.values()
    engines = len(settings.precisions) * len(settings.providers) + len(settings.against)
    batches = [_batches(model, settings) for model in nets for _ in range(engines)]
    return tested + images_in_all([*batches, batches[0]], settings.runs)


def _batches(model: Model, settings: Settings) -> Sequence[int]:
    """The batch sizes that a model is timed at: its own where its file has it fixed."""
    fixed = model.inputs[1]
    return (fixed,) if fixed else sorted(set(settings.batches))


def _subjects(models: Sequence[Model], settings: Settings, scratch: Path, meter: Meter) -> list[Subject]:
    found: list[Subject] = []
    for index, model in enumerate(models):
        found += subjects(model, settings.precisions, scratch / str(index), meter)
    if any(subject.about["calibration"] == "random pixels" for subject in found):
        notice(
            "int8 without training images is calibrated on random pixels: its speed counts, not its scores"
        )
    return found


def _lanes(held: Sequence[Subject], settings: Settings) -> list[Lane]:
    """What is to be timed: each distinct net once in every engine."""
    lanes: dict[object, Lane] = {}
    for subject in held:
        engines = [("onnxruntime", provider) for provider in settings.providers]
        if subject.precision == "fp32":
            engines += [(runtime, settings.providers[0]) for runtime in settings.against]
        for runtime, provider in engines:
            lane = Lane(subject, runtime, provider, _batches(subject.model, settings))
            lanes.setdefault(lane.key, lane)
    return list(lanes.values())


def _timed(
    held: Sequence[Subject], settings: Settings, scratch: Path, meter: Meter
) -> tuple[list[Lane], Lane]:
    """(every lane that could be timed, the control: the first lane's net once more in another process)."""
    lanes = _lanes(held, settings)
    _tell_fixed(lanes, settings)
    first = lanes[0]
    lanes.append(Lane(first.subject, first.runtime, first.provider, first.batches))
    jobs = [
        job(lane.subject, lane.runtime, lane.provider, settings.threads, scratch / f"caffe{index}")
        for index, lane in enumerate(lanes)
    ]
    with workers(jobs) as processes:
        kept = _checked(lanes, processes)
        batches = [lane.batches for lane, _ in kept]
        meter.total = meter.done + images_in_all(batches, settings.runs)
        found = time_by_turns([worker for _, worker in kept], batches, settings.runs, meter)
    for (lane, _), latency in zip(kept, found, strict=True):
        lane.latency = latency
    timed = [lane for lane, _ in kept]
    return timed[:-1], timed[-1]


def _tell_fixed(lanes: Sequence[Lane], settings: Settings) -> None:
    for lane in lanes:
        batch = lane.subject.model.inputs[1]
        if batch and lane.runtime == "onnxruntime" and tuple(settings.batches) != (batch,):
            notice(
                f"{lane.subject.model.name}: its file has one batch size, {batch}, and is measured at that"
            )


def _checked(lanes: Sequence[Lane], processes: Sequence[Worker]) -> list[tuple[Lane, Worker]]:
    """The lanes whose engine computes what onnxruntime does; a notice where torch.compile cannot run."""
    kept: list[tuple[Lane, Worker]] = []
    for lane, worker in zip(lanes, processes, strict=True):
        try:
            worker.open()
            if lane.runtime != "onnxruntime":
                reference = next(w for other, w in kept if other.key[:2] == lane.key[:2])
                check_agreement(worker, reference, lane.batches[0])
        except InputError as error:
            if lane.runtime != "torch-compile":
                raise
            notice(f"torch-compile left out: {error}")
        else:
            kept.append((lane, worker))
    return kept


@dataclass
class Rows:
    """Makes the rows from everything that was measured."""

    held: Sequence[Subject]
    lanes: Sequence[Lane]
    control: Lane
    settings: Settings
    pairs: Sequence[tuple[Model, Model]]

    def all(self) -> list[Row]:
        """Every row, model by model in the order given."""
        shared = {f"version_{name}": number for name, number in versions().items()}
        return [
            self._row(subject, lane, batch) | shared
            for subject in self.held
            for lane in self.lanes
            if lane.key[:2] == (subject.model.deploys, subject.precision)
            for batch in lane.batches
        ]

    def _row(self, subject: Subject, lane: Lane, batch: int) -> Row:
        samples = lane.latency.samples[batch]
        return subject.about | {
            "runtime": lane.runtime,
            "provider": lane.latency.provider,
            "processor": lane.latency.processor,
            "threads": self.settings.threads,
            "batch": batch,
            **{f"latency_p{q}_ms": 1000 * samples.percentile(q) for q in (50, 90, 99)},
            "latency_spread": samples.spread,
            "images_per_second": batch / samples.percentile(50),
            "runs": samples.calls,
            "rounds": len(samples.rounds),
            "latency_floor": self._floor(batch),
            "latency_of": lane.subject.model.where or lane.subject.model.name,
            **self._to_fp32(lane, batch, samples),
            **self._to_gap(subject, lane, batch, samples),
        }

    def _to_fp32(self, lane: Lane, batch: int, samples: Samples) -> Row:
        """This lane ÷ the same net's in onnxruntime, fp32, on the first provider."""
        first = self._lane(lane.subject.model.deploys, "fp32", "onnxruntime", self.settings.providers[0])
        return self._ratio("to_fp32", samples, first if first is not lane else None, batch)

    def _to_gap(self, subject: Subject, lane: Lane, batch: int, samples: Samples) -> Row:
        """This lane ÷ that of the GAP net from which the model differs in the head alone."""
        gap = next((gap for gap, fc in self.pairs if fc is subject.model), None)
        other = self._lane(gap.deploys, *lane.key[1:]) if gap else None
        names = {"gap": gap and gap.name, "gap_run": gap and gap.where}
        return names | self._ratio("to_gap", samples, other, batch)

    def _ratio(self, name: str, samples: Samples, other: Lane | None, batch: int) -> Row:
        below = other.latency.samples.get(batch) if other else None
        if below is None:
            return {name: None, f"{name}_low": None, f"{name}_high": None, f"{name}_told_apart": None}
        found = ratio(samples, below)
        is_bounded = found.low > 0
        return {
            name: found.value,
            f"{name}_low": found.low if is_bounded else None,
            f"{name}_high": found.high if is_bounded else None,
            f"{name}_told_apart": found.is_told_apart(self._floor(batch)),
        }

    def _floor(self, batch: int) -> float:
        """How far the first net is from itself in another process: less says nothing."""
        twice = [lane.latency.samples.get(batch) for lane in (self.control, self.lanes[0])]
        return ratio(twice[0], twice[1]).distance if twice[0] and twice[1] else 0.0

    def _lane(self, *key: Any) -> Lane | None:
        return next((lane for lane in self.lanes if lane.key == key), None)
