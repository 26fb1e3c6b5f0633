"""A run's snapshots as files: their numbers, and which run wrote one."""

import json
import re
from pathlib import Path

from converters.weights.formats import read_metadata


def numbered(first: Path) -> dict[int, Path]:
    """The files named as ``first``, a snapshot of iteration 0, but for that number, by their iteration."""
    start, _, ending = first.name.rpartition("_iter_0")
    pattern = re.compile(rf"{re.escape(start)}_iter_(\d+){re.escape(ending)}")
    return {int(match[1]): path for path in first.parent.glob("*") if (match := pattern.fullmatch(path.name))}


def snapshot_writer(path: Path) -> str | None:
    """The id of the run that wrote a snapshot; None where it names none. Raises InputError for a file that is
    not whole.
    """
    metadata = read_metadata(path)
    try:
        state = json.loads(metadata.get("zoo", "{}"))
    except ValueError:
        return None
    return state.get("run") if isinstance(state, dict) else None
