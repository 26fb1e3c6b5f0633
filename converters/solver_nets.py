"""Which nets a solver trains and tests, and in what state (Solver::InitTrainNet, InitTestNets)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prototxt.caffe_pb2 import TEST, TRAIN, NetParameter, NetState, SolverParameter
from prototxt.errors import InputError
from prototxt.text import read_net, read_text

_TRAIN_FIELDS = ("net", "net_param", "train_net", "train_net_param")


@dataclass(frozen=True)
class NetSource:
    """A net whose ``state`` is the one that its layers' rules are held against.

    ``name`` and ``text`` are the file it was read from, the solver's own for a net written out in it.
    """

    message: NetParameter
    name: str
    text: str

    @property
    def phase(self) -> str:
        """The phase of its state."""
        return "TRAIN" if self.message.state.phase == TRAIN else "TEST"


def check_nets(solver: SolverParameter) -> None:
    """Raise InputError where the solver names no train net or several, or its tests do not add up."""
    trained = [name for name in _TRAIN_FIELDS if solver.HasField(name)]
    if len(trained) != 1:
        held = ", ".join(trained) or "none"
        raise InputError(
            f"needs one train net in one of the fields {', '.join(_TRAIN_FIELDS)}; it has {held}"
        )
    tests, named = len(solver.test_iter), len(solver.test_net_param) + len(solver.test_net)
    generic = solver.HasField("net") or solver.HasField("net_param")
    if tests < named or (tests > named and not generic):
        raise InputError(f"{tests} test_iter for {named} test nets; Caffe takes one for each")
    if solver.test_state and len(solver.test_state) != tests:
        raise InputError(f"{len(solver.test_state)} test_state for {tests} test nets; give none or one each")
    if tests and solver.test_interval < 1:
        raise InputError(
            f"test_interval must be at least 1 where there is a test_iter, not {solver.test_interval}"
        )


def trained_source(solver: SolverParameter, path: Path, places: Sequence[Path]) -> NetSource:
    """The net that learns. Raises InputError where its file is missing or wrong."""
    written = next((f for f in ("net_param", "train_net_param") if solver.HasField(f)), None)
    if written:
        source = _written(getattr(solver, written), path)
    else:
        source = _read(solver.net if solver.HasField("net") else solver.train_net, path, places)
    return _in_state(source, TRAIN, solver.train_state)


def tested_sources(solver: SolverParameter, path: Path, places: Sequence[Path]) -> list[NetSource]:
    """The nets that are tested, one a test_iter: test_net_param, test_net, then the generic net."""
    found = [_written(net, path) for net in solver.test_net_param]
    found += [_read(name, path, places) for name in solver.test_net]
    for _ in range(len(solver.test_iter) - len(found)):
        is_written = solver.HasField("net_param")
        found.append(_written(solver.net_param, path) if is_written else _read(solver.net, path, places))
    states = solver.test_state or [NetState()] * len(found)
    return [_in_state(source, TEST, state) for source, state in zip(found, states, strict=True)]


def _written(net: NetParameter, path: Path) -> NetSource:
    return NetSource(net, str(path), read_text(path))


def _read(name: str, solver: Path, places: Sequence[Path]) -> NetSource:
    found = next((place / name for place in places if (place / name).is_file()), None)
    if found is None:
        where = ", ".join(str(place.absolute()) for place in places)
        raise InputError(f'{solver}: net "{name}" is in none of {where}')
    return NetSource(read_net(found), str(found), read_text(found))


def _in_state(source: NetSource, phase: int, wanted: NetState) -> NetSource:
    """The phase, over it what the net says of its state, over that what the solver says."""
    message = NetParameter()
    message.CopyFrom(source.message)
    message.state.CopyFrom(NetState(phase=phase))  # type: ignore[arg-type]
    message.state.MergeFrom(source.message.state)
    message.state.MergeFrom(wanted)
    return NetSource(message, source.name, source.text)
