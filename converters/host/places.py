"""Where a relative path of a prototxt is sought, and how a path that a message names is opened."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prototxt.errors import InputError
from prototxt.rawbytes import from_message, readable

HERE: Sequence[Path] = (Path(),)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def find(name: str, places: Sequence[Path] = HERE) -> Path:
    """``name`` in the first of ``places`` that has it; the path in the first of them where none has it.

    Caffe knows the current folder alone. An absolute name stands for itself. Raises InputError for a name
    that no place has and that a backslash broke.
    """
    candidates = [place / from_message(name) for place in places]
    path = next((path for path in candidates if path.exists()), None)
    if path is None:
        refuse_escapes("the path", name)
    return path or candidates[0]


@dataclass(frozen=True)
class Base:
    """What a list's names are put behind: a ``place``, and root_folder as a text (image_data_layer.cpp,
    load_batch), so that it may be the beginning of a name.
    """

    place: Path
    root: str

    def path(self, name: str) -> Path:
        """Where the file of that name lies."""
        return self.place / (self.root + name)

    @property
    def folder(self) -> Path:
        """The folder that all files lie below."""
        return self.place / self.root[: self.root.rfind("/") + 1]


def base_of_list(list_path: Path, param: Any, names: Collection[str], places: Sequence[Path]) -> Base:
    """Where the files lie that a data layer's list names; ``param`` is the layer's message with ``source``
    and ``root_folder``, the place is :func:`place_of_list`'s. Raises InputError for a root_folder that a
    backslash broke.
    """
    refuse_escapes("root_folder", param.root_folder)
    root = from_message(param.root_folder)
    return Base(place_of_list(list_path, param.source, [root + name for name in names], places, root), root)


def place_of_list(
    list_path: Path, source: str, names: Collection[str], places: Sequence[Path], root: str = ""
) -> Path:
    """The one of ``places`` that all files which a list names count from: that where the list itself was
    found as ``source``; where none of them is there, the first that has any, or else the folder ``root``,
    with which they begin, or else the last.

    Of the current folder that is Caffe's own rule. Lists of several folders name files alike: a file that
    one list's folder lacks is never taken from another's.
    """
    own = [place for place in places if place / from_message(source) == list_path]
    candidates = [*own[:1], *places]
    roots = {root, readable(root)} - {""}  # whose bytes may be no UTF-8, where the folder's are
    with_root = (p for p in candidates if any((p / each).is_dir() for each in roots))
    default = next(with_root, candidates[-1])
    return next((p for p in candidates if any((p / name).is_file() for name in names)), default)


def seek(name: str, places: Iterable[Path]) -> Path | None:
    """The first of ``places`` that holds the file ``name``, joined with it, or None."""
    return next((path for place in places if (path := place / from_message(name)).is_file()), None)


def missing(what: str, name: str, places: Sequence[Path]) -> InputError:
    """The error about a file that :func:`seek` did not find, each place named once."""
    try:
        refuse_escapes(what, name)
    except InputError as error:
        return error
    if any((place / from_message(name)).is_dir() for place in places):
        return InputError(f'{what} "{name}" is a folder, and not a file')
    if Path(from_message(name)).is_absolute():
        return InputError(f'{what} "{name}" is not there{_where_its_end_is(name, places)}')
    folders = list(dict.fromkeys(place.resolve() for place in places))
    text = f'{what} "{name}" is in none of {", ".join(map(str, folders))}'
    above = [parent for folder in folders for parent in folder.parents]
    if found := next((place for place in above if (place / from_message(name)).is_file()), None):
        text += f"; it is in {found}: run this from there, or write the path as it is from here"
    return InputError(text)


def _where_its_end_is(name: str, places: Sequence[Path]) -> str:
    """Of an absolute path of another machine: what an error adds where one of ``places`` has its last parts,
    as many as may be.
    """
    parts = Path(from_message(name)).parts
    ends = (Path(*parts[start:]) for start in range(1, len(parts)))
    found = next(((end, place) for end in ends for place in places if (place / end).is_file()), None)
    return f'; "{found[0]}" is in {found[1].resolve()}: write the path so' if found else ""


def existing_folder(path: str | Path, said: str = "", here: Path = HERE[0]) -> Path:
    """``path``, counted from ``here``. Raises InputError where no folder is there; ``said`` is the option
    that names it.
    """
    folder = here / path
    if not folder.is_dir():
        what = "is a file, and not a folder" if folder.exists() else "no such folder"
        raise InputError(f"{said}{path}: {what}")
    return folder


def refuse_escapes(what: str, path: str) -> None:
    """Raise InputError for a path with control characters: ``\\n`` and the like of a Windows path are
    escapes in a prototxt's string, as in Caffe's.
    """
    if control := _CONTROL.search(path):
        written = _CONTROL.sub(lambda char: _spelt(char[0]), path)
        raise InputError(
            f'{what} "{written}": "{_spelt(control[0])}" in a string stands for a control character, not for '
            'a backslash; write a path with "/", or each backslash as "\\\\"'
        )


def _spelt(char: str) -> str:
    return {"\a": "\\a", "\b": "\\b", "\v": "\\v", "\f": "\\f"}.get(char) or char.encode(
        "unicode_escape"
    ).decode()
