"""What is wrong with data is one line that names the record, the line or the file; or it is skipped."""

import shutil
import sys
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import torch
from test_data_layers import DATA, h5_files, h5_layer, layer, png, raw, write_lmdb

from converters import load_data
from converters.data.opening import open_data
from converters.data.source import DataSource
from converters.weights.mean_image import write_mean
from prototxt.caffe_pb2 import Datum
from prototxt.errors import InputError

PIXELS = np.zeros((3, 4, 5), np.uint8)


def opened(folder: Path, transform: str = "", data: str = "batch_size: 2", skip: bool = False) -> DataSource:
    text = f'transform_param {{ {transform} }} data_param {{ source: "db" backend: LMDB {data} }}'
    return open_data(layer("Data", text), "TEST", 0, [folder], skip)


def fails(says: str, source: DataSource) -> None:
    with pytest.raises(InputError, match=says) as caught:
        [source.batch(index) for index in range(3)]
    assert "\n" not in str(caught.value)


BAD = {
    "no Datum": (b"\xff\xff\xff", "is no Datum"),
    "short": (
        Datum(channels=3, height=4, width=5, data=b"123").SerializeToString(),
        "holds 3 values for 3×4×5",
    ),
    "nothing": (b"", "holds 0 values for 0×0×0"),
    "sizes": (Datum(channels=-1, height=-1, width=1, data=b"1").SerializeToString(), "holds 1 values for -1"),
    "no image": (
        Datum(data=b"\x89PNG", encoded=True).SerializeToString(),
        "holds an image that cannot be decoded",
    ),
    "no bytes": (Datum(encoded=True).SerializeToString(), "holds an image that cannot be decoded"),
    "16 bits": (png(np.zeros((4, 5, 3), np.uint16)), "holds an image of uint16, not of bytes"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_corrupt_record_names_its_key_or_is_skipped(name: str, tmp_path: Path) -> None:
    record, says = BAD[name]
    good = {f"{n}_good": raw(PIXELS + n, n) for n in range(4)}
    write_lmdb(tmp_path / "db", {**good, "2_bad": record})
    with opened(tmp_path) as source:
        fails(f"db: record 2_bad {says}", source)
    with opened(tmp_path, skip=True) as source:
        served = [source.batch(index)["label"].tolist() for index in range(3)]
        assert source.skipped == 1
        assert served == [[0, 1], [2, 2], [3, 0]]  # 2_bad sorts before 2_good, which stands in for it


def test_all_records_broken(tmp_path: Path) -> None:
    write_lmdb(tmp_path / "db", {"a": b"\xff", "b": b"\xff"})
    with pytest.raises(InputError, match="all 2 records are broken"):
        opened(tmp_path, skip=True)


def test_databases_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="db: no such database"):
        opened(tmp_path)
    (tmp_path / "db").mkdir()
    with pytest.raises(InputError, match=r"holds no data\.mdb"):
        opened(tmp_path)
    (tmp_path / "db" / "data.mdb").write_bytes(b"not a database" * 1000)
    with pytest.raises(InputError, match="db: cannot be opened as an LMDB"):
        opened(tmp_path)
    whole = (DATA / "train_lmdb" / "data.mdb").read_bytes()
    for size in (8192, 20000, len(whole) - 1):
        (tmp_path / "db" / "data.mdb").write_bytes(whole[:size])
        with pytest.raises(InputError, match=f"db: the LMDB is cut short: {size} of {len(whole)} bytes"):
            opened(tmp_path)
    shutil.rmtree(tmp_path / "db")
    write_lmdb(tmp_path / "db", {})
    with pytest.raises(InputError, match="db: the database is empty"):
        opened(tmp_path)
    with pytest.raises(InputError, match="db: is an LMDB, and without backend: LMDB"):
        open_data(layer("Data", f'data_param {{ source: "{tmp_path}/db" batch_size: 1 }}'), "TEST")


def test_an_error_says_file_line_and_layer() -> None:
    text = 'name: "n"\nlayer { name: "data" type: "Data" top: "data" data_param { source: "none" backend: LMDB batch_size: 1 } }'
    with pytest.raises(InputError, match=r'<text>:2: layer "data": none: no such database'):
        load_data(text)


@pytest.mark.parametrize(
    ("kind", "text", "says"),
    [
        ("Input", "", 'type "Input" reads no data'),
        ("Data", "data_param { backend: LMDB }", "data_param names no source"),
        ("Data", 'data_param { source: "train_lmdb" backend: LMDB }', "batch_size must be at least 1"),
        (
            "Data",
            'transform_param { force_color: true force_gray: true } data_param { source: "train_lmdb" backend: LMDB batch_size: 1 }',
            "both force_color and force_gray",
        ),
        ("ImageData", 'image_data_param { source: "list.txt" new_height: 4 }', "new_height and new_width"),
        ("ImageData", 'image_data_param { source: "none.txt" }', "none.txt: cannot be read as a list"),
        ("HDF5Data", 'transform_param { } hdf5_data_param { source: "h5_list.txt" batch_size: 1 }', "does not transform"),
        ("MemoryData", "memory_data_param { batch_size: 1 channels: 1 height: 1 }", "width must be at least 1"),
        ("WindowData", "window_data_param { batch_size: 1 }", "window_data_param names no source"),
    ],
)  # fmt: skip
def test_layers_that_cannot_be(kind: str, text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        open_data(layer(kind, text), "TEST", places=[DATA])


def test_records_of_several_sizes_or_channels_need_a_crop_or_a_batch_of_one(tmp_path: Path) -> None:
    write_lmdb(tmp_path / "db", {"a": raw(PIXELS), "b": raw(np.zeros((3, 6, 5), np.uint8))})
    with opened(tmp_path) as source:
        fails(r"db: record b is 3×6×5, the first of its batch, .*record a, 3×4×5", source)
    with opened(tmp_path, data="batch_size: 1") as source:
        assert [tuple(source.batch(i)["data"].shape[2:]) for i in range(2)] == [(4, 5), (6, 5)]
    with opened(tmp_path, "crop_size: 4") as source:
        assert source.batch(0)["data"].shape == (2, 3, 4, 4)
    shutil.rmtree(tmp_path / "db")
    write_lmdb(tmp_path / "db", {"a": raw(PIXELS), "b": raw(PIXELS[:1])})
    with opened(tmp_path, "crop_size: 4") as source:
        fails("record b is 1×4×5, the first", source)


@pytest.mark.parametrize(
    ("transform", "says"),
    [
        ("crop_size: 5", "record a: crop_size 5 is larger than the image, 4×5"),
        ("mean_value: 1 mean_value: 2", "2 mean_value entries for 3 channels"),
        ('mean_file: "mean"', "mean_file mean is 3×5×4, the image 3×4×5"),
        ('mean_file: "mean" mean_value: 1', "both mean_file and mean_value"),
        ('mean_file: "none"', "mean_file .*none: cannot be read"),
        ('mean_file: "flat"', "a blob .*is no image"),
        ('mean_file: "broken"', "no whole .binaryproto"),
    ],
)
def test_transforms_that_do_not_fit(transform: str, says: str, tmp_path: Path) -> None:
    write_lmdb(tmp_path / "db", {"a": raw(PIXELS)})
    write_mean(tmp_path / "mean", np.zeros((1, 3, 5, 4), np.float32))
    write_mean(tmp_path / "flat", np.zeros((3, 4), np.float32))
    (tmp_path / "broken").write_bytes((tmp_path / "mean").read_bytes()[:50])
    with pytest.raises(InputError, match=says):
        opened(tmp_path, transform)


def test_a_broken_image_names_list_and_line_or_is_skipped(tmp_path: Path) -> None:
    for index in range(3):
        cv2.imwrite(str(tmp_path / f"{index}.png"), PIXELS.transpose(1, 2, 0) + index)
    (tmp_path / "broken.png").write_bytes((tmp_path / "1.png").read_bytes()[:20])
    (tmp_path / "list.txt").write_text("0.png 0\nbroken.png 9\n1.png 1\nnone.png 9\n2.png 2\n")
    message = layer("ImageData", 'image_data_param { source: "list.txt" batch_size: 3 }')
    with open_data(message, "TEST", 0, [tmp_path]) as source:
        fails(r"list.txt:2: image .*broken.png cannot be decoded", source)
    with open_data(message, "TEST", 0, [tmp_path], skip_bad=True) as source:
        labels = torch.cat([source.batch(index)["label"] for index in range(5)])
        assert set(labels.tolist()) == {0, 1, 2} and source.skipped == 2


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("share", [0, 0.5, 0.9])
def test_an_image_cut_short_is_broken_in_a_file_and_in_a_record(
    suffix: str, share: float, tmp_path: Path
) -> None:
    whole = cv2.imencode(suffix, np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8))[
        1
    ].tobytes()
    cut = whole[: int(len(whole) * share)]
    (tmp_path / f"a{suffix}").write_bytes(cut)
    (tmp_path / "list.txt").write_text(f"a{suffix} 0\n")
    with pytest.raises(InputError, match=f"list.txt:1: image .*a{suffix} cannot be decoded"):
        open_data(layer("ImageData", 'image_data_param { source: "list.txt" }'), "TEST", places=[tmp_path])
    write_lmdb(tmp_path / "db", {"key": Datum(data=cut, encoded=True).SerializeToString()})
    with pytest.raises(InputError, match="db: record key holds an image that cannot be decoded"):
        opened(tmp_path)


def test_a_key_that_is_listed_and_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_lmdb(tmp_path / "db", {"a": raw(PIXELS), "c": raw(PIXELS)})
    with opened(tmp_path) as source:
        monkeypatch.setattr(source.database, "keys", [b"a", b"b"])  # type: ignore[attr-defined]
        fails("record b is listed but not found: the database is damaged", source)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("rows", 'b.h5: dataset "x" has 3 rows, "y" 2'),
        ("shape", "b.h5: rows of another shape than in .*a.h5"),
        ("missing", 'b.h5: has no dataset "x" \\(it has y, z\\)'),
        ("text", 'b.h5: dataset "x" is no array of numbers'),
        ("group", 'b.h5: has no dataset "x"'),
        ("bytes", "b.h5: is no HDF5 file"),
        ("gone", "b.h5: no such HDF5 file"),
        ("list", "files.txt: the list is empty"),
        ("empty", "no file of the list has a row"),
    ],
)
def test_hdf5_files_that_do_not_fit(change: str, says: str, tmp_path: Path) -> None:
    h5_files(tmp_path)
    path = tmp_path / "b.h5"
    with h5py.File(path, "a") as file:
        del file["x"]
        if change == "rows":
            file["x"] = np.zeros((3, 2))
        elif change == "shape":
            file["x"] = np.zeros((2, 3))
        elif change == "text":
            file["x"] = [["a", "b"]] * 2
        elif change == "group":
            file.create_group("x")
    if change == "bytes":
        path.write_bytes(b"x" * 100)
    if change == "gone":
        path.unlink()
    if change == "list":
        (tmp_path / "files.txt").write_text("\n")
    if change == "empty":
        with h5py.File(path, "w") as file:
            for top in ("x", "y", "z"):
                file[top] = np.zeros((0, 1))
        (tmp_path / "files.txt").write_text("b.h5")
    with pytest.raises(InputError, match=says):
        open_data(h5_layer("batch_size: 2"), "TEST", places=[tmp_path])


def test_memory_data_says_what_does_not_fit() -> None:
    param = "memory_data_param { batch_size: 2 channels: 1 height: 1 width: 3 }"
    source = open_data(layer("MemoryData", param), "TRAIN")
    with pytest.raises(InputError, match="has no arrays yet"):
        source.batch(0)
    for data, labels, says in (
        ((4, 1, 3, 1), 4, r"data \(4, 1, 3, 1\) is not \(N, 1, 1, 3\)"),
        ((0, 1, 1, 3), 0, "is not"),
        ((4, 1, 1, 3), 3, r"labels \(3,\) are not one for each of 4 rows"),
        ((3, 1, 1, 3), 3, "3 rows are no multiple of batch_size 2"),
    ):
        with pytest.raises(InputError, match=says):
            source.set(np.zeros(data), np.zeros(labels))  # type: ignore[attr-defined]


def test_leveldb_reads_or_says_what_it_needs(tmp_path: Path) -> None:
    text = f'data_param {{ source: "{tmp_path}/level" batch_size: 2 }}'
    (tmp_path / "level").mkdir()
    try:
        import plyvel
    except ImportError:
        with pytest.raises(InputError, match="LevelDB needs the package plyvel"):
            open_data(layer("Data", text), "TEST")
        return
    with pytest.raises(InputError, match="level: cannot be opened as a LevelDB"):
        open_data(layer("Data", text), "TEST")
    database = plyvel.DB(str(tmp_path / "level"), create_if_missing=True)
    for index, label in (("1", 5), ("0", 4), ("2", 6)):
        database.put(index.encode(), raw(PIXELS + label, label))
    database.close()
    with open_data(layer("Data", text), "TEST") as source:
        assert [source.batch(index)["label"].tolist() for index in range(2)] == [[4, 5], [6, 4]]
        assert (source.batch(0)["data"][1] == 5).all()


def test_leveldb_without_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "plyvel", None)
    (tmp_path / "level").mkdir()
    text = f'data_param {{ source: "{tmp_path}/level" batch_size: 2 }}'
    with pytest.raises(InputError, match="level: LevelDB needs the package plyvel"):
        open_data(layer("Data", text), "TEST")
