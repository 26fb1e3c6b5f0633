"""The command line: parsers alone, so that ``--help`` imports nothing heavy."""

from zoo.cli.commands import main

__all__ = ["main"]
