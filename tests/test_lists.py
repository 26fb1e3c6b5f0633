"""What lists say that a net cannot be trained on, or only in part: one line each."""

import errno
import os
import re
from pathlib import Path

import pytest
from tiny import write_run

from converters.host.files import whole, write_text
from prototxt.errors import InputError
from zoo.runs.run_folder import RunFolder
from zoo.train.images.names import class_names
from zoo.train.planning.options import Options
from zoo.train.planning.plan import Plan, make_plan


def plan(folder: Path, train: str, val: str, classes: int | None = None) -> Plan:
    solver = write_run(folder)
    (folder / "train.txt").write_text(train)
    (folder / "val.txt").write_text(val)
    return make_plan(Options(solver=str(solver), classes=classes))


def test_validation_labels_that_are_never_trained_are_told(tmp_path: Path) -> None:
    found = plan(tmp_path, "a 0\nb 1\n", "a 0\nb 2\nc 4\nd 2\n")
    line = f"{tmp_path / 'val.txt'}:2: 3 images with labels never trained: 2, 4"
    assert line in found.notices and found.classes == 5
    assert not [note for note in plan(tmp_path, "a 0\nb 1\n", "b 1\n").notices if "never trained" in note]


def test_a_label_that_is_a_date_makes_no_classifier(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train\.txt:2: label 20231105 calls for 20,231,106 outputs"):
        plan(tmp_path, "a 0\nb 20231105\n", "a 0\n")
    assert plan(tmp_path, "a 0\nb 999\n", "a 0\n").classes == 1000  # two images of ImageNet's
    assert plan(tmp_path, "a 0\nb 20231105\n", "a 0\n", classes=2).classes == 2  # refused with its line later


def test_a_path_of_another_machine_is_told_where_it_is_here(tmp_path: Path) -> None:
    """By as many of its last parts as a place has: here lists/train.txt, and not train.txt."""
    solver = write_run(tmp_path)
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/train.txt").write_text("a 0\n")
    net, there = tmp_path / "tiny.prototxt", "/home/author/series/lists/"
    text = net.read_text()
    net.write_text(text.replace('"train.txt"', f'"{there}train.txt"'))
    found = f'"lists/train.txt" is in {tmp_path.resolve()}: write the path so'
    with pytest.raises(InputError, match=re.escape(f'list "{there}train.txt" is not there; {found}')):
        make_plan(Options(solver=str(solver)))
    net.write_text(text.replace('"train.txt"', f'"{there}none.txt"'))
    with pytest.raises(InputError, match=r"none\.txt\" is not there$"):
        make_plan(Options(solver=str(solver)))


def test_a_metric_of_more_classes_than_there_are_is_capped_and_told(tmp_path: Path) -> None:
    """The net's Accuracy of top_k 5, at which Caffe aborts where there are two classes."""
    found = plan(tmp_path, "a 0\nb 1\n", "b 1\n")
    lines = [line for line in found.notices if "top_k" in line]
    assert lines == ['layer "accuracy_at_5" has top_k 2 instead of 5: there are 2 classes']
    ks = [each.accuracy_param.top_k for each in found.nets["TEST"].message.layer if each.type == "Accuracy"]
    assert ks == [1, 2]


def test_a_tab_is_called_a_tab(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match=r'train\.txt:2: "b\.png\\t1" is not "path label".* is a tab'):
        plan(tmp_path, "a.png 0\nb.png\t1\n", "a.png 0\n")
    assert capsys.readouterr().err == ""  # of what is refused nothing is read as atoi reads it


@pytest.mark.parametrize(("names", "said"), [("a\nb\n", 2), ("a\nb\nc\nd\n", 4)])
def test_names_that_are_not_as_many_as_the_classes_are_told(
    names: str, said: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "classes.txt").write_text(names)
    assert class_names(tmp_path / "train.txt", 3) == []
    err = capsys.readouterr().err
    assert err == f"{tmp_path / 'classes.txt'}: {said} names for 3 classes, so that none is taken\n"
    (tmp_path / "classes.txt").write_bytes(b"caf\xe9\n\nb\nc\n")
    assert class_names(tmp_path / "train.txt", 3) == ["caf�", "b", "c"]


def test_a_full_disk_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(OSError, match=r"No space left on device: '.*/a\.txt'"), whole(tmp_path / "a.txt"):
        raise full

    def no_space(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("zoo.runs.run_folder.json.dumps", no_space)  # as the write that follows it would
    with pytest.raises(OSError, match=r"metrics\.jsonl"):
        RunFolder(tmp_path, "").append({})
    monkeypatch.undo()
    monkeypatch.setattr("os.fsync", no_space)
    with pytest.raises(OSError, match=r"'.*/b\.txt'"):
        write_text(tmp_path / "b.txt", "b")
    assert not list(tmp_path.glob(".*"))
