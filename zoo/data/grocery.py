"""Lists of "path, fine label, coarse label" lines, as the Grocery Store Dataset has them.

train.txt, val.txt and test.txt stand in dataset/ of its clone, with classes.csv; paths count from there.
(M. Klasson, C. Zhang, H. Kjellström: A Hierarchical Grocery Store Image Dataset with Visual and Semantic
Labels, WACV 2019.)
"""

import csv
from pathlib import Path

from prototxt.encoding import read_text
from prototxt.errors import InputError

_COLUMNS = {
    "fine": ("Class ID (int)", "Class Name (str)"),
    "coarse": ("Coarse Class ID (int)", "Coarse Class Name (str)"),
}

Entries = list[tuple[str, int]]


def find_grocery_lists(folder: Path) -> Path | None:
    """The folder with the lists, ``folder`` itself or dataset/ in it; None where there are none."""
    for place in (folder, folder / "dataset"):
        first = place / "train.txt"
        if first.is_file() and _parts((read_text(first).splitlines() or [""])[0]):
            return place
    return None


def read_lists(folder: Path, place: Path, labels: str) -> tuple[Entries, Entries]:
    """(training entries, validation entries), paths from ``folder``: train.txt and val.txt together, and
    test.txt; where there is no test.txt, train.txt and val.txt.

    Raises InputError, naming file and line, for another kind of line, and where a list is missing.
    """
    parts = {name: _read(folder, place, name, labels) for name in ("train", "val", "test")}
    if not parts["val"] and not parts["test"]:
        raise InputError(f"{place}: has train.txt, and neither test.txt nor val.txt to validate on")
    if not parts["test"]:
        return parts["train"], parts["val"]
    return parts["train"] + parts["val"], parts["test"]


def _read(folder: Path, place: Path, name: str, labels: str) -> Entries:
    path = place / f"{name}.txt"
    if not path.is_file():
        return []
    entries = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        parts = _parts(line)
        if parts is None:
            raise InputError(f'{path}:{number}: "{line}" is not "path, fine label, coarse label"')
        image, fine, coarse = parts
        entries.append(((place / image).relative_to(folder).as_posix(), fine if labels == "fine" else coarse))
    return entries


def _parts(line: str) -> tuple[str, int, int] | None:
    image, *numbers = (part.strip() for part in line.rsplit(",", 2))
    if len(numbers) != 2 or not image or not all(number.isdecimal() for number in numbers):
        return None
    return image, int(numbers[0]), int(numbers[1])


def read_names(place: Path, labels: str) -> dict[int, str]:
    """The classes' names by their number, from classes.csv; none where there is no such file.

    Raises InputError for a file without the columns.
    """
    path = place / "classes.csv"
    if not path.is_file():
        return {}
    number, name = _COLUMNS[labels]
    try:
        return {int(row[number]): row[name] for row in csv.DictReader(read_text(path).splitlines())}
    except (KeyError, TypeError, ValueError):
        raise InputError(f'{path}: has no columns "{number}" and "{name}"') from None
