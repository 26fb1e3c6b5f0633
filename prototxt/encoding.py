"""A prototxt's bytes as text: UTF-8 or UTF-16, and what is neither."""

from pathlib import Path

from prototxt.errors import InputError, nearest_file
from prototxt.rawbytes import text_of


def read_text(path: Path | str) -> str:
    """A file's text, in UTF-8 or in UTF-16 with a byte-order mark; other bytes are kept as lone surrogates.

    Raises InputError for a file that cannot be read, is binary or is in an encoding of wider characters.
    """
    try:
        data = Path(path).read_bytes()
    except IsADirectoryError:
        inside = ", ".join(sorted(each.name for each in Path(path).glob("*.prototxt")))
        hint = f"; in it: {inside}" if inside else ""
        raise InputError(f"{path}: is a folder, not a prototxt file{hint}") from None
    except FileNotFoundError:
        raise InputError(f"{path}: no such file{nearest_file(Path(path))}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    return decode_text(data, str(path))


def decode_text(data: bytes, name: str) -> str:
    """The text of a prototxt's bytes; a byte-order mark stays in it, to be counted as the others are."""
    if data[:4] in (b"\xff\xfe\0\0", b"\0\0\xfe\xff"):
        raise InputError(f"{name}: is in UTF-32; save the file as UTF-8")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return _decode_utf16(data, name)
    if b"\0" in data:
        wide = "is in UTF-16 without a byte-order mark; save the file as UTF-8"
        holds_net = name.lower().endswith(".caffemodel")
        hint = "zoo show prints the net in it" if holds_net else "weights are given with --weights"
        binary = f"is binary, and not a prototxt; {hint}"
        raise InputError(f"{name}: {wide if _is_utf16(data) else binary}")
    return text_of(data)


def _is_utf16(data: bytes) -> bool:
    """Whether most of every second byte is 0, and none between, as in UTF-16 of mostly ASCII."""
    halves = data[0::2], data[1::2]
    return any(2 * high.count(0) > len(high) and 0 not in low for high, low in (halves, halves[::-1]))


def _decode_utf16(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-16")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        where = f"{name}:{line}: byte {error.start} (0x{data[error.start]:02x})"
        raise InputError(f"{where} is not UTF-16; save the file as UTF-8") from None
