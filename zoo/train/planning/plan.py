"""What a run will do: solver, nets with their variant, lists and classes, settled before any work."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path

from converters.data.forks.label_lists import entries_of, tells_classes
from converters.graph import Graph
from converters.host.places import existing_folder
from converters.layers.dialects import dialects_of
from converters.solver.log.debug import NOTICE
from converters.solver.names import weight_names
from converters.solver.nets import NetSource
from converters.solver.update.rules import check_solver
from prototxt.caffe_pb2 import LayerParameter, NetParameter, SolverParameter
from prototxt.errors import about
from prototxt.rawbytes import from_message
from prototxt.text import read_solver
from zoo import catalogue
from zoo.train.planning.lists import (
    check_data,
    find_lists,
    listed_classes,
    rival_lists,
    sole_image_layer,
    sole_pair_layer,
    source_of,
    untrained_labels,
)
from zoo.train.planning.nets import edited, read_nets
from zoo.train.planning.options import Options
from zoo.train.planning.solver_changes import changed_solver
from zoo.variants.article import departures
from zoo.variants.sizing import compared_values, ignored_labels, size_classifiers

# Fields that decide nothing here, and what stands in their place.
MEANINGLESS = {
    "solver_mode": "--device decides",
    "device_id": "--device decides",
    "layer_wise_reduce": "gradients are averaged once, after the backward pass",
}


@dataclass(frozen=True)
class Plan:
    """Everything that decides a run's outcome but the device and the number of ranks.

    ``nets`` and their ``graphs`` go by TRAIN, TEST, TEST1, …; ``lists`` has those of them whose one data
    layer is an ImageData, ``pairs`` those whose one reads images with label maps; ``classes`` is None where
    no list says and the user does not either.
    """

    options: Options
    solver: SolverParameter
    nets: dict[str, NetSource]
    graphs: dict[str, Graph]
    lists: dict[str, Path]
    places: tuple[Path, ...]
    classes: int | None
    notices: tuple[str, ...]
    here: Path
    pairs: dict[str, Path] = field(default_factory=dict)

    @property
    def is_synthetic(self) -> bool:
        """Whether the images are a demo data set's."""
        paths = (*self.lists.values(), *self.pairs.values())
        return any((path.parent / catalogue.DEMO_MANIFEST).is_file() for path in paths)

    @property
    def name(self) -> str:
        """<net>-<variant>, fit for a folder."""
        source = self.nets["TRAIN"]
        name = from_message(source.message.name) or source.path.stem
        return f"{name}-{self.options.variant}".replace("/", "_")

    @property
    def seed(self) -> int:
        """The run's seed: the option, else the solver's random_seed, else 0."""
        if self.options.seed is not None:
            return self.options.seed
        return max(self.solver.random_seed, 0)

    @property
    def tests(self) -> list[str]:
        """The keys of the test nets, in the solver's order."""
        return [key for key in self.nets if key != "TRAIN"]

    @property
    def weights(self) -> list[str]:
        """The files to fine-tune from."""
        return weight_names(self.solver.weights)

    @cached_property
    def departures(self) -> list[str]:
        """What of a run of the article's nets is not the article's."""
        return departures(self.nets["TRAIN"].message, self.solver, self.classes, self.is_synthetic)

    @property
    def dialects(self) -> dict[str, str]:
        """The forks whose rules the nets follow, by layer type, as
        :func:`converters.layers.dialects.dialects_of` says.
        """
        return dialects_of(layer for net in self.nets.values() for layer in net.message.layer)

    def record(self) -> dict[str, object]:
        """The options, for run.json."""
        return asdict(self.options)


def make_plan(options: Options, here: Path | None = None, recorded: Mapping[str, str] | None = None) -> Plan:
    """Settle a run, relative paths counting from ``here``, by default the current folder; of one that goes on
    ``recorded`` are the dialects by layer type. Raises InputError for whatever in the files or options cannot
    be trained, and where the texts contradict what is recorded.
    """
    here = here or Path.cwd()
    draft = _read(options, here, recorded)
    solver, places = draft.solver, draft.places
    may_be_demo = draft.is_shipped and options.root is None
    lists = find_lists(draft.layers, draft.nets, places, may_be_demo)
    pairs = find_lists(draft.pair_layers, draft.nets, places, may_be_demo)
    ignored = {label for net in draft.nets.values() for label in ignored_labels(net.message.layer)}
    tells_numbers = any(compared_values(graph) for graph in draft.graphs.values())
    have_classes = all(tells_classes(draft.layers[key], options.label_size) for key in lists)
    labelled = lists if have_classes and not tells_numbers else {}
    rows = {path: entries_of(draft.layers[key], path) for key, path in labelled.items()}
    classes = options.classes
    if classes is None and labelled:
        classes = listed_classes(labelled, rows, ignored)
    nets, graphs, sized = _sized(draft, classes, options)
    notices = [meaningless(solver, draft.path), *sized]
    notices += [NOTICE] if solver.debug_info else []
    notices += untrained_labels(labelled, rows, ignored)
    if options.root:
        notices += rival_lists(draft.layers | draft.pair_layers, lists | pairs, here)
    solver.max_iter = solver.max_iter if options.max_iter is None else options.max_iter
    once = tuple(dict.fromkeys(note for note in notices if note))
    return Plan(options, solver, nets, graphs, lists, places, classes, once, here, pairs)


def lists_wanted(options: Options) -> set[str]:
    """The names of the list files that a run reads. Raises InputError as :func:`make_plan` does."""
    draft = _read(options, Path.cwd())
    return {source_of(layer) for layer in (*draft.layers.values(), *draft.pair_layers.values())}


@dataclass(frozen=True)
class _Draft:
    """A run's solver and nets, changed as the options say, before its data is looked for; ``layers`` are
    the ImageData that alone feed a net, ``pair_layers`` what alone feeds one with images and label maps.
    """

    path: Path
    is_shipped: bool
    solver: SolverParameter
    places: tuple[Path, ...]
    nets: dict[str, NetSource]
    graphs: dict[str, Graph]
    layers: dict[str, LayerParameter]
    pair_layers: dict[str, LayerParameter]


def _read(options: Options, here: Path, recorded: Mapping[str, str] | None = None) -> _Draft:
    path, is_shipped = catalogue.find_prototxt(options.solver, here)
    solver = changed_solver(read_solver(path), options, here)
    with about(path):
        check_solver(solver)
    places = _places(options.root, path, here)
    nets = {
        key: edited(source, options.variant, options.batch_size, options.size)
        for key, source in read_nets(solver, path, places, options.dialect, recorded).items()
    }
    graphs = {key: net.graph() for key, net in nets.items()}
    for key, graph in graphs.items():
        check_data(graph, key)
    layers = {key: layer for key, graph in graphs.items() if (layer := sole_image_layer(graph))}
    pairs = {key: layer for key, graph in graphs.items() if (layer := sole_pair_layer(graph))}
    return _Draft(path, is_shipped, solver, places, nets, graphs, layers, pairs)


def _places(root: str | None, solver: Path, here: Path) -> tuple[Path, ...]:
    """Where a solver's files are sought: --root, the current folder, beside the solver."""
    roots = [existing_folder(root, "--root ", here)] if root else []
    return (*roots, here, solver.absolute().parent)


def _sized(
    draft: _Draft, classes: int | None, options: Options
) -> tuple[dict[str, NetSource], dict[str, Graph], list[str]]:
    """The nets as wide as there are classes, their graphs, and a line for each layer that changes."""
    nets, graphs = dict(draft.nets), dict(draft.graphs)
    lines: list[str] = []
    if classes is None:
        return nets, graphs, lines
    for key, net in draft.nets.items():
        message = NetParameter()
        message.CopyFrom(net.message)
        lines += size_classifiers(message, classes, options.classes is None)
        if message != net.message:
            nets[key] = replace(net, message=message)
            graphs[key] = nets[key].graph()
    return nets, graphs, lines


def meaningless(solver: SolverParameter, path: Path) -> str | None:
    """One line about the fields of a solver that decide nothing here; None where it sets none."""
    given = {field.name for field, _ in solver.ListFields()}
    fields = [f"{name} ({why})" for name, why in MEANINGLESS.items() if name in given]
    if solver.test_interval and not solver.test_iter:
        fields.append("test_interval (no test_iter, so no tests)")
    if solver.snapshot_diff and not solver.HasField("snapshot_format"):
        fields.append("snapshot_diff (no snapshot_format, so no snapshots of Caffe's)")
    return f"{path.name}: without effect here: {', '.join(fields)}" if fields else None
