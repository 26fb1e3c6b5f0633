"""Writing files so that a reader never sees half of one."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from socket import gethostname
from typing import Any, BinaryIO

from prototxt.errors import InputError

LOCK = ".zoo-lock"  # in a folder that one process has for itself
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
def whole_folder(target: Path) -> Iterator[Path]:
    """A folder beside ``target``, renamed to it when the block ends well and removed when not.

    Raises InputError where ``target`` is there already.
    """
    if target.exists():
        raise InputError(f"{target}: is there already; move it away to write a new one")
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield beside
        beside.chmod(0o755)
        beside.replace(target)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
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
def locked(path: Path, wait: bool = True) -> Iterator[BinaryIO]:
    """Hold the lock file ``path`` in the block: the open file, whose descriptor child processes may keep.

    (The package filelock has no such descriptor to hand on, and does not write down who holds the lock.)

    The lock is free when the last process that has it open closes it or dies. Without ``wait`` raises
    BlockingIOError where another holds it. On a file system or platform without such locks it holds none.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a+b")
    while not _is_locked(file, path, wait):
        file.close()
        file = path.open("a+b")
    with file:
        yield file


def _is_locked(file: BinaryIO, path: Path, wait: bool) -> bool:
    """Lock an open file; False where the process that had locked it has removed it meanwhile: whoever comes
    next would then lock a new file of that name.
    """
    if os.name != "posix":
        return True
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        file.close()
        raise
    except OSError:
        if not wait and _lives_here(_holder(path)):
            file.close()
            raise BlockingIOError from None
        return True
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def alone_in(folder: Path) -> Iterator[BinaryIO]:
    """In the block no other process that asks so works in ``folder``; the lock file, for child processes to
    keep. Raises InputError, saying who, where one does, or where a child of one lives on.

    The claim ends with the process, however that ends, on NFS on all machines (it has such locks since
    NFSv4; a mount with ``local_lock`` knows those of its own machine alone). Where the file system has
    none, the file itself tells of a process of this machine that lives, and of no other.
    """
    path = folder / LOCK
    with ExitStack() as stack:
        try:
            file = stack.enter_context(locked(path, wait=False))
        except BlockingIOError:
            raise _at_work(folder, _holder(path)) from None
        me = {
            "pid": os.getpid(),
            "host": gethostname(),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        with naming(path):
            file.truncate(0)
            file.write(json.dumps(me).encode())
            file.flush()
            os.fsync(file.fileno())  # another machine is to read it
        yield file


def _holder(path: Path) -> dict[str, Any]:
    """Who has written himself into a lock file: pid, host and since when; nothing where nobody has."""
    try:
        holder = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return holder if isinstance(holder, dict) else {}


def _lives_here(holder: Mapping[str, Any]) -> bool:
    """Whether the holder is a process of this machine, other than this one, that lives."""
    pid = holder.get("pid")
    if os.name != "posix" or not isinstance(pid, int) or pid <= 0 or holder.get("host") != gethostname():
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:  # somebody else's
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return pid != os.getpid()


def _at_work(folder: Path, holder: Mapping[str, Any]) -> InputError:
    who = "another process"
    if holder:
        who = "process {pid} on {host}, since {since},".format_map(
            {"pid": "?", "host": "?", "since": "?", **holder}
        )
    return InputError(
        f"{folder}: {who} is at work there, or one that it began; wait for it, or stop it first"
    )


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 to ``path``, whole or not at all; a lone surrogate as its byte."""
    with whole(path) as beside:
        beside.write_bytes(encoded(text))


def encoded(text: str) -> bytes:
    """``text`` as :func:`write_text` writes it."""
    return text.encode("utf-8", "surrogateescape")


def as_json(value: object, indent: int = 2) -> str:
    """``value`` as readable JSON; a path's bytes that are no UTF-8 as escapes."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return re.sub("[\ud800-\udfff]", lambda odd: f"\\u{ord(odd[0]):04x}", text)
