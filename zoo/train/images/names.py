"""The names of the classes that a list's labels are, as they stand beside it."""

from pathlib import Path

from zoo.terminal.console import notice_once

CLASSES = "classes.txt"  # beside a list: the classes' names, one a line


def class_names(list_path: Path, classes: int) -> list[str]:
    """The names in ``classes.txt`` beside a list, one line a label; none, and a notice, for too few or many.

    A name that is no UTF-8 has "\ufffd" for the bytes that are none: names go into JSON and ONNX.
    """
    names = names_beside(list_path)
    if names and len(names) != classes:
        path = list_path.parent / CLASSES
        notice_once(f"{path}: {len(names)} names for {classes} classes, so that none is taken")
    return names if len(names) == classes else []


def names_beside(list_path: Path) -> list[str]:
    """Whatever names ``classes.txt`` beside a list has, one a line; none where there is no such file."""
    path = list_path.parent / CLASSES
    text = path.read_text(encoding="utf-8-sig", errors="replace") if path.is_file() else ""
    return [name.strip() for name in text.splitlines() if name.strip()]
