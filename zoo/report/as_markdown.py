"""A report as Markdown, its charts and pictures as files in a folder beside it."""

import re
from functools import singledispatch
from pathlib import Path
from urllib.parse import quote

from converters.files import whole, write_text
from zoo.report.document import (
    Answers,
    Block,
    Charts,
    Code,
    Document,
    Facts,
    Foldable,
    Heading,
    Paragraph,
    Pictures,
    Table,
)
from zoo.svg import standalone

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~])")
_MARK = {"plain": "{}", "note": "*{}*", "warning": "> **{}**"}


def as_markdown(document: Document, folder: str) -> str:
    """The text; it names charts and pictures in ``folder``, which is counted from the file."""
    parts = [f"# {_escape(document.title)}", *(_markdown(block, folder) for block in document.lead)]
    for section in document.sections:
        parts += [f"## {_escape(section.title)}", *(_markdown(block, folder) for block in section.blocks)]
    return "\n\n".join([*parts, _escape(document.footer)]) + "\n"


def write_figures(document: Document, folder: Path) -> None:
    """Write what :func:`as_markdown` names into ``folder``, and remove what it no longer names."""
    written = set()
    for block in document.blocks():
        if isinstance(block, Charts):
            for chart in block.charts:
                written.add(folder / f"{chart.key}.svg")
                write_text(folder / f"{chart.key}.svg", standalone(chart.svg))
        elif isinstance(block, Pictures):
            for picture in block.pictures:
                written.add(folder / f"{picture.key}.{picture.kind}")
                with whole(folder / f"{picture.key}.{picture.kind}") as beside:
                    beside.write_bytes(picture.data)
    for path in folder.glob("*"):
        if path.suffix in (".svg", ".jpeg", ".png") and path not in written:
            path.unlink()


def _escape(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)


@singledispatch
def _markdown(block: Block, folder: str) -> str:
    raise TypeError(f"no Markdown for {type(block).__name__}")


@_markdown.register
def _(block: Paragraph, folder: str) -> str:
    return _MARK[block.tone].format(_escape(block.text))


@_markdown.register
def _(block: Heading, folder: str) -> str:
    return f"### {_escape(block.text)}"


@_markdown.register
def _(block: Facts, folder: str) -> str:
    return "\n".join(f"- **{_escape(term)}**: {_escape(text)}" for term, text in block.rows)


@_markdown.register
def _(block: Answers, folder: str) -> str:
    return "\n\n".join(
        f"### {_escape(a.question)}\n\n**{_escape(a.verdict)}** {' '.join(map(_escape, a.sentences))}"
        for a in block.answers
    )


@_markdown.register
def _(block: Table, folder: str) -> str:
    marks = [":--" if index < block.text_columns else "--:" for index in range(len(block.columns))]
    rows = [map(_escape, block.columns), marks, *(map(_escape, row) for row in block.rows)]
    lines = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    note = f"\n\n*{_escape(block.note)}*" if block.note else ""
    return f"**{_escape(block.caption)}**\n\n{lines}{note}"


@_markdown.register
def _(block: Charts, folder: str) -> str:
    return "\n\n".join(
        f"![{_escape(chart.caption)}]({quote(f'{folder}/{chart.key}.svg')})\n\n*{_escape(chart.caption)}*"
        for chart in block.charts
    )


@_markdown.register
def _(block: Pictures, folder: str) -> str:
    lines = [
        f"- ![{_escape(picture.caption)}]({quote(f'{folder}/{picture.key}.{picture.kind}')}) "
        f"{_escape(picture.caption)}"
        for picture in block.pictures
    ]
    return "\n".join([f"**{_escape(block.caption)}**", "", *lines])


@_markdown.register
def _(block: Code, folder: str) -> str:
    return "\n".join(f"    {line}" for line in block.text.splitlines())


@_markdown.register
def _(block: Foldable, folder: str) -> str:
    inside = "\n\n".join(_markdown(inner, folder) for inner in block.blocks)
    return f"**{_escape(block.summary)}**\n\n{inside}"
