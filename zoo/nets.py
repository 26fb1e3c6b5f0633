"""The nets that a solver names, one a key: TRAIN, TEST, TEST1, … (Solver::InitTrainNet, InitTestNets)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from converters.graph import Graph, build_graph
from converters.load import located
from prototxt.caffe_pb2 import TEST, TRAIN, NetParameter, NetState, SolverParameter
from prototxt.errors import InputError
from prototxt.text import read_net, read_text
from zoo.sizing import resize_input
from zoo.variants import apply_variant

_BATCHED = {
    "ImageData": "image_data_param",
    "Data": "data_param",
    "HDF5Data": "hdf5_data_param",
    "MemoryData": "memory_data_param",
    "WindowData": "window_data_param",
}


@dataclass(frozen=True)
class NetSource:
    """A net and the file it was read from."""

    message: NetParameter
    path: Path


def test_key(index: int) -> str:
    """The key of a solver's test net: TEST, TEST1, TEST2, …"""
    return f"TEST{index or ''}"


def phase_of(key: str) -> str:
    """TRAIN or TEST."""
    return "TRAIN" if key == "TRAIN" else "TEST"


def read_nets(solver: SolverParameter, path: Path, places: Sequence[Path]) -> dict[str, NetSource]:
    """The train net, and the test nets where the solver tests."""
    train = _first(solver, path, places, "train_net_param", "train_net", "net_param", "net")
    if train is None:
        raise InputError(f"{path}: names no net (net, net_param, train_net or train_net_param)")
    tests = _test_nets(solver, path, places) if solver.test_interval and solver.test_iter else []
    return {"TRAIN": train} | {test_key(index): net for index, net in enumerate(tests)}


def _test_nets(solver: SolverParameter, path: Path, places: Sequence[Path]) -> list[NetSource]:
    """Caffe's order: test_net_param, test_net, and net or net_param for each test_iter that is left."""
    found = [NetSource(held, path) for held in solver.test_net_param]
    found += [_read(name, path, places) for name in solver.test_net]
    generic = _first(solver, path, places, "net_param", "net")
    left = len(solver.test_iter) - len(found)
    if left < 0 or (left and generic is None):
        what = "test_iter is given, and no test net" if not found else f"{len(found)} test nets"
        raise InputError(f"{path}: {what}, {len(solver.test_iter)} test_iter: each test net takes one")
    if generic is not None:
        found += [generic] * left
    if solver.test_state and len(solver.test_state) != len(found):
        raise InputError(f"{path}: {len(solver.test_state)} test_state for {len(found)} test nets")
    return found


def _first(solver: SolverParameter, path: Path, places: Sequence[Path], *fields: str) -> NetSource | None:
    """The net of the first field that is set, itself or by its file's name."""
    for field in fields:
        held = getattr(solver, field)
        if isinstance(held, NetParameter):
            if held.ListFields():
                return NetSource(held, path)
        elif held:
            return _read(held, path, places)
    return None


def _read(name: str, solver: Path, places: Sequence[Path]) -> NetSource:
    found = seek(name, places)
    if found is None:
        raise InputError(f'{solver}: net "{name}" is in none of {", ".join(map(str, places))}')
    return NetSource(read_net(found), found)


def seek(name: str, places: Sequence[Path]) -> Path | None:
    """The first of ``places`` that holds the file ``name``, joined with it."""
    return next((place / name for place in places if (place / name).is_file()), None)


def edited(source: NetSource, variant: str, batch_size: int | None, size: int | None) -> NetSource:
    """The net with its variant, batch size and input size."""
    with located(str(source.path), read_text(source.path)):
        message = apply_variant(source.message, variant)
        if size is not None:
            resize_input(message, size)
    for layer in message.layer:
        if layer.type in _BATCHED and batch_size is not None:
            getattr(layer, _BATCHED[layer.type]).batch_size = batch_size
    return replace(source, message=message)


def phase_graph(solver: SolverParameter, source: NetSource, key: str) -> Graph:
    """The net of ``key``, rules judged by the net's state and the solver's train_state or test_state."""
    state = NetState()
    state.MergeFrom(source.message.state)
    if key == "TRAIN":
        state.MergeFrom(solver.train_state)
    elif solver.test_state:
        state.MergeFrom(solver.test_state[int(key.removeprefix("TEST") or 0)])
    state.phase = TRAIN if key == "TRAIN" else TEST
    with located(str(source.path), read_text(source.path)):
        return build_graph(source.message, state)
