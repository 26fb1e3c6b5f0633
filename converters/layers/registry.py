"""The one table of layer types: what is so of every layer of a type, as its ``@layer`` says it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack

import numpy as np
import torch
from numpy.typing import NDArray

from converters.layers.choice import CAFFE, Dialect
from converters.layers.data_tops import DataTops
from converters.layers.facts import Facts
from prototxt.caffe_pb2 import LayerParameter

if TYPE_CHECKING:
    from converters.layers.base import Layer
    from converters.layers.parts.grid import Grid

Shapes = Sequence[torch.Size]
Count = tuple[int, int | None]  # least and most; None: any number
Builder = Callable[[LayerParameter, Shapes], "Layer"]
Role = Literal["operation", "data", "loss", "metric", "sink"]
Reads = Literal["", "bottom", "top"]

ONE_OR_MORE: Count = (1, None)
DRAWS = "draws at random, which an ONNX file cannot do as Caffe does: not written"


@dataclass(frozen=True, eq=False)
class Record:
    """What is so of every layer of a type.

    ``source`` is the file of Caffe, or of its fork, whose rule it follows. ``role``: a data layer's tops are
    inputs of the net; losses, metrics and sinks (HDF5Output) only compare what a net computes with
    ``labels``, their bottoms that get no gradient (LossLayer::AllowForceBackward), and no deployed net has
    them. A loss that takes either bottom for the target has no labels. Asked for a gradient of ``fatal``
    bottoms its backward pass ends the program; force_backward asks for those of them but the second.
    ``default_loss_weight`` is that of the first top where the prototxt gives none: 1 for a loss unless it
    says otherwise.
    ``scores_classes``: its first bottom holds a score a class, its second the right class; ``ignore_in`` is
    the field of the message that may have an ignore_label, ``probabilities`` the type that makes of the
    scores what the loss is worked out from. ``runs_code``: code that the prototxt names runs.

    ``blobs`` are the module's attributes that hold Caffe's blobs, in Caffe's order, whether parameters or
    buffers; a layer need not have them all. ``learns``: it has a weight matrix, and so makes predictions.
    ``macs`` counts the multiply-accumulates of one image from the module and the shapes of bottoms and
    tops; None: nobody knows.

    ``pointwise``: the top has the bottom's shape, each channel by itself (or with its neighbours).
    ``routes``: its tops hold values of the first bottom as they are. ``indices``: of the bottoms that hold
    whole numbers (from the end where negative) one more than the largest, from the shapes of the bottoms;
    ``probes`` draws values for those that others would tell nothing of (boxes).
    ``backward_reads``: the blob that Caffe's backward pass reads and keeps no copy of; ``mixes``: one
    element's gradient depends on others too. ``most``: the shapes of the tops at their largest, where values
    decide how many rows there are, code that torch cannot follow makes them, or torch is slow to tell them.

    ``refuses_export``: why a module, in its phase and with bottoms of these shapes, cannot be in an ONNX
    file; "" where it can. ``export_limit``: what else may keep a layer out of one, or the file's batch from
    being dynamic, in words that follow "layer NAME". ``deployed``: the layer that a deployed net has in place
    of one that a label has a say in, with the same blobs, of its first bottom and top alone; None where the
    label has its say there, too. ``untraceable``:
    values decide what is computed next (which boxes are left), which torch.compile and torch.export cannot
    follow, so that a file has it by a rule of its own (``converters/export/nodes``) or not at all. ``rows``:
    the axis of its tops along which values decide how many there are.
    ``dialect``: what tells this rule from others of the type's name. ``fields``: what the rule reads that
    Caffe 1.0's schema lacks, as "pooling_param.ceil_mode", or "roi_pooling_param" for all that is in it; a
    layer that sets others is refused. ``grid``: where the pixels of its top lie on its first bottom; a
    layer that is ``pointwise`` has the same. ``aligns``: it crops one bottom to where the other lies by the
    grids between them.
    """

    type: str
    builder: Builder
    source: str = ""
    role: Role = "operation"
    bottoms: Count = (1, 1)
    tops: Count = (1, 1)
    labels: tuple[int, ...] = ()
    fatal: tuple[int, ...] = ()
    default_loss_weight: float | None = None
    scores_classes: bool = False
    ignore_in: str = "loss_param"
    probabilities: str = ""
    runs_code: bool = False
    blobs: tuple[str, ...] = ()
    learns: bool = False
    macs: "Callable[[Layer, Shapes, Shapes], int] | None" = None
    pointwise: bool = False
    routes: bool = False
    indices: "Mapping[int, Callable[[Layer, Shapes], int]]" = field(default_factory=dict)
    probes: "Mapping[int, Callable[[Layer, Shapes, np.random.Generator], NDArray[Any]]]" = field(
        default_factory=dict
    )
    backward_reads: Reads = ""
    mixes: bool = False
    most: "Callable[[Layer, Shapes], Shapes] | None" = None
    refuses_export: "Callable[[Layer, Shapes], str] | None" = None
    export_limit: str = ""
    deployed: Callable[[LayerParameter], LayerParameter | None] | None = None
    untraceable: bool = False
    rows: int | None = None
    data_tops: DataTops | None = None
    dialect: Dialect | None = None
    fields: tuple[str, ...] = ()
    grid: "Callable[[LayerParameter], Grid | None] | None" = None
    aligns: bool = False

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles of a module share the record, which holds functions."""
        return _registered, (self.type, self.dialect_name)

    @property
    def loss_weight(self) -> float:
        """That of the first top where the prototxt gives none."""
        if self.default_loss_weight is not None:
            return self.default_loss_weight
        return 1.0 if self.role == "loss" else 0.0

    @property
    def dialect_name(self) -> str:
        """The name of its dialect; "" of Caffe 1.0's own rule, and of a type that has one."""
        return self.dialect.name if self.dialect and self.dialect.name != CAFFE else ""

    @property
    def rule_name(self) -> str:
        """The type, with its dialect in brackets where it is not Caffe 1.0's: ReLU, BN (pspnet)."""
        return f"{self.type} ({self.dialect_name})" if self.dialect_name else self.type

    def reads(self, path: str) -> bool:
        """Whether it reads a fork's field, given with all messages that it stands in."""
        return any(path == field or path.startswith(f"{field}.") for field in self._forks())

    def reads_message(self, name: str) -> bool:
        """Whether it reads anything of a fork in the layer's field ``name``."""
        return any(field.partition(".")[0] == name for field in self._forks())

    def _forks(self) -> tuple[str, ...]:
        return (*self.fields, *(self.dialect.has if self.dialect else ()))

    @property
    def judges(self) -> bool:
        """Whether such a layer only judges what the net computes."""
        return self.role in ("loss", "metric", "sink")

    @property
    def compares_values(self) -> bool:
        """Whether it is a loss of the differences between two blobs, either of which may be the target."""
        return self.role == "loss" and self.bottoms[0] == 2 and not {0, 1}.intersection(self.labels)

    @property
    def family(self) -> str:
        """The name of the file that computes it."""
        return self.builder.__module__.removeprefix("converters.layers.").replace(".", "/")


B = TypeVar("B", bound=Builder)
_RECORDS: dict[str, tuple[Record, ...]] = {}  # several of a type are the rules of its dialects


def layer(*types: str, **facts: Unpack[Facts]) -> Callable[[B], B]:
    """Register a class, or a function that returns a Layer, for Caffe's type names, with what
    :class:`Record` has to say of them.
    """

    def register(builder: B) -> B:
        for name in types:
            rules = (*_RECORDS.get(name, ()), Record(name, builder, **facts))
            names = {rule.dialect_name for rule in rules}
            assert len(names) == len(rules), f"layer type {name} is registered twice"
            _RECORDS[name] = rules
        return builder

    return register


def layer_types() -> list[str]:
    """Every registered type, sorted."""
    return sorted(_RECORDS)


def python_type(layer: LayerParameter) -> str:
    """The type that is registered for the class of a Python layer, "module.Class"; "" where none is."""
    name = f"{layer.python_param.module}.{layer.python_param.layer}"
    return name if layer.HasField("python_param") and name in _RECORDS else ""


def records() -> list[Record]:
    """Every record, in the order of types."""
    return [record for name in layer_types() for record in _RECORDS[name]]


def rules_of(name: str) -> tuple[Record, ...]:
    """The records of a type, one a dialect."""
    return _RECORDS.get(name, ())


def dialects() -> list[str]:
    """Every name that a dialect of some type has, sorted."""
    return sorted({CAFFE} | {name for rule in records() if rule.dialect for name in rule.dialect.names})


def _registered(name: str, dialect: str) -> Record:
    return record_of(LayerParameter(type=name, dialect=dialect))


def record_of(layer: LayerParameter) -> Record:
    """The record of a layer's type, of several that of its dialect, else Caffe 1.0's own, or the first. Of a
    type that nobody registered the name alone says something.
    """
    rules = _RECORDS.get(layer.type)
    if rules is None:
        return _unknown(layer.type)
    if len(rules) == 1:
        return rules[0]
    named = (rule for rule in rules if rule.dialect and layer.dialect in rule.dialect.names)
    return next(named, next((rule for rule in rules if not rule.dialect_name), rules[0]))


def _unknown(name: str) -> Record:
    def refuse(message: LayerParameter, bottoms: Shapes) -> Any:
        raise AssertionError(f"nothing builds {name}")

    return Record(name, refuse, role="loss" if name.endswith("Loss") else "operation")


def free(module: "Layer", bottoms: Shapes, tops: Shapes) -> int:
    """The MAC rule of a type that has no multiply-accumulates by the convention of eval/cost.py."""
    return 0


def zero_or_one(module: "Layer", bottoms: Shapes) -> int:
    """The index rule of a bottom that holds 0 and 1."""
    return 2
