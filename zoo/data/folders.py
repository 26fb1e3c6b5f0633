"""A folder of class folders: which files in it are pictures, whose, and on which side of the split."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from converters.data.images.lists import read_image
from prototxt.caffe_pb2 import ImageDataParameter
from prototxt.errors import InputError
from zoo.terminal.console import notice

Names = list[str]  # of pictures: their paths from the folder
Keys = dict[str, object]  # by such a name the same for files of the same bytes

_PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})
# Taken where this OpenCV decodes one of the folder's: builds differ in these.
_RARER = frozenset({".apng", ".avif", ".dib", ".gif", ".hdr", ".jfif", ".jp2", ".jpe", ".jxl"}) | frozenset(
    {".pbm", ".pic", ".pjp", ".pjpeg", ".pnm", ".pxm", ".ras", ".sr"}
)
_SYSTEMS = frozenset({"__macosx", "thumbs.db", "desktop.ini"})  # what other systems leave beside pictures
_TRAIN = ("train", "training")
_HELD = ("val", "valid", "validation", "test", "testing")


@dataclass
class Classes:
    """The class folders of ``folder``, by name, and what of them was left out, for one line about it.

    A folder is entered once, whatever links to it, and one that lies in another class never.
    """

    folder: Path
    paths: list[Path] = field(init=False)
    left_out: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.paths = class_folders(self.folder)
        for path in sorted(_folders(self.folder) - set(self.paths)):
            notice(f"{path}: leads to {path.resolve()} once more, left out")
        self._roots = [path.resolve() for path in self.paths]

    def pictures(self, path: Path) -> list[Path]:
        """The pictures at or below a class folder, by name."""
        own = path.resolve()
        seen, files = {own}, []
        for place, inner, names in os.walk(path, followlinks=True):
            shown = [Path(place, name) for name in sorted(inner) if _is_shown(name)]
            inner[:] = [each.name for each in shown if self._is_new(each.resolve(), own, seen)]
            files += [Path(place, name) for name in names if _is_shown(name)]
        return sorted(self._taken(files))

    def _is_new(self, real: Path, own: Path, seen: set[Path]) -> bool:
        """Whether a folder, links followed, is to be entered from the class ``own``; it then is seen."""
        owner = next((root for root in self._roots if real.is_relative_to(root)), own)
        if real in seen or owner != own or self.folder.resolve().is_relative_to(real):
            return False
        seen.add(real)
        return True

    def _taken(self, files: Iterable[Path]) -> list[Path]:
        by_suffix: dict[str, list[Path]] = {}
        for path in files:
            by_suffix.setdefault(path.suffix.lower() if path.is_file() else "broken links", []).append(path)
        taken: list[Path] = []
        for suffix, paths in by_suffix.items():
            if suffix in _PICTURES or (suffix in _RARER and any(map(_is_decoded, paths))):
                taken += paths
            else:
                self.left_out[suffix or "without an extension"] += len(paths)
        return taken

    def few(self) -> str:
        """What is wrong where there are fewer than two classes, and which folder may be meant."""
        count = len(self.paths)
        text = f"holds {count} class folder{'s' * (count != 1)}, at least 2 are needed"
        if inner := next((path for path in self.paths if len(class_folders(path)) > 1), None):
            return f"{text}; {inner} holds {len(class_folders(inner))}"
        if not count and any(path.suffix.lower() in _PICTURES for path in self.folder.iterdir()):
            return f"{text}: it holds pictures itself; give the folder above, with one folder a class"
        return text

    def tell_left_out(self) -> None:
        """One line about the files that are no pictures, by extension."""
        if self.left_out:
            kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.left_out.items()))
            notice(f"{self.folder}: left out as no pictures: {kinds}")


def _is_shown(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in _SYSTEMS


def _is_decoded(path: Path) -> bool:
    try:
        read_image(path, ImageDataParameter())
    except InputError:
        return False
    return True


def class_folders(folder: Path) -> list[Path]:
    """The folders in ``folder`` by name, without links to one of them or to ``folder`` itself."""
    known = {folder.resolve(): folder}
    for path in sorted(_folders(folder), key=lambda path: (path.is_symlink(), path.name)):
        known.setdefault(path.resolve(), path)
    return sorted(path for path in known.values() if path is not folder)


def _folders(folder: Path) -> set[Path]:
    return {path for path in folder.iterdir() if path.is_dir() and _is_shown(path.name)}


def find_split(folder: Path) -> tuple[Path, Path] | None:
    """The folders train/ and val/ (or valid/, validation/, test/) where they hold the same class folders.

    Raises InputError where train/ holds class folders, and the other none of them.
    """
    named = {path.name.lower(): path for path in class_folders(folder)}
    train, val = (next((named[n] for n in names if n in named), None) for names in (_TRAIN, _HELD))
    if train is None or val is None:
        return None
    classes = [{path.name for path in class_folders(side)} for side in (train, val)]
    if len(classes[0]) > 1 and not classes[0] & classes[1]:
        raise InputError(f"{folder}: {val.name}/ holds none of the class folders that {train.name}/ does")
    if classes[0] & classes[1] and (others := [p.name for p in named.values() if p not in (train, val)]):
        notice(f"{folder}: the split is {train.name}/ and {val.name}/; left out: {', '.join(others)}")
    return (train, val) if classes[0] & classes[1] else None


def byte_keys(folder: Path, names: Iterable[str]) -> Keys:
    """By name a key that is the same for files of the same bytes; only files of one size are read."""
    places = {name: folder / name for name in names}
    sizes = {name: path.stat().st_size if path.is_file() else None for name, path in places.items()}
    alike = Counter(sizes.values())
    return {
        name: (size, _digest(places[name]) if size is not None and alike[size] > 1 else name)
        for name, size in sizes.items()
    }


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def split(names: Sequence[str], count: int, keys: Keys, sides: dict[object, bool]) -> tuple[Names, Names]:
    """(training, validation) of one class: the first ``count`` of ``names`` for validation, files of the
    same bytes on one side and at least one file on each.

    ``sides`` is by key whether it is for validation, as earlier classes have it, and is filled in. Where
    all files of the class belong on one side they are split all the same.
    """
    groups: dict[object, Names] = {}
    for name in names:
        groups.setdefault(keys[name], []).append(name)
    count, dealt = max(1, min(count, len(names) - 1)), 0
    mine = {}
    for key, members in groups.items():
        mine[key] = sides.get(key, dealt + len(members) <= count)
        dealt += len(members) * mine[key]
    free = [key for key in groups if key not in sides]
    if not dealt and len(groups) > 1 and free:
        mine[min(free, key=lambda key: len(groups[key]))] = True
    if len(set(mine.values())) == 1:
        return list(names[count:]), list(names[:count])
    sides |= mine
    return [n for n in names if not mine[keys[n]]], [n for n in names if mine[keys[n]]]
