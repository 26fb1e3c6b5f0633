"""``zoo data lmdb``: an LMDB of a list's images, as Caffe's convert_imageset writes it."""

import argparse
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from converters.data.images.lists import Entry, Pixels, read_image, read_list
from converters.data.order import permutation
from converters.host.files import whole_folder
from converters.host.places import Base, existing_folder
from prototxt.caffe_pb2 import Datum, ImageDataParameter
from prototxt.errors import InputError
from zoo.terminal.console import notice
from zoo.terminal.progress import counting
from zoo.train.images.decoding import skip_note
from zoo.train.images.places import image_base

_COMMIT = 1000  # records a transaction, as convert_imageset.cpp has it
_FIRST_MAP = 2**26  # bytes of the map at first; it doubles whenever it is full (db_lmdb.cpp, DoubleMapSize)
_LONGEST_KEY = 511  # LMDB's own limit


@dataclass(frozen=True)
class Form:
    """How an image becomes a record; ``encoding`` is "" for the file's own, None for plain pixels."""

    images: ImageDataParameter  # new_height, new_width, is_color
    encoding: str | None


def run(args: argparse.Namespace) -> int:
    """Write the LMDB; its path goes to stdout."""
    height, width = args.resize or (0, 0)
    images = ImageDataParameter(new_height=height, new_width=width, is_color=not args.gray)
    encoding = args.encode_type or ("" if args.encoded else None)
    list_path = Path(args.list)
    entries = read_list(list_path)
    output = Path(args.output or list_path.with_name(f"{list_path.stem}_lmdb"))
    places = [existing_folder(args.root, "--root ")] if args.root else [Path(), list_path.parent]
    if args.shuffle:
        entries = [entries[i] for i in permutation([args.seed, len(entries)], len(entries))]
    with counting(f"writing {output}") as advance:
        bad = write_lmdb(output, list_path, entries, places, Form(images, encoding), advance, args.skip_bad)
    if note := skip_note(str(list_path), len(bad), bad):
        notice(note)
    notice(f"{output}: {len(entries) - len(bad)} images")
    print(output)
    return 0


def write_lmdb(
    output: Path,
    list_path: Path,
    entries: list[Entry],
    places: list[Path],
    form: Form,
    advance: Callable[[int, int], None],
    skip_bad: bool = False,
) -> list[int]:
    """Write the entries in their order, with the keys "00000000_path", …, whole or not at all. With
    ``skip_bad`` an image that is missing or broken is passed over, and its number with it, as
    convert_imageset does: the lines of those in the list.

    Raises InputError where ``output`` is there already or nothing is left, and, naming list and line, for an
    image that is missing or broken, of another size than the first (plain pixels without a resize), or whose
    path is too long for a key.
    """
    base, bad = image_base(ImageDataParameter(), list_path, entries, places), list[int]()
    images = (_read(base, list_path, entry, form, bad if skip_bad else None) for entry in entries)
    with whole_folder(output) as beside:
        _store(beside, _records(list_path, entries, images, advance))
    return bad


def _read(base: Base, list_path: Path, entry: Entry, form: Form, bad: list[int] | None) -> Datum | None:
    """An entry's record; None for an image that is passed over, whose line is added to ``bad``."""
    path = base.path(entry.path)
    with _at(list_path, entry):
        try:
            image = read_image(path, form.images)
        except InputError as error:
            if bad is None:
                raise InputError(f"{error} (--skip-bad passes over such images)") from None
            bad.append(entry.line)
            return None
        return make_datum(path, image, entry.label, form)


def _records(
    list_path: Path,
    entries: Sequence[Entry],
    images: Iterable[Datum | None],
    advance: Callable[[int, int], None],
) -> Iterator[tuple[bytes, bytes]]:
    """Keys and records, all of the first one's size."""
    first: Datum | None = None
    for index, (entry, datum) in enumerate(zip(entries, images, strict=True)):
        if datum is not None:
            first = first or datum
            with _at(list_path, entry):
                _check_size(datum, first)
                key = _key(index, entry)
            yield key, datum.SerializeToString()
        advance(index + 1, len(entries))
    if first is None:
        raise InputError(f"{list_path}: none of its {len(entries)} images can be read")


@contextmanager
def _at(list_path: Path, entry: Entry) -> Iterator[None]:
    """Say of an InputError at which line of the list it is."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{list_path}:{entry.line}: {error}") from None


def make_datum(path: Path, image: Pixels, label: int, form: Form) -> Datum:
    """An image's record (io.cpp, ReadImageToDatum): plain pixels, channel by channel, or an encoded image,
    which is the file's own bytes where nothing has to change. (Caffe copies a grey file into a colour
    database too, and a colour file with --gray; here such a file is encoded anew.)
    """
    if form.encoding is None:
        height, width, channels = image.shape
        data = image.transpose(2, 0, 1).tobytes()
        return Datum(channels=channels, height=height, width=width, data=data, label=label, encoded=False)
    own = path.suffix.lower().removeprefix(".").replace("jpeg", "jpg")
    is_as_stored = own == (form.encoding or own) and not form.images.new_height and _has_channels(path, image)
    data = path.read_bytes() if is_as_stored else _encoded(image, form.encoding or own)
    return Datum(data=data, label=label, encoded=True)


def _has_channels(path: Path, image: np.ndarray[Any, np.dtype[np.uint8]]) -> bool:
    """Whether the file itself has the channels and the depth that the image was read with."""
    import cv2

    own = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return own is not None and own.dtype == np.uint8 and own.size == image.size


def _encoded(image: np.ndarray[Any, np.dtype[np.uint8]], encoding: str) -> bytes:
    import cv2

    try:
        done, data = cv2.imencode(f".{encoding}", image)
    except cv2.error:
        done = False
    if not done:
        raise InputError(f'an image cannot be encoded as "{encoding}"; give --encode-type png')
    return bytes(data)


def _check_size(datum: Datum, first: Datum) -> None:
    sizes = [(each.channels, each.height, each.width) for each in (datum, first)]
    if sizes[0] != sizes[1]:
        mine, other = ("×".join(map(str, size)) for size in sizes)
        raise InputError(f"the image is {mine}, the first {other}; give --resize HxW or --encoded")


def _key(index: int, entry: Entry) -> bytes:
    key = os.fsencode(f"{index:08}_{entry.path}")
    if len(key) > _LONGEST_KEY:
        raise InputError(f"the path is too long for a key of at most {_LONGEST_KEY} bytes")
    return key


def _store(folder: Path, records: Iterable[tuple[bytes, bytes]]) -> None:
    import lmdb

    environment = lmdb.open(str(folder), map_size=_FIRST_MAP)
    try:
        waiting: list[tuple[bytes, bytes]] = []
        for record in records:
            waiting.append(record)
            if len(waiting) == _COMMIT:
                _commit(environment, waiting)
                waiting = []
        _commit(environment, waiting)
        environment.sync(True)
    except lmdb.Error as error:  # a full disk
        raise InputError(f"{folder}: {error}") from None
    finally:
        environment.close()


def _commit(environment: Any, waiting: list[tuple[bytes, bytes]]) -> None:
    import lmdb

    while True:
        try:
            with environment.begin(write=True) as transaction:
                for key, value in waiting:
                    transaction.put(key, value)
            return
        except lmdb.MapFullError:
            environment.set_mapsize(environment.info()["map_size"] * 2)
