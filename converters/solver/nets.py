"""Which nets a solver trains and tests, and in what state (Solver::InitTrainNet, InitTestNets)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from converters.dialects import settled
from converters.graph import Graph, graph_of
from converters.host.places import missing, seek
from converters.solver.names import weight_names
from prototxt.caffe_pb2 import TEST, TRAIN, NetParameter, NetState, SolverParameter
from prototxt.encoding import read_text
from prototxt.errors import InputError, about
from prototxt.net_file import NetFile
from prototxt.text import to_stderr

_TRAIN_FIELDS = ("net", "net_param", "train_net", "train_net_param")


@dataclass(frozen=True)
class NetSource(NetFile):
    """A net's file, and the ``state`` that its layers' rules are held against."""

    state: NetState

    @property
    def phase(self) -> str:
        """The phase of its state."""
        return "TRAIN" if self.state.phase == TRAIN else "TEST"

    def graph(self, allow_python: bool = False) -> Graph:
        """The layers that its state keeps, wired; errors name file and line."""
        return graph_of(self, self.state, allow_python)


def check_nets(solver: SolverParameter) -> None:
    """Raise InputError where the solver names no train net or several, or its tests do not add up."""
    trained = [name for name in _TRAIN_FIELDS if solver.HasField(name)]
    if len(trained) != 1:
        problem = f"it has {', '.join(trained)}" if trained else "it names no net: it has none"
        raise InputError(f"needs one train net in one of the fields {', '.join(_TRAIN_FIELDS)}; {problem}")
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


def solver_nets(
    solver: SolverParameter,
    path: Path,
    places: Sequence[Path],
    dialect: str | None = None,
    recorded: Mapping[str, str] | None = None,
) -> list[NetSource]:
    """The net that learns, then those that are tested, one a test_iter: test_net_param, test_net, then the
    generic net. ``dialect`` names the forks whose rules are meant, ``recorded`` those of a run that
    goes on (:func:`converters.dialects.settled`).

    Raises InputError where :func:`check_nets` does, and for a net's file that is missing or wrong.
    """
    with about(path):
        check_nets(solver)
    # Those that are there; whoever loads them says which are not.
    weights = [file for name in weight_names(solver.weights) if (file := seek(name, places))]
    notices: list[str] = []  # of a net that is written out here the same each time that it is taken
    settle = partial(settled, asked=dialect, weights=weights, warn=notices.append, recorded=recorded)
    read = cache(lambda name: settle(_read(name, path, places)))
    written = cache(lambda: read_text(path))

    def file_of(net: NetParameter | str) -> NetFile:
        return read(net) if isinstance(net, str) else settle(NetFile(net, str(path), written()))

    files = [file_of(net) for net in _named(solver)]
    wanted = [solver.train_state, *(solver.test_state or [NetState()] * len(solver.test_iter))]
    for line in dict.fromkeys(notices):
        to_stderr(line)
    return [
        NetSource(
            file.message,
            file.name,
            file.text,
            merged_state(TEST if index else TRAIN, file.message.state, wanted[index]),
        )
        for index, file in enumerate(files)
    ]


def _named(solver: SolverParameter) -> list[NetParameter | str]:
    """The net that learns, then a test net for every test_iter: those of their own, then the generic one."""
    nets = [_first_set(solver, _TRAIN_FIELDS), *solver.test_net_param, *solver.test_net]
    generic = range(1 + len(solver.test_iter) - len(nets))
    return nets + [_first_set(solver, ("net", "net_param")) for _ in generic]


def _first_set(solver: SolverParameter, fields: Sequence[str]) -> NetParameter | str:
    """What the first of ``fields`` that is set says: a net, or the name of its file."""
    return next(getattr(solver, field) for field in fields if solver.HasField(field))  # type: ignore[no-any-return]


def _read(name: str, solver: Path, places: Sequence[Path]) -> NetFile:
    path = seek(name, places)
    if path is None:
        raise missing(f"{solver}: net", name, places)
    return NetFile.read(path)


def merged_state(phase: int, own: NetState, wanted: NetState) -> NetState:
    """The state of a net: the phase, over it what the net's text says, over that what the solver says."""
    state = NetState(phase=phase)  # type: ignore[arg-type]
    state.MergeFrom(own)
    state.MergeFrom(wanted)
    return state
