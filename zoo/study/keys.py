"""The keys of a study file's tables: which there are, and what each takes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Literal, get_args

from prototxt.errors import InputError, nearest
from zoo.cli.choices import MOST, MOST_SEED

_NAME = re.compile(r"[\w.+-]+")
Outcome = Literal["higher", "lower", "equal"]  # how one run's accuracy may stand to another's


def checked(
    table: Mapping[str, Any], kind: type[Any], where: str, required: Sequence[str] = ()
) -> dict[str, Any]:
    """The table, each of whose keys is a field of ``kind`` with a value that the field takes.

    Raises InputError, beginning with ``where``, for a key that is unknown, of the wrong kind, or missing of
    those ``required``.
    """
    known = [item.name for item in fields(kind)]
    for key, value in table.items():
        if key not in known:
            raise InputError(f'{where}: no key "{key}"{nearest(key, known)} (known: {", ".join(known)})')
        takes, is_right = _KINDS[key]
        if not is_right(value):
            raise InputError(f"{where}: {key} takes {takes}, not {value!r}")
    for key in required:
        if key not in table:
            raise InputError(f"{where}: {key} is required and not given")
    return dict(table)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_number(value: object, least: int = 1, most: int = MOST) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_list(value: object, of: Any) -> bool:
    """Whether it is a list of different things, at least one."""
    return isinstance(value, list) and bool(value) and all(map(of, value)) and len(set(value)) == len(value)


def _is_changes(value: object) -> bool:
    return (
        isinstance(value, dict)
        and bool(value)
        and all(_NAME.fullmatch(name) and isinstance(text, str) for name, text in value.items())
    )


def _is_pairs(value: object) -> bool:
    """Whether it names for a run another."""
    return (
        isinstance(value, dict)
        and bool(value)
        and all(_is_text(other) and name != other for name, other in value.items())
    )


def _is_blocks(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(block, dict) for block in value)


_TEXT = ("a text", _is_text)
_NUMBER = ("a whole number from 1", _is_number)
_TEXTS = ("a list of different texts", lambda value: _is_list(value, _is_text))
_KINDS: dict[str, tuple[str, Any]] = {
    "title": _TEXT,
    "title_zh": _TEXT,
    "solver": _TEXT,
    "data": _TEXT,
    "set": _TEXT,
    "dialect": _TEXT,
    "skip_bad": ("true or false", lambda value: isinstance(value, bool)),
    "max_iter": _NUMBER,
    "batch_size": _NUMBER,
    "iter_size": _NUMBER,
    "size": _NUMBER,
    "seeds": (
        "a list of different whole numbers from 0",
        lambda value: _is_list(value, lambda seed: _is_number(seed, 0, MOST_SEED)),
    ),
    "runs": ("blocks [[runs]]", _is_blocks),
    "nets": _TEXTS,
    "variants": _TEXTS,
    "changes": ("texts by names of letters, digits and . _ + -", _is_changes),
    "questions": ("blocks [[questions]]", _is_blocks),
    "en": _TEXT,
    "zh": _TEXT,
    "yes": (f"one of {', '.join(get_args(Outcome))}", lambda value: value in get_args(Outcome)),
    "against": ("for names of runs the name of another", _is_pairs),
}
