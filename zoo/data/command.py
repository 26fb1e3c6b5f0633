"""``zoo data demo``: the demo data sets, drawn where they are wanted."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from zoo.cli.choices import DEMO_KINDS, SEED
from zoo.data import demo, masks
from zoo.data.demo import make_demo
from zoo.data.masks import make_masks
from zoo.data.measured_sets import ANGLE, TRAIN_PICTURES, VAL_PICTURES, VOTES
from zoo.terminal.console import notice, notice_once
from zoo.terminal.progress import counting
from zoo.train.images.places import cache_folder


@dataclass(frozen=True)
class DrawnSet:
    """A kind of drawn data: what draws it, how many pictures it has, the names of its lists, its folder."""

    make: Callable[..., bool]
    pictures: int
    lists: tuple[str, str]
    folder: str


def drawn_sets() -> dict[str, DrawnSet]:
    """Every kind by its name, that of classes first."""
    kinds = (
        DrawnSet(make_demo, demo.TRAIN_IMAGES + demo.VAL_IMAGES, (demo.TRAIN_LIST, demo.VAL_LIST), "demo"),
        DrawnSet(
            make_masks, masks.TRAIN_PAIRS + masks.VAL_PAIRS, (masks.TRAIN_LIST, masks.VAL_LIST), "demo-masks"
        ),
        *(
            DrawnSet(each.make, TRAIN_PICTURES + VAL_PICTURES, each.lists, f"demo-{each.kind}")
            for each in (ANGLE, VOTES)
        ),
    )
    return dict(zip(DEMO_KINDS, kinds, strict=True))


def demo_folder(kind: str = DEMO_KINDS[0]) -> Path:
    """Where a demo data set lies when ``zoo train`` falls back on it."""
    return cache_folder() / drawn_sets()[kind].folder


def ensure_demo(source: str = demo.TRAIN_LIST) -> Path:
    """The folder of the demo data set that has a list of that name, else of that of classes: drawn, for want
    of another, unless it is there.
    """
    kind = next((name for name, drawn in drawn_sets().items() if source in drawn.lists), DEMO_KINDS[0])
    notice_once(f"no list files found: taking the demo data set in {demo_folder(kind)}")
    _draw(demo_folder(kind), SEED, kind)
    return demo_folder(kind)


def _draw(folder: Path, seed: int, kind: str) -> bool:
    drawn = drawn_sets()[kind]
    with counting("drawing the demo data") as advance:
        return drawn.make(folder, seed, progress=lambda done: advance(done, drawn.pictures))


def run_demo(args: argparse.Namespace) -> int:
    """Draw a demo data set into a folder, whose path goes to stdout."""
    folder = Path(args.folder)
    if not _draw(folder, args.seed, args.kind):
        notice(f"{folder}: holds this demo data set already")
    print(folder)
    return 0
