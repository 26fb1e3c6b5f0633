"""What ``zoo bench`` times: each distinct net once in every engine, all of them by turns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from converters.host.machine import cores
from eval.speed.latency import Latency, Worker, check_agreement, time_by_turns, workers
from eval.speed.rounds import images_in_all
from prototxt.errors import InputError
from zoo.bench.files import Subject, job
from zoo.bench.models import Model
from zoo.cli.choices import AUTO, BATCH_SIZES, CALLS, PRECISIONS
from zoo.terminal.console import notice


@dataclass(frozen=True)
class Settings:
    """What ``zoo bench`` was asked for; ``runs`` are timed calls at batch 1."""

    batches: Sequence[int] = BATCH_SIZES
    precisions: Sequence[str] = PRECISIONS[:1]
    providers: Sequence[str] = (AUTO,)
    against: Sequence[str] = ()
    threads: int = field(default_factory=cores)
    runs: int = CALLS


@dataclass
class Lane:
    """One net in one runtime, timed for itself and for every model that differs from it in seed alone."""

    subject: Subject
    runtime: str
    provider: str
    batches: Sequence[int]
    latency: Latency = field(default_factory=lambda: Latency({}, "", ""))

    @property
    def key(self) -> tuple[object, str, str, str]:
        """What tells a lane from every other."""
        return self.subject.model.deploys, self.subject.precision, self.runtime, self.provider


class ImageCounter:
    """A progress bar over the images that the whole job computes."""

    def __init__(self, show: Callable[[int, int], None], total: int) -> None:
        self.show, self.total, self.done = show, total, 0

    def __call__(self, images: int) -> None:
        """So many more are done."""
        self.done += images
        self.show(self.done, self.total)


def batches_of(model: Model, settings: Settings) -> Sequence[int]:
    """The batch sizes that a model is timed at: its own where its file has it fixed."""
    fixed = model.inputs[1]
    return (fixed,) if fixed else sorted(set(settings.batches))


def _lanes(subjects: Sequence[Subject], settings: Settings) -> list[Lane]:
    """What is to be timed: each distinct net once in every engine."""
    lanes: dict[object, Lane] = {}
    # A net whose scores say nothing is timed, and is no measure for another engine's.
    for subject in sorted(subjects, key=lambda subject: subject.about["failed"] is not None):
        engines = [("onnxruntime", provider) for provider in settings.providers]
        if subject.precision == "fp32" and subject.about["failed"] is None:
            engines += [(runtime, settings.providers[0]) for runtime in settings.against]
        for runtime, provider in engines:
            lane = Lane(subject, runtime, provider, batches_of(subject.model, settings))
            lanes.setdefault(lane.key, lane)
    return list(lanes.values())


def timed(
    subjects: Sequence[Subject], settings: Settings, scratch: Path, meter: ImageCounter
) -> tuple[list[Lane], Lane]:
    """(every lane that could be timed, the control: the first lane's net once more in another process)."""
    lanes = _lanes(subjects, settings)
    _tell_fixed(lanes, settings)
    first = lanes[0]
    lanes.append(Lane(first.subject, first.runtime, first.provider, first.batches))
    nets = list(dict.fromkeys(lane.subject.model.deploys for lane in lanes))
    folders = [scratch / f"caffe{nets.index(lane.subject.model.deploys)}" for lane in lanes]
    jobs = [
        job(lane.subject, lane.runtime, lane.provider, settings.threads, folder)
        for lane, folder in zip(lanes, folders, strict=True)
    ]
    with workers(jobs) as processes:
        opened = _checked(lanes, processes)
        batches = [lane.batches for lane, _ in opened]
        meter.total = meter.done + images_in_all(batches, settings.runs)
        latencies = time_by_turns([worker for _, worker in opened], batches, settings.runs, meter)
    for (lane, _), latency in zip(opened, latencies, strict=True):
        lane.latency = latency
    *measured, control = (lane for lane, _ in opened)
    return measured, control


def _tell_fixed(lanes: Sequence[Lane], settings: Settings) -> None:
    fixed = {lane.subject.model.name: lane.subject.model.inputs[1] for lane in lanes}
    for name, batch in fixed.items():
        if batch and tuple(settings.batches) != (batch,):
            notice(f"{name}: its file has one batch size, {batch}, and is measured at that")


def _checked(lanes: Sequence[Lane], processes: Sequence[Worker]) -> list[tuple[Lane, Worker]]:
    """The lanes whose engine computes what onnxruntime does; a notice where torch.compile cannot run, and
    where another engine cannot have a net that was named, or computes it otherwise.
    """
    opened: list[tuple[Lane, Worker]] = []
    for lane, worker in zip(lanes, processes, strict=True):
        try:
            worker.open()
            if lane.runtime != "onnxruntime":
                reference = next(w for other, w in opened if other.key[:2] == lane.key[:2])
                check_agreement(worker, reference, lane.batches[0])
        except InputError as error:
            is_given = lane.subject.model.given is not None and lane.runtime != "onnxruntime"
            if not is_given and lane.runtime != "torch-compile":
                raise
            notice(f"{lane.runtime} left out{f' of {lane.subject.model.name}' if is_given else ''}: {error}")
        else:
            opened.append((lane, worker))
    return opened
