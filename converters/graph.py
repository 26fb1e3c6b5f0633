"""A NetParameter as the layers one phase keeps, wired: Caffe's Net::Init without shapes and weights."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import count

from converters.crop_offsets import with_offsets
from converters.layers.dialects import with_dialects
from converters.layers.registry import python_type, record_of
from converters.left_out import why_missing
from converters.net_state import is_included
from prototxt.caffe_pb2 import LayerParameter, NetParameter, NetState
from prototxt.errors import InputError, of_layer
from prototxt.forks import fields_of_forks
from prototxt.net_file import NetFile
from prototxt.rawbytes import readable
from prototxt.text import Warn, to_stderr

AUTOMATIC = "(automatic)"  # the top of a loss layer that names none; it counts as a loss and is no output


@dataclass(frozen=True)
class Value:
    """A blob as one layer left it: an in-place layer makes a new value of the same blob.

    ``layer`` is the layer's label (:func:`layer_labels`), for Caffe allows two layers of one name.
    """

    blob: str
    layer: str


@dataclass(frozen=True, eq=False)
class Node:
    """A layer's message with the values it reads and makes."""

    layer: LayerParameter
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]

    def __str__(self) -> str:
        """``top = Type(bottom)``, and behind it the layer's name where no top has that."""
        tops = [value.blob for value in self.outputs if value.blob != AUTOMATIC]
        call = f"{self.layer.type}({', '.join(value.blob for value in self.inputs)})"
        made = f"{', '.join(tops)} = {call}" if tops else call
        name = self.layer.name
        return readable(made if not name or name in tops else f"{made}  # {name}")

    @property
    def is_data(self) -> bool:
        """True where the layer's tops are fed from outside."""
        return record_of(self.layer).role == "data"


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in Caffe's order; ``inputs`` are the data layers' tops, ``outputs`` what no layer reads.

    With ``force_backward`` gradients pass a bottom whose layer says ``propagate_down: false``. ``file`` is
    where the net was read from, if it was read.
    """

    name: str
    inputs: tuple[Value, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[Value, ...]
    force_backward: bool = False
    file: NetFile | None = None

    def __str__(self) -> str:
        """A line for each layer, the inputs' first."""
        return "\n".join(map(str, sorted(self.nodes, key=lambda node: not node.is_data)))

    def __repr__(self) -> str:
        blobs = [", ".join(value.blob for value in values) for values in (self.inputs, self.outputs)]
        return readable(f'<Graph "{self.name}": {len(self.nodes)} layers, {" → ".join(blobs)}>')

    def located(self) -> AbstractContextManager[None]:
        """In the block an InputError about a layer gets its file and line, where the net has a file."""
        return self.file.located() if self.file else nullcontext()


def build_graph(
    net: NetParameter, state: NetState, allow_python: bool = False, warn: Warn = to_stderr
) -> Graph:
    """Wire the layers that ``state`` keeps; Python layers, which run code, only where they are allowed.
    ``warn`` takes a line where nothing has told which fork's rule a layer follows
    (:func:`converters.dialects.settled`), and a default is taken.

    Raises InputError for a bottom that no layer before wrote, a top that another layer wrote already
    (in place is where the top's name stands at the same place among the bottoms; net.cpp, AppendTop), a
    top written in place over what is read elsewhere too, and for a net that keeps no layer.
    """
    current: dict[str, Value] = {}
    readers: dict[str, list[str]] = {}
    nodes, layers = [], []
    net = with_dialects(net if allow_python else with_known_classes(net), f'net "{net.name}"', warn)
    for path in fields_of_forks(net, apart=("layer",)):
        raise InputError(f"{path} is a field of forks of Caffe that nothing here honours")
    for layer in net.layer:
        with of_layer(layer):
            if is_included(layer, state):
                layers.append(layer)
    for layer, label in zip(layers, layer_labels([layer.name for layer in layers]), strict=True):
        with of_layer(layer):
            _check_bottoms(layer, current, net, state)
            _check_forced(layer, net)
            nodes.append(_wire(layer, label, current, readers))
    if not nodes:
        raise InputError(f'net "{net.name}" has no layer in this phase')
    nodes = with_offsets(nodes)
    if not allow_python:
        refuse_python(nodes)
    inputs = [value for node in nodes if node.is_data for value in node.outputs]
    return Graph(net.name, tuple(inputs), tuple(nodes), unread(nodes), net.force_backward)


def graph_of(file: NetFile, state: NetState, allow_python: bool = False) -> Graph:
    """:func:`build_graph` of a file's net, which the graph then names in errors. Raises InputError, with file
    and line.
    """
    with file.located():
        return replace(build_graph(file.message, state, allow_python), file=file)


def layer_labels(names: Sequence[str]) -> list[str]:
    """A label of its own for every layer: its name, and ``name#2``, ``name#3``, … for later ones of that
    name; "unnamed" stands for the empty name. No label is another layer's name.
    """
    taken = set(names)
    numbered: dict[str, Iterator[str]] = {}
    labels = []
    for name in names:
        if name and name not in numbered:
            numbered[name] = (f"{name}#{number}" for number in count(2))
            labels.append(name)
            continue
        numbers = numbered.setdefault(name, (f"unnamed#{n}" if n > 1 else "unnamed" for n in count(1)))
        labels.append(next(label for label in numbers if label not in taken))
        taken.add(labels[-1])
    return labels


def with_known_classes(net: NetParameter) -> NetParameter:
    """A copy of a net in which layers of type Python whose class is registered have the class's name for
    their type, so that its rule stands in for its code; the net itself where it has none.
    """
    if not any(map(python_type, net.layer)):
        return net
    copy = NetParameter()
    copy.CopyFrom(net)
    for layer in copy.layer:
        layer.type = python_type(layer) or layer.type
    return copy


def refuse_python(nodes: Iterable[Node]) -> None:
    """Raise InputError for a layer of type Python, which would run code."""
    for node in nodes:
        if record_of(node.layer).runs_code:
            named = f"{node.layer.python_param.module}.{node.layer.python_param.layer}"
            raise InputError(
                f"is a Python layer, which would run the code of {named}; allow_python=True (load_net, "
                "load_solver) and --allow-python (zoo convert, zoo check) allow it; zoo train runs none",
                node.layer.name,
                node.layer,
            )


def _check_bottoms(
    layer: LayerParameter, current: dict[str, Value], net: NetParameter, state: NetState
) -> None:
    for blob in layer.bottom:
        if blob not in current:
            why = why_missing(blob, layer, net.layer, state)
            raise InputError(f'bottom "{blob}" is written by no layer before it{why}', layer.name)


def _check_forced(layer: LayerParameter, net: NetParameter) -> None:
    for at in record_of(layer).fatal if net.force_backward else ():
        if 1 != at < len(layer.bottom):  # LossLayer::AllowForceBackward
            reason = f'force_backward asks a gradient of the bottom "{layer.bottom[at]}", which gets none'
            raise InputError(reason, layer.name)


def _wire(
    layer: LayerParameter, label: str, current: dict[str, Value], readers: dict[str, list[str]]
) -> Node:
    """Resolve one layer's bottoms against the blobs so far, and record its tops there; ``readers`` says
    of each blob as it stands who reads it.
    """
    for blob in layer.bottom:
        readers[blob].append(f'layer "{layer.name}"')
    inputs = tuple(current[blob] for blob in layer.bottom)
    if not layer.top and record_of(layer).role == "loss":
        return Node(layer, inputs, (Value(AUTOMATIC, label),))
    for index, blob in enumerate(layer.top):
        in_place = index < len(layer.bottom) and layer.bottom[index] == blob
        if blob in current and not in_place:
            raise InputError(f'top "{blob}" is written by layer "{current[blob].layer}" too', layer.name)
        if in_place:
            _check_sole_reader(layer, blob, readers[blob])
        current[blob] = Value(blob, label)
        is_loss = index < len(layer.loss_weight) and layer.loss_weight[index]
        readers[blob] = [f'the loss_weight of layer "{layer.name}"'] if is_loss else []
    return Node(layer, inputs, tuple(current[blob] for blob in layer.top))


def _check_sole_reader(layer: LayerParameter, blob: str, readers: Sequence[str]) -> None:
    """Raise InputError where a blob that is written in place is read elsewhere: by a layer before, by the
    same layer twice, or as a loss. Caffe gives every reader of such a blob a copy of another name
    (insert_splits.cpp), so that the top is no longer the bottom and has two sources (net.cpp, AppendTop).
    What reads the blob after the layer reads what the layer left.
    """
    if len(readers) > 1:
        raise InputError(
            f'top "{blob}" is written in place, and {readers[0]} reads it before that (in Caffe: '
            "produced by multiple sources); give the top another name",
            layer.name,
        )


def reads(graph: Graph) -> Counter[Value]:
    """How often each value is read, whoever calls the net among the readers."""
    return Counter([*graph.outputs, *(value for node in graph.nodes for value in node.inputs)])


def unread(nodes: Sequence[Node]) -> tuple[Value, ...]:
    """The values that no node reads, in the order of blob names as Caffe lists its outputs."""
    read = {value for node in nodes for value in node.inputs}
    left = [
        value for node in nodes for value in node.outputs if value not in read and value.blob != AUTOMATIC
    ]
    return tuple(sorted(left, key=lambda value: value.blob))
