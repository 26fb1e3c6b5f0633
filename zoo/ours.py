"""Whose a file is: one that no command of ours wrote is never written over."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from prototxt.errors import InputError


def keep_others(path: Path, writer: str, is_ours: Callable[[Path], bool]) -> None:
    """Raise InputError where ``path`` is there and is not a file that ``is_ours`` knows as a ``writer``'s.

    What ``is_ours`` cannot read (OSError, ValueError, InputError) is somebody else's.
    """
    if not os.path.lexists(path):
        return
    try:
        is_known = path.is_file() and is_ours(path)
    except (OSError, ValueError, InputError):
        is_known = False
    if not is_known:
        raise InputError(
            f"{path}: is no {writer}'s of ours (or was changed since), and a {writer} would write over it; "
            "move it away, or name another place"
        )


def digest(data: bytes) -> str:
    """By which a file is known again."""
    return hashlib.sha256(data).hexdigest()
