"""``zoo data demo``: the demo data set, drawn where it is wanted."""

import argparse
from pathlib import Path

from zoo.cli.choices import SEED
from zoo.data.demo import TRAIN_IMAGES, VAL_IMAGES, make_demo
from zoo.terminal.console import notice, notice_once
from zoo.terminal.progress import counting
from zoo.train.images.dataset import cache_folder


def demo_folder() -> Path:
    """Where the demo data set lies when ``zoo train`` falls back on it."""
    return cache_folder() / "demo"


def ensure_demo() -> None:
    """Draw the demo data set, for want of another, unless it is there."""
    notice_once(f"no list files found: taking the demo data set in {demo_folder()}")
    _draw(demo_folder(), SEED)


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
