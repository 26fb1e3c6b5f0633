"""A report as one HTML page that needs nothing beside itself."""

import base64
from collections.abc import Iterable
from functools import singledispatch
from html import escape
from importlib.resources import files

from zoo.report.write.document import (
    Answer,
    AnswerList,
    Block,
    Chart,
    Charts,
    Code,
    Definitions,
    Document,
    Foldable,
    Heading,
    Paragraph,
    Picture,
    Pictures,
    Section,
    Table,
    TwoForms,
)

_PAGE = """\
<!doctype html>
<html lang="{lang}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
</head>
<body>
<main>
<header>
<h1>{title}</h1>
{lead}
</header>
<nav aria-label="{contents}">
<p>{contents}</p>
<ol>
{links}
</ol>
</nav>
<div class="sections">
{sections}
</div>
<footer><p>{footer}</p></footer>
</main>
</body>
</html>
"""


def as_html(document: Document) -> str:
    """The page, with charts and pictures inside it."""
    return _PAGE.format(
        lang=escape(document.lang),
        title=escape(document.title),
        style=files("zoo.report.write").joinpath("style.css").read_text(encoding="utf-8"),
        contents=escape(document.contents),
        links="\n".join(f'<li><a href="#{s.key}">{escape(s.title)}</a></li>' for s in document.sections),
        lead=_all(document.lead),
        sections="\n".join(map(_section, document.sections)),
        footer=escape(document.footer),
    )


def _section(section: Section) -> str:
    return (
        f'<section id="{section.key}">\n<h2>{escape(section.title)}</h2>\n{_all(section.blocks)}\n</section>'
    )


def _all(blocks: tuple[Block, ...]) -> str:
    return _lines(map(_html, blocks))


def _lines(parts: Iterable[str]) -> str:
    return "\n".join(parts)


@singledispatch
def _html(block: Block) -> str:
    raise TypeError(f"no HTML for {type(block).__name__}")


@_html.register
def _(block: Paragraph) -> str:
    return f'<p class="{block.tone}">{escape(block.text)}</p>'


@_html.register
def _(block: Heading) -> str:
    return f"<h3>{escape(block.text)}</h3>"


@_html.register
def _(block: Definitions) -> str:
    rows = "".join(f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>" for term, text in block.rows)
    return f"<dl>{rows}</dl>"


@_html.register
def _(block: AnswerList) -> str:
    return f'<div class="answers">{_lines(map(_answer, block.answers))}</div>'


def _answer(answer: Answer) -> str:
    sentences = "".join(f"<p>{escape(sentence)}</p>" for sentence in answer.sentences)
    return (
        f'<details class="{answer.standing}"><summary><span>{escape(answer.question)}</span> '
        f"<strong>{escape(answer.verdict)}</strong></summary>{sentences}</details>"
    )


@_html.register
def _(block: Table) -> str:
    head = _row(block.columns, "th", block.text_columns, ' scope="col"')
    body = "\n".join(_row(row, "td", block.text_columns) for row in block.rows)
    note = f'<p class="note">{escape(block.note)}</p>' if block.note else ""
    return (
        f'<figure class="table"><figcaption>{escape(block.caption)}</figcaption>'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(block.caption)}">'
        f"<table><thead>{head}</thead>\n<tbody>{body}</tbody></table></div>{note}</figure>"
    )


def _row(cells: tuple[str, ...], tag: str, text_columns: int, attributes: str = "") -> str:
    kinds = [' class="text"' if index < text_columns else "" for index in range(len(cells))]
    written = (
        f"<{tag}{attributes}{kind}>{escape(cell)}</{tag}>" for cell, kind in zip(cells, kinds, strict=True)
    )
    return f"<tr>{''.join(written)}</tr>"


@_html.register
def _(block: Charts) -> str:
    return f'<div class="charts">{_lines(map(_chart, block.charts))}</div>'


def _chart(chart: Chart) -> str:
    caption = escape(chart.caption)
    wide = f' class="wide" style="--width: {chart.width}px"' if chart.is_wide else ""
    svg = chart.svg.replace("<svg ", f'<svg role="img" aria-label="{caption}" ', 1)
    return f"<figure{wide}><div>{svg}</div><figcaption>{caption}</figcaption></figure>"


@_html.register
def _(block: TwoForms) -> str:
    forms = f'<div class="on-page">{block.wide}</div><div class="on-telephone">{block.narrow}</div>'
    return f'<figure class="forms">{forms}</figure>'


@_html.register
def _(block: Pictures) -> str:
    pictures = "\n".join(_picture(picture, block.width) for picture in block.pictures)
    return (
        f'<figure class="pictures"><figcaption>{escape(block.caption)}</figcaption>'
        f'<div style="--width: {block.width}px">\n{pictures}\n</div></figure>'
    )


def _picture(picture: Picture, width: int) -> str:
    data = base64.b64encode(picture.data).decode()
    caption = escape(picture.caption)
    return (
        f'<figure><img width="{width}" src="data:image/{picture.kind};base64,{data}" alt="{caption}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


@_html.register
def _(block: Code) -> str:
    return f'<pre tabindex="0"><code>{escape(block.text)}</code></pre>'


@_html.register
def _(block: Foldable) -> str:
    is_open = " open" if block.is_open else ""
    return f"<details{is_open}><summary>{escape(block.summary)}</summary>\n{_all(block.blocks)}\n</details>"
