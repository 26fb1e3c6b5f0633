"""zoo data import: what of a folder is a picture, of which class, and on which side of the split."""

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from converters.data.images.lists import read_list
from zoo.cli import main
from zoo.data.demo import CLASS_LIST, TRAIN_LIST, VAL_LIST
from zoo.train.planning.options import Options
from zoo.train.planning.plan import make_plan

_drawn = iter(range(10**6))


def draw(path: Path, suffix: str = ".png") -> Path:
    """A small picture of its own, encoded as ``suffix`` says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((2, 3, 3), next(_drawn) % 256, np.uint8)
    pixels[0, 0] = next(_drawn) % 256
    done, data = cv2.imencode(suffix, pixels)
    assert done
    path.write_bytes(bytes(data))
    return path


def classes(folder: Path, count: int = 4, names: tuple[str, ...] = ("ape", "bee")) -> Path:
    for name in names:
        for number in range(count):
            draw(folder / name / f"{number}.png")
    return folder


def imported(folder: Path, *options: str) -> tuple[set[str], set[str]]:
    """The paths of both lists."""
    assert main(["data", "import", str(folder), *options]) == 0
    where = Path(options[options.index("--lists") + 1]) if "--lists" in options else folder
    return tuple({entry.path for entry in read_list(where / name)} for name in (TRAIN_LIST, VAL_LIST))  # type: ignore[return-value]


@pytest.mark.parametrize("held", ["val", "Valid", "validation", "test"])
def test_train_and_val_are_the_split(held: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    classes(tmp_path / "train", 3), classes(tmp_path / held, 1)
    train, val = imported(tmp_path)
    assert train == {f"train/{name}/{number}.png" for name in ("ape", "bee") for number in range(3)}
    assert val == {f"{held}/ape/0.png", f"{held}/bee/0.png"}
    assert (tmp_path / CLASS_LIST).read_text() == "ape\nbee\n"
    assert "2 classes, 6 training and 2 validation images" in capsys.readouterr().err


def test_a_third_part_of_a_split_is_left_out_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("train", "val", "test"):
        classes(tmp_path / name, 2)
    train, val = imported(tmp_path)
    assert all(path.startswith("train/") for path in train) and all(path.startswith("val/") for path in val)
    assert "the split is train/ and val/; left out: test" in capsys.readouterr().err


def test_classes_that_happen_to_be_called_so_stay_classes(tmp_path: Path) -> None:
    classes(tmp_path, 4, ("train", "test", "tram"))
    imported(tmp_path)
    assert (tmp_path / CLASS_LIST).read_text() == "test\ntrain\ntram\n"


@pytest.mark.parametrize(
    ("held", "options", "says"),
    [
        (("cow", "dog"), [], "val/ holds none of the class folders that train/ does"),
        (("ape", "cow"), [], "class cow would never be trained"),
        (("ape", "bee"), ["--val", "0.5"], "--val: the split is that of"),
    ],
)
def test_a_split_that_will_not_do(
    held: tuple[str, ...], options: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classes(tmp_path / "train"), classes(tmp_path / "val", 2, held)
    assert main(["data", "import", str(tmp_path), *options]) == 2
    assert says in capsys.readouterr().err.splitlines()[-1]


def test_what_systems_leave_is_no_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    classes(tmp_path)
    for name in (
        "ape/._0.png",
        ".ipynb_checkpoints/0.png",
        "ape/.ipynb_checkpoints/0.png",
        "__MACOSX/ape/0.png",
    ):
        draw(tmp_path / name)
    (tmp_path / "bee" / "Thumbs.db").write_bytes(b"0")
    (tmp_path / "bee" / "notes.TXT").write_text("BM")
    (tmp_path / "ape" / "b.heic").write_text("0")
    (tmp_path / "ape" / "README").write_text("0")
    train, val = imported(tmp_path)
    assert train | val == {f"{name}/{number}.png" for name in ("ape", "bee") for number in range(4)}
    line = "left out as no pictures: 1 .heic, 1 .txt, 1 without an extension"
    assert capsys.readouterr().err.splitlines().count(f"{tmp_path}: {line}") == 1


@pytest.mark.parametrize("suffix", [".gif", ".jfif", ".avif", ".jpe", ".dib", ".pnm", ".tif", ".webp"])
def test_what_opencv_decodes_is_taken(suffix: str, tmp_path: Path) -> None:
    classes(tmp_path)
    encoding = {".jfif": ".jpg"}.get(suffix, suffix)
    if not cv2.haveImageWriter(encoding):
        pytest.skip(f"this OpenCV writes no {suffix}")
    draw(tmp_path / "ape" / f"more{suffix.upper()}", encoding)
    train, val = imported(tmp_path)
    assert f"ape/more{suffix.upper()}" in train | val


def test_linked_folders_are_entered_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = classes(tmp_path / "own")
    classes(tmp_path / "far", 3, ("cat", "more"))
    links = {
        "cat": tmp_path / "far" / "cat",  # a class elsewhere
        "bee/more": tmp_path / "far" / "more",  # a part of a class elsewhere
        "bee/again": tmp_path / "far" / "more",
        "bee/up": tmp_path,  # round and round
        "ape/loop": folder / "ape",
        "ape/bee": folder / "bee",  # another class's
        "bees": folder / "bee",
    }
    for name, target in links.items():
        (folder / name).symlink_to(target, target_is_directory=True)
    train, val = imported(folder)
    own = {f"{name}/{number}.png" for name in ("ape", "bee") for number in range(4)}
    far = {f"cat/{number}.png" for number in range(3)} | {f"bee/again/{number}.png" for number in range(3)}
    assert train | val == own | far and not train & val
    assert (folder / CLASS_LIST).read_text() == "ape\nbee\ncat\n"
    assert f"{folder / 'bees'}: leads to {folder / 'bee'} once more" in capsys.readouterr().err


@pytest.mark.parametrize("share", ["0.01", "0.8", "0.99"])
def test_every_class_has_an_image_on_each_side(share: str, tmp_path: Path) -> None:
    classes(tmp_path, 2)
    classes(tmp_path, 5, ("cat",))
    train, val = imported(tmp_path, "--val", share)
    for side in (train, val):
        assert {path.split("/")[0] for path in side} == {"ape", "bee", "cat"}


@pytest.mark.parametrize("seed", range(4))
def test_byte_equal_images_stay_on_one_side(
    seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three of a class are one, and one of them is in another class too."""
    classes(tmp_path, 6)
    data = (tmp_path / "ape" / "0.png").read_bytes()
    for name in ("ape/1.png", "ape/2.png", "bee/0.png"):
        (tmp_path / name).write_bytes(data)
    train, val = imported(tmp_path, "--seed", str(seed), "--val", "0.5")
    same = {"ape/0.png", "ape/1.png", "ape/2.png", "bee/0.png"}
    assert same <= train or same <= val
    assert len(train) + len(val) == 12 and min(len(train), len(val)) >= 4
    assert "3 images are byte for byte like another" in capsys.readouterr().err


def test_what_train_and_val_both_hold_is_not_trained_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classes(tmp_path / "train"), classes(tmp_path / "val", 2)
    (tmp_path / "train" / "ape" / "3.png").write_bytes((tmp_path / "val" / "ape" / "1.png").read_bytes())
    train, val = imported(tmp_path)
    assert len(train) == 7 and "train/ape/3.png" not in train and len(val) == 4
    assert "1 images are byte for byte in" in capsys.readouterr().err


def test_doubles_that_cannot_be_parted_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classes(tmp_path, 4, ("ape",))
    classes(tmp_path, 2, ("bee",))
    (tmp_path / "bee" / "1.png").write_bytes((tmp_path / "bee" / "0.png").read_bytes())
    imported(tmp_path)
    assert "1 of the validation images are byte for byte training images too" in capsys.readouterr().err


@pytest.mark.parametrize("name", [b"caf\xe9", "café 宽".encode(), b"two  words"])
def test_the_bytes_of_a_name_are_kept(name: bytes, tmp_path: Path) -> None:
    classes(tmp_path, 3)
    os.rename(tmp_path / "bee" / "0.png", os.fsencode(tmp_path / "bee") + b"/" + name + b".png")  # noqa: PTH104
    assert main(["data", "import", str(tmp_path)]) == 0
    text = (tmp_path / TRAIN_LIST).read_bytes() + (tmp_path / VAL_LIST).read_bytes()
    assert b"bee/" + name + b".png 1\n" in text


@pytest.mark.parametrize("name", ["a\nb/0.png", "a\rb/0.png", " a/0.png", "a /0.png"])
def test_a_name_that_a_list_cannot_say_is_refused(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classes(tmp_path)
    draw(tmp_path / name), draw(tmp_path / name.replace("0", "1"))
    assert main(["data", "import", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert "cannot stand in a list" in err and repr(name.split("/", maxsplit=1)[0])[1:-1] in err
    assert not (tmp_path / TRAIN_LIST).exists()


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    folder = classes(tmp_path / "photos")
    folder.chmod(0o555)
    yield folder
    folder.chmod(0o755)


def test_lists_elsewhere_find_the_photographs(
    read_only: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    train, val = imported(Path("photos"), "--lists", "lists")
    assert all(Path(path).is_file() and Path(path).is_absolute() for path in train | val)
    assert sorted(path.name for path in read_only.iterdir()) == ["ape", "bee"]
    plan = make_plan(Options(root="lists"))
    assert plan.classes == 2 and set(plan.lists.values()) == {
        tmp_path / "lists" / n for n in (TRAIN_LIST, VAL_LIST)
    }
