"""Records with the rules of the tuning series' author's fork (longpeng2008/Caffe_Long: data_layer.cpp), which
varies encoded images alone, and has an axis for each label."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from test_data_layers import png, raw, write_lmdb
from test_data_series import image, message, opened, planes

from converters.data.opening import open_data
from prototxt.caffe_pb2 import Datum
from prototxt.errors import InputError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with an image."""
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("a.png", np.random.default_rng(1).integers(0, 256, (12, 15, 3), np.uint8))
    return tmp_path


def database(records: dict[str, bytes], folder: Path) -> str:
    write_lmdb(folder / "db", records)
    return 'data_param { source: "db" backend: LMDB batch_size: %d }'


def test_raw_records_are_as_in_caffe_and_encoded_ones_as_in_his(folder: Path) -> None:
    plain = np.ascontiguousarray(image("a").transpose(2, 0, 1))
    own = database({"0": raw(plain), "1": png(image("a"))}, folder) % 2
    fields = (
        "mirror: true crop_size: 12 min_side_min: 20 min_side_max: 20 max_color_shift: 9 apply_probability: 1"
    )
    central, fitted = image("a")[:, 1:13], cv2.resize(image("a"), (15, 12))[:, 1:13]
    mirrored = 0
    with opened(fields, own, kind="Data") as source:
        for index in range(40):
            both = source.batch(index)["data"].numpy()
            is_mirrored = not np.array_equal(both[0], planes(central))
            assert np.array_equal(both[0], planes(central[:, ::-1] if is_mirrored else central))
            assert np.array_equal(both[1], planes(fitted))
            mirrored += is_mirrored
    assert 5 <= mirrored <= 35


@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
@pytest.mark.parametrize(
    "fields",
    [
        "min_side_min: 8 min_side_max: 8",  # less than crop_size
        "min_side_min: 9 min_side_max: 8",
        "use_deformed_resize: true deformed_resize_th: 0",
        "smooth_filtering: true max_smooth: 1.5 apply_probability: 1",
        "contrast_brightness_adjustment: true min_contrast: 2 apply_probability: 1",
    ],
)
def test_what_he_aborts_at_in_encoded_records_is_nothing_to_raw_ones(
    fields: str, phase: str, folder: Path
) -> None:
    square = np.ascontiguousarray(image("a").transpose(2, 0, 1)[:, :12, :12])
    fields = f"crop_size: 12 mean_value: 5 {fields}"
    with opened(fields, database({"0": raw(square)}, folder) % 2, "Data", phase) as source:
        assert np.array_equal(source.batch(0)["data"], np.stack([square, square]).astype(np.float32) - 5)


def test_without_a_crop_a_raw_record_is_not_resized_in_test(folder: Path) -> None:
    planar = np.ascontiguousarray(image("a").transpose(2, 0, 1))
    own = database({"0": raw(planar)}, folder) % 1
    with opened("min_side_min: 8 min_side_max: 8", own, "Data") as source:
        assert np.array_equal(source.batch(0)["data"], planar.astype(np.float32)[None])


def labelled(*labels: int) -> bytes:
    """A record of one black pixel, whose labels are written as his code writes them."""
    record = Datum(channels=1, height=1, width=1, data=b"\0").SerializeToString()
    return record + b"".join(bytes([5 << 3, label]) for label in labels)


@pytest.mark.parametrize("dialect", ["", "caffe-long"])
def test_a_records_labels_have_an_axis_each(dialect: str, folder: Path) -> None:
    own = database({str(n): labelled(n + 1, n + 11, n + 21) for n in range(3)}, folder) % 3
    with open_data(message("", own, "Data", dialect), "TEST") as source:
        label = source.batch(0)["label"]
        assert label.shape == (3, 3, 3) == source.shapes["label"]
        assert label.flatten().tolist() == [1, 11, 21, 2, 12, 22, 3, 13, 23, *[0] * 18]


def test_labels_that_do_not_fit_are_said(folder: Path) -> None:
    own = database({"0": labelled(1, 2), "1": labelled(1)}, folder)
    with pytest.raises(InputError, match="has 2 labels: a batch of 1 has no room for them"):
        opened("", own % 1, kind="Data")
    with (
        opened("", own % 2, kind="Data") as source,
        pytest.raises(InputError, match="record 1 has 1 labels, the first"),
    ):
        source.batch(0)
    with open_data(message("", own % 2, "Data", "caffe"), "TEST") as source:  # Caffe's parser takes the last
        assert source.batch(0)["label"].tolist() == [2, 1]


def test_labels_that_nobody_asks_for_are_not_in_the_way(folder: Path) -> None:
    layer = message("", database({"0": labelled(1, 2)}, folder) % 1, "Data")
    del layer.top[1]
    with open_data(layer, "TEST") as source:
        assert list(source.batch(0)) == ["data"] == list(source.shapes)
