"""Fields that only forks of Caffe have: which of them a message sets, and which change no result."""

from collections.abc import Collection, Iterator

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

FIRST = 10_000  # the least number of a field that Caffe 1.0 does not have (caffe.proto)
_OURS = ("LayerParameter.dialect", "NetParameter.dialect")

# Each as "Message.field". They choose how something is computed, not what: a kernel, its memory, how numbers
# are kept meanwhile, what is printed.
HARMLESS = frozenset({"BNParameter.engine"})


def fields_of_forks(message: Message, apart: Collection[str] = ()) -> Iterator[str]:
    """The paths ("pooling_param.ceil_mode") of the fields of forks that are set, but for harmless ones and
    what stands in the message's own fields ``apart``.
    """
    return (path for path, field in _set(message, apart) if not _is_harmless(field))


def harmless_fields(message: Message) -> list[str]:
    """The names of the harmless fields of forks that are set anywhere in a message, sorted."""
    return sorted({field.name for _, field in _set(message) if _is_harmless(field)})


def _is_harmless(field: FieldDescriptor) -> bool:
    return _named(field) in HARMLESS


def _named(field: FieldDescriptor) -> str:
    kind = field.containing_type
    assert kind is not None, f"{field.name} is no field of a message"
    return f"{kind.name}.{field.name}"


def _set(
    message: Message, apart: Collection[str] = (), path: str = "", of_fork: bool = False
) -> Iterator[tuple[str, FieldDescriptor]]:
    """The fields that are set and hold no message, each with its path, of a fork or inside of a fork's."""
    for field, value in message.ListFields():
        name = _named(field)
        inside = of_fork or field.number >= FIRST
        if field.name in apart or name in _OURS:
            continue
        if field.message_type is not None and name not in HARMLESS:
            for item in value if field.is_repeated else [value]:
                yield from _set(item, (), f"{path}{field.name}.", inside)
        elif inside:
            yield path + field.name, field
