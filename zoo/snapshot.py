"""A trainer's state in and out of files: the run folder's own snapshots, Caffe's, and fine-tuning weights."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from converters.blobs import memory
from converters.network import Network
from converters.snapshot_names import find_weights
from converters.solver_state import read_state
from converters.state_names import todays_names
from converters.weights import load_weights, read_safetensors, write_safetensors
from prototxt.errors import InputError, about
from zoo.console import notice
from zoo.nets import seek
from zoo.trainer import DivergedError, Trainer


def save(trainer: Trainer, path: Path) -> None:
    """Write a snapshot, whole or not at all. Raises DivergedError for weights that are not finite."""
    trainer.settle()
    for name, blob in trainer.net.state_dict().items():
        if not torch.isfinite(blob).all():
            last = trainer.iteration - 1
            raise DivergedError(f'blob "{name}" is not finite after iteration {last}; try a smaller base_lr')
    state = {"iteration": trainer.iteration, "losses": list(trainer.losses)}
    write_safetensors(path, _tensors(trainer), {"zoo": json.dumps(state)})


def _tensors(trainer: Trainer) -> dict[str, Tensor]:
    """Every tensor of a trainer's state: blobs, and the solver's histories of them."""
    tensors = {f"net/{name}": blob for name, blob in trainer.net.state_dict().items()}
    for parameter in trainer.solver.parameters:
        for index, history in enumerate(parameter.history):
            tensors[f"history/{parameter.name}/{index}"] = history
    return tensors


def restore(trainer: Trainer, path: Path | None) -> None:
    """Put every rank where rank 0's snapshot stands, ours or Caffe's; only rank 0 reads the file."""
    if path is not None and trainer.ranks.is_first:
        (_restore_caffe if is_caffes(path) else _restore_own)(trainer, path)
    trainer.iteration, losses = trainer.ranks.share((trainer.iteration, list(trainer.losses)))
    trainer.losses.clear()
    trainer.losses.extend(losses)
    trainer.ranks.spread(list(_tensors(trainer).values()))


@torch.no_grad()
def _restore_own(trainer: Trainer, path: Path) -> None:
    """Go on from a snapshot. Raises InputError for one that is not whole or is of another net."""
    found, metadata = read_safetensors(path)
    mine = _tensors(trainer)
    if "zoo" not in metadata:
        raise InputError(f"{path}: is not a snapshot of a run")
    tensors = _todays(trainer.net, found)
    if {n: t.shape for n, t in mine.items()} != {n: t.shape for n, t in tensors.items()}:
        raise InputError(f"{path}: is a snapshot of another net or solver")
    for name, blob in mine.items():
        blob.copy_(tensors[name])
    state = json.loads(metadata["zoo"])
    trainer.iteration = state["iteration"]
    trainer.losses.extend(state["losses"])


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


def is_caffes(path: Path) -> bool:
    """Whether a snapshot is Caffe's own, by its name: x.solverstate or x.solverstate.h5."""
    return path.name.endswith((".solverstate", ".solverstate.h5"))


def _restore_caffe(trainer: Trainer, path: Path) -> None:
    """Go on from Caffe's .solverstate and the weights that belong to it (Solver::Restore)."""
    state = read_state(path)
    with about(path):
        weights = find_weights(state.learned_net, path)
    _load(trainer.net, weights)
    trainer.solver.load_history(state.history)
    trainer.iteration = state.iteration
    notice(f"{path}: weights from {weights}")


def fine_tune(trainer: Trainer) -> list[str]:
    """Copy the plan's weight files into every net, layer by layer of the same name
    (Net::CopyTrainedLayersFrom); lines about what was taken and what starts fresh.
    """
    paths = [_found(trainer, name) for name in trainer.plan.weights]
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


def _found(trainer: Trainer, name: str) -> Path:
    path = seek(name, trainer.plan.places)
    if path is None:
        raise InputError(f"weights {name} are in none of {', '.join(map(str, trainer.plan.places))}")
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
    given = {memory(blob) for blob in loaded}
    layers = [x.label for x in net.layer_blobs() if any(memory(blob) in given for blob in x.blobs)]
    left = f"; not in the net: {', '.join(unknown)}" if unknown else ""
    return f"{path}: weights of {', '.join(layers) or 'no layer of the net'}{left}"
