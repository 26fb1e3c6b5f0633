"""The one error type a user sees as a single line with exit code 2."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path


class InputError(ValueError):
    """What the user handed in is wrong; the message names the file, line, layer or blob.

    ``layer`` is the Caffe layer the message is about, when one is: whoever knows which file the
    layer came from adds the place with :func:`prototxt.text.locate`.
    """

    def __init__(self, message: str, layer: str | None = None) -> None:
        super().__init__(message)
        self.layer = layer


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean "…"?`` with the known name nearest to ``name``, case aside, or nothing."""
    by_lower = {item.lower(): item for item in known}
    close = get_close_matches(name.lower(), by_lower, n=1)
    return f'; did you mean "{by_lower[close[0]]}"?' if close else ""


@contextmanager
def about(path: Path) -> Iterator[None]:
    """Name the file ``path`` in what is wrong with it."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{path}: {error}", error.layer) from None
