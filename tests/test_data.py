"""zoo data import: lists for a folder of class folders."""

from pathlib import Path

import pytest

from converters.data.images.lists import read_list
from zoo.cli import main


def folder_of_classes(folder: Path, counts: dict[str, int]) -> Path:
    for name, count in counts.items():
        (folder / name).mkdir(parents=True)
        for index in range(count):
            (folder / name / f"photo {index}.JPG").write_bytes(b"not opened here")
        (folder / name / "notes.txt").write_text("no image")
    return folder


def lists(folder: Path) -> tuple[dict[str, int], dict[str, int]]:
    train, val = (
        {entry.path: entry.label for entry in read_list(folder / name)}
        for name in ("list_train_shuffle.txt", "list_val_shuffle.txt")
    )
    return train, val


def test_every_image_is_in_one_list_and_every_class_in_both(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = folder_of_classes(tmp_path / "own", {"ape": 10, "bee": 25, "cat": 2})
    assert main(["data", "import", str(folder)]) == 0
    assert capsys.readouterr().out.split() == [
        str(folder / name) for name in ("list_train_shuffle.txt", "list_val_shuffle.txt", "classes.txt")
    ]
    train, val = lists(folder)
    assert len(train) == 29 and len(val) == 8 and not train.keys() & val.keys()
    assert all((folder / path).is_file() for path in [*train, *val])
    assert {path.split("/")[0]: label for path, label in [*train.items(), *val.items()]} == {
        "ape": 0,
        "bee": 1,
        "cat": 2,
    }
    assert set(val.values()) == {0, 1, 2} == set(train.values())
    assert (folder / "classes.txt").read_text() == "ape\nbee\ncat\n"


def test_the_split_follows_from_the_seed(tmp_path: Path) -> None:
    found = []
    for index, seed in enumerate((1, 1, 2)):
        folder = folder_of_classes(tmp_path / str(index), {"a": 20, "b": 20})
        assert main(["data", "import", str(folder), "--seed", str(seed), "--val", "0.5"]) == 0
        found.append(
            [(folder / name).read_text() for name in ("list_train_shuffle.txt", "list_val_shuffle.txt")]
        )
    assert found[0] == found[1] != found[2]
    labels = [line.split()[-1] for line in found[0][0].splitlines()]
    assert labels != sorted(labels)


@pytest.mark.parametrize(
    ("counts", "options", "says"),
    [
        ({}, [], "no such folder"),
        ({"a": 3}, [], "holds 1 class folder,"),
        ({"a": 3, "b": 1}, [], "holds 1 images"),
        ({"a": 3, "b": 3}, ["--val", "1"], "must be above 0 and below 1"),
        ({"a": 3, "b": 3}, ["--labels", "fine"], 'has no train.txt of lines "path, fine, coarse"'),
        ({"a": 3, "b": 3}, ["--classes", "3"], "--classes 3: there are 2"),
    ],
)
def test_a_folder_that_will_not_do(
    counts: dict[str, int], options: list[str], says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = folder_of_classes(tmp_path / "own", counts)
    assert main(["data", "import", str(folder), *options]) == 2
    assert says in capsys.readouterr().err
    assert not (folder / "classes.txt").exists()


def test_lists_that_are_there_are_not_written_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = folder_of_classes(tmp_path / "own", {"a": 3, "b": 3})
    (folder / "list_val_shuffle.txt").write_text("mine 0\n")
    assert main(["data", "import", str(folder)]) == 2
    assert "is there already" in capsys.readouterr().err
    assert (folder / "list_val_shuffle.txt").read_text() == "mine 0\n"


def test_the_largest_classes_alone(tmp_path: Path) -> None:
    folder = folder_of_classes(tmp_path / "own", {"ape": 4, "bee": 9, "cat": 6})
    assert main(["data", "import", str(folder), "--classes", "2"]) == 0
    train, val = lists(folder)
    assert (folder / "classes.txt").read_text() == "bee\ncat\n"
    assert {path.split("/")[0]: label for path, label in [*train.items(), *val.items()]} == {
        "bee": 0,
        "cat": 1,
    }
