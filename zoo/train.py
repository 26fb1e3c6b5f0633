"""``zoo train``: a solver's iterations, from nothing or from a snapshot, into a run folder."""

import argparse
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from converters.export import export_onnx
from converters.files import write_text
from converters.graph import Graph
from converters.network import infer_shapes
from converters.weights import write_safetensors
from eval.environment import processor
from prototxt.caffe_pb2 import SolverParameter
from prototxt.errors import InputError
from prototxt.text import to_text
from zoo.article import departures
from zoo.console import notice
from zoo.dataset import ImageSet, check_labels, class_names, fingerprint, memory_note, open_images
from zoo.display import counting
from zoo.heads import head_of
from zoo.layout import JUDGES
from zoo.loop import iterate
from zoo.plan import Options, Plan, make_plan
from zoo.run_folder import RunFolder, read_record, versions
from zoo.trainer import Trainer, keep_freed_memory, pick_device

INTERRUPTED = 130  # the shell's code for a process that SIGINT ended


def run(args: argparse.Namespace) -> int:
    """Train as the options say; the run folder's path goes to stdout."""
    device = pick_device(args.device)
    plan, path = settle(args)
    folder = RunFolder(path, plan.solver.snapshot_prefix or "snapshot")
    snapshot = find_snapshot(args.resume, folder, plan)
    if snapshot is None and is_finished(folder, plan):
        notice(f"{folder.path}: finished already, at iteration {plan.solver.max_iter}")
        print(folder.path)
        return 0
    images = open_data(plan)
    announce(plan, device)
    if device.type == "cpu":
        keep_freed_memory()
    trainer = Trainer(plan, images, device)
    record = begin(folder, plan, trainer, images, snapshot)
    is_whole = iterate(trainer, folder)
    finish(trainer, folder, record, is_whole)
    print(folder.path)
    return 0 if is_whole else INTERRUPTED


def settle(args: argparse.Namespace) -> tuple[Plan, Path]:
    """The plan and its run folder; on --resume what the command line leaves open is as the folder says.

    Raises InputError where the command line contradicts the folder.
    """
    given = {name: value for name in vars(Options()) if (value := getattr(args, name)) is not None}
    path = Path(args.output or Path("runs") / make_plan(Options(**given)).name)
    record = read_record(path) if args.resume is not None else None
    if record is None:
        return make_plan(Options(**given)), path
    saved = Options(**record["options"])
    for name in ("variant", "solver", "batch_size", "seed", "classes"):
        if name in given and given[name] != getattr(saved, name):
            option = f"--{name.replace('_', '-')}"
            raise InputError(f"{path}: was begun with {option} {getattr(saved, name)}, not {given[name]}")
    return make_plan(replace(saved, **given)), path


def find_snapshot(resume: str | None, folder: RunFolder, plan: Plan) -> Path | None:
    """The snapshot to go on from, None to start afresh (or, with --resume, where the run has ended).

    Raises InputError where an earlier run's results would be written over.
    """
    if resume is None:
        if folder.weights.is_file() or folder.snapshots():
            raise InputError(
                f"{folder.path}: holds an earlier run; --resume goes on with it, --output names another"
            )
        return None
    if resume:
        return Path(resume)
    newest, broken = folder.newest_whole()
    for path in broken:
        notice(f"{path}: is not whole, passed over")
    if newest is None:
        notice(f"{folder.path}: no snapshot to resume from, starting afresh")
    return None if is_finished(folder, plan) else newest


def is_finished(folder: RunFolder, plan: Plan) -> bool:
    """Whether the folder's run has reached max_iter."""
    record = read_record(folder.path)
    return bool(record and record.get("finished") and record["iteration"] >= plan.solver.max_iter)


def open_data(plan: Plan) -> dict[str, ImageSet]:
    """The images of every phase."""
    images = {}
    for phase, path in plan.lists.items():
        graph = plan.graph(phase)
        layer = next(node.layer for node in graph.nodes if node.is_data)
        check_labels(path, scored_classes(graph, plan.classes))
        with counting(f"decoding {path.name}") as advance:
            images[phase] = open_images(layer, path, plan.places, advance)
        if note := memory_note(images[phase]):
            notice(note)
    return images


def scored_classes(graph: Graph, otherwise: int) -> int:
    """How many classes the layers that judge by label score, at least; ``otherwise`` where none does."""
    shapes = infer_shapes(graph)
    scores = [node.inputs[0] for node in graph.nodes if node.layer.type in JUDGES]
    return min((shapes[value][1] for value in scores if len(shapes[value]) > 1), default=otherwise)


def announce(plan: Plan, device: torch.device) -> None:
    """Say what is about to run, and what in it is not the article's."""
    if plan.is_synthetic:
        notice(
            "no list files found: training on the demo data set, which is SYNTHETIC (drawn by this program)"
        )
    for line in plan.notices:
        notice(line)
    if found := departures(plan):
        notice("not as in the article: " + "; ".join(found))
    notice(f"{plan.name}: {plan.solver.max_iter} iterations, seed {plan.seed}, on {processor(device.type)}")


def begin(
    folder: RunFolder, plan: Plan, trainer: Trainer, images: dict[str, ImageSet], snapshot: Path | None
) -> dict[str, Any]:
    """Write the run folder's texts and record, or go on from ``snapshot``; the record."""
    if snapshot is not None:
        trainer.restore(snapshot)
        notice(f"going on from {snapshot}, iteration {trainer.iteration}")
    folder.path.mkdir(parents=True, exist_ok=True)
    write_prototxts(folder, plan)
    folder.forget_from(trainer.iteration)
    record = describe(plan, trainer, images)
    folder.write_record(record)
    return record


def write_prototxts(folder: RunFolder, plan: Plan) -> None:
    """The nets and the solver as they run, so that the folder trains again by itself."""
    solver = SolverParameter()
    solver.CopyFrom(plan.solver)
    for field in ("net", "net_param", "train_net", "train_net_param", "test_net", "test_net_param"):
        solver.ClearField(field)
    solver.random_seed = plan.seed
    write_text(folder.net, to_text(plan.nets["TRAIN"].message))
    if plan.nets.get("TEST", plan.nets["TRAIN"]).message == plan.nets["TRAIN"].message:
        solver.net = folder.net.name
    else:
        solver.train_net = folder.net.name
        solver.test_net.append("test_net.prototxt")
        write_text(folder.path / "test_net.prototxt", to_text(plan.nets["TEST"].message))
    write_text(folder.solver, to_text(solver))


def describe(plan: Plan, trainer: Trainer, images: dict[str, ImageSet]) -> dict[str, Any]:
    """run.json's content at the start."""
    data = {
        phase: {
            "list": str(held.list_path.absolute()),
            "images": len(held.labels),
            "fingerprint": fingerprint(held),
        }
        for phase, held in images.items()
    }
    return {
        "name": plan.name,
        "net": plan.nets["TRAIN"].message.name,
        "variant": plan.options.variant,
        "head": head_of(plan.nets["TRAIN"].message),
        "seed": plan.seed,
        "classes": plan.classes,
        "class_names": class_names(images["TRAIN"].list_path, plan.classes),
        "data": data
        | {"synthetic": plan.is_synthetic or (images["TRAIN"].list_path.parent / "demo.json").is_file()},
        "places": [str(place) for place in plan.places],
        "departures": departures(plan),
        "options": plan.record(),
        "device": processor(trainer.device.type),
        "versions": versions(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "iteration": trainer.iteration,
        "finished": False,
    }


def finish(trainer: Trainer, folder: RunFolder, record: dict[str, Any], is_whole: bool) -> None:
    """The last snapshot, the weights, the ONNX file and the record of a run that has ended or stopped."""
    record["iteration"] = trainer.iteration
    if not is_whole:
        folder.write_record(record)
        notice(f"interrupted at iteration {trainer.iteration}; snapshot written, --resume goes on")
        return
    if trainer.plan.solver.snapshot_after_train and not folder.snapshot(trainer.iteration).is_file():
        trainer.save(folder.snapshot(trainer.iteration))
    net = trainer.net.cpu()
    metadata = {"net": trainer.plan.name, "iteration": str(trainer.iteration)}
    write_safetensors(folder.weights, net.state_dict(), metadata)
    export_onnx(net, folder.model, record["class_names"])
    folder.write_record({**record, "finished": True})
