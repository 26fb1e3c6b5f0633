"""The augmentation of the series author's fork, drawn: outcomes are those that OpenCV's calls give, none is
missing, and each comes as often as it should. A right build fails here less than once in a million."""

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import product
from math import ceil, cos, floor, radians, sin, sqrt

import cv2
import numpy as np
import pytest
from google.protobuf import text_format

from converters.data.forks.augment import augmented, check_augmentation, is_augmented, rotated
from converters.data.order import sample_generator
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

IMAGE = np.random.default_rng(3).integers(0, 256, (17, 23, 3), np.uint8)
GREY = IMAGE[:, :, :1]


def layer(transform: str) -> LayerParameter:
    return text_format.Parse(f'name: "d" transform_param {{ {transform} }}', LayerParameter())


def draws(transform: str, count: int, image: np.ndarray = IMAGE, train: bool = True) -> list[np.ndarray]:
    """What an image becomes as the first, second, … of a batch."""
    message = layer(transform)
    return [augmented(image, message, train, sample_generator(1, 0, sample)) for sample in range(count)]


def keyed(image: np.ndarray) -> tuple[tuple[int, ...], bytes]:
    return image.shape[:2], image.tobytes()


def assert_drawn(seen: Iterable[np.ndarray], expected: Iterable[tuple[np.ndarray, float]]) -> None:
    """``seen`` are the outcomes expected, each about as often as its probability says; equal ones count as
    one.
    """
    rates: Counter = Counter()
    for image, rate in expected:
        rates[keyed(image)] += rate
    counts = Counter(map(keyed, seen))
    total = counts.total()
    assert set(counts) == set(rates) and abs(sum(rates.values()) - 1) < 1e-9
    for key, rate in rates.items():
        assert abs(counts[key] - rate * total) <= 6.5 * sqrt(total * rate * (1 - rate)) + 1, key[0]


def turned(image: np.ndarray, angle: int) -> np.ndarray:
    """Rotated into the box of its corners."""
    if not angle:
        return image
    height, width = image.shape[:2]
    across = width * abs(cos(radians(angle))) + height * abs(sin(radians(angle)))
    down = width * abs(sin(radians(angle))) + height * abs(cos(radians(angle)))
    size = [ceil(side / 2 + span / 2) - floor(side / 2 - span / 2) + 1 for side, span in ((width, across), (height, down))]  # fmt: skip
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
    turn[0, 2] += size[0] / 2 - width / 2
    turn[1, 2] += size[1] / 2 - height / 2
    return cv2.warpAffine(image, turn, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


def test_every_image_is_rotated_whatever_the_probability() -> None:
    seen = draws("crop_size: 9 max_rotation_angle: 4 apply_probability: 0", 1500)
    assert_drawn(seen, [(turned(IMAGE, angle), 1 / 9) for angle in range(-4, 5)])


def test_it_turns_counter_clockwise_onto_black() -> None:
    marked = np.full((41, 41, 1), 100, np.uint8)
    marked[18:23, 36:41] = 255  # on the right, which goes up
    up, down = rotated(marked, 45), rotated(marked, -45)
    assert up.shape == down.shape == (60, 60, 1)
    assert (up > 200).nonzero()[0].max() < 25
    assert (down > 200).nonzero()[0].min() > 35
    assert all(not image[row, column] for image in (up, down) for row in (0, -1) for column in (0, -1))


def squeezed(side: int) -> np.ndarray:
    return cv2.resize(IMAGE, (side, side), interpolation=cv2.INTER_LINEAR)


def kept(side: int, image: np.ndarray = IMAGE) -> np.ndarray:
    height, width = image.shape[:2]
    size = (ceil(width / (height / side)), side) if height <= width else (side, ceil(height / (width / side)))
    return cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)


def test_the_shorter_side_is_any_of_those_between() -> None:
    seen = draws("crop_size: 9 min_side_min: 13 min_side_max: 19", 1000)
    assert_drawn(seen, [(kept(side), 1 / 7) for side in range(13, 20)])
    tall = np.ascontiguousarray(IMAGE.transpose(1, 0, 2))
    seen = draws("crop_size: 9 min_side_min: 13 min_side_max: 14", 200, tall)
    assert_drawn(seen, [(kept(side, tall), 1 / 2) for side in (13, 14)])


@pytest.mark.parametrize(("threshold", "share"), [("0.2", 0.8), ("0", 1), ("-3", 1), ("1", 0), ("2", 0)])
def test_images_are_squeezed_above_the_threshold(threshold: str, share: float) -> None:
    fields = f"use_deformed_resize: true deformed_resize_th: {threshold} crop_size: 9"
    seen = draws(f"{fields} min_side_min: 13 min_side_max: 15", 1000)
    expected = [(squeezed(side), share / 3) for side in (13, 14, 15)]
    expected += [(kept(side), (1 - share) / 3) for side in (13, 14, 15)]
    assert_drawn(seen, [(image, rate) for image, rate in expected if rate])


def test_colours_go_up_or_down_together() -> None:
    fields = "crop_size: 9 max_color_shift: 2"
    wide = IMAGE.astype(int)
    moved = [
        (np.clip(wide + sign * np.array(shift), 0, 255).astype(np.uint8), 1 / 54)
        for shift in product(range(3), repeat=3)
        for sign in (1, -1)
    ]
    seen = draws(f"{fields} apply_probability: 1", 4000)
    assert len(set(map(keyed, seen))) == 53
    assert_drawn(seen, moved)
    seen = draws(f"{fields} apply_probability: 0.7", 4000)
    assert_drawn(seen, [(IMAGE, 0.3), *((image, rate * 0.7) for image, rate in moved)])
    assert_drawn(draws(f"{fields} apply_probability: 0", 100), [(IMAGE, 1)])


def test_a_grey_image_takes_the_first_of_them() -> None:
    seen = draws("crop_size: 9 max_color_shift: 1 apply_probability: 2", 400, GREY)
    wide = GREY.astype(int)
    expected = [
        (np.clip(wide + by, 0, 255).astype(np.uint8), rate)
        for by, rate in ((0, 1 / 2), (1, 1 / 4), (-1, 1 / 4))
    ]
    assert_drawn(seen, expected)


def test_a_grey_image_of_four_by_one_is_no_row_of_shifts() -> None:
    image = np.array([[21], [51], [81], [111]], np.uint8)[:, :, None]
    seen = draws("crop_size: 1 max_color_shift: 1 apply_probability: 2", 400, image)
    assert_drawn(seen, [(image, 1 / 2), (image + 1, 1 / 4), (image - 1, 1 / 4)])


def brightened(image: np.ndarray, factor: float, by: int) -> np.ndarray:
    return np.clip(np.rint(image.astype(np.float32) * np.float32(factor) + np.float32(by)), 0, 255).astype(
        np.uint8
    )


def test_brightness_takes_whole_numbers_and_one_factor_for_the_image() -> None:
    fields = "crop_size: 9 contrast_brightness_adjustment: true min_contrast: 1.25 max_contrast: 1.25"
    seen = draws(f"{fields} max_brightness_shift: 2", 2000)
    moved = [(brightened(IMAGE, 1.25, by), 0.5 / 5) for by in range(-2, 3)]
    assert_drawn(seen, [(IMAGE, 0.5), *moved])


def test_the_factor_is_anything_between() -> None:
    fields = "crop_size: 9 contrast_brightness_adjustment: true min_contrast: 0.5 max_contrast: 1.5"
    flat = np.full((2, 2, 3), 100, np.uint8)
    values = [
        int(x[0, 0, 0]) for x in draws(f"{fields} max_brightness_shift: 0 apply_probability: 1", 4000, flat)
    ]
    assert all((x == x[0, 0, 0]).all() for x in draws(fields, 100, flat))
    assert min(values) in (50, 51) and max(values) in (149, 150)
    halves = np.histogram(values, 4, (50, 150.001))[0]
    assert all(abs(count - 1000) <= 6.5 * sqrt(750) for count in halves)


def filtered(image: np.ndarray, most: int) -> list[tuple[np.ndarray, float]]:
    """The outcomes for the widths 1, 3, …, ``most``."""
    widths = range(1, most + 1, 2)
    kinds: list[Callable[[int], np.ndarray]] = [
        lambda k: cv2.GaussianBlur(image, (k, k), 0, borderType=cv2.BORDER_REFLECT_101),
        lambda k: cv2.blur(image, (k, k), borderType=cv2.BORDER_REFLECT_101),
        lambda k: cv2.medianBlur(image, k),
        lambda k: cv2.blur(image, (2 * k, 2 * k), borderType=cv2.BORDER_REFLECT_101),
    ]
    return [(kind(width), 1 / len(kinds) / len(widths)) for kind in kinds for width in widths]


@pytest.mark.parametrize(("most", "width"), [("", 5), ("max_smooth: 2", 1), ("max_smooth: 9.9", 7)])
def test_four_filters_of_every_width(most: str, width: int) -> None:
    fields = f"crop_size: 9 smooth_filtering: true {most}"
    seen = draws(f"{fields} apply_probability: 1.5", 3000)
    assert_drawn(seen, filtered(IMAGE, width))
    assert width != 5 or len(set(map(keyed, seen))) == 10
    seen = draws(f"{fields} apply_probability: 0.25", 3000)
    assert_drawn(seen, [(IMAGE, 0.75), *((image, rate / 4) for image, rate in filtered(IMAGE, width))])


def test_a_smoothing_of_one_does_nothing() -> None:
    assert_drawn(
        draws("crop_size: 9 smooth_filtering: true max_smooth: 1 apply_probability: 1", 50), [(IMAGE, 1)]
    )


def test_the_steps_come_in_their_order_and_each_by_its_own_chance() -> None:
    """Rotation, size, colour, contrast, smoothing, worked out in this order."""
    fields = """crop_size: 9 max_rotation_angle: 1 min_side_min: 9 min_side_max: 9 max_color_shift: 1
        contrast_brightness_adjustment: true min_contrast: 1.75 max_contrast: 1.75 max_brightness_shift: 0
        smooth_filtering: true max_smooth: 2 apply_probability: 0.5"""
    expected = []
    for angle in (-1, 0, 1):
        image = kept(9, turned(GREY, angle))[:, :, None].astype(int)
        for by, rate in ((0, 0.5 + 0.5 / 2), (1, 0.5 / 4), (-1, 0.5 / 4)):
            moved = np.clip(image + by, 0, 255).astype(np.uint8)
            for bright in (moved, brightened(moved, 1.75, 0)):
                smooth = cv2.blur(bright, (2, 2))[:, :, None]
                expected += [(bright, rate / 6 * 7 / 8), (smooth, rate / 6 / 8)]
    assert_drawn(draws(fields, 8000, GREY), expected)


ALL = """min_side_min: 12 min_side_max: 19 max_rotation_angle: 30 contrast_brightness_adjustment: true
    smooth_filtering: true max_color_shift: 20 apply_probability: 1 mirror: true"""


def test_in_test_an_image_is_resized_to_the_crop_and_no_more() -> None:
    assert_drawn(draws(f"crop_size: 12 {ALL}", 50, train=False), [(kept(12), 1)])
    deformed = "use_deformed_resize: true deformed_resize_th: 0.5"
    seen = draws(f"crop_size: 12 {deformed} {ALL}", 800, train=False)
    assert_drawn(seen, [(kept(12), 0.5), (squeezed(12), 0.5)])


def test_a_side_is_rounded_up_from_a_quotient_that_is_not_exact() -> None:
    for size, side, becomes in [((22, 22), 30, (30, 31)), ((21, 42), 30, (30, 61)), ((42, 21), 30, (61, 30))]:
        image = np.zeros((*size, 1), np.uint8)
        (seen,) = draws(f"crop_size: {side} min_side_min: {side} min_side_max: 99", 1, image, train=False)
        assert seen.shape == (*becomes, 1)


def test_one_bound_alone_resizes_nothing() -> None:
    for fields in ("min_side_min: 40", "min_side_max: 40", "min_side: 40", "crop_h: 5 crop_w: 6"):
        assert_drawn(draws(f"crop_size: 9 {fields}", 20), [(IMAGE, 1)])


def test_an_image_follows_from_seed_iteration_and_sample() -> None:
    message = layer(f"crop_size: 9 {ALL}")
    three = [
        augmented(IMAGE, message, True, sample_generator(*key)) for key in ((1, 2, 3), (1, 2, 3), (1, 3, 3))
    ]
    assert np.array_equal(three[0], three[1]) and not np.array_equal(three[0], three[2])


@pytest.mark.parametrize(
    ("transform", "phases", "message"),
    [
        ("crop_size: 20 min_side_min: 19 min_side_max: 30", "TRAIN TEST", "min_side_min 19 is less than crop_size 20"),
        ("crop_size: 20 use_deformed_resize: true deformed_resize_th: 0.9", "TRAIN TEST", "min_side_min 0 is less"),
        ("crop_size: 20 min_side_min: 25 min_side_max: 24", "TRAIN", "min_side_max 24 is less than min_side_min 25"),
        ("min_side_min: 25 min_side_max: 25", "TRAIN TEST", "resized to crop_size in TEST, and none is|min_side_min draws"),
        ("mirror: true use_deformed_resize: true deformed_resize_th: 0 min_side_max: 9", "TRAIN TEST", "needs a min_side_min|crop_size in TEST"),
        ("max_rotation_angle: 3", "TRAIN", "max_rotation_angle draws at random"),
        ("max_color_shift: 3", "TRAIN", "max_color_shift draws at random"),
        ("smooth_filtering: true", "TRAIN", "smooth_filtering draws at random"),
        ("contrast_brightness_adjustment: true", "TRAIN", "contrast_brightness_adjustment draws at random"),
        ("crop_size: 9 contrast_brightness_adjustment: true min_contrast: 2", "TRAIN", r"min_contrast 2 is more than max_contrast 1\.2"),
        ("crop_size: 9 contrast_brightness_adjustment: true max_contrast: inf", "TRAIN", "is more than max_contrast inf"),
        ("crop_size: 9 smooth_filtering: true max_smooth: 1.9", "TRAIN", r"max_smooth 1\.9: 2 or more smooths"),
        ("crop_size: 9 min_side_min: 9 min_side_max: 4294967295", "TRAIN", "cannot be resized to"),
        ("crop_size: 9 smooth_filtering: true max_smooth: 3e9 apply_probability: 1", "TRAIN", "cannot be smoothed over"),
    ],
)  # fmt: skip
def test_what_aborts_is_one_error_and_in_no_other_phase(transform: str, phases: str, message: str) -> None:
    for phase in ("TRAIN", "TEST"):
        if phase in phases.split():
            with pytest.raises(InputError, match=message) as raised:
                draws(transform, 20, train=phase == "TRAIN")
            assert "\n" not in str(raised.value)
        elif "4294967295" not in transform:
            draws(transform, 2, train=phase == "TRAIN")


def test_what_never_happens_aborts_nowhere() -> None:
    fields = "max_color_shift: 3 smooth_filtering: true contrast_brightness_adjustment: true min_contrast: 2"
    assert_drawn(draws(f"{fields} max_smooth: 1.5 apply_probability: 0", 9), [(IMAGE, 1)])


def test_who_asks_for_it() -> None:
    assert not is_augmented(layer("crop_size: 9 mirror: true"))
    assert is_augmented(layer("max_color_shift: 1"))
    his = layer("")
    his.dialect = "caffe-long"
    assert is_augmented(his)
    check_augmentation(his, True)
