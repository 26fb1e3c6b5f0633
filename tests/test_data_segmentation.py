"""Images with label maps from one list: ImageSegData of DeepLab and PSPNet, SegNet's DenseImageData.

Cases worked by hand from the forks' sources, and what is drawn at random.
"""

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from google.protobuf import text_format

from converters.data.opening import open_data
from converters.data.source import DataSource
from converters.layers.dialects import with_dialects
from prototxt.caffe_pb2 import LayerParameter, NetParameter
from prototxt.errors import InputError

IMAGE = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
LABELS = np.arange(20, dtype=np.uint8).reshape(4, 5)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with one image of 4×5, its label map, and a list of them."""
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("a.png", IMAGE)
    cv2.imwrite("a_labels.png", LABELS)
    (tmp_path / "list.txt").write_text("\na.png  a_labels.png further words\n")
    return tmp_path


def opened(
    own: str = "",
    transform: str = "",
    kind: str = "ImageSegData",
    phase: str = "TEST",
    dialect: str = "",
    seed: int = 0,
) -> DataSource:
    param = "dense_image_data_param" if kind == "DenseImageData" else "image_data_param"
    tops = 'top: "data" top: "label"' + ' top: "dim"' * (kind == "ImageSegData")
    text = f'name: "d" type: "{kind}" {tops} {param} {{ source: "list.txt" {own} }} transform_param {{ {transform} }}'
    layer = text_format.Parse(text, LayerParameter(dialect=dialect))
    (layer,) = with_dialects(NetParameter(layer=[layer]), "net", lambda line: None).layer
    return open_data(layer, phase, seed)


def served(*args: str, **kinds: str) -> dict[str, np.ndarray]:
    with opened(*args, **kinds) as source:
        batch = {top: tensor.numpy() for top, tensor in source.batch(0).items()}
        assert {top: tensor.shape for top, tensor in batch.items()} == source.shapes
        assert all(tensor.dtype == np.float32 for tensor in batch.values())
        return batch


def test_an_image_and_its_labels_as_they_are() -> None:
    batch = served("batch_size: 2", "mean_value: 1 mean_value: 2 mean_value: 3 scale: 0.5")
    expected = (IMAGE.astype(np.float32) - [1, 2, 3]).transpose(2, 0, 1) * 0.5
    assert np.array_equal(batch["data"], [expected] * 2)
    assert np.array_equal(batch["label"], [[LABELS]] * 2)
    assert batch["dim"].tolist() == [[[[4, 5]]]] * 2


def test_grey_images() -> None:
    batch = served("is_color: false", "mean_value: 7")
    grey = cv2.imread("a.png", cv2.IMREAD_GRAYSCALE)
    assert np.array_equal(batch["data"][0, 0], grey.astype(np.float32) - 7)


@pytest.mark.parametrize(("dialect", "top", "left"), [("deeplab", 0, 0), ("pspnet", 1, 0)])
def test_a_small_image_is_padded_with_its_mean_and_the_label_to_ignore(
    dialect: str, top: int, left: int
) -> None:
    size = "crop_size: 6" if dialect == "deeplab" else "crop_h: 6 crop_w: 6"
    batch = served("ignore_label: 21", f"{size} mean_value: 1 mean_value: 2 mean_value: 3", dialect=dialect)
    labels = np.full((6, 6), 21)
    labels[top : top + 4, left : left + 5] = LABELS
    assert np.array_equal(batch["label"][0, 0], labels)
    pixels = np.zeros((6, 6, 3))
    pixels[top : top + 4, left : left + 5] = IMAGE.astype(float) - [1, 2, 3]
    assert np.array_equal(batch["data"][0], pixels.transpose(2, 0, 1))
    assert batch["dim"].tolist() == [[[[4, 5]]]]


def test_the_crop_is_in_the_middle_in_test_and_anywhere_in_train() -> None:
    fields = "crop_height: 2 crop_width: 3"
    assert np.array_equal(served("", fields)["label"][0, 0], LABELS[1:3, 1:4])
    seen = Counter()
    with opened("batch_size: 60", fields, phase="TRAIN") as source:
        for index in range(6):
            batch = source.batch(index)
            assert torch.equal(batch["data"][:, 0], batch["label"][:, 0] * 3)  # both at one place
            seen.update(batch["label"][:, 0, 0, 0].int().tolist())
    assert set(seen) == {int(LABELS[y, x]) for y in range(3) for x in range(3)}
    assert all(20 <= count <= 65 for count in seen.values())  # of 360, 40 each


@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
def test_every_other_pair_is_mirrored_in_both_phases(phase: str) -> None:
    with opened("batch_size: 200", "mirror: true", phase=phase) as source:
        batch = source.batch(0)
    mirrored = (batch["label"][:, 0, 0, 0] == 4).numpy()
    expected = np.where(mirrored[:, None, None], LABELS[:, ::-1], LABELS)
    assert np.array_equal(batch["label"][:, 0], expected)
    assert np.array_equal(batch["data"][:, 0], expected * 3)
    assert 70 <= mirrored.sum() <= 130


def test_scale_factors_cut_the_sides_and_take_the_nearest_class() -> None:
    """4·1.3 and 5·1.3 are cut to 5 and 6; a factor of 1 leaves the image alone (data_transformer.cpp)."""
    batch = served("", "scale_factors: 1.3")
    assert np.array_equal(batch["data"][0].transpose(1, 2, 0), cv2.resize(IMAGE, (6, 5)))
    nearest = cv2.resize(LABELS, (6, 5), interpolation=cv2.INTER_NEAREST)
    assert np.array_equal(batch["label"][0, 0], nearest)
    assert batch["dim"].tolist() == [[[[4, 5]]]]  # as it was read
    seen = Counter()
    with opened("", "scale_factors: 0.5 scale_factors: 1 scale_factors: 2 crop_size: 0") as source:
        for index in range(150):
            seen[source.batch(index)["label"].shape[2:]] += 1
    assert {tuple(size) for size in seen} == {(2, 2), (4, 5), (8, 10)}
    assert all(30 <= count <= 70 for count in seen.values())


def test_a_new_size_blends_the_classes_of_deeplab_and_of_no_other() -> None:
    sizes = "new_height: 3 new_width: 4"
    linear = cv2.resize(LABELS, (4, 3))
    nearest = cv2.resize(LABELS, (4, 3), interpolation=cv2.INTER_NEAREST)
    assert not np.array_equal(linear, nearest)
    assert np.array_equal(served(sizes, dialect="deeplab")["label"][0, 0], linear)
    assert np.array_equal(served(sizes, dialect="pspnet")["label"][0, 0], nearest)
    assert np.array_equal(served(sizes, kind="DenseImageData")["label"][0, 0], nearest)
    assert served(sizes)["dim"].tolist() == [[[[3, 4]]]]


def test_a_label_a_picture_and_no_label(folder: Path) -> None:
    Path("list.txt").write_text("a.png 3\n")
    assert (served("label_type: IMAGE")["label"] == 3).all() and (served()["label"] == 3).all()
    Path("list.txt").write_text("a.png\n")
    assert (served("label_type: NONE")["label"] == 255).all()
    assert (served("label_type: NONE ignore_label: -1")["label"] == 0).all()  # a byte, as in OpenCV
    with pytest.raises(InputError, match=r'list\.txt:1: "a\.png" is an image without a label'):
        opened()
    Path("list.txt").write_text("a.png dog\n")
    with pytest.raises(InputError, match='"dog" is no whole number'):
        opened("label_type: IMAGE")


def test_pspnets_resize_goes_in_hundredths_and_changes_the_shape_every_other_time() -> None:
    cv2.imwrite("a.png", np.zeros((100, 100, 3), np.uint8))
    cv2.imwrite("a_labels.png", np.zeros((100, 100), np.uint8))
    sizes = Counter()
    fields = "rand_resize: 1 rand_resize: 2 rand_aspect_ratio: 0.25 rand_aspect_ratio: 4"
    with opened("", fields) as source:
        for index in range(300):
            sizes[tuple(source.batch(index)["label"].shape[2:])] += 1
    squares = {height: count for (height, width), count in sizes.items() if height == width}
    assert 110 <= sum(squares.values()) <= 190 and min(squares) >= 100 and max(squares) <= 200
    ratios = [width / height for height, width in sizes]
    assert 0.24 <= min(ratios) < 0.5 and 2 < max(ratios) <= 4.1


def test_pspnets_blur_is_the_images_alone_and_every_other_time() -> None:
    plain = served("", "")
    seen = 0
    with opened("", "gaussian_blur: true") as source:
        for index in range(100):
            batch = source.batch(index)
            assert np.array_equal(batch["label"], plain["label"])
            seen += not np.array_equal(batch["data"], plain["data"])
    assert 30 <= seen <= 70


def test_segnets_own_mirror_and_crop_hold_in_test_too() -> None:
    seen = Counter()
    fields = "mirror: true crop_height: 3 crop_width: 4 batch_size: 100"
    with opened(fields, "scale: 2", kind="DenseImageData") as source:
        for index in range(4):
            batch = source.batch(index)
            assert torch.equal(batch["data"][:, 0], batch["label"][:, 0] * 6)
            seen.update(map(tuple, batch["label"][:, 0, 0, :2].int().tolist()))
    places = [(y, x) for y in range(2) for x in range(2)]
    straight = {(int(LABELS[y, x]), int(LABELS[y, x + 1])) for y, x in places}
    mirrored = {(int(LABELS[y, 4 - x]), int(LABELS[y, 3 - x])) for y, x in places}
    assert set(seen) == straight | mirrored and all(25 <= count <= 80 for count in seen.values())


def test_a_batch_follows_from_its_number_and_the_seed() -> None:
    fields = ("batch_size: 4", "crop_size: 2 mirror: true scale_factors: 1 scale_factors: 2")
    with opened(*fields, phase="TRAIN") as first, opened(*fields, phase="TRAIN") as second:
        ahead = first.batch(7)
        first.batch(0)
        assert all(torch.equal(ahead[top], second.batch(7)[top]) for top in ahead)
        assert not torch.equal(first.batch(3)["label"], first.batch(4)["label"])
    with opened(*fields, phase="TRAIN", seed=1) as other:
        assert not torch.equal(other.batch(7)["label"], ahead["label"])


BAD = [
    ("", "crop_size: 6", r"image a\.png: an image smaller than the crop is padded with mean_value"),
    ("", "mean_value: 1 mean_value: 2", "2 mean_value entries for 3 channels"),
    ("", 'mean_file: "m"', "takes no mean_file"),
    ("", "crop_height: 3", "crops by crop_size, or by a height and a width"),
    ("", "crop_size: 2 crop_h: 3 crop_w: 3", "crops by crop_size, or by a height and a width"),
    ("new_height: 3", "", "new_height and new_width are given together"),
    ("batch_size: 0", "", "batch_size must be at least 1"),
    ("", "scale_factors: 1 scale_factors: -1", "scale_factors are above 0"),
    ("", "scale_factors: 1e9", "cannot be resized to 4000000000×5000000000"),
    ("", "rand_resize: 0.01 rand_resize: 0.02", "image a.png: cannot be resized by 0.01"),
    ("", "rand_resize: -1 rand_resize: 1", "rand_resize takes two numbers, the smaller first, above 0"),
    ("", "rand_resize: 2 rand_resize: 1", "rand_resize takes two numbers, the smaller first"),
    ("", "rand_resize: 1 rand_resize: 2 scale_factors: 2", "have|has .* together"),
]


@pytest.mark.parametrize(("own", "transform", "message"), BAD)
def test_what_cannot_be_served_is_said(own: str, transform: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        opened(own, transform)


DENSE_BAD = [
    ("", "mirror: true", "mirrors and crops by dense_image_data_param"),
    ("", "crop_size: 2", "mirrors and crops by dense_image_data_param"),
    ("crop_height: 9 crop_width: 2", "", "the crop 9×2 is larger than the image"),
    ("crop_height: 9", "", "crop_height and crop_width are given together"),
]


@pytest.mark.parametrize(("own", "transform", "message"), DENSE_BAD)
def test_what_segnet_cannot_serve_is_said(own: str, transform: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        opened(own, transform, kind="DenseImageData")


def test_pairs_that_do_not_fit_are_said_and_passed_over(folder: Path) -> None:
    cv2.imwrite("b.png", IMAGE[:3])
    Path("list.txt").write_text("a.png a_labels.png\nb.png a_labels.png\n")
    with (
        opened() as source,
        pytest.raises(InputError, match=r"list\.txt:2: label map .*a_labels\.png is 4×5, its image 3×5"),
    ):
        source.batch(1)
    cv2.imwrite("b_labels.png", LABELS[:3])
    Path("list.txt").write_text("a.png a_labels.png\nb.png b_labels.png\n")
    with opened("batch_size: 2") as source, pytest.raises(InputError, match="they do not fit in one"):
        source.batch(0)
    Path("list.txt").write_text("a.png a_labels.png\nc.png a_labels.png\n")
    with (
        opened("batch_size: 2") as source,
        pytest.raises(InputError, match=r"list\.txt:2: image .*c\.png is missing"),
    ):
        source.batch(0)
    Path("list.txt").write_text("a b.png a_labels.png\n")
    with pytest.raises(InputError, match=r'a is missing; "b\.png a_labels\.png" stands behind it'):
        opened("batch_size: 2")


SERIES = Path(__file__).parents[2] / "shared" / "golden" / "series" / "data"


@pytest.mark.skipif(not SERIES.is_dir(), reason="the recordings of the series are not here")
@pytest.mark.parametrize("case", ["image_seg", "image_seg_crop", "image_seg_new_size", "image_seg_palette"])
def test_batches_that_a_fork_recorded_where_its_rules_are_deeplabs(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(SERIES)
    (layer,) = text_format.Parse(Path(f"{case}.prototxt").read_text(), NetParameter()).layer
    with np.load(f"{case}.npz") as recorded, open_data(layer, "TEST") as source:
        for name in recorded.files:
            batch, top = name.removeprefix("batch").split("/")
            assert np.array_equal(source.batch(int(batch))[top], recorded[name]), name


def test_enets_label_maps_are_smaller_than_their_images() -> None:
    batch = served("new_height: 8 new_width: 10 label_divide_factor: 2", kind="DenseImageData")
    assert batch["data"].shape == (1, 3, 8, 10)
    assert np.array_equal(batch["label"], [[LABELS]])  # 4 by 5 pixels, as they are
    with pytest.raises(InputError, match="1 where crops are taken"):
        served("crop_height: 2 crop_width: 2 label_divide_factor: 2", kind="DenseImageData")
