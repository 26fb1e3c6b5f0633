"""R-CNN's window file (window_data_layer.cpp): images, each with boxes, their class and overlap."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from prototxt.errors import InputError
from prototxt.rawbytes import text_of


@dataclass(frozen=True)
class Window:
    """A box in an image: corners in pixels, both inside; ``line`` is the line it stands in, from 1."""

    image: str
    label: int
    overlap: float
    x1: int
    y1: int
    x2: int
    y2: int
    line: int


def read_windows(path: Path) -> list[Window]:
    """Every window of a file of blocks ``# index``, path, channels, height, width, number of windows, and
    a line ``class overlap x1 y1 x2 y2`` for each. Blanks and line ends part values alike, as in Caffe.

    Raises InputError, naming file and line, where the text is anything else, where the indices do not
    count from 0 (Caffe finds images by them), and for channels other than 3 (Caffe decodes in colour).
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read as a window file ({error})") from None
    words = _Words(path, data)
    windows: list[Window] = []
    index = 0
    while words.left():
        windows += _block(words, index)
        index += 1
    if not index:
        raise InputError(f"{path}: the window file is empty")
    return windows


class _Words:
    """The words of a text with their lines, taken one by one; ASCII blanks part them, as in Caffe."""

    def __init__(self, path: Path, data: bytes) -> None:
        self.path = path
        lines = enumerate(data.split(b"\n"), 1)
        self.words = [(text_of(word), number) for number, line in lines for word in line.split()]
        self.next = 0

    def left(self) -> bool:
        return self.next < len(self.words)

    @property
    def line(self) -> int:
        """The line of the word taken last."""
        return self.words[self.next - 1][1]

    def word(self, what: str) -> str:
        if not self.left():
            last = self.words[-1][1]
            raise InputError(f"{self.path}:{last}: the file ends where {what} is due")
        self.next += 1
        return self.words[self.next - 1][0]

    def whole(self, what: str) -> int:
        word = self.word(what)
        try:
            return int(word)
        except ValueError:
            raise self.wrong(f'"{word}" stands where {what}, a whole number, is due') from None

    def number(self, what: str) -> float:
        word = self.word(what)
        try:
            return float(word)
        except ValueError:
            raise self.wrong(f'"{word}" stands where {what}, a number, is due') from None

    def wrong(self, text: str) -> InputError:
        return InputError(f"{self.path}:{self.line}: {text}")


def _block(words: _Words, index: int) -> Iterator[Window]:
    mark = words.word('"#"')
    if mark != "#":
        raise words.wrong(f'"{mark}" stands where "#" is due')
    if (number := words.whole("the image's index")) != index:
        raise words.wrong(f"image {number} stands where image {index} is due")
    image = words.word("an image's path")
    if (channels := words.whole("the number of channels")) != 3:
        raise words.wrong(f"{channels} channels where Caffe reads 3")
    words.whole("the height")
    words.whole("the width")
    for _ in range(words.whole("the number of windows")):
        yield _window(words, image)


def _window(words: _Words, image: str) -> Window:
    label, overlap = words.whole("a class"), words.number("an overlap")
    x1, y1, x2, y2 = (words.whole(side) for side in ("x1", "y1", "x2", "y2"))
    if x2 < x1 or y2 < y1:
        raise words.wrong(f"the window {x1} {y1} {x2} {y2} is empty")
    return Window(image, label, overlap, x1, y1, x2, y2, words.line)


def image_names(path: Path) -> list[str]:
    """The images that a window file names, each once."""
    return list(dict.fromkeys(each.image for each in read_windows(path)))
