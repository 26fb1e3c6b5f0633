"""Writing files so that a reader never sees half of one."""

import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_owner = ContextVar("owner", default="")


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path``, renamed to it when the block ends well and removed when not.

    The content is synced to disk before the rename, so after a crash the old file or the new one is
    there, never a mixture. A process that is killed leaves the temporary file, which carries the name of
    its owner (:func:`owned`). Raises OSError as the file system does (full disk, read-only folder), with
    ``path`` as its file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{path.name}.{_mark(_owner.get())}."
    with naming(path, prefix):
        handle, name = tempfile.mkstemp(prefix=prefix, suffix=path.suffix, dir=path.parent)
        os.close(handle)
        beside = Path(name)
        try:
            yield beside
            _publish(beside, path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise


@contextmanager
def naming(path: Path, prefix: str | None = None) -> Iterator[None]:
    """Give an OSError of the block that names no file, as that of a write on a full disk, ``path``; and one
    of a temporary file in the same folder whose name begins with ``prefix``.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None or (prefix and Path(str(error.filename)).name.startswith(prefix)):
            error.filename = str(path)
        raise


def _mark(owner: str) -> str:
    return f"zoo-{owner}" if owner else "zoo"


@contextmanager
def owned(owner: str) -> Iterator[None]:
    """In the block temporary files carry the name ``owner`` (letters and digits), by which
    :func:`sweep` knows them again.
    """
    token = _owner.set(owner)
    try:
        yield
    finally:
        _owner.reset(token)


def sweep(folder: Path, owner: str) -> None:
    """Remove the temporary files of ``owner`` in ``folder``, which a killed process of its left there."""
    for path in folder.glob(f".*.{_mark(owner)}.*"):
        path.unlink(missing_ok=True)


@contextmanager
def alone_in(folder: Path) -> Iterator[bool]:
    """In the block no other process is let in here as the only one; False where one is, and where the
    system cannot tell. The claim ends with the process, however that ends.
    """
    if os.name != "posix":
        yield False
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        yield _is_claimed(handle)
    finally:
        os.close(handle)


def _is_claimed(handle: int) -> bool:
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # another has it, or a file system without such locks
        return False
    return True


def _publish(beside: Path, path: Path) -> None:
    with beside.open("rb") as file:
        os.fsync(file.fileno())
    beside.chmod(0o666 & ~_umask())
    beside.replace(path)
    if os.name == "posix":  # the rename itself lasts only once the folder is synced
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[int]:
    """Hold the lock file ``path`` in the block; its file descriptor, which child processes may keep.

    The lock is free when the last process that has it open closes it or dies. Without ``wait`` raises
    BlockingIOError where another holds it. On a file system or platform without such locks it holds none.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        if os.name == "posix":
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                raise
            except OSError:
                pass
        yield file.fileno()


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 to ``path``, whole or not at all; a lone surrogate as its byte."""
    with whole(path) as beside:
        beside.write_text(text, encoding="utf-8", errors="surrogateescape")


def as_json(value: object, indent: int = 2) -> str:
    """``value`` as readable JSON; a path's bytes that are no UTF-8 as escapes."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return re.sub("[\ud800-\udfff]", lambda odd: f"\\u{ord(odd[0]):04x}", text)
