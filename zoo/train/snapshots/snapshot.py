"""A trainer's state in and out of files: the run folder's own snapshots, Caffe's, and fine-tuning weights."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from converters.blobs import memory
from converters.host.places import missing, seek
from converters.network import Network
from converters.solver.state import read_state
from converters.solver.update.rates import steps_taken
from converters.state_names import todays_names
from converters.weights.formats import (
    begins_as_safetensors,
    load_weights,
    read_metadata,
    read_safetensors,
    weights_format,
    write_safetensors,
)
from prototxt.caffe_pb2 import SolverParameter
from prototxt.errors import InputError
from zoo.runs.run_folder import RunFolder
from zoo.runs.run_json import RunRecord
from zoo.terminal.console import notice
from zoo.train.snapshots import caffe_snapshots
from zoo.train.trainer import DivergedError, Trainer


def save(trainer: Trainer, folder: RunFolder, record: RunRecord) -> Path:
    """Write a snapshot, whole or not at all, and before it Caffe's two files where the solver sets
    snapshot_format: its path. ``record`` is the run's, which says that those are the run's own.

    Raises DivergedError for weights that are not finite, and InputError where a label out of range has
    taught them.
    """
    solver = trainer.solver
    solver.settle()
    for name, blob in trainer.net.state_dict().items():
        if not torch.isfinite(blob).all():
            raise DivergedError(f'blob "{name}" is not finite after iteration {solver.iter - 1}', solver.iter)
    if solver.message.HasField("snapshot_format"):
        caffe_snapshots.write_beside(folder, record, solver)
    state = {
        "iteration": solver.iter,
        "losses": list(solver.losses),
        "current_step": solver.update_rule.current_step,
        "run": record["id"],
    }
    path = folder.snapshot(solver.iter)
    write_safetensors(path, _tensors(trainer), {"zoo": json.dumps(state)})
    return path


def _tensors(trainer: Trainer) -> dict[str, Tensor]:
    """Every tensor of a trainer's state: blobs, and the solver's histories of them."""
    tensors = {f"net/{name}": blob for name, blob in trainer.net.state_dict().items()}
    for parameter in trainer.solver.update_rule.parameters:
        for index, history in enumerate(parameter.history):
            tensors[f"history/{parameter.name}/{index}"] = history
    return tensors


def restore(trainer: Trainer, path: Path | None) -> None:
    """Put every rank where rank 0's snapshot stands, ours or Caffe's; only rank 0 reads the file."""
    if path is not None and trainer.ranks.is_first:
        (_restore_caffe if contents(path) == "state" else _restore_own)(trainer, path)
    solver = trainer.solver
    iteration, step, losses = trainer.ranks.share(
        (solver.iter, solver.update_rule.current_step, list(solver.losses))
    )
    solver.go_to(iteration, step)
    solver.losses.clear()
    solver.losses.extend(losses)
    trainer.ranks.spread(list(_tensors(trainer).values()))


@torch.no_grad()
def _restore_own(trainer: Trainer, path: Path) -> None:
    """Go on from a snapshot. Raises InputError for one that is not whole or is of another net."""
    stored, metadata = read_safetensors(path)
    state, mine, tensors = _state(path, metadata), _tensors(trainer), _todays(trainer.net, stored)
    if {n: t.shape for n, t in mine.items()} != {n: t.shape for n, t in tensors.items()}:
        raise InputError(f"{path}: is a snapshot of another net or solver")
    for name, blob in mine.items():
        blob.copy_(tensors[name])
    trainer.solver.losses.extend(state["losses"])
    step = state.get("current_step", _steps_before(trainer.plan.solver, state["iteration"]))
    trainer.solver.go_to(state["iteration"], step)


def _state(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    """What a snapshot says beside its tensors, as :func:`save` wrote it. Raises InputError."""
    try:
        state = json.loads(metadata["zoo"])
        return {**state, "iteration": int(state["iteration"]), "losses": list(map(float, state["losses"]))}
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{path}: is not a snapshot of a run") from None


def _todays(net: Network, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A snapshot's tensors by today's names of their blobs: net/<blob> and history/<blob>/<number>."""
    split = {name: _split(name) for name in tensors}
    names = todays_names(net, [blob for kind, blob, _ in split.values() if kind == "net"])
    return {
        f"{kind}/{names.get(blob, blob)}{rest}": tensors[name] for name, (kind, blob, rest) in split.items()
    }


def _split(name: str) -> tuple[str, str, str]:
    kind, _, blob = name.partition("/")
    if kind != "history":
        return kind, blob, ""
    blob, _, number = blob.rpartition("/")
    return kind, blob, f"/{number}"


def _steps_before(solver: SolverParameter, iteration: int) -> int:
    """The rate's steps before the coming iteration, which snapshots of version 0.1 do not name."""
    return steps_taken(solver, iteration - 1) if iteration else 0


def contents(path: Path) -> str:
    """What a file holds, whatever its name: "state" (a .solverstate of Caffe's), "snapshot" (of a run) or
    "weights". Raises InputError for a file that cannot be read or is clearly something else.
    """
    if _begins_as_state(path):
        return "state"
    kind = weights_format(path)
    if kind == "hdf5":
        return "state" if _is_hdf5_state(path) else "weights"
    return "snapshot" if kind == "safetensors" and "zoo" in read_metadata(path) else "weights"


def _begins_as_state(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head, size = file.read(9), file.seek(0, 2)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    # SolverState.iter; the length of a .safetensors' header may begin so too
    return head[:1] == b"\x08" and not begins_as_safetensors(head, size)


def _is_hdf5_state(path: Path) -> bool:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return "iter" in file
    except OSError:  # not whole, which its reader says
        return path.name.endswith(".solverstate.h5")


def check_resumable(path: Path) -> None:
    """Raise InputError for a file that --resume cannot go on from."""
    if contents(path) == "weights":
        raise InputError(
            f"{path}: these are weights: give --resume the .solverstate that belongs to them or a run's "
            "snapshot, or begin from them with --weights"
        )


def _check_weights(path: Path) -> None:
    kind = contents(path)
    if kind == "state" and path.suffix != ".binaryproto":
        raise InputError(
            f"{path}: is a solver's state and holds no weights: give it to --resume, or its .caffemodel to "
            "--weights"
        )
    if kind == "snapshot":
        raise InputError(
            f"{path}: is a run's snapshot: give it to --resume, or the run's weights.safetensors to --weights"
        )


def _restore_caffe(trainer: Trainer, path: Path) -> None:
    """Go on from Caffe's .solverstate and the weights that belong to it."""
    if weights := trainer.solver.restore(path):
        notice(f"{path}: weights from {weights}")


def iteration_of(path: Path) -> int:
    """The updates made before a snapshot of ours or Caffe's. Raises InputError for a file that is none."""
    if contents(path) == "state":
        return read_state(path).iteration
    return int(_state(path, read_metadata(path))["iteration"])


def fine_tune(trainer: Trainer) -> list[str]:
    """Copy the plan's weight files into every net, layer by layer of the same name
    (Net::CopyTrainedLayersFrom); lines about what was taken and what starts fresh.
    """
    paths = [_weights_file(trainer, name) for name in trainer.plan.weights]
    lines: list[str] = []
    for key, net in trainer.nets.items():
        loaded: set[int] = set()
        said: list[str] = []
        for path in paths:
            taken, unknown = _load(net, path)
            loaded |= {memory(blob) for blob in taken}
            said.append(_taken(path, net, taken, unknown))
        if key == "TRAIN" and paths:
            fresh = [x.label for x in net.layer_blobs() if any(memory(b) not in loaded for b in x.blobs)]
            lines = [*said, f"starting fresh: {', '.join(fresh) or 'no layer'}"]
    return lines


def _weights_file(trainer: Trainer, name: str) -> Path:
    path = seek(name, trainer.plan.places)
    if path is None:
        raise missing("the weights file", name, trainer.plan.places)
    _check_weights(path)
    return path


def _load(net: Network, path: Path) -> tuple[list[Tensor], list[str]]:
    """(blobs that the file gave, its layers that the net lacks)."""
    try:
        report, loaded = load_weights(net, path)
    except InputError as error:
        hint = (
            "; a layer that is to start fresh needs a name of its own" if " has shape " in str(error) else ""
        )
        raise InputError(f"{error}{hint}", error.layer) from None
    return loaded, report.unknown


def _taken(path: Path, net: Network, loaded: Sequence[Tensor], unknown: Sequence[str]) -> str:
    memories = {memory(blob) for blob in loaded}
    layers = [x.label for x in net.layer_blobs() if any(memory(blob) in memories for blob in x.blobs)]
    left = f"; not in the net: {', '.join(unknown)}" if unknown else ""
    return f"{path}: weights of {', '.join(layers) or 'no layer of the net'}{left}"
