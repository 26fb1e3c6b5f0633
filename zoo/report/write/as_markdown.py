"""A report as Markdown, its charts and pictures as files in a folder beside it."""

import json
import re
from collections.abc import Collection, Iterable
from functools import partial, singledispatch
from pathlib import Path
from urllib.parse import quote

from converters.host.files import whole, write_text
from zoo.ours import digest, keep_others
from zoo.plots.charts import standalone
from zoo.report.write.document import (
    Answer,
    AnswerList,
    Block,
    Charts,
    Code,
    Definitions,
    Document,
    Foldable,
    Heading,
    Paragraph,
    Pictures,
    Table,
    TwoForms,
)

_SPECIAL = re.compile(r"([\\`*_\[\]<>|#~])")
_WRITTEN = "written.json"  # in the folder of figures: which of them are ours
_MARK = {"plain": "{}", "note": "*{}*", "warning": "> **{}**", "verdict": "**{}**"}


def as_markdown(document: Document, folder: str) -> str:
    """The text; it names charts and pictures in ``folder``, which is counted from the file."""
    parts = [f"# {_escape(document.title)}", blocks_as_markdown(document.lead, folder)]
    for section in document.sections:
        parts += [f"## {_escape(section.title)}", blocks_as_markdown(section.blocks, folder)]
    return "\n\n".join([*filter(None, parts), _escape(document.footer)]) + "\n"


def blocks_as_markdown(blocks: Iterable[Block], folder: str) -> str:
    """Blocks one after another, charts and pictures named as in :func:`as_markdown`."""
    return "\n\n".join(_markdown(block, folder) for block in blocks)


def write_figures(document: Document, folder: Path) -> None:
    """Write what :func:`as_markdown` names into ``folder``, and remove what an earlier report wrote there
    and this one no longer names; files that no report wrote stay. Raises InputError, before it writes, where
    one of those has the name of a figure.
    """
    figures = {name: data for block in document.blocks() for name, data in _figures(block)}
    known = _written(folder)
    for name, data in figures.items():
        keep_others(folder / name, "report", partial(_is_one_of, {digest(data), known.get(name)}))
    for name, data in figures.items():
        with whole(folder / name) as beside:
            beside.write_bytes(data)
    for name, sum_then in known.items():
        if name not in figures and _digest(folder / name) == sum_then:
            (folder / name).unlink()
    if folder.is_dir():
        sums = {name: digest(data) for name, data in figures.items()}
        write_text(folder / _WRITTEN, json.dumps(sums, indent=1) + "\n")


def _figures(block: Block) -> list[tuple[str, bytes]]:
    if isinstance(block, Charts):
        return [(f"{chart.key}.svg", standalone(chart.svg).encode()) for chart in block.charts]
    if isinstance(block, TwoForms):
        return [(f"{block.key}.svg", standalone(block.wide).encode())]
    if isinstance(block, Pictures):
        return [(f"{picture.key}.{picture.kind}", picture.data) for picture in block.pictures]
    return []


def _written(folder: Path) -> dict[str, str]:
    """The names and digests of the figures that the report before wrote."""
    try:
        digests = json.loads((folder / _WRITTEN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return digests if isinstance(digests, dict) else {}


def _is_one_of(digests: Collection[str | None], path: Path) -> bool:
    return _digest(path) in digests


def _digest(path: Path) -> str | None:
    return digest(path.read_bytes()) if path.is_file() else None


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
def _(block: Definitions, folder: str) -> str:
    return "\n".join(f"- **{_escape(term)}**: {_escape(text)}" for term, text in block.rows)


@_markdown.register
def _(block: AnswerList, folder: str) -> str:
    return "\n".join(map(_answer, block.answers))


def _answer(answer: Answer) -> str:
    """The question with its answer, and under it, as a list of its own, what that rests on."""
    rests_on = "".join(f"\n  - {_escape(sentence.strip())}" for sentence in answer.sentences)
    return f"- {_escape(answer.question)} **{_escape(answer.verdict)}**{rests_on}"


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
def _(block: TwoForms, folder: str) -> str:
    return f"![{_escape(block.title)}]({quote(f'{folder}/{block.key}.svg')})"


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
