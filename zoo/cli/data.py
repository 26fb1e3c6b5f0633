"""The parsers of ``zoo data``. Nothing heavy is imported."""

import argparse

from zoo.cli.choices import DEMO_KINDS, GROCERY_LABELS, SEED, VALIDATION_SHARE
from zoo.cli.parts import Commands, command, positive_number, size, whole_number


def add_data(commands: Commands) -> None:  # type: ignore[valid-type]
    """``zoo data`` with its kinds: demo, import, lmdb."""
    text = "Make the demo data set, list files for a folder of images, or an LMDB of a list."
    parser: argparse.ArgumentParser = commands.add_parser("data", help=text, description=text)  # type: ignore[attr-defined]
    kinds = parser.add_subparsers(required=True, metavar="KIND", title="kinds")
    text = (
        "Draw a demo data set: pictures of 20 synthetic classes, shapes with their masks, needles with their "
        "angles, or tanks with the votes on how full they are."
    )
    demo = command(kinds, "demo", "zoo.data.command:run_demo", text)
    demo.add_argument("folder", metavar="DIR", help="folder to write")
    text = f"what there is to tell of each picture (default: {DEMO_KINDS[0]})"
    demo.add_argument("--kind", choices=DEMO_KINDS, default=DEMO_KINDS[0], help=text)
    demo.add_argument("--seed", type=whole_number, default=SEED, metavar="N", help=f"(default: {SEED})")
    _data_import(kinds)
    _data_lmdb(kinds)


def _data_import(kinds: Commands) -> None:  # type: ignore[valid-type]
    text = "Write list files for a folder of class folders, or for the Grocery Store Dataset's own lists."
    parser = command(kinds, "import", "zoo.data.importing:run", text)
    parser.add_argument("folder", metavar="DIR", help="folder of the images; the lists are written there")
    text = "write the lists into DIR instead, with the images' absolute paths"
    parser.add_argument("--lists", metavar="DIR", help=text)
    text = f"class folders: share for validation (default: {VALIDATION_SHARE})"
    parser.add_argument("--val", type=float, metavar="SHARE", help=text)
    text = f"of order and split (default: {SEED})"
    parser.add_argument("--seed", type=whole_number, default=SEED, metavar="N", help=text)
    text = f'lists of "path, fine, coarse": which of the two labels (default: {GROCERY_LABELS[0]})'
    parser.add_argument("--labels", choices=GROCERY_LABELS, help=text)
    text = "keep the N classes with most photographs (default: all)"
    parser.add_argument("--classes", type=positive_number, metavar="N", help=text)


def _data_lmdb(kinds: Commands) -> None:  # type: ignore[valid-type]
    text = "Write a list's images into an LMDB, as Caffe's convert_imageset does."
    parser = command(kinds, "lmdb", "zoo.data.databases:run", text)
    parser.add_argument("list", metavar="LIST", help='a list file of lines "path label"')
    parser.add_argument("--output", metavar="DB", help="folder to write (default: <list>_lmdb beside it)")
    parser.add_argument(
        "--root", metavar="DIR", help="what paths count from (default: the current folder, then the list's)"
    )
    parser.add_argument(
        "--encoded", action="store_true", help="store image files as they are, not their pixels"
    )
    parser.add_argument("--encode-type", choices=("png", "jpg"), help="store images encoded so")
    parser.add_argument("--resize", type=size, metavar="HxW", help="resize every image")
    parser.add_argument("--gray", action="store_true", help="one channel")
    text = "pass over missing and broken images, and count"
    parser.add_argument("--skip-bad", action="store_true", help=text)
    parser.add_argument("--shuffle", action="store_true", help="in an order that follows from --seed")
    parser.add_argument("--seed", type=whole_number, default=SEED, metavar="N", help=f"(default: {SEED})")
