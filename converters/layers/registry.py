"""The one table from a layer's type to the module that computes it."""

from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar

import torch
from torch import Tensor, nn

from prototxt.caffe_pb2 import FillerParameter, LayerParameter
from prototxt.errors import InputError, nearest

Shapes = Sequence[torch.Size]
Count = tuple[int, int | None]  # least and most; None: any number
_IN_PLACE_GRADIENT = (
    "works in place, and its gradient is Caffe's, which reads the bottom after it was written over and so is "
    "not the derivative: give the top another name"
)
LARGEST = 2**31 - 1  # elements of a blob: Caffe counts them in an int (blob.cpp, Reshape)


class Layer(nn.Module):
    """Base of every layer: built from its message and its bottoms' shapes, called with its bottoms.

    A layer's parameters and buffers, in the order they are declared, are Caffe's blob list; ``fillers``
    has one entry per blob (None: zeros). A layer that ``has_own_phase`` keeps its mode whatever the net's is.
    What depends on the bottoms' sizes is worked out in ``forward``. ``reads_overwritten`` is set where it
    works in place and Caffe's backward pass reads what the forward pass wrote over.
    """

    fillers: Sequence[FillerParameter | None] = ()
    has_own_phase = False
    reads_overwritten = False
    slots: tuple[str, ...] = ()  # the attributes that hold the blobs; set by build_layer
    message: LayerParameter  # these four are set by build_layer
    numbers: dict[str, Any]  # what the layer was built with, as which axes it works along
    sizes: list[tuple[int, ...]]  # of its blobs
    taken: set[tuple[torch.Size, ...]]  # shapes of bottoms for which it could be built

    def train(self, mode: bool = True) -> Self:
        """Take the net's mode, where the layer has no phase of its own."""
        return super().train(self.training if self.has_own_phase else mode)

    def __call__(self, *bottoms: Tensor) -> Any:
        """The tops. Raises InputError, naming the layer, for shapes that it could not have been built for
        with the blobs it has; a compiled or exported net leaves them to torch.
        """
        if not torch.compiler.is_compiling():
            shapes = tuple(x.shape for x in bottoms)
            if shapes not in self.taken:
                self._follow(shapes)
        return super().__call__(*bottoms)

    def _follow(self, shapes: tuple[torch.Size, ...]) -> None:
        try:
            self.reshape(shapes)
        except InputError as error:  # nobody above this call knows the layer
            raise InputError(f'layer "{self.message.name}": {error}') from None
        self.taken.add(shapes)

    def reshape(self, bottoms: Shapes) -> None:
        """Raise InputError for shapes of bottoms that this layer does not take (Layer::Reshape)."""
        with torch.device("meta"):
            other = build_layer(self.message, bottoms)
        if self.sizes == other.sizes and self.numbers == other.numbers:
            return
        listed = ", ".join(str(tuple(shape)) for shape in bottoms)
        reason = "it was built for other axes"
        if self.sizes != other.sizes:
            reason = f"blobs {self.sizes} would have to be {other.sizes}"
        raise InputError(f"cannot take bottoms {listed}: {reason}", self.message.name)

    def blobs(self) -> list[Tensor]:
        """Caffe's blobs of this layer, in Caffe's order, as live tensors."""
        return [getattr(self, slot) for slot in self.slots]

    def notice(self) -> str | None:
        """What whoever builds a net of it should be told, in one line; None where that is nothing."""
        return _IN_PLACE_GRADIENT if self.reads_overwritten and self.training else None


class Placed(Layer):
    """Base of layers that make tensors of their own: ``place`` is an empty one of the net's device and
    dtype. It is none of Caffe's blobs.
    """

    def __init__(self) -> None:
        super().__init__()
        self.place = torch.empty(0)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Placed":
        self.place = fn(self.place)
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self


Builder = Callable[[LayerParameter, Shapes], Layer]
B = TypeVar("B", bound=Builder)


_BUILDERS: dict[str, Builder] = {}
_COUNTS: dict[str, tuple[Count, Count]] = {}  # of bottoms and of tops
_LABELS: dict[str, tuple[int, ...]] = {}  # bottoms that say what should have been, of layers that judge


def layer(
    *types: str, bottoms: Count = (1, 1), tops: Count = (1, 1), labels: tuple[int, ...] | None = None
) -> Callable[[B], B]:
    """Register a class, or a function that returns a Layer, for Caffe's type names, with the numbers of
    bottoms and tops that Caffe takes.

    ``labels`` marks a layer that only judges what a net computes, and no deployed net has: the bottoms
    that no gradient passes to (LossLayer::AllowForceBackward), its others being predictions. A judge that
    takes either bottom for the target has none.
    """

    def register(builder: B) -> B:
        for name in types:
            assert name not in _BUILDERS, f"layer type {name} is registered twice"
            _BUILDERS[name] = builder
            _COUNTS[name] = bottoms, tops
            if labels is not None:
                _LABELS[name] = labels
        return builder

    return register


def layer_types() -> list[str]:
    """Every registered type, sorted."""
    return sorted(_BUILDERS)


def layer_family(name: str) -> str:
    """The name of the file that computes the type ``name``."""
    return _BUILDERS[name].__module__.rpartition(".")[2]


def layer_counts(name: str) -> tuple[Count, Count]:
    """How many (bottoms, tops) the type ``name`` takes."""
    return _COUNTS[name]


def label_bottoms(name: str) -> tuple[int, ...] | None:
    """Which bottoms of a type that only judges are labels; None for a type that computes something."""
    return _LABELS.get(name)


def build_layer(message: LayerParameter, bottoms: Shapes) -> Layer:
    """The module of one layer. Raises InputError, naming the layer, for a type that is not known and
    for what Caffe's Layer::CheckBlobCounts and Net::Init refuse.
    """
    if message.type not in _BUILDERS:
        hint = nearest(message.type, _BUILDERS)
        raise InputError(f'type "{message.type}" is not supported{hint}', message.name)
    wanted_bottoms, wanted_tops = _COUNTS[message.type]
    _check_count(message, "bottom", len(bottoms), wanted_bottoms)
    _check_count(message, "top", len(message.top), wanted_tops)
    _check_listed(message, "loss_weight", len(message.loss_weight), max(len(message.top), 1))
    _check_listed(message, "propagate_down", len(message.propagate_down), len(bottoms))
    module = _BUILDERS[message.type](message, bottoms)
    held = [*module._parameters.items(), *module._buffers.items()]
    module.slots = tuple(name for name, blob in held if blob is not None)
    if len(message.param) > len(module.slots):
        raise InputError(f"{len(message.param)} param for a layer of {len(module.slots)} blobs", message.name)
    module.message, module.taken = message, {tuple(bottoms)}
    module.numbers = {name: x for name, x in vars(module).items() if isinstance(x, int | tuple | list)}
    module.sizes = [tuple(blob.shape) for blob in module.blobs()]
    return module


def _check_count(message: LayerParameter, what: str, count: int, wanted: Count) -> None:
    least, most = wanted
    if count < least or (most is not None and count > most):
        raise InputError(f"takes {_counted(wanted, what)}, not {count}", message.name)


def _counted(count: Count, what: str) -> str:
    least, most = count
    plural = "s" if least != 1 or most != 1 else ""
    if most is None:
        return f"at least {least} {what}s" if least != 1 else f"at least 1 {what}"
    return f"{least} {what}{plural}" if least == most else f"{least} to {most} {what}s"


def _check_listed(message: LayerParameter, what: str, count: int, wanted: int) -> None:
    if count not in (0, wanted):
        raise InputError(f"{count} {what} where Caffe takes none or {wanted}", message.name)


def canonical_axis(message: LayerParameter, axis: int, dims: int) -> int:
    """``axis`` counted from the front (Blob::CanonicalAxisIndex). Raises InputError out of range."""
    if not -dims <= axis < dims:
        raise InputError(f"axis {axis} is out of range for a blob of {dims} axes", message.name)
    return axis % dims


def checked_size(message: LayerParameter, what: str, shape: Sequence[int]) -> tuple[int, ...]:
    """``shape`` as a tuple. Raises InputError for a negative dim or more than LARGEST elements, before
    anything is allocated.
    """
    count = 1
    for dim in shape:
        count *= dim
        if dim < 0 or count > LARGEST:
            reason = f"the dim {dim}" if dim < 0 else f"more than the {LARGEST} elements a blob may have"
            raise InputError(f"{what} {tuple(shape)} has {reason}", message.name)
    return tuple(shape)


def is_in_place(message: LayerParameter) -> bool:
    """Whether the first top is the first bottom, which then share values and gradient in Caffe."""
    return bool(message.bottom and message.top) and message.bottom[0] == message.top[0]


def not_in_place(message: LayerParameter) -> None:
    """Raise InputError where the top is the bottom, which Caffe refuses for this type."""
    if is_in_place(message):
        raise InputError(f"{message.type} does not work in place", message.name)


def positive(message: LayerParameter, **numbers: int) -> None:
    """Raise InputError for a number, named as in the prototxt, that is not at least 1."""
    for name, number in numbers.items():
        if number < 1:
            raise InputError(f"{name} must be at least 1", message.name)
