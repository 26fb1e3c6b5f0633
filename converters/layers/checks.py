"""What a layer's message, bottoms and blobs must be, each check with Caffe's own words where it has any."""

from collections.abc import Iterator, Sequence

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from converters.layers.registry import Count, Record, Shapes, records, rules_of
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError
from prototxt.forks import FIRST, fields_of_forks

LARGEST = 2**31 - 1  # elements of a blob: Caffe counts them in an int (blob.cpp, Reshape)


def check_count(message: LayerParameter, what: str, count: int, wanted: Count) -> None:
    """Raise InputError for a number of bottoms or tops that the type does not take."""
    least, most = wanted
    if count < least or (most is not None and count > most):
        raise InputError(f"takes {_counted(wanted, what)}, not {count}", message.name)


def _counted(count: Count, what: str) -> str:
    least, most = count
    plural = "s" if least != 1 or most != 1 else ""
    if most is None:
        return f"at least {least} {what}s" if least != 1 else f"at least 1 {what}"
    return f"{least} {what}{plural}" if least == most else f"{least} to {most} {what}s"


def check_listed(message: LayerParameter, what: str, count: int, wanted: int) -> None:
    """Raise InputError for a list that is neither left out nor has ``wanted`` entries."""
    if count not in (0, wanted):
        raise InputError(f"{count} {what} where Caffe takes none or {wanted}", message.name)


def check_fields(message: LayerParameter) -> None:
    """Raise InputError for a field of a fork that no rule of the layer's type reads. The message of other
    types (roi_pooling_param in a ReLU) has no effect in any fork, and none here; which of several rules a
    layer follows is :mod:`converters.layers.choice`'s.
    """
    for path in unhonoured(message):
        raise InputError(
            f"{path} is a field of forks of Caffe that nothing here honours in a {message.type} layer",
            message.name,
        )


def unhonoured(message: LayerParameter) -> list[str]:
    """The paths of a layer's fields of forks that no rule of its type reads."""
    rules = rules_of(message.type)
    return [
        path
        for path in fields_of_forks(message)
        if not any(rule.reads(path) for rule in rules) and not _is_anothers(path, rules)
    ]


def _is_anothers(path: str, rules: Sequence[Record]) -> bool:
    """Whether a field stands in a fork's own message that only types of other ``rules`` read."""
    top = path.partition(".")[0]
    number: int = LayerParameter.DESCRIPTOR.fields_by_name[top].number
    readers = [record for record in records() if record.reads_message(top)] if number >= FIRST else []
    return bool(readers) and not any(rule in readers for rule in rules)


def check_ints(message: LayerParameter) -> None:
    """Raise InputError for a number that no int has: Caffe's layers take what the schema calls uint32 for an
    int, which it makes negative.
    """
    for name, number in _unsigned(message):
        if number > LARGEST:
            raise InputError(f"{name} {number} is more than {LARGEST}", message.name)


def _unsigned(message: Message) -> Iterator[tuple[str, int]]:
    """The numbers of the uint32 fields that a message sets, in messages of its own too."""
    for field, value in message.ListFields():
        values = value if field.is_repeated else [value]
        if field.message_type is not None:
            for item in values:
                yield from _unsigned(item)
        elif field.cpp_type == FieldDescriptor.CPPTYPE_UINT32:
            yield from ((field.name, number) for number in values)


def check_first_axes(message: LayerParameter, bottoms: Shapes) -> None:
    """Raise InputError unless the first two bottoms agree in axis 0 (LossLayer::Reshape)."""
    if not (bottoms[0] and bottoms[1]) or bottoms[0][0] != bottoms[1][0]:
        shapes = f"{tuple(bottoms[0])} and {tuple(bottoms[1])}"
        raise InputError(f"bottoms differ in axis 0: {shapes}", message.name)


def check_channels(message: LayerParameter, shape: Sequence[int]) -> None:
    """Raise InputError for a bottom without an axis of channels, (N, C, …)."""
    if len(shape) < 2:
        raise InputError(f"takes 2 axes or more, not {len(shape)}", message.name)


def check_planes(message: LayerParameter, shape: Sequence[int]) -> None:
    """Raise InputError for a bottom that is not (N, C, H, W)."""
    if len(shape) != 4:
        raise InputError(f"takes (N, C, H, W), not {len(shape)} axes", message.name)


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
