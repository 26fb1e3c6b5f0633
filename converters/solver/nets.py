"""Which nets a solver trains and tests, and in what state (Solver::InitTrainNet, InitTestNets)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from converters.graph import Graph, build_graph
from converters.host.places import missing, seek
from prototxt.caffe_pb2 import TEST, TRAIN, NetParameter, NetState, SolverParameter
from prototxt.errors import InputError
from prototxt.text import located, read_net, read_text

_TRAIN_FIELDS = ("net", "net_param", "train_net", "train_net_param")


@dataclass(frozen=True)
class NetSource:
    """A net as its text says it, and the ``state`` that its layers' rules are held against.

    ``name`` and ``text`` are the file it was read from, the solver's own for a net written out in it.
    """

    message: NetParameter
    name: str
    text: str
    state: NetState

    @property
    def path(self) -> Path:
        """The file it was read from."""
        return Path(self.name)

    @property
    def phase(self) -> str:
        """The phase of its state."""
        return "TRAIN" if self.state.phase == TRAIN else "TEST"

    def graph(self, allow_python: bool = False) -> Graph:
        """The layers that its state keeps, wired; errors name file and line."""
        with located(self.name, self.text):
            return build_graph(self.message, self.state, allow_python)


def check_nets(solver: SolverParameter) -> None:
    """Raise InputError where the solver names no train net or several, or its tests do not add up."""
    trained = [name for name in _TRAIN_FIELDS if solver.HasField(name)]
    if len(trained) != 1:
        held = f"it has {', '.join(trained)}" if trained else "it names no net: it has none"
        raise InputError(f"needs one train net in one of the fields {', '.join(_TRAIN_FIELDS)}; {held}")
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


def solver_nets(solver: SolverParameter, path: Path, places: Sequence[Path]) -> list[NetSource]:
    """The net that learns, then those that are tested, one a test_iter: test_net_param, test_net, then the
    generic net.

    Raises InputError where :func:`check_nets` does, and for a net's file that is missing or wrong.
    """
    check_nets(solver)
    read = cache(lambda name: _read(name, path, places))
    nets = [_written_or_read(solver, path, read, _TRAIN_FIELDS)]
    nets += [_written(net, path) for net in solver.test_net_param]
    nets += [read(name) for name in solver.test_net]
    nets += [
        _written_or_read(solver, path, read, ("net", "net_param"))
        for _ in range(1 + len(solver.test_iter) - len(nets))
    ]
    wanted = [solver.train_state, *(solver.test_state or [NetState()] * len(solver.test_iter))]
    return [
        NetSource(net, name, text, merged_state(TEST if index else TRAIN, net.state, wanted[index]))
        for index, (net, name, text) in enumerate(nets)
    ]


_File = tuple[NetParameter, str, str]  # a net, its file's name, its file's text


def _written_or_read(
    solver: SolverParameter, path: Path, read: Callable[[str], _File], fields: Sequence[str]
) -> _File:
    """The net of the one field that is set."""
    held = next(getattr(solver, field) for field in fields if solver.HasField(field))
    return _written(held, path) if isinstance(held, NetParameter) else read(held)


def _written(net: NetParameter, path: Path) -> _File:
    return net, str(path), read_text(path)


def _read(name: str, solver: Path, places: Sequence[Path]) -> _File:
    found = seek(name, places)
    if found is None:
        raise missing(f"{solver}: net", name, places)
    return read_net(found), str(found), read_text(found)


def merged_state(phase: int, own: NetState, wanted: NetState) -> NetState:
    """The state of a net: the phase, over it what the net's text says, over that what the solver says."""
    state = NetState(phase=phase)  # type: ignore[arg-type]
    state.MergeFrom(own)
    state.MergeFrom(wanted)
    return state
