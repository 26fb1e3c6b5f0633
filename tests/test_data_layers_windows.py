"""WindowData: the window file, where windows land, and how they are drawn."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from golden_cases import GOLDEN
from hypothesis import given
from hypothesis import strategies as st

from converters.data.opening import open_data
from converters.data.source import DataSource
from converters.data.windows.crop import placement
from converters.data.windows.file import Window, read_windows
from converters.weights.mean_image import write_mean
from prototxt.caffe_pb2 import LayerParameter, NetParameter
from prototxt.errors import InputError
from prototxt.text import parse

DATA = GOLDEN / "data"


def layer(transform: str, window: str) -> LayerParameter:
    text = f"transform_param {{ {transform} }} window_data_param {{ {window} }}"
    return parse(
        f'layer {{ name: "data" type: "WindowData" top: "data" top: "label" {text} }}', NetParameter
    ).layer[0]


def grid(folder: Path) -> None:
    """Two images of one colour each, with 3 foreground, 2 background windows and one of neither kind."""
    text = ""
    for index, boxes in enumerate((["1 0.9", "2 0.8", "3 0.1"], ["4 0.7", "0 0.2", "5 0.45"])):
        image = np.full((20, 30, 3), 100 * (index + 1), np.uint8)
        image[:, :15] += 50
        cv2.imwrite(str(folder / f"{index}.png"), image)
        lines = "".join(f"{box} 5 5 24 14\n" for box in boxes)
        text += f"# {index}\n{index}.png\n3\n20\n30\n{len(boxes)}\n{lines}"
    (folder / "windows.txt").write_text(text)


def source(folder: Path, transform: str = "crop_size: 8", window: str = "", seed: int = 0) -> DataSource:
    own = f'source: "windows.txt" batch_size: 4 bg_threshold: 0.3 {window}'
    return open_data(layer(transform, own), "TRAIN", seed, [folder])


def test_background_comes_first_with_label_0_and_fractions_round_down(tmp_path: Path) -> None:
    grid(tmp_path)
    for fraction, foreground in ((0.0, 0), (0.25, 1), (0.6, 2), (1.0, 4)):
        feed = source(tmp_path, window=f"fg_fraction: {fraction}")
        assert feed.shapes == {"data": (4, 3, 8, 8), "label": (4,)}
        labels = torch.stack([feed.batch(index)["label"] for index in range(20)])
        assert (labels[:, : 4 - foreground] == 0).all()
        assert set(labels[:, 4 - foreground :].flatten().tolist()) <= {1, 2, 4}


def test_windows_and_mirrors_are_drawn_uniformly_and_purely(tmp_path: Path) -> None:
    grid(tmp_path)
    feed = source(tmp_path, "crop_size: 8 mirror: true", "fg_fraction: 0.5")
    batches = [feed.batch(index) for index in range(600)]
    labels = torch.cat([batch["label"][2:] for batch in batches])
    data = torch.cat([batch["data"] for batch in batches])
    mirrored = data[:, 0, 0, 0] < data[:, 0, 0, 7]
    for values, one in ((labels, 1), (labels, 2), (labels, 4)):
        assert abs((values == one).double().mean() - 1 / 3) < 0.06
    assert abs(mirrored.double().mean() - 0.5) < 0.05
    again = source(tmp_path, "crop_size: 8 mirror: true", "fg_fraction: 0.5")
    other = source(tmp_path, "crop_size: 8 mirror: true", "fg_fraction: 0.5", seed=1)
    assert torch.equal(again.batch(77)["data"], batches[77]["data"])
    assert sum(torch.equal(other.batch(i)["data"], batches[i]["data"]) for i in range(20)) < 5


def test_mean_and_scale(tmp_path: Path) -> None:
    grid(tmp_path)
    plain = source(tmp_path).batch(0)["data"]
    meant = source(tmp_path, "crop_size: 8 mean_value: 10", "scale: 0.5").batch(0)["data"]
    assert torch.equal(meant, (plain - 10) * 0.5)
    mean = np.arange(3 * 12 * 12, dtype=np.float32).reshape(1, 3, 12, 12)
    write_mean(tmp_path / "mean.binaryproto", mean)
    imaged = source(tmp_path, 'crop_size: 8 mean_file: "mean.binaryproto"').batch(0)["data"]
    assert torch.equal(imaged, plain - torch.from_numpy(mean[:, :, 2:10, 2:10]))


def test_a_mirrored_window_mirrors_its_padding_too(tmp_path: Path) -> None:
    window = Window("", 1, 0.9, 0, 5, 9, 14, 1)
    straight = placement(window, 20, 4, False, (20, 30), False)
    mirrored = placement(window, 20, 4, False, (20, 30), True)
    # The window grows from 0…9 to -3…13, of whose 17 pixels 3 lie outside: 4 of the crop's 20.
    assert (straight.x1, straight.x2, straight.pad_left, straight.width) == (0, 13, 4, 16)
    assert (mirrored.x1, mirrored.x2, mirrored.pad_left, mirrored.width) == (0, 13, 0, 16)
    assert (straight.y1, straight.y2, straight.pad_top, straight.height) == (2, 18, 0, 20)


@given(
    st.tuples(st.integers(0, 39), st.integers(0, 39), st.integers(1, 40), st.integers(1, 40)),
    st.integers(9, 40),
    st.integers(0, 4),
    st.booleans(),
    st.booleans(),
)
def test_a_placement_lies_in_image_and_crop(
    box: tuple[int, int, int, int], crop: int, pad: int, square: bool, mirror: bool
) -> None:
    x1, y1, width, height = box
    window = Window("", 1, 1.0, x1, y1, min(x1 + width, 39), min(y1 + height, 39), 1)
    try:
        at = placement(window, crop, pad, square, (40, 40), mirror)
    except InputError as error:
        assert "nothing of the window" in str(error)
        return
    assert 0 <= at.x1 <= at.x2 < 40 and 0 <= at.y1 <= at.y2 < 40
    assert at.width >= 1 and at.pad_left >= 0 and at.pad_left + at.width <= crop
    assert at.height >= 1 and at.pad_top >= 0 and at.pad_top + at.height <= crop


BLOCK = "# 0\nbig.png\n3\n90\n120\n2\n3 0.9 30 20 79 69\n0 0.1 0 0 9 9\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "windows.txt: the window file is empty"),
        ("x 0\n", 'windows.txt:1: "x" stands where "#" is due'),
        (BLOCK.replace("# 0", "# 1"), "windows.txt:1: image 1 stands where image 0 is due"),
        (BLOCK.replace("\n3\n", "\n1\n"), "windows.txt:3: 1 channels where Caffe reads 3"),
        (BLOCK.replace("90", "ninety"), 'windows.txt:4: "ninety" stands where the height, a whole number'),
        (BLOCK.replace("0.9", "high"), 'windows.txt:7: "high" stands where an overlap, a number, is due'),
        (BLOCK.replace("79", "29"), "windows.txt:7: the window 30 20 29 69 is empty"),
        (BLOCK.replace("\n2\n", "\n3\n"), "windows.txt:8: the file ends where a class is due"),
        (BLOCK.replace("\n2\n", "\n1\n"), 'windows.txt:8: "0" stands where "#" is due'),
        (BLOCK.replace("3 0.9", "0 0.9"), "windows.txt:7: a foreground window has the class 0"),
        (BLOCK.replace("3 0.9", "3 0.4"), "windows.txt: 2 foreground windows a batch, and 0 in the file"),
    ],
)
def test_a_bad_window_file_names_its_line(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "windows.txt").write_text(text)
    own = 'source: "windows.txt" batch_size: 4 fg_fraction: 0.5'
    with pytest.raises(InputError, match=says):
        open_data(layer("crop_size: 8", own), "TEST", places=[tmp_path])


@pytest.mark.parametrize(
    ("transform", "window", "says"),
    [
        ("", "", "crop_size must be at least 1"),
        ("crop_size: 8", "context_pad: 4", "context_pad 4 leaves nothing of crop_size 8"),
        ("crop_size: 8 mean_value: 1 mean_value: 2", "", "2 mean_value entries for 3 channels"),
        ('crop_size: 8 mean_file: "none"', "", "mean_file .*none"),
        (f'crop_size: 80 mean_file: "{DATA}/mean.binaryproto"', "", "mean_file .*too small for crops of 80"),
        ("crop_size: 8", "fg_fraction: 2", "background windows a batch"),
    ],
)
def test_parameters_that_cannot_be(transform: str, window: str, says: str, tmp_path: Path) -> None:
    grid(tmp_path)
    with pytest.raises(InputError, match=says):
        source(tmp_path, transform, window)


def test_a_broken_image_or_window_names_its_line_or_is_skipped(tmp_path: Path) -> None:
    grid(tmp_path)
    text = (tmp_path / "windows.txt").read_text().replace("1 0.9 5 5 24 14", "1 0.9 5 5 24 20")
    (tmp_path / "windows.txt").write_text(text)
    own = 'source: "windows.txt" batch_size: 4 fg_fraction: 1'
    strict = open_data(layer("crop_size: 8", own), "TRAIN", places=[tmp_path])
    with pytest.raises(InputError, match=r"windows\.txt:7: the window leaves the image, 20×30"):
        [strict.batch(index) for index in range(20)]
    (tmp_path / "1.png").write_bytes(b"")
    lenient = open_data(layer("crop_size: 8", own), "TRAIN", 0, [tmp_path], skip_bad=True)
    labels = torch.cat([lenient.batch(index)["label"] for index in range(10)])
    assert set(labels.tolist()) == {2} and lenient.skipped == 2
    (tmp_path / "0.png").unlink()
    with pytest.raises(InputError, match="windows of a kind are broken"):
        lenient.batch(0)


numbers = st.integers(0, 50)
boxes = st.tuples(st.integers(0, 9), st.floats(0, 1, width=32), numbers, numbers, numbers, numbers)


@given(st.lists(st.lists(boxes, max_size=3), min_size=1, max_size=4), st.sampled_from([" ", "\n", "\r\n"]))
def test_any_window_file_reads_back(
    tmp_path_factory: pytest.TempPathFactory, blocks: list[list[tuple]], blank: str
) -> None:
    words, wanted = [], []
    for index, block in enumerate(blocks):
        words += ["#", index, f"i{index}.png", 3, 9, 9, len(block)]
        for label, overlap, x1, y1, width, height in block:
            words += [label, overlap, x1, y1, x1 + width, y1 + height]
            wanted.append((f"i{index}.png", label, overlap, x1, y1, x1 + width, y1 + height))
    path = tmp_path_factory.getbasetemp() / "windows.txt"
    path.write_text(blank.join(map(str, words)))
    found = [(w.image, w.label, w.overlap, w.x1, w.y1, w.x2, w.y2) for w in read_windows(path)]
    assert found == wanted


@given(st.text("# 0123.ax\n", max_size=80))
def test_any_text_is_a_window_file_or_one_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.txt"
    path.write_text(text)
    try:
        read_windows(path)
    except InputError as error:
        assert str(error).startswith(str(path))
