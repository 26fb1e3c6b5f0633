"""A net's blobs: whose they are, which of them are one memory, and how each learns (Net::AppendParam)."""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from converters.graph import Node, layer_labels
from converters.layers import Layer
from prototxt.caffe_pb2 import ParamSpec
from prototxt.errors import InputError


@dataclass(eq=False)
class Blob:
    """Blob number ``index`` of a layer: the attribute ``slot`` of the module ``layers[child]``.

    ``layer`` is the layer's label among those that hold blobs. ``owner`` is the blob whose memory it is:
    the first one of its ``param { name }``, or itself. ``multipliers`` are the owner's lr_mult and
    decay_mult, put together from all that share it.
    """

    node: Node
    layer: str
    index: int
    child: str
    slot: str
    shape: torch.Size
    multipliers: ParamSpec = field(default_factory=ParamSpec)
    owner: "Blob" = field(init=False)

    def __post_init__(self) -> None:
        self.owner = self

    @property
    def name(self) -> str:
        """Its name in ``state_dict``, such as ``conv1.weight``."""
        return f"{self.layer}.{self.slot}"

    @property
    def is_view(self) -> bool:
        """Whether it shows its owner's memory in another shape."""
        return self.shape != self.owner.shape

    @property
    def path(self) -> str:
        """Its name among the net's own parameters and buffers."""
        place = f"parametrizations.{self.slot}.original" if self.is_view else self.slot
        return f"layers.{self.child}.{place}"

    @property
    def spec(self) -> ParamSpec:
        """What the layer's ``param`` says of it."""
        specs = self.node.layer.param
        return specs[self.index] if self.index < len(specs) else ParamSpec()


def find_blobs(modules: Mapping[Node, Layer], children: Mapping[Node, str]) -> list[Blob]:
    """Every layer's blobs, in Caffe's order."""
    slots_by_node = {node: module.slots for node, module in modules.items() if module.slots}
    labels = layer_labels([node.layer.name for node in slots_by_node])
    return [
        Blob(node, label, index, children[node], slot, getattr(modules[node], slot).shape)
        for (node, slots), label in zip(slots_by_node.items(), labels, strict=True)
        for index, slot in enumerate(slots)
    ]


def share(blobs: Iterable[Blob], layers: nn.ModuleDict) -> None:
    """Give every blob its owner and its multipliers (Net::AppendParam).

    Raises InputError, naming the layer, where blobs of one name differ in shape (in their count under
    ``share_mode: PERMISSIVE``), in lr_mult or in decay_mult.
    """
    owners: dict[str, Blob] = {}
    for blob in blobs:
        if blob.spec.name:
            blob.owner = owners.setdefault(blob.spec.name, blob)
            _check_shapes(blob)
        _merge(blob, _own_spec(blob, layers[blob.child]))


def _own_spec(blob: Blob, module: nn.Module) -> ParamSpec:
    """What the layer says of the blob; BatchNorm masks its sums (BatchNormLayer::LayerSetUp)."""
    spec = ParamSpec()
    spec.CopyFrom(blob.spec)
    if blob.slot in module._buffers:
        spec.lr_mult = 0
    return spec


def _check_shapes(blob: Blob) -> None:
    ours, first = blob.shape, blob.owner.shape
    is_loose = blob.spec.share_mode == ParamSpec.PERMISSIVE
    if (ours.numel() != first.numel()) if is_loose else (ours != first):
        raise InputError(
            f'param "{blob.spec.name}" has shape {tuple(ours)} here and {tuple(first)} in layer '
            f'"{blob.owner.node.layer.name}"',
            blob.node.layer.name,
            blob.node.layer,
        )


def _merge(blob: Blob, spec: ParamSpec) -> None:
    """Take the multipliers that ``spec`` has and the blob's owner has not."""
    multipliers = blob.owner.multipliers
    for name in ("lr_mult", "decay_mult"):
        if not spec.HasField(name):
            continue
        mult, before = getattr(spec, name), getattr(multipliers, name)
        if multipliers.HasField(name) and before != mult:
            raise InputError(
                f'param "{spec.name}" has {name} {before:g} and here {mult:g}',
                blob.node.layer.name,
                blob.node.layer,
            )
        setattr(multipliers, name, mult)


def tensor_of(blob: Blob, layers: nn.ModuleDict) -> Tensor:
    """The live tensor; a view of the owner's where the shapes differ."""
    tensor = getattr(layers[blob.child], blob.slot)
    assert isinstance(tensor, Tensor)
    return tensor


def bind(blobs: Sequence[Blob], layers: nn.ModuleDict) -> None:
    """Have every blob that shares another's memory be its owner's tensor.

    An owner that is shown in other shapes too is kept contiguous, as Caffe's blobs are.
    """
    for blob in blobs:
        if blob.owner is not blob:
            tensor = tensor_of(blob.owner, layers)
            if blob.is_view and not tensor.is_contiguous():
                tensor.data = tensor.data.contiguous()
            _put(blob, tensor, layers[blob.child])


def _put(blob: Blob, tensor: Tensor, module: nn.Module) -> None:
    place, slot = module, blob.slot
    if blob.is_view:
        if not parametrize.is_parametrized(module, slot):
            parametrize.register_parametrization(module, slot, _Shown(blob.shape), unsafe=True)
        place, slot = module.get_submodule(f"parametrizations.{slot}"), "original"
    delattr(place, slot)
    if isinstance(tensor, nn.Parameter):
        place.register_parameter(slot, tensor)
    else:
        place.register_buffer(slot, tensor)


class _Shown(nn.Module):
    """A blob in the shape that another layer has of it."""

    def __init__(self, shape: torch.Size) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, blob: Tensor) -> Tensor:
        """Any shape to ``shape``, without a copy."""
        return blob.view(self.shape)


def owner(tensor: Tensor) -> Tensor:
    """The tensor that a blob's memory and gradient are; another one than the blob where this is a view."""
    return tensor if tensor._base is None else tensor._base


def memory(tensor: Tensor) -> int:
    """What tells a blob's memory from others': the same for blobs that share it."""
    return id(owner(tensor))


def fill_first(blob: Blob, tensor: Tensor, module: Layer, source: str) -> None:
    """Fill a blob as its layer's filler says, as a pure function of ``source`` and the blob's number.

    Raises InputError, naming the layer, for a filler that cannot fill it.
    """
    generator = torch.Generator().manual_seed(zlib.crc32(f"{source}/{blob.index}".encode()))
    try:
        module.fill_blob(blob.slot, tensor, generator)
    except InputError as error:
        raise InputError(str(error), blob.node.layer.name, blob.node.layer) from None
