"""The one error type a user sees as a single line with exit code 2."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

from prototxt.caffe_pb2 import LayerParameter
from prototxt.rawbytes import readable


class InputError(ValueError):
    """What the user handed in is wrong; the message names the file, line, layer or blob.

    ``layer`` is the name of the Caffe layer that the message is about, when one is, and ``message`` that
    layer itself where it is known (:func:`of_layer`): two layers may have one name. Whoever knows which file
    the layer came from adds the place with :func:`prototxt.text.located`.
    """

    def __init__(self, text: str, layer: str | None = None, message: LayerParameter | None = None) -> None:
        super().__init__(readable(text))
        self.layer, self.message = layer, message

    def with_layer(self) -> str:
        """The text, and before it the layer's name where it does not say that already."""
        name = readable(f'layer "{self.layer}"')
        return str(self) if self.layer is None or name in str(self) else f"{name}: {self}"

    def reworded(self, text: str) -> "InputError":
        """The same error in other words."""
        return InputError(text, self.layer, self.message)


def first_line(error: object) -> str:
    """The first line of what another program's error says; its type's name where it says nothing."""
    lines = (line.strip() for line in str(error).splitlines())
    return next(filter(None, lines), type(error).__name__)


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean "…"?`` with the known name nearest to ``name``, case aside, or nothing."""
    by_lower = {item.lower(): item for item in known}
    close = get_close_matches(name.lower(), by_lower, n=1)
    return f'; did you mean "{by_lower[close[0]]}"?' if close else ""


def nearest_file(path: Path) -> str:
    """:func:`nearest` for a file that is not there, of those in its folder with its suffix."""
    try:
        stems = {each.stem.lower(): each for each in path.parent.iterdir() if each.suffix == path.suffix}
    except OSError:
        return ""
    close = get_close_matches(path.stem.lower(), stems, n=1)
    return f'; did you mean "{stems[close[0]].name}"?' if close else ""


@contextmanager
def about(path: Path | str) -> Iterator[None]:
    """Name the file ``path`` in what is wrong with it."""
    try:
        yield
    except InputError as error:
        raise error.reworded(f"{path}: {error}") from None


@contextmanager
def of_layer(layer: LayerParameter) -> Iterator[None]:
    """Say of an InputError that it is about ``layer``, unless it names another."""
    try:
        yield
    except InputError as error:
        error.layer = layer.name if error.layer is None else error.layer
        if error.layer == layer.name and error.message is None:
            error.message = layer
        raise
