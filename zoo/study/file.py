"""A study file: TOML that says which nets, variants, solver changes and seeds are trained, and how long."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from prototxt.errors import InputError, nearest
from zoo.cli.choices import MOST, MOST_SEED, SOLVER, VARIANT

_NAME = re.compile(r"[\w.+-]+")


@dataclass(frozen=True)
class RunBlock:
    """One ``[[runs]]``: nets × variants × changes, with settings of its own.

    ``changes`` are texts for --set by name; ``set`` is one that all of them share. An iteration takes
    ``iter_size`` batches of ``batch_size``.
    """

    nets: Sequence[str] = ()
    variants: Sequence[str] = (VARIANT,)
    changes: Mapping[str, str] = field(default_factory=dict)
    batch_size: int | None = None
    iter_size: int | None = None
    set: str | None = None


@dataclass(frozen=True)
class Study:
    """A study as its file says; None: as the solver says. ``data`` is the folder with the lists, ``dialect``
    names the forks whose rules are meant, as --dialect does, ``skip_bad`` passes over broken images.
    """

    title: str
    runs: Sequence[RunBlock]
    solver: str = SOLVER
    data: str | None = None
    max_iter: int | None = None
    batch_size: int | None = None
    size: int | None = None
    seeds: Sequence[int] = (0,)
    set: str | None = None
    dialect: str | None = None
    skip_bad: bool | None = None


def read_study(path: Path) -> Study:
    """A study from its file; paths in it (solver, nets, data) count from the file's folder.

    Raises InputError, naming file and key, for text that is not TOML, for a key that is unknown, missing
    or of the wrong kind, and for a study without runs.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: cannot be read as TOML ({error})") from None
    checked = _checked(table, Study, str(path))
    checked["runs"] = [_block(block, path, number) for number, block in enumerate(checked["runs"], 1)]
    here: dict[str, Any] = {key: _beside(path, checked[key]) for key in ("solver", "data") if key in checked}
    return Study(**(checked | here))


def _block(table: Mapping[str, Any], path: Path, number: int) -> RunBlock:
    checked = _checked(table, RunBlock, f"{path}: runs[{number}]")
    checked["nets"] = [_beside(path, net) for net in checked.get("nets", ())]
    return RunBlock(**checked)


def _beside(path: Path, name: str) -> str:
    """``name`` from the study file's folder, where it is there; else as it stands."""
    beside = path.absolute().parent / name
    return str(beside) if beside.exists() else name


def _checked(table: Mapping[str, Any], kind: type[Any], where: str) -> dict[str, Any]:
    """The table, each of whose keys is a field of ``kind`` with a value that the field takes."""
    known = [item.name for item in fields(kind)]
    for key, value in table.items():
        if key not in known:
            raise InputError(f'{where}: no key "{key}"{nearest(key, known)} (known: {", ".join(known)})')
        takes, is_right = _KINDS[key]
        if not is_right(value):
            raise InputError(f"{where}: {key} takes {takes}, not {value!r}")
    for key in ("title", "runs") if kind is Study else ():
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


_TEXT = ("a text", _is_text)
_NUMBER = ("a whole number from 1", _is_number)
_TEXTS = ("a list of different texts", lambda value: _is_list(value, _is_text))
_KINDS: dict[str, tuple[str, Any]] = {
    "title": _TEXT,
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
    "runs": (
        "blocks [[runs]]",
        lambda value: isinstance(value, list) and bool(value) and all(isinstance(x, dict) for x in value),
    ),
    "nets": _TEXTS,
    "variants": _TEXTS,
    "changes": ("texts by names of letters, digits and . _ + -", _is_changes),
}
