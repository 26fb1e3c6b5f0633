"""What every layer is: a module built from a message, with Caffe's list of blobs."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Self

import torch
from torch import Tensor, nn

from converters.filler import Random, fill
from converters.layers.checks import check_count, check_fields, check_ints, check_listed
from converters.layers.choosing import choose
from converters.layers.registry import Record, Shapes, layer_types, record_of, rules_of
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import FillerParameter, LayerParameter
from prototxt.errors import InputError, nearest

_IN_PLACE_GRADIENT = (
    "works in place, and its gradient is Caffe's, which reads the bottom after it was written over and so is "
    "not the derivative: give the top another name"
)

_ONE_MORE = ContextVar("one more row", default=False)


@contextmanager
def one_more_row() -> Iterator[None]:
    """In the block layers whose values decide how many rows they make say one more than they could make, so
    that it shows which axes of a net follow them.
    """
    token = _ONE_MORE.set(True)
    try:
        yield
    finally:
        _ONE_MORE.reset(token)


class Layer(nn.Module):
    """Base of every layer: built from its message and its bottoms' shapes, called with its bottoms.

    ``fillers`` says by a blob's name how it is filled (zeros where it says nothing). A layer that
    ``has_own_phase`` keeps its mode whatever the net's is. What depends on the bottoms' sizes is worked out
    in ``forward``. ``reads_overwritten`` is set where it works in place and Caffe's backward pass reads what
    the forward pass wrote over.

    Where a layer's arithmetic is a stock module's it is a subclass of that, too: of nn.Conv1d, 2d and 3d,
    nn.ConvTranspose1d, 2d and 3d, nn.Linear, nn.ReLU, nn.LeakyReLU, nn.ELU, nn.Sigmoid, nn.Tanh, nn.Softmax
    and nn.Dropout, so that pruners, quantisers, hooks by type and torchinfo know it by isinstance. It is none
    by exact type (which torch.ao's eager quantisation asks for), for it takes several bottoms, folds axes and
    checks shapes as Caffe does; nor does it hold one, which would give its blobs other names. Pooling is
    none: Caffe's windows are torch's for most sizes only.
    """

    fillers: Mapping[str, FillerParameter] = {}
    has_own_phase = False
    reads_overwritten = False
    spec: Any = Spec()  # its numbers, a frozen record
    message: LayerParameter  # these are set by build_layer
    record: Record
    slots: tuple[str, ...] = ()  # the attributes that hold the blobs, in Caffe's order
    sizes: list[tuple[int, ...]]  # of its blobs
    taken: set[tuple[torch.Size, ...]]  # shapes of bottoms for which it could be built

    def train(self, mode: bool = True) -> Self:
        """Take the net's mode, where the layer has no phase of its own."""
        return super().train(self.training if self.has_own_phase else mode)

    def __call__(self, *bottoms: Tensor) -> Any:
        """The tops. Raises InputError, naming the layer, for shapes that it could not have been built for
        with the blobs it has; a compiled or exported net leaves them to torch.
        """
        if torch.compiler.is_compiling():
            return super().__call__(*bottoms)
        shapes = tuple(x.shape for x in bottoms)
        if shapes not in self.taken:
            self._follow(shapes)
        if self.record.most is not None and _is_meta(bottoms):
            most = [self._longer(shape) for shape in self.record.most(self, shapes)]
            return tuple(torch.empty(shape, device="meta") for shape in most)
        return super().__call__(*bottoms)

    def _longer(self, shape: torch.Size) -> torch.Size:
        """With :func:`one_more_row` where values decide how many there are."""
        rows = self.record.rows
        if rows is None or not _ONE_MORE.get():
            return shape
        return torch.Size([side + (axis == rows) for axis, side in enumerate(shape)])

    def _follow(self, shapes: tuple[torch.Size, ...]) -> None:
        try:
            self.reshape(shapes)
        except InputError as error:
            raise self.refusal(str(error)) from None
        self.taken.add(shapes)

    def refusal(self, reason: str) -> InputError:
        """What to raise for values of bottoms: nobody above a call knows the layer."""
        return InputError(f'layer "{self.message.name}": {reason}')

    def reshape(self, bottoms: Shapes) -> None:
        """Raise InputError for shapes of bottoms that this layer does not take (Layer::Reshape)."""
        with torch.device("meta"):
            other = build_layer(self.message, bottoms)
        if self.sizes == other.sizes and self.spec == other.spec:
            return
        listed = ", ".join(str(tuple(shape)) for shape in bottoms)
        reason = "it was built for other axes"
        if self.sizes != other.sizes:
            reason = f"blobs {self.sizes} would have to be {other.sizes}"
        raise InputError(f"cannot take bottoms {listed}: {reason}", self.message.name)

    def reset_parameters(self) -> None:
        """Nothing: stock modules draw their weights here, and ours come from Caffe's fillers or a file."""

    def extra_repr(self) -> str:
        """The fork whose rule it follows, where its type has several, and the numbers that are not as by
        default.
        """
        return ", ".join(part for part in (self.record.dialect_name, str(self.spec)) if part)

    def _get_name(self) -> str:
        return self.record.type if "record" in vars(self) else type(self).__name__

    def reset(self) -> None:
        """Forget what one pass leaves for the next, as recurrent layers do."""

    def settle(self) -> None:
        """Work out for good what training alone keeps apart, for a net that goes into a file."""

    def blobs(self) -> list[Tensor]:
        """Caffe's blobs of this layer, in Caffe's order, as live tensors."""
        return [getattr(self, slot) for slot in self.slots]

    def fill_blob(self, slot: str, blob: Tensor, generator: Random) -> None:
        """Fill one of its blobs as its filler says. Raises InputError for a filler that cannot fill it."""
        fill(blob, self.fillers.get(slot, FillerParameter()), generator)

    def backward_reads(self) -> str:
        """ "top" or "bottom" where Caffe's backward pass reads that and keeps no copy, else nothing."""
        return self.record.backward_reads

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


def build_layer(message: LayerParameter, bottoms: Shapes) -> Layer:
    """The module of one layer. Raises InputError, naming the layer, for a type that is not known and
    for what Caffe's Layer::CheckBlobCounts and Net::Init refuse.
    """
    if not rules_of(message.type):
        hint = nearest(message.type, layer_types())
        raise InputError(f'type "{message.type}" is not supported{hint}', message.name)
    if len(rules_of(message.type)) > 1 and not message.dialect:
        message.dialect = choose([message], rules_of(message.type)).rules[0].dialect_name
    record = record_of(message)
    if record.role != "data":  # what a data layer does to its images, whoever opens its files asks
        check_fields(message)
        check_ints(message)
    check_count(message, "bottom", len(bottoms), record.bottoms)
    check_count(message, "top", len(message.top), record.tops)
    check_listed(message, "loss_weight", len(message.loss_weight), max(len(message.top), 1))
    check_listed(message, "propagate_down", len(message.propagate_down), len(bottoms))
    module = record.builder(message, bottoms)
    slots = _slots(module, record)
    # Past nn.Module's __setattr__, which looks for tensors in each of them.
    vars(module).update(message=message, record=record, slots=slots, taken={tuple(bottoms)})
    if len(message.param) > len(module.slots):
        raise InputError(f"{len(message.param)} param for a layer of {len(module.slots)} blobs", message.name)
    module.sizes = [tuple(blob.shape) for blob in module.blobs()]
    return module


def _is_meta(bottoms: tuple[Tensor, ...]) -> bool:
    """Whether shapes alone are asked for, as while a net is built."""
    return any(x.is_meta for x in bottoms) if bottoms else torch.empty(0).is_meta


def _slots(module: Layer, record: Record) -> tuple[str, ...]:
    """The blobs that the module has of those its record names."""
    tensors = {name: x for x in (module._parameters, module._buffers) for name in x if x[name] is not None}
    strange = tensors.keys() - set(record.blobs)
    assert not strange, f"@layer of {record.type} does not name the blobs {sorted(strange)}"
    return tuple(name for name in record.blobs if name in tensors)
