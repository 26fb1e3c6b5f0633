"""``zoo data import``: the article's lists for a folder of class folders, or from a data set's own lists."""

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from converters.files import write_text
from converters.places import existing_folder
from prototxt.errors import InputError
from zoo.console import notice
from zoo.data_grocery import find_lists, read_lists, read_names
from zoo.demo import CLASS_LIST, TRAIN_LIST, VAL_LIST

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})
_VAL = 0.2

Entries = list[tuple[str, int]]  # an image's path from the folder, its class


@dataclass(frozen=True)
class Choice:
    """What of the images goes where; None: as the folder's kind has it.

    ``val`` is the share of a class for validation, ``labels`` coarse or fine, ``classes`` how many of the
    largest classes are kept.
    """

    val: float | None = None
    seed: int = 0
    labels: str | None = None
    classes: int | None = None


@dataclass(frozen=True)
class Images:
    """The images of a folder, split, and the names of its classes."""

    train: Entries
    held: Entries
    names: Mapping[int, str] = field(default_factory=dict)

    def kept(self, classes: int | None) -> list[int]:
        """The classes to keep, in the order of their labels: by name. Raises InputError for too many."""
        counts = Counter(found for _, found in [*self.train, *self.held])
        if classes is not None and classes > len(counts):
            raise InputError(f"--classes {classes}: there are {len(counts)}")
        largest = sorted(counts, key=lambda found: (-counts[found], self.names.get(found, ""), found))
        return sorted(largest[:classes], key=lambda found: (self.names.get(found, ""), found))


def run(args: argparse.Namespace) -> int:
    """Write the lists; their paths go to stdout."""
    for path in import_folder(Path(args.folder), Choice(args.val, args.seed, args.labels, args.classes)):
        print(path)
    return 0


def import_folder(folder: Path, choice: Choice) -> list[Path]:
    """Lists in the article's layout for the images of ``folder``; the files written: both and classes.txt.

    Where the folder (or ``dataset/`` in it) has lists of "path, fine, coarse" lines, the split is theirs.
    Else it holds one folder of images a class, and in each class a share of the images, at least one, goes
    to the validation list. Labels count the classes by name; split and order follow from the seed. Raises
    InputError for a folder without two classes, a class with fewer than two images, an option that the
    folder's kind has no use for, or lists that are there already.
    """
    existing_folder(folder)
    targets = [folder / name for name in (TRAIN_LIST, VAL_LIST, CLASS_LIST)]
    if there := [path for path in targets if path.exists()]:
        raise InputError(f"{there[0]}: is there already; move it away to write a new one")
    random = np.random.Generator(np.random.PCG64(choice.seed))
    images = _from_lists(folder, choice) or _from_folders(folder, choice, random)
    kept = images.kept(choice.classes)
    train, held = (_relabelled(entries, kept) for entries in (images.train, images.held))
    names = "".join(f"{images.names.get(found, found)}\n" for found in kept)
    texts = [_lines(train, random), _lines(held, random), names]
    for path, text in zip(targets, texts, strict=True):
        write_text(path, text)
    notice(f"{folder}: {len(kept)} classes, {len(train)} training and {len(held)} validation images")
    return targets


def _from_lists(folder: Path, choice: Choice) -> Images | None:
    """The images as the folder's own lists split them; None where it has none."""
    place = find_lists(folder)
    if place is None:
        return None
    if choice.val is not None:
        raise InputError(f"--val: the split is that of the lists in {place}")
    labels = choice.labels or "coarse"
    return Images(*read_lists(folder, place, labels), read_names(place, labels))


def _from_folders(folder: Path, choice: Choice, random: np.random.Generator) -> Images:
    val = _VAL if choice.val is None else choice.val
    if not 0 < val < 1:
        raise InputError(f"--val {val:g} must be above 0 and below 1")
    if choice.labels is not None:
        raise InputError(f'--labels: {folder} has no train.txt of lines "path, fine, coarse"')
    classes = _classes(folder)
    split = _split(folder, classes, val, random)
    return Images(*split, {label: path.name for label, path in enumerate(classes)})


def _classes(folder: Path) -> list[Path]:
    classes = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if len(classes) < 2:
        raise InputError(f"{folder}: holds {len(classes)} class folders, at least 2 are needed")
    return classes


def _split(
    folder: Path, classes: list[Path], val: float, random: np.random.Generator
) -> tuple[Entries, Entries]:
    """(training entries, validation entries)."""
    train: Entries = []
    held: Entries = []
    for label, path in enumerate(classes):
        images = sorted(image for image in path.rglob("*") if image.suffix.lower() in _SUFFIXES)
        if len(images) < 2:
            raise InputError(f"{path}: holds {len(images)} images, a class needs at least 2")
        names = [(images[i].relative_to(folder).as_posix(), label) for i in random.permutation(len(images))]
        cut = max(1, round(val * len(images)))
        held += names[:cut]
        train += names[cut:]
    return train, held


def _relabelled(entries: Entries, kept: Sequence[int]) -> Entries:
    """The entries of the classes kept, labelled by their place there."""
    labels = {found: label for label, found in enumerate(kept)}
    return [(path, labels[found]) for path, found in entries if found in labels]


def _lines(entries: Entries, random: np.random.Generator) -> str:
    shuffled = [entries[i] for i in random.permutation(len(entries))]
    return "".join(f"{path} {label}\n" for path, label in shuffled)
