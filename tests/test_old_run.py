"""Run folders of version 0.1.0 and of a later commit, stopped half-way: later versions go on with them."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from train_runs import lines, same, weights

from zoo.cli import main

OLD = Path(__file__).parent / "data" / "old_run"


@pytest.fixture
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None) -> Path:
    """The folder in which the run was begun, as if it were this one."""
    shutil.copytree(OLD, tmp_path, dirs_exist_ok=True)
    for record in tmp_path.glob("*run/run.json"):
        record.write_text(record.read_text().replace("/FOLDER", str(tmp_path)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def computes_as_then(run: str = "run", *options: str) -> bool:
    """Whether this machine gives the first seven iterations the bits that the old run had."""
    solver = ["--solver", "data/solver.prototxt", "--device", "cpu", "--max-iter", "7", "--output", "again"]
    assert main(["train", *solver, *options]) == 0
    snapshot = "models/tiny__iter_7.safetensors"
    return same(load_file(f"again/{snapshot}"), load_file(f"{run}/{snapshot}"))


def assert_goes_on(run: str, end: str, is_same_machine: bool) -> None:
    """Resume the run, and compare it with the same one that was not stopped."""
    assert main(["train", "--resume", "--output", run, "--device", "cpu"]) == 0
    if is_same_machine:
        assert same(weights(run), weights(end))
        assert lines(run) == lines(end)
    else:  # another processor adds in another order, and 12 iterations spread that
        torch.testing.assert_close(weights(run), weights(end), rtol=1e-4, atol=1e-5)


def test_a_run_of_two_engines_goes_on(begun: Path, without_export: None) -> None:
    options = json.loads(Path("bn_run/run.json").read_text())["options"]
    is_same_machine = computes_as_then("bn_run", "--variant", options["variant"], "--set", options["set"])
    assert_goes_on("bn_run", "bn_end", is_same_machine)


def test_it_resumes_benches_and_reports(begun: Path, capsys: pytest.CaptureFixture[str]) -> None:
    is_same_machine = computes_as_then()
    capsys.readouterr()
    assert_goes_on("run", "end", is_same_machine)
    assert capsys.readouterr().err.count("knew its data by some pictures alone") == 1
    assert main(["bench", "run", "--runs", "2", "--batch-sizes", "1"]) == 0
    assert "tiny-baseline" in capsys.readouterr().out
    assert main(["report", "run"]) == 0
    assert (begun / "run" / "report.html").is_file()
