"""What ``zoo bench`` measures: runs, untrained variants, and nets that were named with their weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from converters.export.deploy import deploy
from converters.graph import Graph, build_graph
from converters.host.places import existing_folder
from converters.load import build
from converters.net_state import net_state
from converters.network import Network
from eval.runtime import input_shapes, metadata_of
from prototxt.caffe_pb2 import NetParameter, NetState
from prototxt.errors import InputError
from prototxt.text import read_net, read_solver
from prototxt.upgrade import quiet
from zoo.bench.pictures import Pictures
from zoo.runs.identity import as_key, of_message
from zoo.runs.run_folder import RunFolder, check_plugins, read_record
from zoo.runs.run_json import ListRecord, RunRecord, dialects_in, lists_of
from zoo.tasks.classes import Classes
from zoo.tasks.task import Task
from zoo.tasks.told import as_recorded, task_of
from zoo.train.planning.lists import sole_pair_layer
from zoo.train.planning.nets import read_nets
from zoo.variants.sizing import resize_input

# What is read of a finished run's record, and would not be in another program's run.json.
_RECORD = {"name": str, "variant": str, "head": str, "seed": int, "iteration": int, "data": dict}


@dataclass(frozen=True)
class Elsewhere:
    """Where the user says that runs' data is: ``root`` holds lists and pictures that have moved, ``list`` is
    to be judged by in place of the runs' own validation lists.
    """

    root: Path | None = None
    list: Path | None = None


HERE = Elsewhere()  # where the runs say that it is


@dataclass(frozen=True)
class Given:
    """What was named on the command line: the deployed graph and its weight files, the ``pictures`` that the
    net is judged by, or why it is by none; ``softmax``: the loss takes a softmax of its scores; ``task``:
    what it is judged by.
    """

    graph: Graph
    weights: tuple[Path, ...]
    pictures: Pictures | None
    unjudged: str | None
    softmax: bool
    task: Task
    class_names: Sequence[str] = ()


@dataclass(frozen=True)
class Model:
    """A deploy net to be measured, with the run or the files that it comes from, if any."""

    name: str
    path: Path
    net: NetParameter
    folder: RunFolder | None = None
    record: RunRecord | None = None
    elsewhere: Elsewhere = HERE
    given: Given | None = None

    @property
    def other_list(self) -> str | None:
        """The list or database that it is judged by, where that is not a run's own."""
        if self.given is not None:
            return self.given.pictures.name if self.given.pictures else None
        return str(self.elsewhere.list) if self.elsewhere.list else None

    @property
    def where(self) -> str | None:
        """The run folder as it was given; None without a run."""
        return str(self.folder.path) if self.folder else None

    def list_of(self, key: str) -> ListRecord | None:
        """What the run's record says of its TRAIN or TEST list; None where it has none."""
        return lists_of(self.record).get(key) if self.record else None

    @cached_property
    def task(self) -> Task:
        """What it is judged by."""
        if self.folder is None:
            return self.given.task if self.given else Classes()
        graph = run_graph(self.folder, "TEST") or run_graph(self.folder, "TRAIN")
        return as_recorded(task_of(graph), self.record) if graph else Classes()

    @cached_property
    def reads_pairs(self) -> bool:
        """Whether a run's pictures come with label maps, of whatever they hold."""
        graphs = [run_graph(self.folder, key) for key in ("TEST", "TRAIN")] if self.folder else []
        return any(graph is not None and sole_pair_layer(graph) is not None for graph in graphs)

    @cached_property
    def deploys(self) -> object:
        """A key that is equal for models of one deploy net, which then share a latency: the net, the NetState
        that chose its layers, and the input sizes.
        """
        state = read_solver(self.folder.solver).train_state if self.folder else NetState()
        return as_key(of_message(self.net)), as_key(of_message(state)), repr(self.inputs)

    @cached_property
    def inputs(self) -> tuple[dict[str, list[int]], int | None]:
        """As :func:`eval.runtime.input_shapes` says; axes of any length are as the net was built."""
        shapes, batch = input_shapes(self.path)
        if any(0 in shape for shape in shapes.values()):
            size = metadata_of(self.path).get("input_size") or [0, 0]
            shapes = {
                name: [*shape[:1], *size] if len(shape) == 3 else shape for name, shape in shapes.items()
            }
        return shapes, batch


def find_runs(folder: Path) -> tuple[list[Model], list[str]]:
    """(the finished runs at or below ``folder``, a line about each other one). Raises InputError for none."""
    existing_folder(folder)
    models: list[Model] = []
    left_out: list[str] = []
    for path in sorted(folder.rglob("run.json")):
        try:
            models.append(_finished(RunFolder(path.parent, "")))
        except InputError as error:
            left_out.append(f"{error}, left out")
    if not models:
        why = f" ({left_out[0]})" if left_out else ""
        raise InputError(
            f"{folder}: holds no finished run; `zoo train` makes one, `zoo bench --untrained` needs none{why}"
        )
    return models, left_out


def _finished(run: RunFolder) -> Model:
    """A folder's run. Raises InputError for one that is not finished, and a run.json of another program."""
    record = read_record(run.path) or {}
    if not record.get("finished") or not run.model.is_file():
        raise InputError(f"{run.path}: not finished")
    if lacking := [key for key, kind in _RECORD.items() if not isinstance(record.get(key), kind)]:
        raise InputError(
            f"{run.path / 'run.json'}: is no record of a run: {', '.join(lacking)} not as in one"
        )
    check_plugins(run.path, record)
    return Model(record["name"], run.model, read_net(run.net), run, record)


def run_graph(folder: RunFolder, key: str, size: int | None = None) -> Graph | None:
    """The run's net of ``key`` in the very state that it was trained or tested in, made for another input
    ``size`` if given; None without one.
    """
    solver = read_solver(folder.solver)
    recorded = dialects_in(read_record(folder.path))
    source = read_nets(solver, folder.solver, (folder.path,), recorded=recorded).get(key)
    if source is None:
        return None
    if size is not None:
        resize_input(source.message, size)
    return source.graph()


def deployed(model: Model) -> Network:
    """The net of the model's ONNX file in PyTorch, weights and all, its inputs of the file's shapes."""
    inputs, batch = model.inputs
    shapes = {name: (batch or 1, *shape) for name, shape in inputs.items()}
    if model.given is not None:
        return build(model.given.graph, "TEST", shapes, weights=model.given.weights, warn=quiet)
    if model.folder is None:
        return build(deploy(build_graph(model.net, net_state("TEST"))), "TEST", shapes)
    graph = run_graph(model.folder, "TRAIN")
    assert graph is not None
    return build(deploy(graph), "TEST", shapes, weights=[model.folder.weights], warn=quiet)
