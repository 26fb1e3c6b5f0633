"""A picture as one HTML page that needs nothing beside itself, nor a network: its drawing, with what is known
of a layer where the mouse, the keyboard or a finger is on it.
"""

import base64
import hashlib
from collections.abc import Sequence
from html import escape
from importlib.resources import files

from zoo.draw.as_svg import MARK, element
from zoo.draw.families import FAMILIES
from zoo.draw.folding import folded
from zoo.draw.picture import Picture

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<!-- {mark} -->
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; \
style-src 'unsafe-inline'; script-src 'sha256-{sum}'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
</head>
<body>
<header>
<h1>{title}</h1>
{lead}
<ul>
{legend}
</ul>
</header>
<main>
{drawings}
</main>
<pre id="about" aria-live="polite"></pre>
<script>{script}</script>
</body>
</html>
"""
_CHOICE = """\
<input class="choice" type="radio" name="form" id="folded" checked>
<label for="folded">what repeats, once</label>
<input type="radio" name="form" id="whole">
<label for="whole">every layer</label>
"""


def as_page(picture: Picture, title: str, lead: Sequence[str]) -> str:
    """The page, with the lines of ``lead`` under its title. A net with blocks that repeat is there twice:
    with each of them once, which shows first, and whole.
    """
    script = _read("page.js")
    return _PAGE.format(
        mark=MARK,
        sum=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        title=escape(title),
        style=_read("page.css") + _read("svg.css"),
        lead="\n".join(f"<p>{escape(line)}</p>" for line in lead),
        legend=_legend(picture),
        drawings=_drawings(picture),
        script=script,
    )


def _read(name: str) -> str:
    return files("zoo.draw").joinpath(name).read_text(encoding="utf-8")


def _legend(picture: Picture) -> str:
    """The colours that the picture has."""
    used = {part.family.key for box in picture.boxes for part in box.parts if part.family}
    return "\n".join(
        f'<li><i style="background: {family.colour}33; border-color: {family.colour}"></i>{family.title}</li>'
        for family in FAMILIES.values()
        if family.key in used
    )


def _drawings(picture: Picture) -> str:
    short = folded(picture)
    whole = _drawing("whole", picture)
    return whole if short is picture else f"{_CHOICE}{_drawing('folded', short)}\n{whole}"


def _drawing(name: str, picture: Picture) -> str:
    return f'<div class="drawing {name}">{element(picture)}</div>'
