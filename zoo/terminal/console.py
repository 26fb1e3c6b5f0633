"""The two streams: what a command is asked for goes to stdout, notices and progress to stderr."""

import os
import sys
from functools import cache

from google.protobuf.message import Message
from rich.console import Console
from rich.table import Table
from rich.text import Text

from prototxt.rawbytes import bytes_of, readable
from prototxt.text import to_text

_WIDE = 100_000  # in a pipe nothing is cut or wrapped


def stdout() -> Console:
    """The console for results; in a pipe as wide as the table needs."""
    return Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False)


def stderr() -> Console:
    """The console for notices and progress."""
    width = None if sys.stderr.isatty() else _WIDE
    return Console(stderr=True, width=width, highlight=False)


def notice(line: str) -> None:
    """One line to the user, beside the result; of torchrun's ranks only the first says it."""
    if "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("RANK", "0") != "0":
        return
    stderr().print(Text(readable(line)), soft_wrap=True)


@cache
def notice_once(line: str) -> None:
    """:func:`notice`, once a process: what makes plans or reads records comes by again and again."""
    notice(line)


def table(title: str, columns: list[str], rows: list[list[str]], left: int = 1) -> None:
    """Print a table to stdout; the first ``left`` columns are text, the others numbers.

    In a terminal too narrow for it, cells fold onto further lines; nothing is cut.
    """
    grid = Table(title=Text(readable(title)), title_justify="left")
    for index, column in enumerate(columns):
        grid.add_column(Text(column), justify="left" if index < left else "right", overflow="fold")
    for row in rows:
        grid.add_row(*(Text(readable(cell)) for cell in row))
    stdout().print(grid)


def print_prototxt(message: Message) -> None:
    """A message as text on stdout, in UTF-8 whatever the terminal's encoding, other bytes as they were."""
    sys.stdout.flush()
    sys.stdout.buffer.write(bytes_of(to_text(message)))
