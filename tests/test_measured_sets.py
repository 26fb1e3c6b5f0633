"""The drawn pictures that a number or votes are told of: the labels are what can be measured in the pictures."""

from decimal import Decimal
from pathlib import Path

import cv2
import numpy as np
import pytest

from prototxt.errors import InputError
from zoo.cli import main
from zoo.data import measures
from zoo.data.measured_sets import ANGLE, VOTES, MeasuredSet
from zoo.data.measures import needle, tank

SMALL = {"train": 6, "val": 4}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize("kind", [ANGLE, VOTES], ids=lambda kind: kind.kind)
def test_a_seed_is_a_data_set(kind: MeasuredSet, tmp_path: Path) -> None:
    told: list[int] = []
    assert kind.make(tmp_path / "one", 3, **SMALL, progress=told.append)
    assert told == list(range(1, 11))
    assert not kind.make(tmp_path / "one", 3, **SMALL)
    kind.make(tmp_path / "two", 3, **SMALL)
    kind.make(tmp_path / "other", 4, **SMALL)
    kind.make(tmp_path / "more", 3, train=8, val=4)
    one, two, other, more = (contents(tmp_path / name) for name in ("one", "two", "other", "more"))
    assert one == two and one.keys() == other.keys()
    assert all(one[name] != other[name] for name in one)
    assert all(one[name] == more[name] for name in one if name.endswith(".png"))
    with pytest.raises(InputError, match="holds other demo data"):
        kind.make(tmp_path / "one", 4, **SMALL)
    with pytest.raises(InputError, match="a seed of 0 or more"):
        kind.make(tmp_path / "none", -1)


@pytest.mark.parametrize(("kind", "labels"), [(ANGLE, 1), (VOTES, 10)], ids=["angle", "votes"])
def test_the_lists_name_every_picture(kind: MeasuredSet, labels: int, tmp_path: Path) -> None:
    assert main(["data", "demo", str(tmp_path / "data"), "--kind", kind.kind]) == 0
    for name, count in zip(kind.lists, (480, 160), strict=True):
        lines = [line.split(" ") for line in (tmp_path / "data" / name).read_text().splitlines()]
        assert len({path for path, *_ in lines}) == count
        assert all(len(line) == 1 + labels for line in lines)
        image = cv2.imread(str(tmp_path / "data" / lines[0][0]))
        assert image is not None and image.shape == (64, 64, 3)


def in_plain_colours(patch: pytest.MonkeyPatch) -> None:
    """Face, glass 200; rim, wall, ticks 60; needle, liquid 120; on white, seen as they are."""
    kinds = {(170, 250): 200, (190, 250): 200, (20, 90): 60, (20, 70): 60, (20, 110): 120, (60, 130): 120}

    def colour(rng: np.random.Generator, darkest: float, lightest: float) -> np.ndarray:  # type: ignore[type-arg]
        return np.full(3, kinds[int(darkest), int(lightest)], np.float32)

    patch.setattr(measures, "colour", colour)
    patch.setattr(measures, "ground", lambda rng: np.full((256, 256, 3), 255, np.float32))
    patch.setattr(measures, "_small", lambda image, rng: image.astype(np.uint8))


def test_the_needle_points_where_its_label_says(monkeypatch: pytest.MonkeyPatch) -> None:
    in_plain_colours(monkeypatch)
    told = []
    for seed in range(40):
        image, (label,) = needle(np.random.default_rng(seed))
        hub_y, hub_x = np.argwhere(image[..., 0] == 60)[:, :2].mean(0)  # the rim's middle, but for the ticks
        y, x = np.argwhere(image[..., 0] == 120).T
        (up, right), spread = -np.array([y.mean() - hub_y, -(x.mean() - hub_x)]), np.cov(x, -y)
        along = np.linalg.eigh(spread)[1][:, 1]
        along *= np.sign(along @ [right, up])
        told.append((float(label), np.degrees(np.arctan2(*along))))
    labels, measured = np.array(told).T
    assert np.abs(labels - measured).max() < 1.5
    assert labels.min() < -60 and labels.max() > 60 and np.abs(labels).max() <= 80


def test_the_votes_are_about_the_tanks_level(monkeypatch: pytest.MonkeyPatch) -> None:
    in_plain_colours(monkeypatch)
    for seed in range(40):
        image, labels = tank(np.random.default_rng(seed))
        assert len(labels) == 10 and sum(map(Decimal, labels)) == 1
        inside = np.argwhere((image[..., 0] >= 120) & (image[..., 0] <= 200))
        column = image[inside[:, 0].min() : inside[:, 0].max() + 1, inside[:, 1].min(), 0].astype(float)
        level = 1 + 9 * ((200 - column) / 80).mean()
        mean = sum(value * float(share) for value, share in enumerate(labels, 1))
        if 3 < level < 8:  # elsewhere the votes beyond the ends are put to them
            assert mean == pytest.approx(level, abs=0.5), seed


def test_blurred_levels_have_votes_that_scatter(monkeypatch: pytest.MonkeyPatch) -> None:
    in_plain_colours(monkeypatch)
    pairs = []
    for seed in range(80):
        image, labels = tank(np.random.default_rng(seed))
        shares, values = np.array(labels, float), np.arange(1, 11)
        mean = (shares * values).sum()
        if 4 < mean < 7:
            column = np.unique(image[..., 0])
            pairs.append((len(column), np.sqrt((shares * (values - mean) ** 2).sum())))
    blurs, spreads = np.array(pairs).T
    assert np.corrcoef(blurs, spreads)[0, 1] > 0.8
