"""What a run folder says of a run: its texts and record at the start, its results at the end."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from converters.export.onnx_file import About
from converters.host.files import encoded, write_text
from converters.layers.plugins import plugin_sums
from converters.solver.net import SolverNet
from converters.weights.formats import write_safetensors
from eval.environment import processor, versions
from eval.parity import write_onnx
from prototxt.caffe_pb2 import SolverParameter
from prototxt.errors import InputError
from prototxt.text import to_text
from zoo.ours import digest
from zoo.runs.contents import files, names, of_images, pairs_of, row_sums
from zoo.runs.first_row import keep_rows
from zoo.runs.identity import ARITHMETIC
from zoo.runs.run_folder import CAFFE_SNAPSHOTS, NET, SOLVER, RunFolder, read_record
from zoo.runs.run_json import ListRecord, RunRecord
from zoo.tasks.maps import Maps
from zoo.tasks.told import task_of, to_record, trained_on
from zoo.terminal.console import notice
from zoo.train.images.dataset import ImageSet, fingerprint
from zoo.train.images.decoding import skip_note
from zoo.train.planning.plan import Plan
from zoo.train.planning.solver_changes import NETS
from zoo.train.sources import Data
from zoo.train.trainer import DivergedError, Trainer
from zoo.variants.heads import head_of


def begin(folder: RunFolder, run: str, trainer: Trainer, data: Data) -> RunRecord:
    """Write the record and the texts of the run with that id into its folder, and drop the metrics that it
    writes anew; the record.
    """
    present: RunRecord = read_record(folder.path) or {}
    earlier: RunRecord = present if trainer.iteration else {}
    before = earlier.get("world_size", trainer.ranks.world)
    if before != trainer.ranks.world:
        notice(f"begun with {before} ranks, going on with {trainer.ranks.world}: other samples from here")
    texts = prototxts(trainer.plan)
    record = record_at_start(trainer, data) | {"id": run, "started": earlier.get("started", _now())}
    record["texts"] = {name: digest(encoded(text)) for name, text in texts.items()}
    if caffes := present.get(CAFFE_SNAPSHOTS):
        record[CAFFE_SNAPSHOTS] = caffes
    if earlier and (began := earlier.get("arithmetic", "none")) != ARITHMETIC:
        record["arithmetic"] = f"{began}, then {ARITHMETIC}"
    folder.write_record(record)  # first of all: it tells whose the other files are, half-written ones too
    for name, text in texts.items():
        write_text(folder.path / name, text)
    sums = {key: images.row_sums for key, images in data.images.items()}
    keep_rows(folder, sums | {key: row_sums(trainer.plan, key) for key in trainer.plan.pairs})
    folder.forget_from(trainer.iteration)
    return record


def prototxts(plan: Plan) -> dict[str, str]:
    """The nets and the solver as they run, by their files' names: the folder trains again by itself."""
    solver = SolverParameter()
    solver.CopyFrom(plan.solver)
    for field in NETS:
        solver.ClearField(field)
    solver.random_seed = plan.seed
    solver.weights[:] = plan.weights
    texts = {NET: to_text(plan.nets["TRAIN"].message)}
    if all(source.message == plan.nets["TRAIN"].message for source in plan.nets.values()):
        solver.net = NET
    else:
        solver.train_net = NET
        for index, key in enumerate(plan.tests):
            name = f"test_net{index or ''}.prototxt"
            solver.test_net.append(name)
            texts[name] = to_text(plan.nets[key].message)
    return texts | {SOLVER: to_text(solver)}


def record_at_start(trainer: Trainer, data: Data) -> RunRecord:
    """run.json's content at the start."""
    plan = trainer.plan
    return {
        "name": plan.name,
        "net": plan.nets["TRAIN"].message.name,
        "variant": plan.options.variant,
        "head": head_of(plan.nets["TRAIN"].message),
        "dialects": plan.dialects,
        "plugins": plugin_sums(),
        "seed": plan.seed,
        "classes": plan.classes,
        "class_names": names(plan),
        "data": {key: _image_record(images) for key, images in data.images.items()}
        | {key: pairs_of(plan, key) for key in plan.pairs}
        | {"synthetic": plan.is_synthetic},
        "numbers": _numbers(plan, data),
        "files": files(plan),
        "arithmetic": ARITHMETIC,
        "here": str(plan.here),
        "places": [str(place) for place in plan.places],
        "departures": plan.departures,
        "options": plan.record(),
        "device": processor(trainer.device.type),
        "world_size": trainer.ranks.world,
        "images_per_step": trainer.images_per_step,
        "versions": versions(),
        "iteration": trainer.iteration,
        "finished": False,
    }


def _numbers(plan: Plan, data: Data) -> dict[str, Any] | None:
    """What net and training labels say of the numbers that are to be told."""
    if "TRAIN" not in data.images:
        return None
    labels = data.images["TRAIN"].labels
    return to_record(trained_on(task_of(plan.graphs["TRAIN"]), labels.reshape(len(labels), -1).astype(float)))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _image_record(images: ImageSet) -> ListRecord:
    return {
        "list": str(images.list_path.absolute()),
        "folder": str(images.base.folder.absolute()),
        "images": len(images.labels),
        "skipped": images.skipped,
        "fingerprint": fingerprint(images),  # by which runs of versions before the sums are known
        **of_images(images),
    }


@contextmanager
def noting_divergence(trainer: Trainer, folder: RunFolder, record: RunRecord) -> Iterator[None]:
    """Where a run diverges in the block, write why into run.json: a study then does not try it again."""
    try:
        yield
    except DivergedError as error:
        if trainer.ranks.is_first:
            folder.write_record({**record, "iteration": error.iterations, "diverged": str(error)})
        raise


def finish(trainer: Trainer, folder: RunFolder, record: RunRecord, data: Data, is_whole: bool) -> None:
    """The weights, the ONNX file and the record of a run that has ended or stopped."""
    record["iteration"] = trainer.iteration
    record["skipped"] = {key: feed.skipped for key, feed in trainer.feeds.items()}
    for key, count in record["skipped"].items():  # of images it is said when they are decoded
        if key not in data.images and (note := skip_note(f"data of the {key} net", count)):
            notice(note)
    if not is_whole:
        folder.write_record(record)
        notice(f"interrupted at iteration {trainer.iteration}; snapshot written, --resume goes on")
        return
    net = trainer.net.cpu()
    metadata = {"net": trainer.plan.name, "iteration": str(trainer.iteration)}
    write_safetensors(folder.weights, net.state_dict(), metadata)
    try:
        _write_model(net, folder.model, record, trainer.plan)
    except InputError as error:  # the training stands without it
        notice(f"no {folder.model.name}: {error}")
    folder.write_record({**record, "finished": True, "ended": _now()})


def _write_model(net: SolverNet, path: Path, record: RunRecord, plan: Plan) -> None:
    """The ONNX file: of a segmentation net one for pictures of any size, where its layers allow that."""
    classes, numbers = record["class_names"], record["numbers"]
    if isinstance(task_of(plan.graphs["TEST" if plan.tests else "TRAIN"]), Maps):
        with suppress(InputError):
            write_onnx(net, path, classes, dynamic_size=True)
            return
    about: About = {"task": numbers["task"]} if numbers else {}
    write_onnx(net, path, classes, **about)
