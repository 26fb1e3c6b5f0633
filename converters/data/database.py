"""Reading LMDB and LevelDB (db_lmdb.cpp, db_leveldb.cpp): keys in order, records by key."""

import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from prototxt.caffe_pb2 import DataParameter
from prototxt.errors import InputError
from prototxt.rawbytes import is_utf8


class Database(ABC):
    """An open database, whose ``keys`` are in its own order, which is that of their bytes."""

    path: Path
    keys: list[bytes]

    @abstractmethod
    def get(self, key: bytes) -> bytes:
        """A record. Raises InputError where it cannot be read."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the files."""


def open_database(path: Path, backend: int) -> Database:
    """The database in a folder. Raises InputError for one that is missing, empty, broken, or of the other
    kind than ``backend`` says.
    """
    is_lmdb = (path / "data.mdb").is_file() or path.is_file()
    if not path.exists():
        raise InputError(f"{path}: no such database")
    if backend == DataParameter.LEVELDB and is_lmdb:
        raise InputError(f"{path}: is an LMDB, and without backend: LMDB Caffe reads LevelDB")
    if backend == DataParameter.LMDB and not is_lmdb:
        raise InputError(f"{path}: holds no data.mdb, so it is no LMDB")
    database = Lmdb(path) if backend == DataParameter.LMDB else LevelDb(path)
    if not database.keys:
        database.close()
        raise InputError(f"{path}: the database is empty")
    return database


_environments: dict[Path, tuple[Any, int]] = {}  # by real path, with its users: lmdb opens each once


class Lmdb(Database):
    """An LMDB, opened without a lock file, so that a read-only folder will do."""

    _environment: Any = None

    def __init__(self, path: Path) -> None:
        self.path, self._real = path, path.resolve()
        self._environment, users = _environments.get(self._real) or (_environment(path), 0)
        _environments[self._real] = self._environment, users + 1
        try:
            self.keys = self._keys()
        except InputError:
            self.close()
            raise

    def _keys(self) -> list[bytes]:
        import lmdb

        try:
            with self._environment.begin() as transaction:
                return list(transaction.cursor().iternext(keys=True, values=False))
        except lmdb.Error as error:
            raise InputError(f"{self.path}: cannot be read ({error})") from None

    def get(self, key: bytes) -> bytes:
        """A record."""
        import lmdb

        try:
            with self._environment.begin() as transaction:
                return _existing(transaction.get(key))
        except lmdb.Error as error:
            raise InputError(f"cannot be read ({error})") from None

    def close(self) -> None:
        """Close the environment with its last user."""
        if self._environment is None:
            return
        environment, users = _environments.pop(self._real)
        self._environment = None
        if users > 1:
            _environments[self._real] = environment, users - 1
        else:
            environment.close()

    def __del__(self) -> None:
        self.close()  # the table of environments would keep a forgotten one open


def _environment(path: Path) -> Any:
    import lmdb

    try:
        native = str(path) if is_utf8(path) else os.fsencode(path)
        environment = lmdb.open(native, subdir=path.is_dir(), readonly=True, lock=False, create=False)
    except lmdb.Error as error:
        raise InputError(f"{path}: cannot be opened as an LMDB ({error})") from None
    # Reading past the end of a file that was cut short would kill the process, not raise.
    whole = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
    size = (path / "data.mdb" if path.is_dir() else path).stat().st_size
    if size < whole:
        environment.close()
        raise InputError(f"{path}: the LMDB is cut short: {size} of {whole} bytes")
    return environment


class LevelDb(Database):
    """A LevelDB, where the package plyvel is installed."""

    def __init__(self, path: Path) -> None:
        plyvel = _plyvel(path)
        self.path = path
        try:
            self._database = plyvel.DB(str(path), create_if_missing=False, paranoid_checks=True)
            self.keys = list(self._database.iterator(include_value=False))
        except (plyvel.Error, OSError) as error:
            raise InputError(f"{path}: cannot be opened as a LevelDB ({_text(error)})") from None

    def get(self, key: bytes) -> bytes:
        """A record."""
        plyvel = _plyvel(self.path)
        try:
            return _existing(self._database.get(key, verify_checksums=True))
        except plyvel.Error as error:
            raise InputError(f"cannot be read ({_text(error)})") from None

    def close(self) -> None:
        """Let go of its lock."""
        self._database.close()


def _existing(record: bytes | None) -> bytes:
    """Keys out of order, in a damaged file, are listed but not found."""
    if record is None:
        raise InputError("is listed but not found: the database is damaged")
    return record


def _plyvel(path: Path) -> Any:
    try:
        import plyvel
    except ImportError:
        raise InputError(
            f"{path}: LevelDB needs the package plyvel (pip install plyvel); or make an LMDB of the images"
        ) from None
    return plyvel


def _text(error: Exception) -> str:
    return error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
