"""What matplotlib writes as SVG, made fit for a page that holds several: small, and no name used twice."""

import hashlib
import re

_LEFT_OUT = (
    re.compile(r"<metadata>.*?</metadata>\s*", re.S),
    # Styles inside a page are the whole page's: what these say stands on the <svg> element instead.
    re.compile(r"<defs>\s*<style.*?</style>\s*</defs>\s*", re.S),
    re.compile(r" font-family: [^;\"]*;"),
    re.compile(r' transform="rotate\(-0 [^)]*\)"'),
    re.compile(r"<!--.*?-->\s*", re.S),
)
_NUMBER = re.compile(r"-?\d+\.\d+")
_GEOMETRY = re.compile(r' (d|x|y|width|height|points)="[^"]*"')
_DECIMALS = 1  # a tenth of a point cannot be seen


def compact(svg: str) -> str:
    """The ``<svg>`` element of a file by matplotlib: no metadata, styles or fonts of its own, names that no
    other chart in the page has, sized by the page."""
    svg = svg[svg.index("<svg") :]
    for pattern in _LEFT_OUT:
        svg = pattern.sub("", svg)
    svg = _GEOMETRY.sub(lambda match: _rounded(match[0]), svg)
    svg = re.sub(r"\s*\n\s*", " ", _renamed(svg)).replace("> <", "><").strip()
    head, _, rest = svg.partition(">")
    head = re.sub(r' (width|height)="[^"]*"', "", head).replace("xlink:href", "href")
    return f'{head} stroke-linejoin="round" stroke-linecap="butt">{rest}'


def standalone(svg: str) -> str:
    """A compact element as a file: of its own size, dark on white, whatever page it is put into."""
    box = re.search(r'viewBox="\S+ \S+ (\S+) (\S+)"', svg)
    assert box is not None
    look = "background: #fff; color: #1d2329; font-family: system-ui, sans-serif"
    return svg.replace("<svg ", f'<svg width="{box[1]}" height="{box[2]}" style="{look}" ', 1) + "\n"


def _rounded(text: str) -> str:
    return _NUMBER.sub(lambda match: f"{float(match[0]):.{_DECIMALS}f}".rstrip("0").rstrip("."), text)


def _renamed(svg: str) -> str:
    """Without the ids that nothing refers to; the others begin with a digest of the whole."""
    svg = svg.replace("xlink:href", "href")
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
    prefix = "c" + hashlib.sha256(svg.encode()).hexdigest()[:8]
    svg = re.sub(r' id="([^"]*)"', lambda m: f' id="{prefix}{m[1]}"' if m[1] in used else "", svg)
    return re.sub(r'(href="#|url\(#)', rf"\g<1>{prefix}", svg)
