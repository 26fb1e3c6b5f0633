"""The fork whose rules a net or a layer follows, written in its text as a comment, so that the fork reads it.

``# dialect: NAME`` on a line by itself is the field ``dialect`` of the block it stands in: of the whole net,
in a file of its own or in a solver's, or of one layer.
"""

import re

_COMMENT = re.compile(r"^([ \t]*)# dialect: ([\w.-]+)([ \t\r]*)$", re.MULTILINE)
_FIELD = re.compile(r'^( *)dialect: "([\w.-]+)"$', re.MULTILINE)


def as_fields(text: str) -> str:
    """A net's text with its comments about dialects as fields, at the same places and as long."""
    return _COMMENT.sub(r'\1dialect: "\2"\3', text) if "# dialect: " in text else text


def as_comments(text: str) -> str:
    """A printed net with its fields about dialects as comments."""
    return _FIELD.sub(r"\1# dialect: \2", text) if "dialect: " in text else text
