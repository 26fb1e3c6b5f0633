"""What the augmentation variants do to the pictures that a net is trained on, against OpenCV by hand."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from zoo.train.planning.options import Options
from zoo.train.planning.plan import make_plan
from zoo.train.ranks import Ranks
from zoo.train.sources import open_feeds

SIZE = 64
MEAN = np.array([104, 117, 124], np.float32)
Pictures = list[NDArray[np.float32]]


def batches(variant: str, photos: str, key: str = "TRAIN", count: int = 1) -> Pictures:
    """The pictures of the first batches of 20, (64, 64, 3) each, their mean added again."""
    plan = make_plan(Options(variant=variant, root=photos, size=SIZE, batch_size=20, seed=0))
    feed = open_feeds(plan, torch.device("cpu"), Ranks()).feeds[key]
    try:
        made = [feed.batch(index)["data"].permute(0, 2, 3, 1).numpy() + MEAN for index in range(count)]
    finally:
        feed.close()
    return [picture for batch in made for picture in batch]


@pytest.fixture(scope="module")
def whole(photos: str) -> Pictures:
    """Every training picture, resized to the input."""
    lines = Path(photos, "list_train_shuffle.txt").read_text().splitlines()
    return [resized(Path(photos, line.split()[0])) for line in lines]


def resized(path: Path) -> NDArray[np.float32]:
    picture = cv2.imread(str(path))
    assert picture is not None
    return cv2.resize(picture, (SIZE, SIZE)).astype(np.float32)


def is_one_of(picture: NDArray[np.float32], pictures: Pictures) -> bool:
    return any(np.array_equal(picture, other) for other in pictures)


def test_without_augmentation_a_picture_is_whole(photos: str, whole: Pictures) -> None:
    assert all(is_one_of(picture, whole) for picture in batches("noaugment", photos))
    assert not any(is_one_of(picture, whole) for picture in batches("baseline", photos))


def test_mirrored_pictures_are_half_of_them(photos: str, whole: Pictures) -> None:
    flipped = [picture[:, ::-1] for picture in whole]
    seen = batches("noaugment+mirror", photos, count=10)
    plain, mirrored = (sum(is_one_of(picture, kind) for picture in seen) for kind in (whole, flipped))
    assert plain + mirrored == 200 and 60 < mirrored < 140  # outside, less than once in a million


def test_rotated_pictures_are_framed_in_black_and_others_are_not(photos: str) -> None:
    def black(variant: str) -> int:
        return sum(bool((picture == 0).all(-1).any()) for picture in batches(variant, photos))

    assert black("noaugment+rotation") >= 10 and black("noaugment") == 0  # 1 in 31 is not rotated


def test_other_colours_are_of_some_pictures(photos: str, whole: Pictures) -> None:
    seen = batches("noaugment+colour", photos, count=10)
    plain = sum(is_one_of(picture, whole) for picture in seen)
    assert 10 < plain < 100  # a quarter: neither shifted nor of other contrast


@pytest.mark.parametrize("variant", ["noaugment", "noaugment+mirror+crop+colour+rotation"])
def test_validation_pictures_stay(variant: str, photos: str) -> None:
    pairs = zip(batches(variant, photos, "TEST"), batches("baseline", photos, "TEST"), strict=True)
    assert all(np.array_equal(ours, theirs) for ours, theirs in pairs)
