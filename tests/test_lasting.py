"""stdout that its reader has left, that is full, narrow or closed: neither files nor exit codes change."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from report_runs import stand_in, write_bench, write_run

from zoo.cli import main


@contextmanager
def left(encoding: str = "utf-8") -> Iterator[None]:
    """stdout is a pipe whose reader has gone."""
    reading, writing = os.pipe()
    os.close(reading)
    with pytest.MonkeyPatch.context() as patch, os.fdopen(writing, "w", encoding=encoding) as stream:
        patch.setattr(sys, "stdout", stream)
        yield


def class_folders(folder: Path) -> Path:
    for name in ("ape", "bee"):
        (folder / name).mkdir(parents=True)
        for number in range(3):
            (folder / name / f"{number}.jpg").write_text(f"{name} {number}")
    return folder


NET = """name: "r" layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 2 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 2 } }"""


def test_a_reader_that_has_left_costs_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "r.prototxt").write_text(NET)
    with left():
        assert main(["list"]) == 0
        assert main(["data", "import", str(class_folders(tmp_path / "own"))]) == 0
        assert main(["convert", str(tmp_path / "r.prototxt"), "--output", str(tmp_path / "r")]) == 0
        assert main(["show", str(tmp_path / "none.prototxt")]) == 2
    assert (tmp_path / "own" / "classes.txt").is_file() and (tmp_path / "r" / "r.onnx").is_file()
    assert "none.prototxt" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_narrow_stdout_gets_what_it_can_hold(
    encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch)
    write_run(tmp_path, "bn", name="宽-seed0")
    write_run(tmp_path, "baseline")
    write_bench(tmp_path)
    with (tmp_path / "out").open("w", encoding=encoding) as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert main(["report", str(tmp_path), "--lang", "zh"]) == 0
    assert (tmp_path / "report.zh.html").is_file()
    assert r"\u" in (tmp_path / "out").read_text(encoding=encoding)  # signs that it lacks, escaped


def test_a_closed_stdout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)  # as Python has it after `>&-`
    assert main(["list"]) == 0
    assert main(["data", "import", str(class_folders(tmp_path / "own"))]) == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has a device that is always full")
def test_a_full_disk_is_said_and_fails_what_only_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for command, code in ((["list"], 2), (["data", "import", str(class_folders(tmp_path / "own"))], 0)):
        with Path("/dev/full").open("w") as stream, monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", stream)
            assert main(command) == code
        assert "what was to be printed is lost" in capsys.readouterr().err


def test_rows_are_files_before_they_are_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever happens while the tables are drawn."""
    write_run(tmp_path)
    write_bench(tmp_path)
    rows = json.loads((tmp_path / "bench.json").read_text())
    (tmp_path / "bench.json").unlink()

    def broken(rows: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("zoo.bench.command.measure_models", lambda models, settings: rows)
    monkeypatch.setattr("zoo.bench.command.print_tables", broken)
    files = ["--json", str(tmp_path / "a.json"), "--csv", str(tmp_path / "a.csv"), "--plot", str(tmp_path)]
    assert main(["bench", str(tmp_path), *files]) == 0
    assert json.loads((tmp_path / "bench.json").read_text()) == rows
    assert all((tmp_path / name).is_file() for name in ("a.json", "a.csv", "latency.svg", "accuracy.svg"))
