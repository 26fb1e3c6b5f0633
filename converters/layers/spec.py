"""A layer's numbers as a frozen record, and how it is printed."""

from dataclasses import dataclass, fields
from typing import Any

from google.protobuf.message import Message


@dataclass(frozen=True)
class Spec:
    """What a layer computes with, read from its message and, where axes count from the end, its bottoms:
    under Caffe's names, with Caffe's defaults. Subclasses say what there is.
    """

    def __str__(self) -> str:
        """``MAX, kernel=3, stride=2``: a name as it is, what is as by default not at all."""
        return ", ".join(self.parts())

    def parts(self) -> list[str]:
        """What is between the commas of its text."""
        return [_shown(item.name, value) for item, value in _telling(self)]


def numbers_of(param: Message, spec: type[Spec]) -> dict[str, Any]:
    """What a message says of a spec's fields, by their names: kinds by their names, lists as tuples. Fields
    that the message does not have are left out.
    """
    known, numbers = param.DESCRIPTOR.fields_by_name, dict[str, Any]()
    for name in (item.name for item in fields(spec) if item.name in known):
        value, kinds = getattr(param, name), known[name].enum_type
        listed = tuple(value) if known[name].is_repeated else value
        numbers[name] = kinds.values_by_number[value].name if kinds else listed
    return numbers


def _telling(spec: Spec) -> list[tuple[Any, Any]]:
    """The fields that have another value than their default, each with its value."""
    every = [(item, getattr(spec, item.name)) for item in fields(spec) if item.repr]
    return [(item, value) for item, value in every if _short(value) != _short(item.default)]


def _shown(name: str, value: Any) -> str:
    return value if isinstance(value, str) else f"{name}={_short(value)}"


def _short(value: Any) -> str:
    """A number for all axes stands once; a float32 as short as it is written."""
    if isinstance(value, tuple) and value and len(set(value)) == 1:
        return _short(value[0])
    if isinstance(value, tuple):
        return f"({', '.join(_short(item) for item in value)})"
    return f"{value:g}" if isinstance(value, float) else str(value)
