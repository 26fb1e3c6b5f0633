"""Sums of files' bytes, kept: a file of the same size and time is not read again."""

import hashlib
import json
import stat
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from converters.data.images.lists import Entry
from converters.host.files import write_text
from converters.host.machine import cores
from prototxt.rawbytes import bytes_of

MISSING = "missing"
_PASSING = frozenset({"lock.mdb", "LOCK", "LOG", "LOG.old"})  # of a data base: who reads it writes them
RowSums = np.ndarray[Any, np.dtype[np.int32]]  # (rows, 2): of each row of a list, of its picture
Status = tuple[int, int]  # size in bytes, time of the last change in ns


class Sums:
    """The sums of some files by path, as ``file`` has them from earlier processes."""

    def __init__(self, file: Path) -> None:
        self.file, self.is_new = file, False
        self.known = _read(file)

    def of(self, path: Path) -> str:
        """A file's sum; of a folder that of its files; ``MISSING`` where nothing is there."""
        try:
            status = path.stat()
        except OSError:
            return MISSING
        if stat.S_ISDIR(status.st_mode):
            inner = sorted(each for each in path.iterdir() if each.name not in _PASSING)
            return short(bytes_of("".join(f"{each.name} {self.of(each)}\n" for each in inner)))
        as_read = status.st_size, status.st_mtime_ns
        known = self.known.get(str(path))
        if known is not None and tuple(known[:2]) == as_read:
            return str(known[2])
        with path.open("rb") as file:
            return self._take(path, as_read, hashlib.file_digest(file, _hash).hexdigest())

    def take(self, path: Path, status: Status, data: bytes | memoryview) -> None:
        """Keep the sum of ``data``, which was read from a file of that status."""
        self._take(path, status, short(data))

    def _take(self, path: Path, status: Status, total: str) -> str:
        self.known[str(path)] = [*status, total]
        self.is_new = True
        return total

    def save(self) -> None:
        """Write down what is new."""
        if self.is_new:
            write_text(self.file, json.dumps(self.known))
            self.is_new = False


def _hash() -> "hashlib.blake2b":
    return hashlib.blake2b(digest_size=16)


def short(data: bytes | memoryview) -> str:
    """The sum of some bytes: 32 hexadecimal digits."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def status_of(path: Path) -> Status | None:
    """A file's size and time; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def prints(entries: Sequence[Entry], paths: Sequence[Path], sums: Sums) -> tuple[str, str, RowSums]:
    """(a sum of a list's rows, paths as the list has them and labels; one of its rows and of all its
    pictures' bytes; two short ones of each row). ``paths`` are the entries' files.
    """
    return row_prints(
        [f"{entry.path}\0{entry.labels}" for entry in entries], [[path] for path in paths], sums
    )


def row_prints(texts: Sequence[str], files: Sequence[Sequence[Path]], sums: Sums) -> tuple[str, str, RowSums]:
    """The same of rows that say ``texts`` and name those files, in the order of the rows."""
    rows, content = _hash(), _hash()
    each = np.empty((len(texts), 2), np.int32)

    def total_of(paths: Sequence[Path]) -> str:
        return "".join(map(sums.of, paths))

    with ThreadPoolExecutor(cores()) as pool:
        for index, (text, total) in enumerate(zip(texts, pool.map(total_of, files), strict=True)):
            row = bytes_of(f"{text}\n")
            rows.update(row)
            content.update(row + total.encode())
            each[index] = _four_bytes(row), _four_bytes(total.encode())
    sums.save()
    return rows.hexdigest(), content.hexdigest(), each


def _four_bytes(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=4).digest(), "little", signed=True)


def _read(file: Path) -> dict[str, list[int | str]]:
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    is_whole = isinstance(known, dict) and all(isinstance(v, list) and len(v) == 3 for v in known.values())
    return known if is_whole else {}
