"""What a run will do: solver, nets with their variant, lists and classes, settled before any work."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from converters.graph import Graph, build_graph
from converters.image_list import read_list
from converters.load import located
from converters.solver import check_solver
from prototxt.caffe_pb2 import TEST, TRAIN, LayerParameter, NetParameter, NetState, SolverParameter
from prototxt.errors import InputError
from prototxt.text import read_net, read_solver, read_text
from zoo import catalogue
from zoo.layout import classifiers
from zoo.variants import apply_variant


@dataclass(frozen=True)
class Options:
    """What the command line of ``zoo train`` decides about a run's outcome; None: as the files say."""

    variant: str = "baseline"
    solver: str = f"{catalogue.ARTICLE}_solver"
    root: str | None = None
    max_iter: int | None = None
    batch_size: int | None = None
    seed: int | None = None
    classes: int | None = None


@dataclass(frozen=True)
class NetSource:
    """A net and the file it was read from."""

    message: NetParameter
    path: Path


@dataclass(frozen=True)
class Plan:
    """Everything that decides a run's outcome but the device. ``nets`` and ``lists`` go by phase."""

    options: Options
    solver: SolverParameter
    nets: dict[str, NetSource]
    lists: dict[str, Path]
    places: tuple[Path, ...]
    classes: int
    is_synthetic: bool
    notices: tuple[str, ...]

    @property
    def name(self) -> str:
        """<net>-<variant>, fit for a folder."""
        source = self.nets["TRAIN"]
        return f"{source.message.name or source.path.stem}-{self.options.variant}".replace("/", "_")

    @property
    def seed(self) -> int:
        """The run's seed: the option, else the solver's random_seed, else 0."""
        if self.options.seed is not None:
            return self.options.seed
        return max(self.solver.random_seed, 0)

    def graph(self, phase: str) -> Graph:
        """The net of ``phase``; errors name the layer's line."""
        return phase_graph(self.solver, self.nets[phase], phase)

    def record(self) -> dict[str, object]:
        """The options, for run.json."""
        return asdict(self.options)


def make_plan(options: Options) -> Plan:
    """Settle a run. Raises InputError for whatever in the files or options cannot be trained."""
    path, is_shipped = catalogue.find(options.solver)
    solver = read_solver(path)
    _check(solver, path)
    places = _places(options.root, path)
    nets = {phase: _edited(source, options) for phase, source in read_nets(solver, path, places).items()}
    layers = {
        phase: data_layer(phase_graph(solver, net, phase), net.path, phase) for phase, net in nets.items()
    }
    lists, is_synthetic = find_lists(layers, nets, places, may_be_demo=is_shipped and options.root is None)
    counted = max(entry.label for found in lists.values() for entry in read_list(found)) + 1
    classes = counted if options.classes is None else options.classes
    is_counted = options.classes is None
    notices = [note for net in nets.values() for note in size_classifiers(net, classes, is_counted)]
    solver.max_iter = solver.max_iter if options.max_iter is None else options.max_iter
    return Plan(options, solver, nets, lists, places, classes, is_synthetic, tuple(dict.fromkeys(notices)))


def _check(solver: SolverParameter, path: Path) -> None:
    try:
        check_solver(solver)
        if len(solver.test_net) + len(solver.test_net_param) > 1 or len(solver.test_iter) > 1:
            raise InputError("more than one test net is not supported yet")
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _places(root: str | None, solver: Path) -> tuple[Path, ...]:
    """Where a solver's files are sought: the current folder, --root, beside the solver."""
    if root is not None and not Path(root).is_dir():
        raise InputError(f"--root {root}: no such folder")
    return (Path.cwd(), *([Path(root).absolute()] if root else []), solver.absolute().parent)


def read_nets(solver: SolverParameter, path: Path, places: Sequence[Path]) -> dict[str, NetSource]:
    """The train net, and the test net where the solver tests (Solver::InitTrainNet, InitTestNets)."""
    named = {"net": [solver.net], "train_net": [solver.train_net], "test_net": list(solver.test_net)}

    def source(*fields: str) -> NetSource | None:
        for field in fields:
            if field.endswith("_param") and (held := _messages(solver, field)):
                return NetSource(held[0], path)
            if any(named.get(field, [])):
                return _read(named[field][0], path, places)
        return None

    train = source("train_net_param", "train_net", "net_param", "net")
    if train is None:
        raise InputError(f"{path}: names no net (net, net_param, train_net or train_net_param)")
    if not (solver.test_interval and solver.test_iter):
        return {"TRAIN": train}
    test = source("test_net_param", "test_net", "net_param", "net")
    if test is None:
        raise InputError(f"{path}: test_iter is given, and no test net")
    return {"TRAIN": train, "TEST": test}


def _messages(solver: SolverParameter, field: str) -> list[NetParameter]:
    value = getattr(solver, field)
    if isinstance(value, NetParameter):
        return [value] if value.ListFields() else []
    return list(value)


def _read(name: str, solver: Path, places: Sequence[Path]) -> NetSource:
    found = seek(name, places)
    if found is None:
        raise InputError(f'{solver}: net "{name}" is in none of {", ".join(map(str, places))}')
    return NetSource(read_net(found), found)


def seek(name: str, places: Sequence[Path]) -> Path | None:
    """The first of ``places`` that holds the file ``name``, joined with it."""
    return next((place / name for place in places if (place / name).is_file()), None)


def _edited(source: NetSource, options: Options) -> NetSource:
    """The net with its variant and batch size."""
    with located(str(source.path), read_text(source.path)):
        message = apply_variant(source.message, options.variant)
    for layer in message.layer:
        if layer.type == "ImageData" and options.batch_size is not None:
            layer.image_data_param.batch_size = options.batch_size
    return replace(source, message=message)


def phase_graph(solver: SolverParameter, source: NetSource, phase: str) -> Graph:
    """The net of ``phase``, rules judged by the net's state and the solver's train_state or test_state."""
    state = NetState()
    state.MergeFrom(source.message.state)
    if phase == "TRAIN":
        state.MergeFrom(solver.train_state)
    elif solver.test_state:
        state.MergeFrom(solver.test_state[0])
    state.phase = TRAIN if phase == "TRAIN" else TEST
    with located(str(source.path), read_text(source.path)):
        return build_graph(source.message, state)


def data_layer(graph: Graph, path: Path, phase: str) -> LayerParameter:
    """The one data layer of a graph. Raises InputError unless it is an ImageData that serves something."""
    layers = [node.layer for node in graph.nodes if node.is_data]
    if len(layers) != 1 or layers[0].type != "ImageData":
        held = ", ".join(f'"{layer.name}" ({layer.type})' for layer in layers) or "none"
        raise InputError(f"{path}: training reads one ImageData layer; the {phase} net has {held}")
    if layers[0].image_data_param.batch_size < 1:
        raise InputError(f'{path}: layer "{layers[0].name}": batch_size must be at least 1')
    return layers[0]


def find_lists(
    layers: dict[str, LayerParameter], nets: dict[str, NetSource], places: Sequence[Path], may_be_demo: bool
) -> tuple[dict[str, Path], bool]:
    """(list file of each phase, whether they are the demo set's, taken where none is found and it may be)."""
    found = {phase: seek(layer.image_data_param.source, places) for phase, layer in layers.items()}
    if may_be_demo and not any(found.values()):
        from zoo.data import demo_folder, ensure_demo

        ensure_demo()
        found = {phase: demo_folder() / layer.image_data_param.source for phase, layer in layers.items()}
        return {phase: path for phase, path in found.items() if path}, True
    lists: dict[str, Path] = {}
    for phase, layer in layers.items():
        path = found[phase]
        if path is None:
            where = ", ".join(map(str, places))
            text = f'list "{layer.image_data_param.source}" is in none of {where}'
            with located(str(nets[phase].path), read_text(nets[phase].path)):
                raise InputError(text, layer.name)
        lists[phase] = path
    return lists, False


def size_classifiers(source: NetSource, classes: int, announce: bool) -> list[str]:
    """Make every classifier ``classes`` wide and cap every top_k; a notice for each one that changes."""
    notices = []
    for layer in classifiers(source.message):
        before = layer.inner_product_param.num_output
        layer.inner_product_param.num_output = classes
        why = f"the lists have {classes} classes" if announce else f"--classes {classes}"
        keep = f"; --classes {before} keeps {before}" if announce else ""
        if before != classes:
            notices.append(f'{why}: layer "{layer.name}" has {classes} outputs instead of {before}{keep}')
    for judge in source.message.layer:
        if judge.type == "Accuracy" and classifiers(source.message):
            judge.accuracy_param.top_k = min(judge.accuracy_param.top_k, classes)
    return notices
