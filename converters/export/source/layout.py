"""Long lines broken as ruff's and Black's formatters break them."""

WIDTH = 88
_OPEN, _CLOSE = "([{", ")]}"
_STEP = "    "


def broken(line: str, indent: str = "", after: str = "") -> list[str]:
    """A statement as lines of at most ``WIDTH`` characters, where its brackets allow that: what the last
    outer bracket holds on a line of its own, else an element a line. ``after`` is what follows the statement
    on its last line, a comma; a comment goes there, too.
    """
    code, mark, comment = line.partition("  # ")
    spans = _outer(code)
    if len(indent + line + after) <= WIDTH or not (spans or _is_sum(code)):
        return [f"{indent}{code}{after}{mark}{comment}"]
    head, inside, tail = _wrapped(code) if _is_sum(code) else _parted(code, spans)
    deeper = indent + _STEP
    if len(deeper + inside) <= WIDTH and tail[0] != "}":
        lines = [deeper + inside]
    else:
        lines = [each for part in _elements(inside) for each in broken(part, deeper, ",")]
    return [f"{indent}{head}", *lines, f"{indent}{tail}{after}{mark}{comment}"]


def _parted(code: str, spans: list[tuple[int, int]]) -> tuple[str, str, str]:
    """What stands before, in and behind the last outer brackets that hold something."""
    start, end = next((span for span in reversed(spans) if span[1] - span[0] > 1), spans[-1])
    if end - start == 1:
        return _wrapped(code)
    return code[: start + 1], code[start + 1 : end], code[end:]


def _wrapped(code: str) -> tuple[str, str, str]:
    """A statement whose right side stands in brackets of its own."""
    target, _, value = code.partition(" = ")
    return f"{target} = (", value, ")"


def _is_sum(code: str) -> bool:
    """Whether the right side of a statement is joined by an operator outside of all brackets."""
    _, equals, value = code.partition(" = ")
    plain = list(value)
    for start, end in _outer(value):
        plain[start:end] = "." * (end - start)
    return bool(equals) and any(f" {sign} " in "".join(plain) for sign in ("+", "-", "*", "/", "**", "@"))


def _outer(code: str) -> list[tuple[int, int]]:
    """Where each outermost pair of brackets begins and ends."""
    spans, depth, start = list[tuple[int, int]](), 0, 0
    for at, sign in _signs(code):
        if sign in _OPEN:
            start, depth = (at if depth == 0 else start), depth + 1
        elif sign in _CLOSE:
            depth -= 1
            if depth == 0:
                spans.append((start, at))
    return spans


def _elements(inside: str) -> list[str]:
    """What the commas outside of inner brackets part."""
    depth, starts = 0, [0]
    for at, sign in _signs(inside):
        depth += (sign in _OPEN) - (sign in _CLOSE)
        if sign == "," and depth == 0:
            starts.append(at + 1)
    ends = [*(start - 1 for start in starts[1:]), len(inside)]
    return [part for a, b in zip(starts, ends, strict=True) if (part := inside[a:b].strip())]


def _signs(code: str) -> list[tuple[int, str]]:
    """The characters that are no part of a string, with their places."""
    signs, inside, escaped = list[tuple[int, str]](), False, False
    for at, sign in enumerate(code):
        if sign == '"' and not escaped:
            inside = not inside
        elif not inside:
            signs.append((at, sign))
        escaped = inside and sign == "\\" and not escaped
    return signs
