"""What the web did to a prototxt: characters that only look like blanks, quotes and punctuation.

Every replacement is one character for one, so that lines and columns stay those of the file. Strings and
comments keep what they hold.
"""

import re
import unicodedata
from collections import Counter
from typing import NamedTuple

DOUBLE_QUOTES = '"“”„‟＂'
SINGLE_QUOTES = "'‘’‚‛＇"
PUNCTUATION = dict(zip("：｛｝，；＃［］", ":{},;#[]", strict=True))

# Kind, as one of it and as several are called in the warning.
QUESTION, NO_BREAK, FULL_WIDTH, SPACE, MARK, INVISIBLE, QUOTE, SIGN = (
    ("'?'", "'?'"),
    ("no-break space", "no-break spaces"),
    ("full-width space", "full-width spaces"),
    ("Unicode space", "Unicode spaces"),
    ("byte-order mark", "byte-order marks"),
    ("invisible character", "invisible characters"),
    ("typographic quote", "typographic quotes"),
    ("full-width sign", "full-width signs"),
)
BLANKS = {
    "?": QUESTION,
    "？": QUESTION,
    "\ufffd": QUESTION,  # what a decoder puts where it cannot read a no-break space
    "\u00a0": NO_BREAK,
    "\u202f": NO_BREAK,
    "\u3000": FULL_WIDTH,
    "\ufeff": MARK,
}
CATEGORIES = {"Zs": SPACE, "Zl": SPACE, "Zp": SPACE, "Cf": INVISIBLE}

_ODD = re.compile(r"[^\x00-\x3e\x40-\x7f]")
_RUN = re.compile(rf"[^#＃{DOUBLE_QUOTES}{SINGLE_QUOTES}]+")
# Caffe's parser, protobuf's in C++, takes blanks behind a minus; Python's does not.
_MINUS = re.compile(r"(?<=[:\[,\s])-(\s+)(?=[0-9.]|inf|nan)")
_LONE_CR = re.compile(r"\r(?!\n)")

Kind = tuple[str, str]


class Cleaned(NamedTuple):
    """A text that protobuf can read, and how many characters of each kind it took replacing."""

    text: str
    counts: Counter[Kind]


def clean(text: str) -> Cleaned:
    """Replace what copying from a page or an input method left outside strings and comments.

    A lone carriage return becomes a line end, here and in comments; neither it nor CRLF is counted.
    """
    text = _LONE_CR.sub("\n", text)
    parts: list[str] = []
    counts: Counter[Kind] = Counter()
    position = 0
    while position < len(text):
        end, part = _piece(text, position, counts)
        parts.append(part)
        position = end
    return Cleaned("".join(parts), counts)


def describe(name: str, counts: Counter[Kind]) -> str:
    """The one warning line about a file's replaced characters."""
    listed = ", ".join(f"{count} {kind[count > 1]}" for kind, count in counts.most_common())
    total = counts.total()
    noun = "character" if total == 1 else "characters"
    roles = "blanks, quotes or punctuation" if counts[SIGN] else "blanks or quotes"
    return f"{name}: {total} {noun} outside strings taken as {roles} ({listed})"


def _piece(text: str, start: int, counts: Counter[Kind]) -> tuple[int, str]:
    """The comment, string or run of other characters that begins at ``start``, cleaned, and its end."""
    run = _RUN.match(text, start)
    if run:
        return run.end(), _MINUS.sub(r"\1-", _ODD.sub(lambda odd: _plain(odd[0], counts), run[0]))
    if text[start] in "#＃":
        counts.update([SIGN] if text[start] == "＃" else [])
        end = _line_end(text, start)
        return end, "#" + text[start + 1 : end]
    quotes = DOUBLE_QUOTES if text[start] in DOUBLE_QUOTES else SINGLE_QUOTES
    return _string(text, start, quotes, counts)


def _plain(odd: str, counts: Counter[Kind]) -> str:
    """What a character outside strings stands for; protobuf refuses one that is left."""
    if odd in PUNCTUATION:
        counts[SIGN] += 1
        return PUNCTUATION[odd]
    kind = BLANKS.get(odd) or CATEGORIES.get(unicodedata.category(odd))
    if kind is None:
        return odd
    counts[kind] += 1
    return " "


def _string(text: str, start: int, quotes: str, counts: Counter[Kind]) -> tuple[int, str]:
    """A string with ASCII delimiters, and its end; one that nothing closes on its line is left open.

    An ASCII quote is closed by its like, or by a typographic one where its line has none; a typographic
    quote is closed by any quote.
    """
    plain, opening, stop = quotes[0], text[start], _line_end(text, start)
    end = _closing(text, start + 1, stop, plain) if opening == plain else None
    if end is None:
        end = _closing(text, start + 1, stop, quotes)
    body = text[start + 1 : stop if end is None else end]
    if opening != plain:
        # An escaped quote was made typographic with the others.
        body = re.sub(rf"\\[{quotes}]", lambda _: "\\" + plain, body)
    if end is None:
        counts.update([QUOTE] if opening != plain else [])
        return stop, plain + body
    counts.update(QUOTE for quote in (opening, text[end]) if quote != plain)
    return end + 1, plain + body + plain


def _closing(text: str, start: int, stop: int, quotes: str) -> int | None:
    """Where one of ``quotes`` that no backslash escapes first stands in ``text[start:stop]``."""
    body = re.compile(rf"(?:\\.|[^\\{quotes}])*", re.DOTALL).match(text, start, stop)
    assert body
    end = body.end()
    return end if end < stop and text[end] in quotes else None


def _line_end(text: str, start: int) -> int:
    end = text.find("\n", start)
    return len(text) if end < 0 else end
