"""The files that ``zoo bench`` measures: a net in each precision, and as Caffe's for other runtimes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from torch import Tensor

from converters.export.onnx_file import deploy_message
from converters.host.files import write_text
from converters.network import Network
from eval.cost import parameters, total_macs
from eval.precision import to_fp16, to_int8
from eval.runtime import open_session
from eval.speed.engines import TimingJob
from eval.speed.rounds import CountImages
from prototxt.errors import InputError
from prototxt.text import to_text
from zoo.bench.calibration import calibrated_on, calibration
from zoo.bench.images import NoFigureError, OtherDataError, in_batches, judged_images
from zoo.bench.label_maps import judged_pairs
from zoo.bench.models import Model, deployed
from zoo.bench.row import AccuracyColumns, FileColumns, ModelColumns
from zoo.tasks.classes import Classes
from zoo.tasks.maps import Maps
from zoo.terminal.console import notice
from zoo.variants.heads import head_of

CALIBRATION = 128  # images
_UNMEASURED: dict[str, object] = {
    "top1": None,
    "top1_low": None,
    "top1_high": None,
    "top5": None,
    "images": None,
    "failed": None,
    "unjudged": None,
    "content": None,
}


@dataclass(frozen=True)
class Subject:
    """A model in one precision: its file, and the columns that do not depend on what it is timed on."""

    model: Model
    precision: str
    path: Path
    about: FileColumns


def subjects(model: Model, precisions: Sequence[str], scratch: Path, advance: CountImages) -> list[Subject]:
    """The model in every precision that it can be had in, with its accuracy; a notice about each other.

    Where the accuracy of the fp32 file cannot be measured, its row says why under ``failed``, and no other
    precision is tried. Raises InputError for a model that cannot be opened.
    """
    about = model_columns(model)
    made: list[Subject] = []
    for precision in precisions:
        try:
            if made and (why := made[0].about["failed"]):
                raise InputError(why)
            path, calibrated = converted(model, precision, scratch)
            shares = _accuracy(model, precision, path, advance)
        except InputError as error:
            notice(f"{model.where or model.name}: {precision} left out: {error}")
            continue
        row: FileColumns = {
            **about,
            **shares,
            "precision": precision,
            "model_bytes": path.stat().st_size,
            "calibration": calibrated,
        }
        made.append(Subject(model, precision, path, row))
    return made


def _accuracy(model: Model, precision: str, path: Path, advance: CountImages) -> AccuracyColumns:
    try:
        return measure_accuracy(model, path, advance)
    except (OtherDataError, NoFigureError) as error:
        notice(f"{model.where or model.name}: no accuracy: {error}")
        return unmeasured(model, unjudged=str(error))
    except InputError as error:
        if precision != "fp32":
            raise
        notice(f"{model.where or model.name}: no accuracy: {error}")
        return unmeasured(model, failed=str(error))


def unmeasured(model: Model, failed: str | None = None, unjudged: str | None = None) -> AccuracyColumns:
    """The columns of a model without a figure, with the reason."""
    about: dict[str, object] = {"task": model.task.name, "failed": failed, "unjudged": unjudged}
    if isinstance(model.task, Maps):
        names = model.given.class_names if model.given else (model.record or {}).get("class_names")
        about["class_names"] = list(names or ())
    return cast(AccuracyColumns, {**_UNMEASURED, **about})


def model_columns(model: Model) -> ModelColumns:
    """What a row says of a model in any precision."""
    net = deployed(model)
    macs, unknown = total_macs(net)
    record = model.record or {}
    return {
        "name": model.name,
        "run": model.where,
        "variant": record.get("variant", model.name),
        "head": record.get("head") or head_of(model.net),
        "seed": record.get("seed"),
        "list": model.other_list,
        "synthetic": record.get("data", {}).get("synthetic"),
        "parameters": parameters(net),
        "macs": macs,
        "macs_unknown": unknown,
        "onnx_bytes": model.path.stat().st_size,
    }


def converted(model: Model, precision: str, scratch: Path) -> tuple[Path, str | None]:
    """(the model's file in a precision, what int8 was calibrated on)."""
    if precision == "fp32":
        return model.path, None
    scratch.mkdir(parents=True, exist_ok=True)
    target = scratch / f"{precision}.onnx"
    if precision == "fp16":
        to_fp16(model.path, target)
        return target, None
    to_int8(model.path, target, calibration(model, CALIBRATION))
    return target, calibrated_on(model)


def images_tested(model: Model) -> int:
    """How many images :func:`measure_accuracy` will run; 0 where it cannot judge by their labels, too."""
    if model.given is not None:
        return model.given.pictures.count if model.given.pictures else 0
    listed = model.list_of("TEST")
    has_several = model.record and model.record.get("options", {}).get("label_size")
    is_judged = not (has_several and isinstance(model.task, Classes))
    is_judged &= isinstance(model.task, Maps) or not model.reads_pairs  # label maps of probabilities
    return int(listed["images"]) if listed and is_judged else 0


def _ignore(images: int) -> None:
    """No progress is shown."""


def measure_accuracy(
    model: Model, path: Path | None = None, advance: CountImages = _ignore
) -> AccuracyColumns:
    """The figures of the model's task, with their 95% intervals, over the whole validation list of the run,
    or over what a net that was named is judged by.

    ``path`` is the model's file in another precision; it runs in onnxruntime on the CPU.
    """
    if not images_tested(model):
        return unmeasured(model, unjudged=model.given.unjudged if model.given else None)
    batches, content = judged(model)
    session, softmax = open_session(path or model.path), model.given is not None and model.given.softmax
    figures = model.task.measure(session, _counted(batches, advance), softmax)
    return cast(AccuracyColumns, {**unmeasured(model), **figures, "content": content})


def judged(model: Model) -> tuple[Iterator[tuple[Tensor, Tensor]], str | None]:
    """The labelled images in batches, and their content's sum, where it is known."""
    if model.given is not None and model.given.pictures is not None:
        return model.given.pictures.batches(), model.given.pictures.content
    if isinstance(model.task, Maps):
        pairs = judged_pairs(model)
        return pairs.batches(), pairs.content
    listed = judged_images(model)
    return in_batches(listed), listed.content


def _counted(
    batches: Iterator[tuple[Tensor, Tensor]], advance: CountImages
) -> Iterator[tuple[Tensor, Tensor]]:
    for data, labels in batches:
        yield data, labels
        advance(len(labels))


def job(subject: Subject, runtime: str, provider: str, threads: int, scratch: Path) -> TimingJob:
    """What a worker is to time; the net's files for other runtimes are in ``scratch``, written once."""
    inputs = subject.model.inputs[0]
    if runtime == "onnxruntime":
        return TimingJob(runtime, provider, threads, str(subject.path), inputs)
    prototxt, caffemodel = scratch / "deploy.prototxt", scratch / "deploy.caffemodel"
    net = deployed(subject.model)
    if not caffemodel.is_file():
        write_caffe(net, prototxt, caffemodel)
    last = tuple(value.layer for value in net.graph.outputs)
    return TimingJob(
        runtime, provider, threads, str(subject.path), inputs, str(prototxt), str(caffemodel), last
    )


def write_caffe(net: Network, prototxt: Path, caffemodel: Path) -> None:
    """A deploy net as the two files that a Caffe runtime reads."""
    write_text(prototxt, to_text(deploy_message(net)))
    net.save_caffemodel(caffemodel)
