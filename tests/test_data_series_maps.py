"""Images with label maps as the tuning series' author's fork varies both (longpeng2008/Caffe_Long): ImageSegData
and ImageProbData. What it recorded is in test_data_series.py; here are its random steps, by OpenCV's calls."""

from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest
from test_augment import assert_drawn, brightened
from test_data_series import message, planes

from converters.data.opening import open_data
from converters.data.source import DataSource
from converters.weights.mean_image import write_mean
from prototxt.errors import InputError

MEANS = "mean_value: 10.4 mean_value: 20.5 mean_value: 30.6"
IMAGE = np.random.default_rng(5).integers(0, 256, (11, 14, 3), np.uint8)
LABELS = np.random.default_rng(6).integers(0, 21, (11, 14), np.uint8)
KINDS = ("ImageSegData", "ImageProbData")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    written(IMAGE, LABELS)


def written(image: np.ndarray, labels: np.ndarray, text: str = "a.png a_map.png\n") -> None:
    cv2.imwrite("a.png", image)
    cv2.imwrite("a_map.png", labels)
    Path("maps.txt").write_text(text)


def opened(
    transform: str = "", phase: str = "TRAIN", own: str = "", kind: str = "ImageSegData"
) -> DataSource:
    return open_data(message(transform, own, kind), phase)


def drawn(transform: str, count: int, phase: str = "TRAIN") -> list[np.ndarray]:
    """Image and label map of each sample, (height, width, 4)."""
    with opened(transform, phase, f"batch_size: {count}") as source:
        batch = source.batch(0)
    both = [*zip(batch["data"].numpy(), batch["label"].numpy(), strict=True)]
    return [np.concatenate(each).transpose(1, 2, 0) for each in both]


def pair(image: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.dstack([image, labels]).astype(np.float32)


def nearest(image: np.ndarray, height: int, width: int) -> np.ndarray:
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_NEAREST)


def part(image: np.ndarray, row: int, column: int, side: int) -> np.ndarray:
    return image[row : row + side, column : column + side]


@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
def test_both_are_mirrored_in_both_phases(phase: str) -> None:
    seen = drawn("mirror: true", 300, phase)
    assert_drawn(seen, [(pair(IMAGE, LABELS), 0.5), (pair(IMAGE[:, ::-1], LABELS[:, ::-1]), 0.5)])


def test_both_are_resized_by_the_shorter_side_and_cropped_anywhere() -> None:
    """A length each as likely, the other cut down: 14·8/11 = 10.18, 14·9/11 = 11.45."""
    expected = []
    for side, other in ((8, 10), (9, 11)):
        image, labels = nearest(IMAGE, side, other), nearest(LABELS, side, other)
        corners = [*product(range(side - 6), range(other - 6))]
        expected += [(pair(part(image, *at, 7), part(labels, *at, 7)), 0.5 / len(corners)) for at in corners]
    assert_drawn(drawn("crop_size: 7 min_side_min: 8 min_side_max: 9", 2000), expected)


def test_in_test_too_where_there_is_a_generator_and_cropped_in_the_middle() -> None:
    expected = []
    for side, other in ((8, 10), (9, 11)):
        image, labels = nearest(IMAGE, side, other), nearest(LABELS, side, other)
        at = (side - 7) // 2, (other - 7) // 2
        both = pair(part(image, *at, 7), part(labels, *at, 7))
        expected += [(both, 0.25), (both[:, ::-1], 0.25)]
    fields = "crop_size: 7 min_side_min: 8 min_side_max: 9 mirror: true contrast_brightness_adjustment: true"
    assert_drawn(drawn(f"{fields} max_color_shift: 9 apply_probability: 1", 600, "TEST"), expected)


def test_they_are_squeezed_above_the_threshold() -> None:
    fields = "crop_size: 8 min_side_min: 8 min_side_max: 8 use_deformed_resize: true deformed_resize_th: 0.3"
    squeezed = pair(nearest(IMAGE, 8, 8), nearest(LABELS, 8, 8))
    kept = pair(nearest(IMAGE, 8, 10), nearest(LABELS, 8, 10))
    expected = [(squeezed, 0.7), *((kept[:, column : column + 8], 0.1) for column in range(3))]
    assert_drawn(drawn(fields, 1000), expected)


def test_a_side_is_cut_from_a_product_in_float32() -> None:
    """37·(24/37) lies below 24 there; the row that is lost is padded again."""
    image = np.random.default_rng(1).integers(0, 256, (37, 37, 3), np.uint8)
    written(image, image[:, :, 1])
    (seen,) = drawn(f"crop_size: 24 min_side_min: 24 min_side_max: 24 {MEANS}", 1)
    small = nearest(image, 23, 24)
    assert np.array_equal(seen[:23, :, 3], small[:, :, 1]) and (seen[23, :, 3] == 255).all()
    assert np.array_equal(seen[:23, :, :3], small.astype(np.float32) - np.float32([10.4, 20.5, 30.6]))


def test_contrast_comes_before_colour_and_labels_have_neither() -> None:
    fields = """crop_size: 11 contrast_brightness_adjustment: true min_contrast: 1.5 max_contrast: 1.5
        max_brightness_shift: 1 max_color_shift: 1 apply_probability: 0.5 smooth_filtering: true max_rotation_angle: 9"""
    written(IMAGE[:, :11], LABELS[:, :11])
    expected = []
    brights = [(IMAGE, 0.5), *((brightened(IMAGE, 1.5, by), 0.5 / 3) for by in (-1, 0, 1))]
    for bright, rate in brights:
        shifts = [(np.zeros(3), 0.5)]
        shifts += [(sign * np.array(by), 0.5 / 16) for by in product((0, 1), repeat=3) for sign in (1, -1)]
        for by, often in shifts:
            moved = np.clip(bright + by, 0, 255)[:, :11]
            expected.append((pair(moved, LABELS[:, :11]), rate * often))
    assert_drawn(drawn(fields, 4000), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_a_small_pair_is_padded_below_and_on_the_right(kind: str) -> None:
    with opened(f"crop_size: 13 {MEANS} scale: 0.5", kind=kind, own="batch_size: 60") as source:
        batch = source.batch(0)
    factor = 1 if kind == "ImageSegData" else 0.0039
    wide = cv2.copyMakeBorder(LABELS, 0, 2, 0, 0, cv2.BORDER_CONSTANT, value=255)
    values = (np.dstack([wide]) * factor).astype(np.float32)
    starts = set()
    for data, label in zip(batch["data"].numpy(), batch["label"].numpy(), strict=True):
        start = next(
            column for column in range(2) if np.array_equal(label[0], values[:, column : column + 13, 0])
        )
        starts.add(start)
        assert np.array_equal(
            data[:, :11], (planes(IMAGE)[:, :, start : start + 13] - _means()) * np.float32(0.5)
        )
        # 10.4, 20.5 and 30.6 are 10, 20 (half to even) and 31 in bytes
        assert (data[:, 11:] == (np.float32([10, 20, 31])[:, None, None] - _means()) * np.float32(0.5)).all()
    assert starts == {0, 1}
    assert kind == "ImageSegData" or label.max() == np.float32(255 * 0.0039)


def _means() -> np.ndarray:
    return np.float32([10.4, 20.5, 30.6])[:, None, None]


def test_one_mean_value_counts_for_three_channels_in_padding() -> None:
    with opened("crop_size: 15 mean_value: 7.6", "TEST") as source:
        batch = source.batch(0)
    assert (batch["data"][0, :, 11:] == np.float32(8) - np.float32(7.6)).all()
    assert (batch["label"][0, 0, :, 14] == 255).all()


def test_a_mean_file_is_cropped_and_mirrored_with_the_image() -> None:
    write_mean(Path("m.binaryproto"), planes(IMAGE)[None] - 3)
    with opened(
        'crop_size: 7 mirror: true scale: 0.5 mean_file: "m.binaryproto"', own="batch_size: 20"
    ) as source:
        assert (source.batch(0)["data"] == 1.5).all()
    with pytest.raises(InputError, match="is resized to 8×10, but mean_file is of its own size"):
        opened('crop_size: 7 min_side_min: 8 min_side_max: 8 mean_file: "m.binaryproto"')
    written(IMAGE[:10], LABELS[:10])
    with pytest.raises(InputError, match=r"mean_file .*binaryproto is 3×11×14, the image 3×10×14"):
        opened('crop_size: 7 mean_file: "m.binaryproto"')


def test_without_a_crop_all_have_the_size_of_the_lists_first() -> None:
    written(IMAGE, LABELS, "a.png a_map.png\nb.png b_map.png\nb.png b_map.png\n")
    cv2.imwrite("b.png", IMAGE[:10])
    cv2.imwrite("b_map.png", LABELS[:10])
    with (
        opened(own="batch_size: 2") as source,
        pytest.raises(InputError, match="they do not fit in one batch"),
    ):
        source.batch(0)
    with (
        opened() as source,
        pytest.raises(InputError, match=r'top "data" would be \(1, 3, 10, 14\), of the list'),
    ):
        source.batch(1)


BAD = [
    ("crop_size: 13", "TEST", "is padded with mean_value, and none is said"),
    ("crop_size: 20 min_side_min: 19 min_side_max: 30 use_deformed_resize: true deformed_resize_th: 0.5", "TRAIN",
     "min_side_min 19 is less than crop_size 20"),
    ("crop_size: 7 min_side_min: 9 min_side_max: 8", "TRAIN", "min_side_max 8 is less than min_side_min 9"),
    ("min_side_min: 9 min_side_max: 9", "TRAIN", "min_side_min draws at random, which takes crop_size in TRAIN, or mirror"),
    ("crop_size: 9 min_side_min: 9 min_side_max: 9", "TEST", "min_side_min draws at random"),
    ("crop_size: 9 min_side_min: 9 min_side_max: 9 use_deformed_resize: true deformed_resize_th: 0", "TEST", "draws at random"),
    ("max_color_shift: 9", "TRAIN", "max_color_shift draws at random"),
    ("mirror: true min_side_min: 9 min_side_max: 9", "TRAIN", "is resized to 9×11, but without crop_size it keeps its size"),
    ("crop_size: 9 contrast_brightness_adjustment: true min_contrast: 2", "TRAIN", "min_contrast 2 is more than"),
    ("mean_value: 1 mean_value: 2", "TEST", "2 mean_value entries for 3 channels"),
]  # fmt: skip


@pytest.mark.parametrize(("transform", "phase", "said"), BAD)
@pytest.mark.parametrize("kind", KINDS)
def test_what_he_aborts_on_is_one_error(kind: str, transform: str, phase: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as raised:
        opened(transform, phase, kind=kind)
    assert "\n" not in str(raised.value)


def test_a_grey_image_is_not_padded_and_a_shorter_bound_is_no_error_where_nothing_is_squeezed() -> None:
    with pytest.raises(InputError, match="a grey image: one smaller than the crop is padded"):
        opened("crop_size: 13 mean_value: 9", own="is_color: false")
    with opened(f"crop_size: 13 min_side_min: 8 min_side_max: 9 {MEANS}") as source:
        assert source.batch(0)["data"].shape == (1, 3, 13, 13)
    for fields in (
        "smooth_filtering: true max_rotation_angle: 5",
        "crop_size: 9 smooth_filtering: true max_smooth: 1.5",
    ):
        opened(fields).close()  # neither is done here


def test_maps_and_images_have_one_size_and_a_batch_follows_from_its_number() -> None:
    fields = f"crop_size: 9 mirror: true min_side_min: 9 min_side_max: 30 max_color_shift: 30 {MEANS}"
    with opened(fields, own="batch_size: 4") as first, opened(fields, own="batch_size: 4") as second:
        ahead = first.batch(7)
        assert all(np.array_equal(ahead[top], second.batch(7)[top]) for top in ahead)
        assert not np.array_equal(ahead["data"], first.batch(6)["data"])
    cv2.imwrite("a_map.png", LABELS[1:])
    with pytest.raises(InputError, match=r"maps\.txt:1: label map .* is 10×14, its image 11×14"):
        opened()
