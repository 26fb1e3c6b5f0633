"""zoo data import: lists of "path, fine, coarse" lines, as the Grocery Store Dataset's clone has them."""

from collections import Counter
from pathlib import Path

import pytest

from converters.data.images.lists import read_list
from zoo.cli import main

CSV = """\
Class Name (str),Class ID (int),Coarse Class Name (str),Coarse Class ID (int),Iconic Image Path (str),Product Description Path (str)
Royal-Gala,0,Apple,0,/a.jpg,/a.txt
Pink-Lady,1,Apple,0,/b.jpg,/b.txt
Plum,2,Plum,1,/c.jpg,/c.txt
Leek,3,Leek,2,/d.jpg,/d.txt
"""
COARSE = [0, 0, 1, 2]
COUNTS = {"train": [3, 2, 4, 1], "val": [1, 0, 1, 1], "test": [2, 2, 1, 1]}


def clone(folder: Path, inside: str = "dataset") -> Path:
    """A clone's lists without its photographs, which an import does not open."""
    place = folder / inside
    place.mkdir(parents=True)
    for name, counts in COUNTS.items():
        rows = [(fine, index) for fine, count in enumerate(counts) for index in range(count)]
        text = "".join(
            f"{name}/Fruit/kind {fine}/{fine}_{i:03}.jpg, {fine}, {COARSE[fine]}\n" for fine, i in rows
        )
        (place / f"{name}.txt").write_text(text)
    (place / "classes.csv").write_text(CSV)
    return folder


def imported(folder: Path) -> tuple[dict[str, int], dict[str, int], list[str]]:
    lists = [
        {entry.path: entry.label for entry in read_list(folder / f"list_{part}_shuffle.txt")}
        for part in ("train", "val")
    ]
    return lists[0], lists[1], (folder / "classes.txt").read_text().splitlines()


def test_the_authors_split_by_coarse_class(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = clone(tmp_path / "clone")
    assert main(["data", "import", str(folder)]) == 0
    assert "3 classes, 13 training and 6 validation images" in capsys.readouterr().err
    train, held, names = imported(folder)
    assert names == ["Apple", "Leek", "Plum"]  # by name, as class folders are
    assert Counter(train.values()) == {0: 6, 1: 2, 2: 5} and Counter(held.values()) == {0: 4, 1: 1, 2: 1}
    assert train["dataset/val/Fruit/kind 2/2_000.jpg"] == 2
    assert all(path.startswith(("dataset/train/", "dataset/val/")) for path in train)
    assert all(path.startswith("dataset/test/") for path in held)
    assert list(train) != sorted(train)


def test_fine_labels_and_the_largest_classes(tmp_path: Path) -> None:
    fine = clone(tmp_path / "fine", inside="")
    assert main(["data", "import", str(fine), "--labels", "fine"]) == 0
    train, _, names = imported(fine)
    assert names == ["Leek", "Pink-Lady", "Plum", "Royal-Gala"]
    assert train["train/Fruit/kind 0/0_000.jpg"] == 3
    largest = clone(tmp_path / "largest")
    assert main(["data", "import", str(largest), "--classes", "2"]) == 0
    train, held, names = imported(largest)
    assert names == ["Apple", "Plum"] and (len(train), len(held)) == (11, 5)
    assert set(train.values()) == set(held.values()) == {0, 1}


def test_lists_alone_name_the_classes_by_number(tmp_path: Path) -> None:
    folder = clone(tmp_path / "plain", inside="")
    (folder / "classes.csv").unlink()
    (folder / "test.txt").unlink()
    assert main(["data", "import", str(folder)]) == 0
    train, held, names = imported(folder)
    assert names == ["0", "1", "2"] and (len(train), len(held)) == (10, 3)


@pytest.mark.parametrize(
    ("options", "file", "text", "says"),
    [
        ([], "val.txt", "a.jpg, 1, 2\nb.jpg 1\n", 'val.txt:2: "b.jpg 1" is not "path, fine label, coarse label"'),
        ([], "classes.csv", "a,b\n1,2\n", 'classes.csv: has no columns "Coarse Class ID (int)" and'),
        (["--classes", "9"], None, "", "--classes 9: there are 3"),
        (["--val", "0.5"], None, "", "--val: the split is that of the lists in"),
    ],
)  # fmt: skip
def test_what_will_not_do_is_one_line(
    options: list[str], file: str | None, text: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    folder = clone(tmp_path / "clone")
    if file:
        (folder / "dataset" / file).write_text(text)
    assert main(["data", "import", str(folder), *options]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("zoo: ") and says in last
    assert not (folder / "classes.txt").exists()


def test_a_training_list_alone_is_not_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = clone(tmp_path / "clone", inside="")
    for name in ("val.txt", "test.txt"):
        (folder / name).unlink()
    assert main(["data", "import", str(folder)]) == 2
    assert "has train.txt, and neither test.txt nor val.txt" in capsys.readouterr().err
