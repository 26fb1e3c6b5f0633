"""Paths that are not there or are of another kind, and texts that mean nothing: one line, exit code 2."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from converters.host import machine
from zoo.cli import main
from zoo.runs.run_folder import read_record
from zoo.train.images.dataset import memory_note


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a file, an empty file, a folder, binary bytes and a record that is none."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("hello world\n")
    (tmp_path / "empty").touch()
    (tmp_path / "binary").write_bytes(b"\n\x04name\xa2\x06\x00")
    (tmp_path / "cut").write_bytes(b"\n\x04na")
    (tmp_path / "folder").mkdir()
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "run.json").write_text("[1]")
    (tmp_path / "net.prototxt").write_text(
        'layer { name: "d" type: "Input" top: "d" input_param { shape { dim: 1 dim: 2 } } }'
        'layer { name: "i" type: "InnerProduct" bottom: "d" top: "i" inner_product_param { num_output: 1 } }'
    )
    cv2.imwrite("a.png", np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "list.txt").write_text("a.png 0\n")
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    assert main(command) == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("command", ["report", "data import"])
@pytest.mark.parametrize(
    ("path", "says"), [("nope", "no such folder"), ("file", "is a file, and not a folder")]
)
def test_folders(command: str, path: str, says: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, *command.split(), path) == f"zoo: {path}: {says}"


@pytest.mark.parametrize("command", ["train --root", "study article --data", "data lmdb list.txt --root"])
@pytest.mark.parametrize(
    ("path", "says"), [("nope", "no such folder"), ("file", "is a file, and not a folder")]
)
def test_folders_of_options(
    command: str, path: str, says: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    option = command.rsplit(maxsplit=1)[-1]
    assert refused(capsys, *command.split(), path) == f"zoo: {option} {path}: {says}"


@pytest.mark.parametrize("command", ["convert", "show", "upgrade", "train --solver", "train --net"])
@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("nope", "no"),
        ("folder", "is a folder"),
        ("empty", "is empty"),
        ("binary", "is binary"),
        ("file", 'no field "hello"'),
    ],
)
def test_prototxts(
    command: str, path: str, says: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, *command.split(), path)
    assert path in said and says in said


@pytest.mark.parametrize("path", ["nope", "folder", "empty", "file", "cut"])
def test_weights(path: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "convert", "net.prototxt", "--weights", path, "--output", "out").startswith(
        f"zoo: {path}: "
    )


@pytest.mark.parametrize("path", ["nope", "folder", "file", "binary"])
def test_studies_and_lists(path: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "study", path).startswith(f"zoo: {path}: ")
    assert refused(capsys, "data", "lmdb", path).startswith(f"zoo: {path}:")


@pytest.mark.parametrize(
    "command",
    ["bench strange", "report strange", "train --resume --output strange", "train --output strange"],
)
def test_a_record_that_is_none(command: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "strange/run.json: is no record of a run" in refused(capsys, *command.split())


def test_an_output_that_is_a_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "convert", "net.prototxt", "--output", "file") == "zoo: file: File exists"
    assert refused(capsys, "data", "lmdb", "list.txt", "--output", "file").startswith(
        "zoo: file: is there already"
    )


def test_sizes_that_no_memory_holds(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(capsys, "data", "lmdb", "list.txt", "--resize", "99999999x99999999")
    assert said.startswith("zoo: list.txt:1: image a.png cannot be resized to 99999999×99999999")


@pytest.mark.parametrize(
    "command",
    [
        "train --batch-size 99999999999",
        "train --classes 3000000000",
        "train --size " + "9" * 5000,
        "train --seed " + "9" * 30,
        "bench --threads 0",
        "data lmdb l --resize 7",
        "convert n --input-shape 7",
    ],
)
def test_numbers_out_of_range_are_usage_errors(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(command.split())
    assert "error: argument" in capsys.readouterr().err


@pytest.mark.parametrize(
    "variant", ["nonsense", "", "+", "width" + "9" * 5000, "stride99999999999-1-1-1-1", "dropout1.5"]
)
def test_variants(variant: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "variant" in refused(capsys, "show", "allconv6", "--variant", variant)


def test_images_resized_beyond_what_a_prototxt_holds(
    solver: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, "train", "--solver", str(solver), "--size", "2147483647")
    assert 'tiny.prototxt:3: layer "data": --size 2147483647' in said


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    from importlib.metadata import version

    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"zoo {version('caffe-zoo')}\n"


def test_the_version_needs_nothing_heavy() -> None:
    code = (
        "import sys; from zoo.cli import main\ntry: main(['--version'])\nexcept SystemExit: pass\n"
        "assert not {'torch', 'numpy', 'google.protobuf'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ, capture_output=True)


def test_cores_are_those_that_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "process_cpu_count", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 5, 7}, raising=False)
    assert machine.cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert machine.cores() == 1
    monkeypatch.setattr(os, "process_cpu_count", lambda: 2, raising=False)
    assert machine.cores() == 2


def test_only_one_place_counts_cores() -> None:
    root = Path(machine.__file__).parents[2]
    files = [
        path for name in ("prototxt", "converters", "eval", "zoo") for path in (root / name).rglob("*.py")
    ]
    found = [path.name for path in files if "cpu_count" in path.read_text(encoding="utf-8")]
    assert found == ["machine.py"]


def test_without_a_count_of_free_memory_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> int:
        raise ValueError(f"unrecognized configuration name {name}")

    monkeypatch.setattr(os, "sysconf", unknown)
    assert machine.free_memory() is None and machine.physical_memory() is None
    assert memory_note(type("Images", (), {"pixels": np.zeros(3)})()) is None  # type: ignore[arg-type]


def test_a_record_of_an_unknown_option(solver: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("run").mkdir()
    record = '{"name": "a", "options": {"colour": 1}, "data": {}, "iteration": 0}'
    Path("run/run.json").write_text(record)
    assert read_record(Path("run"))
    said = refused(capsys, "train", "--solver", str(solver), "--resume", "--output", "run")
    assert said == "zoo: run: was begun with options that are not known here: colour"
