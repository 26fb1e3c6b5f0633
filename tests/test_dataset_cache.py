"""The cache of decoded images after a crash or a full disk: what is not whole is decoded anew."""

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from converters.data.images.lists import read_image
from prototxt.caffe_pb2 import ImageDataParameter, LayerParameter
from prototxt.errors import InputError
from zoo.train.images.dataset import ImageSet, open_images
from zoo.train.images.places import cache_folder


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three small pictures and a file that is none, in a list."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((4, 5, 3), 50 * number, np.uint8))
    (tmp_path / "none.png").write_bytes(b"nothing")
    (tmp_path / "list.txt").write_text("0.png 0\nnone.png 1\n1.png 1\n2.png 0\n")
    return tmp_path


def opened(folder: Path, told: Callable[[int, int], None] = lambda done, total: None) -> ImageSet:
    layer = LayerParameter(name="data", type="ImageData", top=["data", "label"])
    return open_images(layer, folder / "list.txt", [], told, skip_bad=True)


@pytest.mark.parametrize("suffix", [".npy", ".bad.json"])
@pytest.mark.parametrize(
    "broken",
    [lambda data: b"", lambda data: data[: len(data) // 2], lambda data: b"\0" * len(data), None],
    ids=["empty", "cut short", "zeros", "gone"],
)
def test_what_is_not_whole_is_decoded_anew(
    suffix: str, broken: Callable[[bytes], bytes] | None, photos: Path
) -> None:
    first = opened(photos)
    (path,) = (cache_folder() / "images").glob(f"*{suffix}")
    data = path.read_bytes()
    path.unlink()  # the first's pixels are mapped from it
    if broken:
        path.write_bytes(broken(data))
    told: list[int] = []
    again = opened(photos, lambda done, total: told.append(done))
    assert told == [1, 2, 3, 4]
    assert np.array_equal(first.pixels, again.pixels) and again.skipped == first.skipped == 1
    assert path.read_bytes() == data
    told.clear()
    opened(photos, lambda done, total: told.append(done))
    assert not told


@pytest.mark.parametrize("content", [[9], 5, {"a": 1}, ["a"], [0, 1, 2, 3]])
def test_rows_that_cannot_be_are_no_cache(content: object, photos: Path) -> None:
    opened(photos)
    (path,) = (cache_folder() / "images").glob("*.bad.json")
    path.write_text(json.dumps(content))
    assert opened(photos).skipped == 1 and path.read_text() == "[1]"


def test_a_picture_above_opencvs_limit_is_named_and_may_be_skipped(photos: Path) -> None:
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    parts = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks]
    (photos / "none.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    with pytest.raises(InputError, match=r"none\.png cannot be decoded"):
        read_image(photos / "none.png", ImageDataParameter())
    assert opened(photos).skipped == 1
