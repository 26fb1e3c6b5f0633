"""Data layers as sources, against real Caffe's recordings and Caffe's rules."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import h5py
import lmdb
import numpy as np
import pytest
import torch
from golden_cases import GOLDEN, arrays
from hypothesis import given
from hypothesis import strategies as st

from converters import load_data
from converters.data.datum import datum_pixels, parse_datum
from converters.data.images.lists import read_list
from converters.data.memory import MemorySource
from converters.data.opening import open_data
from converters.data.order import Rounds
from converters.weights.mean_image import write_mean
from prototxt.caffe_pb2 import Datum, LayerParameter, NetParameter, TransformationParameter
from prototxt.errors import InputError
from prototxt.text import parse, read_net

DATA = GOLDEN / "data"
CASES = sorted(path.stem for path in DATA.glob("*.prototxt"))


def layer(kind: str, text: str) -> LayerParameter:
    tops = "".join(f'top: "{top}" ' for top in ("data", "label"))
    return parse(f'layer {{ name: "data" type: "{kind}" {tops} {text} }}', NetParameter).layer[0]


def write_lmdb(folder: Path, records: dict[str, bytes]) -> Path:
    environment = lmdb.open(str(folder))
    with environment.begin(write=True) as transaction:
        for key, value in records.items():
            transaction.put(key.encode(), value)
    environment.close()
    return folder


def raw(pixels: np.ndarray, label: int = 0) -> bytes:
    channels, height, width = pixels.shape
    sizes = {"channels": channels, "height": height, "width": width, "label": label}
    if pixels.dtype == np.uint8:
        return Datum(**sizes, data=pixels.tobytes()).SerializeToString()
    return Datum(**sizes, float_data=pixels.ravel().tolist()).SerializeToString()


def png(pixels: np.ndarray, label: int = 0) -> bytes:
    return Datum(
        data=cv2.imencode(".png", pixels)[1].tobytes(), label=label, encoded=True
    ).SerializeToString()


def test_all_recordings_are_here() -> None:
    assert len(CASES) == 13


@pytest.mark.parametrize("case", CASES)
def test_batches_are_caffes(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(DATA)
    recorded = arrays(DATA / f"{case}.npz")
    message = read_net(DATA / f"{case}.prototxt").layer[0]
    is_list = message.type == "ImageData"
    paths = [entry.path for entry in read_list(DATA / "list.txt")]
    serial = 0
    with load_data(f"{case}.prototxt", phase="TEST") as batches:
        for index in range(len({name.split("/")[0] for name in recorded})):
            batch = next(batches)
            assert list(batch) == ["data", "label"]
            assert batch["label"].tolist() == recorded[f"batch{index}/label"].tolist()
            theirs = recorded[f"batch{index}/data"]
            assert batch["data"].shape == theirs.shape and batch["data"].dtype == torch.float32
            for ours, caffes in zip(batch["data"].numpy(), theirs, strict=True):
                # JPEG decoders may round a pixel differently; everything else is exact.
                jpeg = is_list and paths[serial % len(paths)].endswith(".jpg")
                limit = 3 * message.transform_param.scale if jpeg else 0
                assert np.abs(ours - caffes).max() <= limit, serial
                serial += 1


@pytest.mark.parametrize("case", CASES)
def test_shapes_are_known_before_the_first_batch(case: str) -> None:
    message = read_net(DATA / f"{case}.prototxt").layer[0]
    with open_data(message, "TEST", places=[GOLDEN, DATA]) as source:
        batch = source.batch(0)
        assert source.shapes == {top: tuple(values.shape) for top, values in batch.items()}
        assert source.skipped == 0
        again = source.batch(2)
        assert all(torch.equal(source.batch(2)[top], again[top]) for top in again)


def crops(kind: str, folder: Path, phase: str, seed: int) -> list[torch.Tensor]:
    """200 batches of 20 cropped copies of one image whose pixels say where they are."""
    pixels = np.arange(6 * 7, dtype=np.uint8).reshape(1, 6, 7)
    transform = "transform_param { crop_size: 4 mirror: true }"
    if kind == "Data":
        if not (folder / "db").exists():
            write_lmdb(folder / "db", {"0": raw(pixels)})
        own = f'data_param {{ source: "{folder}/db" backend: LMDB batch_size: 20 }}'
    else:
        cv2.imwrite(str(folder / "a.png"), pixels[0])
        (folder / "list.txt").write_text("a.png 0\n")
        own = f'image_data_param {{ source: "{folder}/list.txt" root_folder: "{folder}/" batch_size: 20 is_color: false }}'
    with open_data(layer(kind, f"{transform} {own}"), phase, seed) as source:
        return [source.batch(index)["data"] for index in range(200)]


@pytest.mark.parametrize("kind", ["Data", "ImageData"])
def test_random_crops_and_mirrors_are_uniform_and_pure(kind: str, tmp_path: Path) -> None:
    batches = crops(kind, tmp_path, "TRAIN", 5)
    data = torch.cat(batches).long()
    mirrored = data[:, 0, 0, 0] > data[:, 0, 0, 1]
    corner = torch.minimum(data[:, 0, 0, 0], data[:, 0, 0, 3])
    for values, count in ((corner // 7, 3), (corner % 7, 4), (mirrored.long(), 2)):
        share = torch.bincount(values, minlength=count).double() / len(data)
        assert len(share) == count
        assert (share - 1 / count).abs().max() < 5 * (1 / count / len(data)) ** 0.5
    again = crops(kind, tmp_path, "TRAIN", 5)
    other = crops(kind, tmp_path, "TRAIN", 6)
    assert all(torch.equal(a, b) for a, b in zip(batches, again, strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(batches, other, strict=True))
    central = torch.cat(crops(kind, tmp_path, "TEST", 5)).long()
    assert set(central[:, 0, 0, 0].tolist()) == {1 * 7 + 1, 1 * 7 + 4}


def test_a_mean_image_is_cropped_and_mirrored_with_the_pixels(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 6, 7), np.uint8)
    write_lmdb(tmp_path / "db", {"0": raw(pixels)})
    write_mean(tmp_path / "mean.binaryproto", pixels[None].astype(np.float32) - 3)
    message = layer(
        "Data",
        'transform_param { crop_size: 4 mirror: true scale: 0.5 mean_file: "mean.binaryproto" } '
        'data_param { source: "db" backend: LMDB batch_size: 8 }',
    )
    with open_data(message, "TRAIN", places=[tmp_path]) as source:
        assert source.shapes["data"] == (8, 2, 4, 4)
        assert (source.batch(3)["data"] == 1.5).all()


@pytest.mark.parametrize(
    ("force", "channels"), [("", [3, 1]), ("force_color: true", [3, 3]), ("force_gray: true", [1, 1])]
)
def test_encoded_records_keep_their_channels_unless_forced(
    force: str, channels: list[int], tmp_path: Path
) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (5, 6), np.uint8)
    write_lmdb(tmp_path / "db", {"0": png(np.dstack([grey] * 3), 4), "1": png(grey, 5)})
    message = layer(
        "Data",
        f'transform_param {{ {force} }} data_param {{ source: "db" backend: LMDB batch_size: 1 }}',
    )
    with open_data(message, "TEST", places=[tmp_path]) as source:
        batches = [source.batch(index) for index in range(3)]
    assert [batch["data"].shape[1] for batch in batches] == [*channels, channels[0]]
    assert [batch["label"].item() for batch in batches] == [4, 5, 4]
    assert all((batch["data"][0, 0].numpy() == grey).all() for batch in batches)


def test_two_layers_may_read_one_database_and_one_top_will_do() -> None:
    text = f'transform_param {{ }} data_param {{ source: "{DATA}/train_lmdb" backend: LMDB batch_size: 2 }}'
    single = layer("Data", text)
    del single.top[1]
    first, second = open_data(single, "TRAIN"), open_data(layer("Data", text), "TEST")
    first.close()
    first.close()
    assert list(second.batch(0)) == ["data", "label"]
    with open_data(single, "TEST") as again:
        assert list(again.batch(0)) == ["data"]
    second.close()


@given(
    st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.booleans(), st.integers(-(2**31), 2**31 - 1)
)
def test_a_datum_says_the_same_both_ways(
    channels: int, height: int, width: int, floats: bool, label: int
) -> None:
    shape = (channels, height, width)
    random = np.random.default_rng(channels * height)
    pixels = (
        random.normal(size=shape).astype(np.float32) if floats else random.integers(0, 256, shape, np.uint8)
    )
    datum = parse_datum(raw(pixels, label))
    assert datum.label == label
    assert np.array_equal(datum_pixels(datum, TransformationParameter()).transpose(2, 0, 1), pixels)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_datum_or_one_error(record: bytes) -> None:
    try:
        assert datum_pixels(parse_datum(record), TransformationParameter()).ndim == 3
    except InputError as error:
        assert "\n" not in str(error)


def write_h5(path: Path, start: int, count: int) -> None:
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(start, start + count, dtype=np.int64).reshape(-1, 1) * np.ones((1, 2), np.int64)
        file["y"] = np.arange(start, start + count, dtype=np.float64)
        file["z"] = np.zeros((count, 1, 2, 2), np.uint8)


def h5_layer(options: str = "", tops: tuple[str, ...] = ("y", "x", "z")) -> LayerParameter:
    names = " ".join(f'top: "{top}"' for top in tops)
    text = f'hdf5_data_param {{ source: "files.txt" {options} }}'
    return parse(f'layer {{ name: "data" type: "HDF5Data" {names} {text} }}', NetParameter).layer[0]


def h5_files(folder: Path) -> None:
    write_h5(folder / "a.h5", 0, 5)
    write_h5(folder / "b.h5", 5, 2)
    write_h5(folder / "c.h5", 7, 4)
    (folder / "files.txt").write_text("a.h5 b.h5\nc.h5\n")


def test_hdf5_files_follow_each_other_and_wrap_round(tmp_path: Path) -> None:
    h5_files(tmp_path)
    with open_data(h5_layer("batch_size: 3"), "TRAIN", places=[tmp_path]) as source:
        assert source.shapes == {"y": (3,), "x": (3, 2), "z": (3, 1, 2, 2)}
        rows = torch.cat([source.batch(index)["y"] for index in range(8)])
        assert rows.tolist() == [n % 11 for n in range(24)]
        assert source.batch(1)["x"].tolist() == [[n, n] for n in (3, 4, 5)]


def test_hdf5_shuffles_files_and_their_rows_each_round(tmp_path: Path) -> None:
    h5_files(tmp_path)
    message = h5_layer("batch_size: 1 shuffle: true")

    def rounds(seed: int) -> list[list[int]]:
        with open_data(message, "TRAIN", seed, [tmp_path]) as source:
            rows = [int(source.batch(index)["y"]) for index in range(11 * 12)]
        return [rows[start : start + 11] for start in range(0, len(rows), 11)]

    served = rounds(0)
    assert all(sorted(rows) == list(range(11)) for rows in served)
    files = {tuple(dict.fromkeys("aaaaabbcccc"[row] for row in rows)) for rows in served}
    assert len(files) > 2 and all(len(order) == 3 for order in files)  # a file's rows stay together
    assert len({tuple(row for row in rows if row < 5) for rows in served}) > 6
    assert served == rounds(0) != rounds(1)


def test_memory_data_serves_rows_in_turn() -> None:
    param = "memory_data_param { batch_size: 2 channels: 1 height: 1 width: 3 }"
    source = open_data(layer("MemoryData", param), "TRAIN")
    assert isinstance(source, MemorySource)
    assert source.shapes == {"data": (2, 1, 1, 3), "label": (2,)}
    data = np.arange(18, dtype=np.float64).reshape(6, 1, 1, 3)
    source.set(data, np.arange(6).reshape(6, 1, 1, 1))
    assert [source.batch(index)["label"].tolist() for index in range(4)] == [[0, 1], [2, 3], [4, 5], [0, 1]]
    assert np.array_equal(source.batch(1)["data"].numpy(), data[2:4])
    source.set(np.broadcast_to(np.float32(1), (2, 1, 1, 3)), [5, 6])
    assert source.batch(0)["data"].sum() == 6
    source.set(torch.ones(2, 1, 1, 3), torch.tensor([7, 8]))
    assert source.batch(5)["label"].tolist() == [7, 8]


def test_rand_skip_leaves_out_the_first_images_once(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((3, 3, 3), np.uint8))
    (tmp_path / "list.txt").write_text("".join(f"a.png {label}\n" for label in range(10)))
    message = layer("ImageData", 'image_data_param { source: "list.txt" batch_size: 10 rand_skip: 4 }')
    starts = set()
    for seed in range(20):
        with open_data(message, "TRAIN", seed, [tmp_path]) as source:
            labels = source.batch(0)["label"].long().tolist()
        assert labels == [(labels[0] + n) % 10 for n in range(10)]
        starts.add(labels[0])
    assert starts == {0, 1, 2, 3}


def test_root_folder_is_joined_as_a_string(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "set_a.png"), np.full((3, 3, 3), 9, np.uint8))
    (tmp_path / "list.txt").write_text("a.png 1\n")
    message = layer("ImageData", 'image_data_param { source: "list.txt" root_folder: "set_" }')
    with open_data(message, "TEST", places=[tmp_path / "nowhere", tmp_path]) as source:
        assert (source.batch(0)["data"] == 9).all()


@given(st.integers(1, 9), st.booleans(), st.integers(0, 5), st.integers(0, 8), st.integers(0, 40))
def test_every_round_has_every_row(count: int, shuffle: bool, seed: int, skip: int, start: int) -> None:
    rounds = Rounds(count, shuffle, seed, skip % count)
    turn = start * count - skip % count + count
    assert sorted(rounds.rows(turn, count)) == list(range(count))
    assert np.array_equal(
        Rounds(count, shuffle, seed, skip % count).rows(turn, count), rounds.rows(turn, count)
    )


def test_load_data_chooses_by_phase_stage_and_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(DATA)
    one = 'layer {{ name: "{}" type: "ImageData" top: "data" top: "label" include {{ {} }} {} }}'
    own = 'image_data_param { source: "list.txt" new_height: 4 new_width: 4 }'
    text = "\n".join(
        one.format(name, rule, own)
        for name, rule in (("a", "phase: TRAIN"), ("b", "phase: TEST"), ("c", 'phase: TEST stage: "more"'))
    )
    assert load_data(text, phase="TRAIN").source.layer.name == "a"
    assert load_data(text, phase="TEST").source.layer.name == "b"
    assert load_data(text, stages=["more"], layer="c").source.layer.name == "c"
    with pytest.raises(InputError, match=r"layer= must name one of its data layers .*b, c"):
        load_data(text, stages=["more"])
    with pytest.raises(InputError, match='no data layer "a" in this phase'):
        load_data(text, layer="a")


def test_dummy_data_by_itself_is_pure_too() -> None:
    text = """layer { name: "d" type: "DummyData" top: "x" top: "y" dummy_data_param {
      shape { dim: 2 dim: 3 } shape { dim: 4 }
      data_filler { type: "gaussian" } data_filler { type: "constant" value: 7 } } }"""
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first, second = (load_data(text, seed=3) for _ in range(2))
    batches = [next(first) for _ in range(3)]
    assert torch.equal(second.source.batch(2)["x"], batches[2]["x"])
    assert not torch.equal(batches[1]["x"], batches[2]["x"])
    assert batches[0]["y"].tolist() == [7] * 4 and first.source.shapes == {"x": (2, 3), "y": (4,)}
    assert torch.equal(torch.get_rng_state(), state)


def test_packages_are_imported_only_where_a_net_needs_them() -> None:
    code = f"""import sys, os; os.chdir({str(DATA)!r})
from converters import load_data
needed = lambda: {{"cv2", "lmdb", "h5py", "plyvel"}} & set(sys.modules)
assert not needed(), needed()
next(load_data("lmdb_plain.prototxt")); assert needed() == {{"lmdb"}}, needed()
next(load_data("hdf5.prototxt")); assert needed() == {{"lmdb", "h5py"}}, needed()
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(GOLDEN.parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
