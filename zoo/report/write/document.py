"""A report's content, whatever format it is written in: sections of paragraphs, tables, charts and pictures.

Texts are plain: the writers escape them, so that a class or a folder may have any name.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from matplotlib.figure import Figure

from zoo.plots.charts import to_svg

Tone = Literal["plain", "note", "warning", "verdict"]
Standing = Literal["yes", "no", "open"]  # of an answer: shown, shown not to be, cannot be told


@dataclass(frozen=True)
class Paragraph:
    """A paragraph; a note is set small, a warning stands out, a verdict is what a figure comes to."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True)
class Definitions:
    """Terms, each with what it is here."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Answer:
    """A question of the article, the answer in a sentence, and what it rests on."""

    question: str
    verdict: str
    sentences: tuple[str, ...]
    standing: Standing


@dataclass(frozen=True)
class AnswerList:
    """Answers, a line each; what an answer rests on shows when a reader asks for it."""

    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class Table:
    """Columns with their titles, of which the first ``text_columns`` hold text and the others numbers."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text_columns: int = 1
    note: str = ""


@dataclass(frozen=True)
class Chart:
    """A chart as an ``<svg>`` element, ``width`` points wide; ``key`` names its file where charts are files.

    ``is_wide``: it takes a row of its own.
    """

    key: str
    caption: str
    svg: str
    width: int
    is_wide: bool = False

    @classmethod
    def of(cls, key: str, caption: str, figure: Figure, is_wide: bool = False) -> "Chart":
        """The chart of a matplotlib figure."""
        return cls(key, caption, to_svg(figure), round(72 * figure.get_figwidth()), is_wide)


@dataclass(frozen=True)
class Charts:
    """Charts side by side where there is room."""

    charts: tuple[Chart, ...]


@dataclass(frozen=True)
class TwoForms:
    """A figure as two ``<svg>`` elements, for a page and for a telephone; each names and describes itself."""

    key: str
    title: str
    wide: str
    narrow: str


@dataclass(frozen=True)
class Picture:
    """An encoded image, ``kind`` jpeg or png, with what stands under it."""

    key: str
    kind: str
    data: bytes
    caption: str


@dataclass(frozen=True)
class Pictures:
    """Pictures of one kind in a grid, ``width`` pixels each."""

    caption: str
    pictures: tuple[Picture, ...]
    width: int = 128


@dataclass(frozen=True)
class Code:
    """Lines for a terminal."""

    text: str


@dataclass(frozen=True)
class Foldable:
    """Blocks behind a line that shows and hides them."""

    summary: str
    blocks: tuple["Block", ...]
    is_open: bool = False


@dataclass(frozen=True)
class Heading:
    """A heading inside a section."""

    text: str


Block = (
    Paragraph | Definitions | AnswerList | Table | Charts | TwoForms | Pictures | Code | Foldable | Heading
)


@dataclass(frozen=True)
class Section:
    """A part of the report; ``key`` is its anchor."""

    key: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Document:
    """A whole report in the language ``lang`` (a BCP 47 tag)."""

    lang: str
    title: str
    lead: tuple[Block, ...]
    sections: tuple[Section, ...]
    contents: str
    footer: str

    def blocks(self) -> Iterator[Block]:
        """Every block, those inside foldables too, in order."""
        stack = [*self.lead, *(block for section in self.sections for block in section.blocks)]
        for block in stack:
            yield from _inside(block)


def _inside(block: Block) -> Iterator[Block]:
    yield block
    if isinstance(block, Foldable):
        for inner in block.blocks:
            yield from _inside(inner)
