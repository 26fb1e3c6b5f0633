from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from prototxt.errors import InputError
from zoo.data.demo import CLASSES, TRAIN_IMAGES, VAL_IMAGES, draw_demo, make_demo

SMALL = {"train": 40, "val": 20}
Data = tuple[torch.Tensor, torch.Tensor]
LISTS = {"train": "list_train_shuffle.txt", "val": "list_val_shuffle.txt"}


# What is shipped, and a fifth of it, which is drawn in seconds.
SIZES = [(480, 200), pytest.param((TRAIN_IMAGES, VAL_IMAGES), marks=pytest.mark.slow)]


@pytest.fixture(scope="module", params=SIZES, ids=str)
def size(request: pytest.FixtureRequest) -> tuple[int, int]:
    return request.param


@pytest.fixture(scope="module")
def demo(size: tuple[int, int], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "demo"
    assert make_demo(folder, train=size[0], val=size[1])
    return folder


def listed(folder: Path, split: str) -> list[tuple[str, int]]:
    lines = (folder / LISTS[split]).read_text().splitlines()
    return [(path, int(label)) for path, label in (line.split(" ") for line in lines)]


@pytest.fixture(scope="module")
def thumbnails(demo: Path) -> tuple[Data, Data]:
    return shrunk(demo, "train"), shrunk(demo, "val")


def shrunk(folder: Path, split: str) -> Data:
    entries = listed(folder, split)
    images = [cv2.imread(str(folder / path)) for path, _ in entries]
    small = np.stack(
        [cv2.resize(image, (8, 8), interpolation=cv2.INTER_AREA) for image in images if image is not None]
    )
    assert len(small) == len(entries)
    return torch.from_numpy(small).flatten(1).float(), torch.tensor([label for _, label in entries])


def logistic_regression(train: Data, val: Data, decay: float) -> tuple[float, float]:
    """Top-1 on the training and on the validation images, in percent."""
    mean, std = train[0].mean(0), train[0].std(0)
    weights = torch.zeros(train[0].shape[1] + 1, len(CLASSES), requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=100, line_search_fn="strong_wolfe")

    def logits(pixels: torch.Tensor) -> torch.Tensor:
        return (pixels - mean) / std @ weights[:-1] + weights[-1]

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(logits(train[0]), train[1])
        loss = loss + decay / 2 * weights[:-1].square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    right = [(logits(pixels).argmax(1) == labels).float().mean() for pixels, labels in (train, val)]
    return 100 * float(right[0]), 100 * float(right[1])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_thumbnails_do_not_tell_the_classes_apart(thumbnails: tuple[Data, Data]) -> None:
    train, val = thumbnails
    tops = {decay: logistic_regression(train, val, decay) for decay in (1e-2, 1e-1)}
    assert max(top_val for _, top_val in tops.values()) < 20  # the promise is 30; 11 was measured
    assert tops[1e-2][0] > 20  # it fitted what it could, and that did not carry over


def test_the_regression_finds_what_thumbnails_do_hold(thumbnails: tuple[Data, Data]) -> None:
    (train, _), (val, _) = thumbnails
    planted = torch.randn(train.shape[1], len(CLASSES), generator=torch.Generator().manual_seed(1))
    mean = train.mean(0)
    found = logistic_regression(
        (train, ((train - mean) @ planted).argmax(1)), (val, ((val - mean) @ planted).argmax(1)), 1e-2
    )
    assert found[1] > 60


def test_the_lists_name_every_image_once_with_its_class(demo: Path, size: tuple[int, int]) -> None:
    for split, count in zip(("train", "val"), size, strict=True):
        entries = listed(demo, split)
        assert sorted(path for path, _ in entries) == sorted(
            f"{split}/{f.name}" for f in (demo / split).iterdir()
        )
        assert Counter(label for _, label in entries) == dict.fromkeys(range(20), count // 20)
        assert all(path.startswith(f"{split}/{CLASSES[label]}_") for path, label in entries)
    assert (demo / "classes.txt").read_text().splitlines() == list(CLASSES)


def test_the_lists_are_shuffled(demo: Path) -> None:
    for split in LISTS:
        labels = [label for _, label in listed(demo, split)]
        assert len(set(labels[:64])) > 12
        assert labels != sorted(labels)


def test_images_are_256_square_and_in_colour(demo: Path) -> None:
    for path, _ in listed(demo, "val")[:40]:
        image = cv2.imread(str(demo / path), cv2.IMREAD_UNCHANGED)
        assert image is not None and image.shape == (256, 256, 3)
        assert image.std() > 10 and np.ptp(image.mean((0, 1))) > 0


def test_the_same_seed_writes_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("one", 3), ("two", 3), ("other", 4)):
        make_demo(tmp_path / name, seed=seed, **SMALL)
    one, two, other = (contents(tmp_path / name) for name in ("one", "two", "other"))
    assert one == two
    assert one.keys() == other.keys()
    differing = {name for name in one if one[name] != other[name]}
    assert differing == one.keys() - {"classes.txt"}


def test_an_image_does_not_depend_on_how_many_there_are(tmp_path: Path) -> None:
    make_demo(tmp_path / "few", train=20, val=20)
    make_demo(tmp_path / "more", train=47, val=31)
    few, more = contents(tmp_path / "few"), contents(tmp_path / "more")
    images = [name for name in few if name.endswith(".jpg")]
    assert len(images) == 40
    assert all(few[name] == more[name] for name in images)


def test_counts_that_do_not_divide_are_balanced_to_one(tmp_path: Path) -> None:
    make_demo(tmp_path / "demo", train=47, val=31)
    for split, count in (("train", 47), ("val", 31)):
        counts = Counter(label for _, label in listed(tmp_path / "demo", split))
        assert sum(counts.values()) == count
        assert max(counts.values()) - min(counts.values()) == 1 and len(counts) == 20


def test_every_key_of_an_image_matters() -> None:
    def distance(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
        return float(np.abs(one.astype(float) - other).mean())

    image = draw_demo(0, "train", 5, 7)
    assert np.array_equal(image, draw_demo(0, "train", 5, 7))
    for key in ((1, "train", 5, 7), (0, "val", 5, 7), (0, "train", 6, 7), (0, "train", 5, 8)):
        assert distance(image, draw_demo(*key)) > 10


def stop(written: int) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("there_before", [False, True])
def test_interrupted_it_leaves_nothing(tmp_path: Path, there_before: bool) -> None:
    if there_before:
        (tmp_path / "demo").mkdir()
    with pytest.raises(KeyboardInterrupt):
        make_demo(tmp_path / "demo", progress=stop, **SMALL)
    assert list(tmp_path.rglob("*")) == ([tmp_path / "demo"] if there_before else [])
    assert make_demo(tmp_path / "demo", **SMALL)
    assert list(tmp_path.iterdir()) == [tmp_path / "demo"]


def test_progress_counts_up_to_all_images(tmp_path: Path) -> None:
    seen: list[int] = []
    make_demo(tmp_path / "demo", train=100, val=50, progress=seen.append)
    assert seen == sorted(seen) and len(seen) > 1 and seen[-1] == 150


def test_what_is_there_already_is_kept(tmp_path: Path) -> None:
    make_demo(tmp_path / "demo", **SMALL)
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "demo").rglob("*")}
    assert make_demo(tmp_path / "demo", progress=stop, **SMALL) is False
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "demo").rglob("*")} == before


def test_other_demo_data_is_not_replaced(tmp_path: Path) -> None:
    make_demo(tmp_path / "demo", **SMALL)
    with pytest.raises(InputError, match=r"seed 0, train 40, val 20.*seed 1, train 40"):
        make_demo(tmp_path / "demo", seed=1, **SMALL)
    with pytest.raises(InputError, match="wanted seed 0, train 60"):
        make_demo(tmp_path / "demo", train=60, val=20)


@pytest.mark.parametrize("name", ["holiday.jpg", "demo.json"])
def test_a_foreign_folder_is_refused_and_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(InputError, match="other than demo data"):
        make_demo(tmp_path, **SMALL)
    assert contents(tmp_path) == {name: b"mine"}


def test_a_file_in_the_folder_s_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "demo").write_text("mine")
    with pytest.raises(InputError, match="demo"):
        make_demo(tmp_path / "demo", **SMALL)
    assert (tmp_path / "demo").read_text() == "mine"


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"train": 19}, {"val": 0}])
def test_wrong_numbers_are_refused(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(InputError):
        make_demo(tmp_path / "demo", **wrong)
    assert not any(tmp_path.iterdir())
