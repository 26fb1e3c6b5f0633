"""``zoo data import``: the article's lists for a folder of class folders, or from a data set's own lists."""

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from converters.host.files import write_text
from converters.host.places import existing_folder
from prototxt.errors import InputError
from zoo.cli.choices import GROCERY_LABELS, SEED, VALIDATION_SHARE
from zoo.data.demo import CLASS_LIST, TRAIN_LIST, VAL_LIST
from zoo.data.folders import Classes, Keys, byte_keys, find_split, split
from zoo.data.grocery import Entries, find_grocery_lists, read_lists, read_names
from zoo.terminal.console import notice


@dataclass(frozen=True)
class ImportChoice:
    """What of the images goes where; None: as the folder's kind has it.

    ``val`` is the share of a class for validation, ``labels`` coarse or fine, ``classes`` how many of the
    largest classes are kept.
    """

    val: float | None = None
    seed: int = SEED
    labels: str | None = None
    classes: int | None = None


@dataclass(frozen=True)
class Images:
    """The images of a folder, split, and the names of its classes."""

    train: Entries
    val: Entries
    names: Mapping[int, str] = field(default_factory=dict)

    def classes_taken(self, classes: int | None) -> list[int]:
        """The classes to keep, in the order of their labels: by name. Raises InputError for too many."""
        counts = Counter(label for _, label in [*self.train, *self.val])
        if classes is not None and classes > len(counts):
            raise InputError(f"--classes {classes}: there are {len(counts)}")
        largest = sorted(counts, key=lambda label: (-counts[label], self.names.get(label, ""), label))
        return sorted(largest[:classes], key=lambda label: (self.names.get(label, ""), label))


def run(args: argparse.Namespace) -> int:
    """Write the lists; their paths go to stdout."""
    choice = ImportChoice(args.val, args.seed, args.labels, args.classes)
    for path in import_folder(Path(args.folder), choice, Path(args.lists) if args.lists else None):
        print(path)
    return 0


def import_folder(folder: Path, choice: ImportChoice, lists: Path | None = None) -> list[Path]:
    """Lists in the article's layout for the images of ``folder``; the files written: both and classes.txt.

    They go into ``folder``; into ``lists`` where that is given, the images then by their absolute paths.
    Where the folder (or ``dataset/`` in it) has lists of "path, fine, coarse" lines, the split is theirs.
    Else it holds one folder of images a class, or train/ and val/ with one each, which are the split.
    Without those in each class a share of the images, at least one, goes to the validation list, never all
    of them. Labels count the classes by name; split and order follow from the seed.

    Images of the same bytes go to one side, or are told of. Raises InputError for a folder without two
    classes, a class with fewer than two images, a name that a list cannot hold, an option that the folder's
    kind has no use for, or lists that are there already.
    """
    existing_folder(folder)
    targets = [(lists or folder) / name for name in (TRAIN_LIST, VAL_LIST, CLASS_LIST)]
    if there := [path for path in targets if path.exists()]:
        raise InputError(f"{there[0]}: is there already; move it away to write a new one")
    random = np.random.Generator(np.random.PCG64(choice.seed))
    images = _from_lists(folder, choice) or _from_folders(folder, choice, random)
    classes = images.classes_taken(choice.classes)
    prefix = f"{folder.absolute()}/" if lists else ""
    train, val = (_relabelled(entries, classes, prefix) for entries in (images.train, images.val))
    names = [str(images.names.get(label, label)) for label in classes]
    _check_names([*(path for path, _ in train + val), *names], folder)
    texts = [_lines(train, random), _lines(val, random), "".join(f"{name}\n" for name in names)]
    _write_all(dict(zip(targets, texts, strict=True)))
    notice(f"{folder}: {len(classes)} classes, {len(train)} training and {len(val)} validation images")
    return targets


def _from_lists(folder: Path, choice: ImportChoice) -> Images | None:
    """The images as the folder's own lists split them; None where it has none."""
    place = find_grocery_lists(folder)
    if place is None:
        return None
    if choice.val is not None:
        raise InputError(f"--val: the split is that of the lists in {place}")
    labels = choice.labels or GROCERY_LABELS[0]
    images = Images(*read_lists(folder, place, labels), read_names(place, labels))
    keys = byte_keys(folder, [path for path, _ in images.train + images.val])
    _tell_doubles(folder, images, keys)  # and leave the split, which others' figures stand on
    return images


def _from_folders(folder: Path, choice: ImportChoice, random: np.random.Generator) -> Images:
    val = VALIDATION_SHARE if choice.val is None else choice.val
    if not 0 < val < 1:
        raise InputError(f"--val {val:g} must be above 0 and below 1")
    if choice.labels is not None:
        raise InputError(f'--labels: {folder} has no train.txt of lines "path, fine, coarse"')
    sides = find_split(folder)
    if sides is None:
        images, keys = _split(folder, val, random)
    elif choice.val is not None:
        raise InputError(f"--val: the split is that of {sides[0]} and {sides[1]}")
    else:
        images, keys = _as_split(folder, *sides)
    _tell_doubles(folder, images, keys)
    return images


def _split(folder: Path, val: float, random: np.random.Generator) -> tuple[Images, Keys]:
    """A share of every class folder's images for validation; what every image's bytes are known by."""
    by_class = _pictures(folder, folder)
    for name, pictures in by_class.items():
        if len(pictures) < 2:
            raise InputError(f"{folder / name}: holds {len(pictures)} images, a class needs at least 2")
    keys = byte_keys(folder, (picture for pictures in by_class.values() for picture in pictures))
    images, sides = Images([], [], dict(enumerate(by_class))), dict[object, bool]()
    for label, pictures in enumerate(by_class.values()):
        names = [pictures[i] for i in random.permutation(len(pictures))]
        parts = split(names, round(val * len(names)), keys, sides)
        for entries, part in zip((images.train, images.val), parts, strict=True):
            entries += [(name, label) for name in part]
    if doubles := len(keys) - len(set(keys.values())):
        notice(f"{folder}: {doubles} images are byte for byte like another, and go to its side of the split")
    return images, keys


def _as_split(folder: Path, train: Path, val: Path) -> tuple[Images, Keys]:
    """The images as train/ and val/ hold them, what is in both in val/ alone; and as :func:`_split`."""
    ours, theirs = _pictures(folder, train), _pictures(folder, val)
    for name in [*ours, *(name for name in theirs if theirs[name])]:
        if not ours.get(name):
            raise InputError(f"{train / name}: holds no images, so that class {name} would never be trained")
    every = [name for side in (ours, theirs) for pictures in side.values() for name in pictures]
    keys = byte_keys(folder, every)
    known = {keys[name] for pictures in theirs.values() for name in pictures}
    images = Images([], [], dict(enumerate(ours)))
    for label, (name, pictures) in enumerate(ours.items()):
        new = [picture for picture in pictures if keys[picture] not in known] or pictures
        images.train.extend((picture, label) for picture in new)
        images.val.extend((picture, label) for picture in theirs.get(name, []))
        if not theirs.get(name):
            notice(f"{val}: has no images of class {name}")
    if gone := sum(map(len, ours.values())) - len(images.train):
        notice(f"{train}: {gone} images are byte for byte in {val} too, and are not trained on")
    if not images.val:
        raise InputError(f"{val}: holds no images")
    return images, keys


def _pictures(folder: Path, place: Path) -> dict[str, list[str]]:
    """By class the pictures of the class folders in ``place``, as paths from ``folder``."""
    classes = Classes(place)
    if len(classes.paths) < 2:
        raise InputError(f"{place}: {classes.few()}")
    by_class = {
        path.name: [picture.relative_to(folder).as_posix() for picture in classes.pictures(path)]
        for path in classes.paths
    }
    classes.tell_left_out()
    return by_class


def _tell_doubles(folder: Path, images: Images, keys: Keys) -> None:
    """A line about the images that are in both lists."""
    trained = {keys[path] for path, _ in images.train}
    if count := sum(keys[path] in trained for path, _ in images.val):
        notice(f"{folder}: {count} of the validation images are byte for byte training images too")


def _relabelled(entries: Entries, classes: Sequence[int], prefix: str) -> Entries:
    """The entries of the classes kept, labelled by their place there."""
    labels = {old: label for label, old in enumerate(classes)}
    return [(prefix + path, labels[old]) for path, old in entries if old in labels]


def _check_names(names: Sequence[str], folder: Path) -> None:
    """Raise InputError for a name that does not stand in one line as it is."""
    for name in names:
        if name != name.strip().removeprefix("\ufeff") or len(name.splitlines()) != 1:
            raise InputError(
                f"{folder}: {name!r} cannot stand in a list: a line break, or a blank at an end; rename it"
            )


def _write_all(texts: Mapping[Path, str]) -> None:
    """New files, all of them or none; names that are no UTF-8 keep their bytes."""
    written: list[Path] = []
    try:
        for path, text in texts.items():
            write_text(path, text)
            written.append(path)
    except BaseException:
        for path in written:
            path.unlink()
        raise


def _lines(entries: Entries, random: np.random.Generator) -> str:
    shuffled = [entries[i] for i in random.permutation(len(entries))]
    return "".join(f"{path} {label}\n" for path, label in shuffled)
