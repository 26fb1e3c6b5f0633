"""The parser of ``zoo check``. Nothing heavy is imported."""

import argparse

from zoo.cli.choices import CHECK_MEMORY, CHECK_SECONDS
from zoo.cli.parts import (
    Commands,
    add_dialect,
    add_input_shape,
    add_plugin,
    add_python,
    command,
    positive_number,
)


def add_check(commands: Commands) -> None:  # type: ignore[valid-type]
    """The command ``zoo check``."""
    text = (
        "Read, build and run every net of a folder on random weights, and say why those that do not, do not."
    )
    parser = command(commands, "check", "zoo.check.command:run", text)
    text = "a folder, with all below it, or a prototxt"
    parser.add_argument("folder", metavar="DIR", help=text)
    add_dialect(parser)
    add_plugin(parser)
    add_input_shape(parser)
    add_python(parser)
    _add_limits(parser)
    text = "write the rows as JSON: files, each with file, parsed, built, ran, reason"
    parser.add_argument("--json", metavar="FILE", help=text)


def _add_limits(parser: argparse.ArgumentParser) -> None:
    text = "files at a time, a process each (default: the cores there are)"
    parser.add_argument("--jobs", type=positive_number, metavar="N", help=text)
    text = f"that a file may take (default: {CHECK_SECONDS})"
    parser.add_argument("--seconds", type=positive_number, default=CHECK_SECONDS, metavar="N", help=text)
    text = f"GiB of memory that a file may take (default: {CHECK_MEMORY})"
    parser.add_argument("--memory", type=positive_number, default=CHECK_MEMORY, metavar="N", help=text)
