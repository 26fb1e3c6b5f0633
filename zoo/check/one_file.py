"""One file of ``zoo check``: read, built and run, as far as it goes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch

from converters.dialects import settled
from converters.graph import Graph, graph_of
from converters.load import build
from converters.net_state import net_state
from converters.trained import is_trained, read_trained
from eval.probe import draw_weights, random_inputs, tensors
from prototxt.caffe_pb2 import TRAIN, NetState, SolverParameter
from prototxt.encoding import read_text
from prototxt.errors import InputError
from prototxt.net_file import NetFile
from prototxt.text import is_solver, parse_solver
from prototxt.upgrade import quiet
from zoo.check.inputs import known_shapes, small
from zoo.check.row import CheckJob, Row
from zoo.check.states import states_of

Tell = Callable[[Row], None]
_SOLVER = "a solver, which names its net; its text is read"


@dataclass(frozen=True)
class Stage:
    """A net in one of its states, and a word for it where it has several."""

    file: NetFile
    state: NetState
    word: str

    @property
    def phase(self) -> str:
        """TRAIN or TEST."""
        return "TRAIN" if self.state.phase == TRAIN else "TEST"

    @contextmanager
    def said(self) -> Iterator[None]:
        """Say of an InputError in which state it is."""
        try:
            yield
        except InputError as error:
            raise error.reworded(f"{self.word}{error}") from None


def check_file(job: CheckJob, tell: Tell) -> None:
    """Tell how far the file has come, after every step, so that the last word stands where the next step
    never ends.
    """
    row = Row(job.name)
    try:
        for row in _steps(job):
            tell(row)
    except InputError as error:
        tell(replace(row, reason=_short(job, error.with_layer())))
    except Exception as error:  # ours to mend, and no reason for the other files to go unchecked
        tell(replace(row, reason=_unexpected(job, error)))


def _unexpected(job: CheckJob, error: Exception) -> str:
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        return job.too_large
    return f"an error of ours: {type(error).__name__}: {' '.join(str(error).split())[:300]}"


def _short(job: CheckJob, reason: str) -> str:
    """The reason in one line, without the path that stands in the row already."""
    line = " ".join(reason.split()).replace(f"{job.path}: ", "").replace(f"{job.path}:", "line ")
    return line.replace(str(job.path), job.name)


def _steps(job: CheckJob) -> Iterator[Row]:
    if is_trained(job.path):
        yield from _of_net(job, Row(job.name, "net"), _trained(job))
        return
    text = read_text(job.path)
    row = Row(job.name, "solver" if is_solver(text, str(job.path)) else "net")
    yield row
    stages = _read(job, text, row.kind == "solver")
    if not stages:
        yield replace(row, parsed=True, reason=_SOLVER)
        return
    yield from _of_net(job, replace(row, kind="solver with net" if row.kind == "solver" else "net"), stages)


def _of_net(job: CheckJob, row: Row, stages: Sequence[Stage]) -> Iterator[Row]:
    row = replace(row, phases=list(dict.fromkeys(stage.phase for stage in stages)), parsed=True)
    yield row
    shaped = [(stage, *_built(stage, job)) for stage in stages]
    row = replace(row, built=True)
    yield row
    for stage, graph, shapes in shaped:
        with stage.said():
            _run(*small(graph, stage.phase, shapes, job.shapes), stage.phase)
    yield replace(row, ran=True)


def _trained(job: CheckJob) -> list[Stage]:
    """The net that a .caffemodel holds."""
    file = read_trained(job.path, job.dialect, quiet)
    return _stages(job, file, states_of(file.message))


def _read(job: CheckJob, text: str, holds_solver: bool) -> list[Stage]:
    """The nets of a text, each in the states in which it is one."""
    if holds_solver:
        return list(_stages_inside(parse_solver(text, str(job.path), quiet), job, text))
    file = NetFile.parse(text, str(job.path), quiet)
    return _stages(job, file, states_of(file.message))


def _stages_inside(solver: SolverParameter, job: CheckJob, text: str) -> Iterator[Stage]:
    """The nets that a solver has written out in it."""
    train, test = [net_state("TRAIN")], [net_state("TEST")]
    nets = [(net, test) for net in solver.test_net_param]
    if solver.HasField("train_net_param"):
        nets.insert(0, (solver.train_net_param, train))
    if solver.HasField("net_param"):
        nets.insert(0, (solver.net_param, states_of(solver.net_param)))
    for net, states in nets:
        yield from _stages(job, NetFile(net, str(job.path), text), states)


def _stages(job: CheckJob, file: NetFile, states: Sequence[NetState]) -> list[Stage]:
    settled_file = settled(file, job.dialect, warn=quiet)
    stages = [Stage(settled_file, state, "") for state in states]
    return stages if len(stages) == 1 else [replace(each, word=f"{each.phase}: ") for each in stages]


def _built(stage: Stage, job: CheckJob) -> tuple[Graph, Mapping[str, Sequence[int]]]:
    """The net wired, and shapes of its inputs with which every layer can be built."""
    with stage.said():
        graph = graph_of(stage.file, stage.state, job.allow_python)
        with graph.located():
            return graph, known_shapes(graph, stage.phase, job.shapes)


def _run(graph: Graph, shapes: Mapping[str, Sequence[int]], phase: str) -> None:
    """A pass forward on random weights and inputs."""
    net = build(graph, phase, shapes, warn=quiet)
    draw_weights(net)
    with torch.no_grad(), graph.located():
        net.values(tensors(random_inputs(net)))
