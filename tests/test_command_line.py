"""The command line's flags with what they take and their defaults: frozen, and each default said once."""

import argparse
from collections.abc import Iterator
from pathlib import Path

import pytest

from zoo.cli import choices
from zoo.cli.commands import _parser
from zoo.train.planning.options import Options

FROZEN = Path(__file__).parent / "data" / "command_line.txt"


def flags(parser: argparse.ArgumentParser, name: str) -> Iterator[str]:
    """A line for every argument of a command and of those below it."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, inner in action.choices.items():
                yield from flags(inner, f"{name} {word}")
        elif not isinstance(action, argparse._HelpAction):
            words = [name, "/".join(action.option_strings) or action.dest]
            words += [] if action.nargs is None else [f"nargs={action.nargs}"]
            words += [getattr(action.type, "__name__", "")] if action.type else []
            words += ["|".join(map(str, action.choices))] if action.choices else []
            yield " ".join([*words, "=", repr(action.default)])


def test_flags_and_defaults_are_as_they_were() -> None:
    assert list(flags(_parser(), "zoo")) == FROZEN.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(
    ("command", "option", "default"),
    [
        ("convert", "--variant", Options().variant),
        ("train", "--variant", Options().variant),
        ("train", "--solver", Options().solver),
        ("train", "--device", choices.DEVICES[0]),
        ("bench", "--runs", choices.CALLS),
        ("bench", "--precisions", choices.PRECISIONS[0]),
        ("bench", "--batch-sizes", " ".join(map(str, choices.BATCH_SIZES))),
        ("study", "--engine", choices.STUDY_ENGINES[0]),
        ("report", "--lang", next(iter(choices.LANGUAGES))),
    ],
)
def test_a_help_says_the_default(command: str, option: str, default: object) -> None:
    commands = next(a for a in _parser()._actions if isinstance(a, argparse._SubParsersAction)).choices
    (action,) = (a for a in commands[command]._actions if option in a.option_strings)
    assert action.help is not None and action.help.endswith(f"(default: {default})")
