"""zoo data lmdb: what Caffe's convert_imageset writes."""

import re
from pathlib import Path

import cv2
import lmdb
import numpy as np
import pytest
from golden_cases import GOLDEN

import zoo.data.databases
from converters import load_data
from converters.data.datum import datum_pixels
from prototxt.caffe_pb2 import Datum, TransformationParameter
from zoo.cli import main

DATA = GOLDEN / "data"


def records(folder: Path) -> dict[str, bytes]:
    environment = lmdb.open(str(folder), readonly=True, lock=False)
    with environment.begin() as transaction:
        found = {key.decode(): bytes(value) for key, value in transaction.cursor()}
    environment.close()
    return found


def test_plain_records_are_caffes_byte_for_byte(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "new" / "db"
    assert main(["data", "lmdb", str(DATA / "list.txt"), "--output", str(target), "--resize", "24x28"]) == 0
    assert capsys.readouterr().out == f"{target}\n"
    ours, caffes = records(target), records(DATA / "train_lmdb")
    assert list(ours) == list(caffes)
    for key, record in caffes.items():
        mine, theirs = Datum.FromString(ours[key]), Datum.FromString(record)
        # JPEG decoders may round a pixel differently; everything else is exact.
        off = np.abs(np.frombuffer(mine.data, np.uint8).astype(int) - np.frombuffer(theirs.data, np.uint8))
        assert off.max() <= (3 if key.endswith(".jpg") else 0)
        mine.data = theirs.data
        assert mine.SerializeToString() == record
    assert [path.name for path in target.parent.iterdir()] == ["db"]


def test_encoded_records_hold_caffes_images(tmp_path: Path) -> None:
    target = tmp_path / "db"
    options = ["--encode-type", "png", "--resize", "24x28"]
    assert main(["data", "lmdb", str(DATA / "list.txt"), "--output", str(target), *options]) == 0
    ours, caffes = records(target), records(DATA / "train_lmdb_encoded")
    assert list(ours) == list(caffes)
    for key, record in caffes.items():
        mine, theirs = Datum.FromString(ours[key]), Datum.FromString(record)
        images = [datum_pixels(each, TransformationParameter()).astype(int) for each in (mine, theirs)]
        assert np.abs(images[0] - images[1]).max() <= (3 if key.endswith(".jpg") else 0)
        mine.data = theirs.data
        assert mine.SerializeToString() == record


def test_encoded_files_are_stored_as_they_are_where_nothing_changes(tmp_path: Path) -> None:
    target = tmp_path / "db"
    assert main(["data", "lmdb", str(DATA / "list.txt"), "--output", str(target), "--encoded"]) == 0
    for key, record in records(target).items():
        name, datum = key.partition("_")[2], Datum.FromString(record)
        grey = name.endswith("07.png")  # the one grey file becomes a colour image, as the others are
        assert (datum.data == (DATA / name).read_bytes()) is not grey
        assert datum_pixels(datum, TransformationParameter()).shape[2] == 3


def test_gray_shuffle_and_a_map_that_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo.data.databases, "_FIRST_MAP", 2**15)
    random = np.random.default_rng(0)
    for index in range(30):
        cv2.imwrite(str(tmp_path / f"{index}.png"), random.integers(0, 256, (40, 50, 3), np.uint8))
    (tmp_path / "list.txt").write_text("".join(f"{index}.png {index}\n" for index in range(30)))
    orders = []
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        command = ["data", "lmdb", str(tmp_path / "list.txt"), "--output", str(tmp_path / name)]
        assert main([*command, "--gray", "--shuffle", "--seed", seed]) == 0
        found = records(tmp_path / name)
        assert [key[:9] for key in found] == [f"{index:08}_" for index in range(30)]
        data = [Datum.FromString(record) for record in found.values()]
        assert {(each.channels, each.height, each.width) for each in data} == {(1, 40, 50)}
        assert all(
            key == f"{i:08}_{each.label}.png" for i, (key, each) in enumerate(zip(found, data, strict=True))
        )
        orders.append([each.label for each in data])
    assert orders[0] == orders[1] != orders[2]
    text = f"""layer {{ name: "d" type: "Data" top: "data" top: "label"
      data_param {{ source: "{tmp_path}/a" backend: LMDB batch_size: 30 }} }}"""
    assert next(load_data(text))["label"].tolist() == orders[0]


@pytest.mark.parametrize(
    ("lines", "options", "says"),
    [
        ("a.png 0\nb.png 1\n", [], r"list.txt:2: the image is 3×5×4, the first 3×4×4; give --resize HxW"),
        ("a.png 0\nnone.png 1\n", [], r"list.txt:2: image .*none.png is missing"),
        ("a.png 0\nbroken.jpg 1\n", ["--encoded"], r"list.txt:2: image .*broken.jpg cannot be decoded"),
        ("a.png\n", [], r"list.txt:1: "),
    ],
)
def test_whole_or_not_at_all(
    lines: str, options: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4, 4, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros((5, 4, 3), np.uint8))
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    (tmp_path / "list.txt").write_text(lines)
    before = sorted(tmp_path.iterdir())
    assert main(["data", "lmdb", str(tmp_path / "list.txt"), *options]) == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert re.search(says, message), message
    assert sorted(tmp_path.iterdir()) == before


def test_a_database_that_is_there_is_not_written_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "db").mkdir()
    assert main(["data", "lmdb", str(DATA / "list.txt"), "--output", str(tmp_path / "db")]) == 2
    assert "is there already" in capsys.readouterr().err


def test_bad_images_are_passed_over_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A record keeps the number of its line, as convert_imageset numbers them."""
    for name in ("a", "d"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "b.jpg").write_bytes(b"\xff\xd8\xff")
    (tmp_path / "list.txt").write_text("a.png 0\nb.jpg 1\nc.png 2\nd.png 3\n")
    command = ["data", "lmdb", str(tmp_path / "list.txt"), "--output", str(tmp_path / "db"), "--skip-bad"]
    assert main(command) == 0
    said = capsys.readouterr().err
    assert "list.txt: 2 broken entries skipped (lines 2, 3)" in said and "db: 2 images" in said
    assert list(records(tmp_path / "db")) == ["00000000_a.png", "00000003_d.png"]
    (tmp_path / "list.txt").write_text("b.jpg 1\nc.png 2\n")
    assert main([*command[:-2], str(tmp_path / "none"), "--skip-bad"]) == 2
    assert "list.txt: none of its 2 images can be read" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
