"""AnnotatedData: SSD's data bases of images with boxes; cases worked by hand from its source, and what is
drawn at random."""

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from annotated import Object, picture, record, write_lmdb
from google.protobuf import text_format

from converters.data.forks import boxes, colours, resizing, sampling
from converters.data.opening import open_data
from converters.data.source import DataSource
from prototxt.caffe_pb2 import (
    AnnotatedDatum,
    DistortionParameter,
    LayerParameter,
    NoiseParameter,
    ResizeParameter,
    SampleConstraint,
    Sampler,
)
from prototxt.errors import InputError

IMAGE = picture()
TWO: list[Object] = [(3, 0.25, 0.25, 0.5, 0.75), (1, 0.5, 0.0, 1.0, 0.5)]
Generator = np.random.Generator


def rng(seed: int = 0) -> Generator:
    return np.random.default_rng(seed)


def box(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with an LMDB of one picture with two objects."""
    monkeypatch.chdir(tmp_path)
    write_lmdb(tmp_path / "db", [record(IMAGE, TWO)])
    return tmp_path


def opened(
    transform: str = "",
    annotated: str = "",
    batch: int = 1,
    phase: str = "TEST",
    seed: int = 0,
    source: str = "db",
) -> DataSource:
    text = (
        f'name: "d" type: "AnnotatedData" top: "data" top: "label" transform_param {{ {transform} }} '
        f'data_param {{ source: "{source}" backend: LMDB batch_size: {batch} }} annotated_data_param {{ {annotated} }}'
    )
    return open_data(text_format.Parse(text, LayerParameter()), phase, seed)


def batches(count: int, *args: str, **kinds: str | int) -> list[dict[str, np.ndarray]]:
    with opened(*args, **kinds) as source:
        return [{top: x.numpy() for top, x in source.batch(index).items()} for index in range(count)]


ROWS = [[0, 3, 0, 0.25, 0.25, 0.5, 0.75, 0], [0, 1, 0, 0.5, 0, 1, 0.5, 0]]


def test_a_record_as_it_is() -> None:
    with opened("mean_value: 1 mean_value: 2 mean_value: 3 scale: 0.5", batch=2) as source:
        assert source.shapes == {"data": (2, 3, 40, 60), "label": (1, 1, 2, 8)}
        batch = source.batch(0)
    expected = (IMAGE.astype(np.float32) - [1, 2, 3]).transpose(2, 0, 1) * 0.5
    assert np.array_equal(batch["data"], [expected] * 2)
    assert batch["label"].tolist() == [[[*ROWS, *[[1, *row[1:]] for row in ROWS]]]]


def test_raw_bytes_and_a_label_without_boxes(folder: Path) -> None:
    raw = record(IMAGE, TWO, encoded=False)
    plain = record(IMAGE, [], encoded=False)
    plain.ClearField("type")
    plain.datum.label = 7
    write_lmdb(folder / "raw", [raw])
    write_lmdb(folder / "plain", [plain])
    batch = batches(1, source="raw")[0]
    assert np.array_equal(batch["data"][0], IMAGE.transpose(2, 0, 1)) and batch["label"].shape == (1, 1, 2, 8)
    assert batches(1, source="plain", batch=2)[0]["label"].tolist() == [[[[7]]], [[[7]]]]
    with opened(source="plain", annotated="anno_type: BBOX") as source:
        assert source.batch(0)["label"].tolist() == [[[[-1] * 8]]]


def test_records_come_by_their_keys_and_a_picture_without_objects_has_no_line(folder: Path) -> None:
    write_lmdb(folder / "three", [record(picture(n), TWO[: n % 2 * 2]) for n in range(3)])
    first, second = batches(2, source="three", batch=2)
    assert first["label"].tolist() == [[[[1, *row[1:]] for row in ROWS]]]
    assert second["label"].tolist() == [[[[-1] * 8]]]  # the third, and the first again
    assert np.array_equal(second["data"][1], first["data"][0])


def test_warped_to_a_size_boxes_stay_where_they_are() -> None:
    batch = batches(1, "resize_param { height: 30 width: 30 }")[0]
    assert np.array_equal(batch["data"][0].transpose(1, 2, 0), cv2.resize(IMAGE, (30, 30)))
    assert np.allclose(batch["label"][0, 0], ROWS, atol=1e-6)


def test_each_interpolation_listed_is_as_likely() -> None:
    ways = ["LINEAR", "AREA", "NEAREST", "CUBIC", "LANCZOS4"]
    images = {
        cv2.resize(IMAGE, (31, 23), interpolation=getattr(cv2, f"INTER_{way}")).tobytes(): way for way in ways
    }
    assert len(images) == 5
    listed = " ".join(f"interp_mode: {way}" for way in ways)
    param = f"resize_param {{ height: 23 width: 31 {listed} }}"
    seen = Counter(
        images[each.transpose(1, 2, 0).astype(np.uint8).tobytes()]
        for batch in batches(4, param, batch=100)
        for each in batch["data"]
    )
    assert set(seen) == set(ways) and all(50 <= count <= 110 for count in seen.values())  # of 400, 80 each


def test_the_longer_side_fits_in_and_the_rest_is_padded() -> None:
    """60×40 in a square of 45: 45×30, 7 rows above and 8 below (AspectKeepingResizeAndPad)."""
    param = "resize_param { resize_mode: FIT_LARGE_SIZE_AND_PAD height: 45 width: 45 pad_value: 9 }"
    batch = batches(1, param)[0]
    image = batch["data"][0].transpose(1, 2, 0)
    assert np.array_equal(image[7:37], cv2.resize(IMAGE, (45, 30)))
    assert (image[:7] == 9).all() and (image[37:] == 9).all()
    expected = np.array(ROWS)
    expected[:, [4, 6]] = (expected[:, [4, 6]] * 30 + 7.5) / 45
    assert np.allclose(batch["label"][0, 0], expected, atol=1e-6)


def test_a_tall_picture_that_is_padded_has_the_boxes_that_ssd_works_out() -> None:
    """40×60 in 45: padding 45 - (40/60)·45/2 = 30, a slip of SSD's (UpdateBBoxByResizePolicy)."""
    policy = ResizeParameter(resize_mode=ResizeParameter.FIT_LARGE_SIZE_AND_PAD, height=45, width=45)
    moved = resizing.resized_boxes(box(0.25, 0.5, 0.75, 1)[None], policy, (60, 40))
    assert np.allclose(moved, [[(30 + 0) / 45, 0.5, (30 - 11.25) / 45, 1]], atol=1e-6)


def test_the_shorter_side_covers_the_size() -> None:
    """60×40 over a square of 30: 45×30; the boxes stay, and with a scale count in its pixels."""
    param = "resize_param { resize_mode: FIT_SMALL_SIZE height: 30 width: 30 %s } crop_size: %d"
    batch = batches(1, param % ("", 30))[0]
    assert np.array_equal(batch["data"][0].transpose(1, 2, 0), cv2.resize(IMAGE, (45, 30))[:, 7:37])
    expected = np.array(ROWS)
    expected[:, [3, 5]] = np.clip((expected[:, [3, 5]] * 45 - 7) / 30, 0, 1)
    assert np.allclose(batch["label"][0, 0], expected, atol=1e-6)
    scaled = batches(1, param % ("height_scale: 15 width_scale: 10", 30))[0]["label"][0, 0]
    expected[:, [3, 5]] *= 3
    expected[:, [4, 6]] *= 2
    assert np.allclose(scaled, expected, atol=1e-6)


def test_every_other_picture_is_mirrored_with_its_boxes() -> None:
    (batch,) = batches(1, "mirror: true", batch=200)
    plain, mirrored = IMAGE.transpose(2, 0, 1), IMAGE[:, ::-1].transpose(2, 0, 1)
    is_mirrored = [not np.array_equal(image, plain) for image in batch["data"]]
    assert 70 <= sum(is_mirrored) <= 130
    boxes_of = batch["label"][0, 0].reshape(200, 2, 8)
    for item, turned in enumerate(is_mirrored):
        assert np.array_equal(batch["data"][item], mirrored if turned else plain)
        left, right = ([0.5, 0.0], [0.75, 0.5]) if turned else ([0.25, 0.5], [0.5, 1.0])
        assert boxes_of[item, :, 3].tolist() == left and boxes_of[item, :, 5].tolist() == right


def test_a_crop_is_central_in_test_and_drops_what_it_does_not_show() -> None:
    """Columns 40…59 and rows 10…29: of the first object nothing, of the second (20…60)×(0…20) a part."""
    write_lmdb(Path("one"), [record(IMAGE[:, :60], [(3, 0, 0, 0.3, 1), (1, 0.5, 0, 1, 0.5)])])
    (batch,) = batches(1, "crop_h: 20 crop_w: 20", source="one")
    assert np.array_equal(batch["data"][0], IMAGE[10:30, 20:40].transpose(2, 0, 1))
    assert np.allclose(batch["label"], [[[[0, 1, 0, 0.5, 0, 1, 0.5, 0]]]], atol=1e-6)
    seen = Counter()
    for each in batches(3, "crop_size: 39", batch=40, phase="TRAIN"):
        for image in each["data"]:
            seen.update(
                (y, x)
                for y in range(2)
                for x in range(22)
                if np.array_equal(image, IMAGE[y : y + 39, x : x + 39].transpose(2, 0, 1))
            )
    assert sum(seen.values()) == 120 and len(seen) > 30


@pytest.mark.parametrize(
    ("constraint", "names"),
    [
        ("emit_type: CENTER", [1]),
        ("emit_type: MIN_OVERLAP emit_overlap: 0.4", [3, 1]),
        ("emit_type: MIN_OVERLAP emit_overlap: 0.5", [1]),
        ("emit_type: MIN_OVERLAP emit_overlap: 0.7", [-1]),
    ],
)
def test_objects_are_let_by_whose_centre_or_enough_of_them_is_in_the_crop(
    constraint: str, names: list[int]
) -> None:
    """The crop is columns 20…39: of 15…23 it has 4 of 9 columns, of 28…47, with its centre, 12 of 20."""
    write_lmdb(Path("one"), [record(IMAGE, [(3, 15 / 60, 0, 24 / 60, 1), (1, 28 / 60, 0, 48 / 60, 1)])])
    fields = f"crop_h: 40 crop_w: 20 emit_constraint {{ {constraint} }}"
    (batch,) = batches(1, fields, source="one")
    assert [int(row[1]) for row in batch["label"][0, 0]] == names


def test_an_expanded_picture_lies_anywhere_on_the_means_colour() -> None:
    fields = "mean_value: 100 mean_value: 110 mean_value: 120 expand_param { prob: %s max_expand_ratio: 3 }"
    ratios, places = [], []
    for batch in batches(60, fields % "1"):
        height, width = batch["data"].shape[2:]
        ratios.append(height / 40)
        assert abs(height / 40 - width / 60) < 0.03
        first = batch["label"][0, 0, 0]
        left, top, right, bottom = first[3] * width, first[4] * height, first[5] * width, first[6] * height
        assert np.allclose([right - left, bottom - top], [15, 20], atol=0.01)
        column, row = round(left - 15), round(top - 10)
        places.append((row / max(height - 40, 1), column / max(width - 60, 1)))
        whole = batch["data"][0] + np.array([100, 110, 120])[:, None, None]
        assert (
            np.abs(whole[:, row : row + 40, column : column + 60] - IMAGE.transpose(2, 0, 1)).mean() < 4
        )  # a JPEG
    assert 1 <= min(ratios) < 1.3 and 2.7 < max(ratios) <= 3 and 1.7 < np.mean(ratios) < 2.3
    assert all(0 <= each <= 1 for place in places for each in place) and 0.3 < np.mean(places) < 0.65
    sizes = [batch["data"].shape for batch in batches(200, fields % "0.5")]
    assert 60 <= sum(size[2] != 40 for size in sizes) <= 140


SAMPLER = (
    "batch_sampler { max_trials: %d %s sampler { min_scale: %s max_scale: %s %s } sample_constraint { %s } }"
)


def test_a_sampler_cuts_parts_of_its_scale_and_shape_out() -> None:
    sampler = Sampler(min_scale=0.3, max_scale=0.9, min_aspect_ratio=0.5, max_aspect_ratio=2)
    parts = sampling._drawn_parts(sampler, 4000, rng())
    sides = parts[:, 2:] - parts[:, :2]
    scale, ratio = np.sqrt(sides.prod(1)), sides[:, 0] / sides[:, 1]
    assert (parts >= 0).all() and (parts <= 1 + 1e-6).all()
    assert 0.3 <= scale.min() < 0.31 and 0.89 < scale.max() <= 0.9 and abs(scale.mean() - 0.6) < 0.01
    assert ratio.min() >= 0.5 - 1e-5 and ratio.max() <= 2 + 1e-5
    assert (np.clip(ratio, scale**2, 1 / scale**2) - ratio).max() < 1e-4  # it fits in
    small = scale < 0.6
    assert abs(ratio[small].mean() - 1.25) < 0.05  # uniform from 0.5 to 2
    place = (parts[:, :2] / np.maximum(1 - sides, 1e-6))[small]
    assert abs(place.mean() - 0.5) < 0.03 and place.min() < 0.02 and place.max() > 0.98


def test_constraints_and_the_measure_that_decides() -> None:
    parts = np.stack([box(0, 0, 1, 1), box(0, 0, 0.5, 0.5), box(0.5, 0.5, 1, 1), box(0, 0, 0.25, 0.25)])
    objects = box(0, 0, 0.5, 0.5)[None]
    overlaps = [0.25, 1, 0, 0.25]
    assert np.allclose(boxes.overlaps(parts, objects), overlaps)
    assert np.allclose(boxes.coverages(parts, objects), [0.25, 1, 0, 1])  # of the parts
    assert np.allclose(boxes.coverages(objects, parts), [1, 1, 0, 0.25])  # of the object
    cases = [
        ({}, [1, 1, 1, 1]),
        ({"min_jaccard_overlap": 0.25}, [1, 1, 0, 1]),
        ({"max_jaccard_overlap": 0.5}, [1, 0, 1, 1]),
        ({"min_sample_coverage": 0.5}, [0, 1, 0, 1]),
        ({"min_object_coverage": 1}, [1, 1, 0, 0]),
        ({"min_jaccard_overlap": 0.5, "min_object_coverage": 1.5}, [0, 1, 0, 0]),  # the first decides
    ]
    for fields, expected in cases:
        constraint = SampleConstraint(**fields)
        assert sampling.satisfied(parts, objects, constraint).tolist() == [bool(x) for x in expected], fields
    nothing = np.zeros((0, 4), np.float32)
    assert not sampling.satisfied(parts, nothing, SampleConstraint(max_jaccard_overlap=1)).any()


def test_of_each_samplers_trials_so_many_parts_are_taken_and_one_of_all() -> None:
    write_lmdb(Path("one"), [record(IMAGE, [(3, 0.4, 0.4, 0.5, 0.6)])])
    whole = SAMPLER % (5, "max_sample: 1", 1, 1, "", "")
    half = SAMPLER % (50, "max_sample: 1", 0.5, 0.5, "", "min_object_coverage: 1")
    unused = SAMPLER % (5, "use_original_image: false", 0.1, 0.1, "", "")
    seen = Counter()
    for batch in batches(200, "", f"{whole} {half} {unused}", source="one"):
        height, width = batch["data"].shape[2:]
        seen[height, width] += 1
        (row,) = batch["label"][0, 0]
        sides = (row[5:7] - row[3:5]) * [width, height]
        assert np.allclose(sides, [6, 8], atol=0.4)  # all of the object, in sides that are cut to pixels
    assert 70 <= seen[40, 60] <= 130
    assert all(size == (40, 60) or (19 <= size[0] <= 20 and 29 <= size[1] <= 30) for size in seen)
    impossible = SAMPLER % (20, "max_sample: 1", 0.1, 0.1, "", "min_jaccard_overlap: 0.9")
    assert batches(3, "", impossible)[2]["data"].shape[2:] == (40, 60)  # no part: all of it


def test_each_distortion_by_its_probability_and_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    amounts: dict[str, list[float]] = {name: [] for name in colours.ADJUSTMENTS}
    orders = Counter()
    order: list[str] = []

    def spy(name: str) -> object:
        def adjust(image: np.ndarray, amount: float) -> np.ndarray:
            amounts[name].append(amount)
            order.append(name)
            return image

        return adjust

    monkeypatch.setattr(colours, "ADJUSTMENTS", {name: spy(name) for name in amounts})
    param = DistortionParameter(
        brightness_prob=0.5, brightness_delta=32, contrast_prob=1, contrast_lower=0.5, contrast_upper=1.5,
        saturation_prob=0.25, saturation_lower=0.2, saturation_upper=1.8, hue_prob=1, hue_delta=18, random_order_prob=0.3,
    )  # fmt: skip
    draws, shuffled = rng(), 0
    for _ in range(1000):
        order.clear()
        image = colours.distorted(np.array([[[1, 2, 3]]], np.uint8), param, draws)
        orders[order.index("contrast") < order.index("hue")] += 1
        shuffled += image.ravel().tolist() != [1, 2, 3]
    assert [len(amounts[name]) for name in ("contrast", "hue")] == [1000, 1000]
    assert 430 <= len(amounts["brightness"]) <= 570 and 190 <= len(amounts["saturation"]) <= 310
    assert 430 <= orders[True] <= 570
    assert 190 <= shuffled <= 310  # 0.3 · 5/6
    for name, low, high in [
        ("brightness", -32, 32),
        ("contrast", 0.5, 1.5),
        ("saturation", 0.2, 1.8),
        ("hue", -18, 18),
    ]:
        span = high - low
        assert (
            low <= min(amounts[name]) < low + 0.05 * span and high - 0.05 * span < max(amounts[name]) <= high
        )


def test_what_a_distortion_does_to_pixels() -> None:
    pixels = np.array([[[0, 100, 250]]], np.uint8)
    assert colours.brightened(pixels, 10.5).ravel().tolist() == [10, 110, 255]  # 10.5 and 110.5: half to even
    assert colours.brightened(pixels, -20).ravel().tolist() == [0, 80, 230]
    assert colours.contrasted(pixels, 1.5).ravel().tolist() == [0, 150, 255]
    assert colours.contrasted(pixels, 1.0005) is pixels
    red = np.array([[[0, 0, 255]]], np.uint8)
    assert colours.saturated(red, 0.5).ravel().tolist() == [127, 127, 255]  # 255 halved is 128
    assert colours.hued(red, 60).ravel().tolist() == [0, 255, 0]  # 120 degrees on
    assert colours.hued(red, -5).ravel().tolist() == [0, 0, 255]  # it stops at 0
    with pytest.raises(InputError, match="three channels"):
        colours.saturated(pixels[:, :, :1], 0.5)


def test_distorted_pictures_go_through_a_jpeg_and_raw_ones_are_left() -> None:
    (batch,) = batches(1, "distort_param { }")
    jpeg = cv2.imdecode(cv2.imencode(".jpg", IMAGE)[1], cv2.IMREAD_UNCHANGED)
    assert np.array_equal(batch["data"][0], jpeg.transpose(2, 0, 1)) and not np.array_equal(jpeg, IMAGE)
    write_lmdb(Path("raw"), [record(IMAGE, TWO, encoded=False)])
    bright = "distort_param { brightness_prob: 1 brightness_delta: 200 }"
    assert np.array_equal(batches(1, bright, source="raw")[0]["data"][0], IMAGE.transpose(2, 0, 1))


def noised(**fields: bool | float) -> np.ndarray:
    return colours.noised(IMAGE, NoiseParameter(**fields), rng())


def test_each_kind_of_noise() -> None:
    grey = cv2.cvtColor(IMAGE, cv2.COLOR_BGR2GRAY)
    assert np.array_equal(noised(decolorize=True), np.repeat(grey[:, :, None], 3, 2))
    assert np.array_equal(noised(inverse=True), 255 - IMAGE)
    assert set(np.unique(noised(posterize=True))) <= {32, 96, 160, 224}
    assert np.array_equal(noised(gauss_blur=True), cv2.GaussianBlur(IMAGE, (7, 7), 1.5))
    assert np.array_equal(
        noised(erode=True), cv2.erode(IMAGE, np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8))
    )
    assert np.array_equal(noised(convert_to_hsv=True), cv2.cvtColor(IMAGE, cv2.COLOR_BGR2HSV))
    assert 1 < np.abs(noised(jpeg=20).astype(int) - IMAGE).mean() < 20
    for name in ("hist_eq", "clahe"):
        assert noised(**{name: True}).std() > IMAGE.std()
    param = NoiseParameter(saltpepper=True)
    param.saltpepper_param.fraction = 0.25
    param.saltpepper_param.value.append(7)
    spots = (colours.noised(IMAGE, param, rng()) == 7).all(2).sum()
    assert 450 <= spots <= 600  # of 600 drawn with replacement from 2400


def test_a_batch_follows_from_its_number_and_the_seed() -> None:
    fields = ("mirror: true resize_param { height: 20 width: 20 interp_mode: LINEAR interp_mode: AREA } "
              "expand_param { max_expand_ratio: 2 }", SAMPLER % (5, "max_sample: 1", 0.5, 1, "", ""))  # fmt: skip
    with (
        opened(*fields, batch=4) as first,
        opened(*fields, batch=4) as second,
        opened(*fields, batch=4, seed=1) as other,
    ):
        ahead = first.batch(7)
        first.batch(0)
        again, third = second.batch(7), other.batch(7)
        assert all(torch.equal(ahead[top], again[top]) for top in ahead)
        assert not torch.equal(ahead["data"], third["data"]) and not torch.equal(
            ahead["data"], first.batch(8)["data"]
        )


BAD = [
    ("crop_size: 41", "", r"db: record 00000000: the crop 41×41 is larger than the image, 40×60"),
    ("resize_param { height: 4 }", "", "needs a height and a width"),
    ("resize_param { height: 4 width: 4 } resize_param { height: 5 width: 5 }", "", "several resize_param"),
    ("force_color: true force_gray: true", "", "both force_color and force_gray"),
    ("noise_param { convert_to_lab: true }", "", "convert_to_lab leaves no bytes"),
    ("distort_param { hue_delta: -1 }", "", "hue_delta must not be negative"),
    ("distort_param { brightness_delta: nan }", "", "brightness_delta must not be negative"),
    ("expand_param { max_expand_ratio: 0.5 }", "", "max_expand_ratio is a number from 1"),
    (
        "resize_param { height: 2147483647 width: 2147483647 }",
        "",
        "cannot be resized to 2147483647×2147483647",
    ),
    (
        "distort_param { contrast_lower: 2 contrast_upper: 1 }",
        "",
        "contrast_lower must not be negative, nor above",
    ),
    ("mean_value: 1 mean_value: 2", "", "2 mean_value entries for 3 channels"),
    ("", "batch_sampler { sampler { min_scale: 0 } }", "scales are above 0"),
    ("", "batch_sampler { sampler { min_aspect_ratio: 3 } }", "aspect ratios are above 0"),
]


@pytest.mark.parametrize(("transform", "annotated", "message"), BAD)
def test_what_cannot_be_served_is_said(transform: str, annotated: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        opened(transform, annotated)


def test_a_grey_picture_has_noise_but_no_colours(folder: Path) -> None:
    grey = cv2.cvtColor(IMAGE, cv2.COLOR_BGR2GRAY)
    write_lmdb(folder / "grey", [record(grey[:, :, None], TWO)])
    (batch,) = batches(
        1, "noise_param { gauss_blur: true hist_eq: true erode: true inverse: true }", source="grey"
    )
    blurred = cv2.equalizeHist(cv2.GaussianBlur(grey, (7, 7), 1.5))
    cross = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)
    assert np.array_equal(batch["data"][0, 0], ~cv2.erode(blurred, cross))
    for field in ("decolorize", "convert_to_hsv"):
        with pytest.raises(InputError, match=f"record 00000000: {field} needs an image in colour"):
            opened(f"noise_param {{ {field}: true }}", source="grey")
    three = "mean_value: 1 mean_value: 2 mean_value: 3 expand_param { prob: 1 max_expand_ratio: 2 }"
    with pytest.raises(InputError, match="3 mean_value entries for 1 channels"):
        opened(three, source="grey")


def test_records_that_do_not_go_together_are_said(folder: Path) -> None:
    write_lmdb(folder / "sizes", [record(IMAGE, TWO), record(picture(1, (30, 60)), TWO)])
    with (
        opened(source="sizes", batch=2) as source,
        pytest.raises(InputError, match="record 00000001 gives 3×30×60"),
    ):
        source.batch(0)
    other = AnnotatedDatum.FromString(record(IMAGE, TWO).SerializeToString())
    other.ClearField("type")
    write_lmdb(folder / "kinds", [record(IMAGE, TWO), other])
    with opened(source="kinds", batch=2) as source, pytest.raises(InputError, match="is annotated otherwise"):
        source.batch(0)
    broken = record(IMAGE, TWO)
    broken.datum.data = b"no image"
    write_lmdb(folder / "broken", [broken])
    with pytest.raises(InputError, match="record 00000000 holds an image that cannot be decoded"):
        opened(source="broken")
