"""Which fork's rule each layer of a net's file follows, where its type has several."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from converters.layers.choice import Stored
from converters.layers.dialects import has_rules, names_of, told_by_blobs, with_dialects
from converters.lenient import without_unhonoured
from converters.weights.stored import stored_blobs
from prototxt.errors import InputError
from prototxt.net_file import NetFile
from prototxt.text import Warn, to_stderr

F = TypeVar("F", bound=NetFile)


def settled(
    file: F,
    asked: str | None = None,
    weights: Sequence[Path] = (),
    warn: Warn = to_stderr,
    recorded: Mapping[str, str] | None = None,
) -> F:
    """The net with the dialect of each layer whose type has several rules written in its message, where
    prototxts, run folders and ONNX files keep it.

    ``asked``: names of forks, with commas. ``weights``: the files, of which the later count first; none is
    opened for a net of no type whose rules blobs tell apart. ``warn`` takes a line for each type that nothing
    tells.
    ``recorded``: the dialects, by type, of a run that goes on (run.json), which its text must not contradict.
    Raises InputError for a fork that nobody knows, and where :func:`converters.layers.choice.choose` does.
    """
    wanted = names_of(asked or "")
    if not any(has_rules(layer) for layer in file.message.layer):
        return without_unhonoured(file, warn)
    stored: dict[str, list[Stored]] = {}
    for path in weights if any(map(told_by_blobs, file.message.layer)) else ():
        with suppress(InputError):  # whoever loads it says what is wrong with it
            stored |= stored_blobs(path)
    with file.located():
        message = with_dialects(file.message, file.name, warn, wanted, stored, recorded)
    return without_unhonoured(replace(file, message=message), warn)
