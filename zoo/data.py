"""``zoo data``: the demo data set, and lists for one's own folders of images."""

import argparse
from functools import cache
from pathlib import Path

import numpy as np

from converters.files import write_text
from prototxt.errors import InputError
from zoo.console import notice
from zoo.dataset import cache_folder
from zoo.demo import TRAIN_IMAGES, VAL_IMAGES, make_demo
from zoo.display import counting

TRAIN_LIST, VAL_LIST = "list_train_shuffle.txt", "list_val_shuffle.txt"
_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})


def demo_folder() -> Path:
    """Where the demo data set lies when ``zoo train`` falls back on it."""
    return cache_folder() / "demo"


def ensure_demo() -> None:
    """Draw the demo data set, for want of another, unless it is there."""
    _notice_once(f"no list files found: taking the demo data set in {demo_folder()}")
    _draw(demo_folder(), 0)


@cache
def _notice_once(line: str) -> None:
    """A study makes many plans, and each finds no lists."""
    notice(line)


def _draw(folder: Path, seed: int) -> bool:
    with counting("drawing the demo data") as advance:
        return make_demo(folder, seed, progress=lambda done: advance(done, TRAIN_IMAGES + VAL_IMAGES))


def run_demo(args: argparse.Namespace) -> int:
    """Draw the demo data set into a folder, whose path goes to stdout."""
    folder = Path(args.folder)
    if not _draw(folder, args.seed):
        notice(f"{folder}: holds this demo data set already")
    print(folder)
    return 0


def run_import(args: argparse.Namespace) -> int:
    """Write list files for a folder of class folders; their paths go to stdout."""
    for path in import_folder(Path(args.folder), args.val, args.seed):
        print(path)
    return 0


def import_folder(folder: Path, val: float, seed: int) -> list[Path]:
    """Lists in the article's layout for a folder with one folder of images a class.

    Labels count the class folders by name. In each class a share ``val`` of the images, at least one,
    goes to the validation list; the split and the order of both lists follow from ``seed``. Returns
    the files written: both lists and classes.txt. Raises InputError for a folder without two classes,
    a class with fewer than two images, or lists that are there already.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    if not 0 < val < 1:
        raise InputError(f"--val {val:g} must be above 0 and below 1")
    targets = [folder / name for name in (TRAIN_LIST, VAL_LIST, "classes.txt")]
    if there := [path for path in targets if path.exists()]:
        raise InputError(f"{there[0]}: is there already; move it away to write a new one")
    classes = _classes(folder)
    random = np.random.Generator(np.random.PCG64(seed))
    train, held = _split(folder, classes, val, random)
    texts = [_lines(train, random), _lines(held, random), "".join(f"{path.name}\n" for path in classes)]
    for path, text in zip(targets, texts, strict=True):
        write_text(path, text)
    notice(f"{folder}: {len(classes)} classes, {len(train)} training and {len(held)} validation images")
    return targets


def _classes(folder: Path) -> list[Path]:
    classes = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if len(classes) < 2:
        raise InputError(f"{folder}: holds {len(classes)} class folders, at least 2 are needed")
    return classes


def _split(
    folder: Path, classes: list[Path], val: float, random: np.random.Generator
) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """(training entries, validation entries), each (path from the folder, label)."""
    train: list[tuple[str, int]] = []
    held: list[tuple[str, int]] = []
    for label, path in enumerate(classes):
        images = sorted(image for image in path.rglob("*") if image.suffix.lower() in _SUFFIXES)
        if len(images) < 2:
            raise InputError(f"{path}: holds {len(images)} images, a class needs at least 2")
        names = [(images[i].relative_to(folder).as_posix(), label) for i in random.permutation(len(images))]
        cut = max(1, round(val * len(images)))
        held += names[:cut]
        train += names[cut:]
    return train, held


def _lines(entries: list[tuple[str, int]], random: np.random.Generator) -> str:
    shuffled = [entries[i] for i in random.permutation(len(entries))]
    return "".join(f"{path} {label}\n" for path, label in shuffled)
