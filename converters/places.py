"""Where a relative path of a prototxt is sought."""

from collections.abc import Collection, Sequence
from pathlib import Path

HERE: Sequence[Path] = (Path(),)


def find(name: str, places: Sequence[Path] = HERE) -> Path:
    """``name`` in the first of ``places`` that has it; in the first place where none has it.

    Caffe knows the current folder alone. An absolute name stands for itself.
    """
    candidates = [place / name for place in places]
    return next((path for path in candidates if path.exists()), candidates[0])


def place_of_list(list_path: Path, source: str, names: Collection[str], places: Sequence[Path]) -> Path:
    """The one of ``places`` that all files which a list names count from: that where the list itself was
    found as ``source``; where none of them is there, the first that has any, or else the last.

    Of the current folder that is Caffe's own rule. Lists of several folders name files alike: a file that
    one list's folder lacks is never taken from another's.
    """
    own = [place for place in places if place / source == list_path]
    candidates = [*own[:1], *places]
    return next((p for p in candidates if any((p / name).is_file() for name in names)), candidates[-1])
