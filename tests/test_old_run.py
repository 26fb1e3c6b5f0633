"""A run folder of version 0.1.0, stopped half-way: later versions go on with it."""

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
    record = tmp_path / "run" / "run.json"
    record.write_text(record.read_text().replace("/FOLDER", str(tmp_path)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def computes_as_then() -> bool:
    """Whether this machine gives the first seven iterations the bits that the old run had."""
    solver = ["--solver", "data/solver.prototxt", "--device", "cpu", "--max-iter", "7", "--output", "again"]
    assert main(["train", *solver]) == 0
    snapshot = "models/tiny__iter_7.safetensors"
    return same(load_file(f"again/{snapshot}"), load_file(f"run/{snapshot}"))


def test_it_resumes_benches_and_reports(begun: Path, capsys: pytest.CaptureFixture[str]) -> None:
    is_same_machine = computes_as_then()
    assert main(["train", "--resume", "--output", "run", "--device", "cpu"]) == 0
    assert capsys.readouterr().err.count("knew its data by some pictures alone") == 1
    ours, then = weights("run"), weights("end")
    if is_same_machine:
        assert same(ours, then)
        assert lines("run") == lines("end")
    else:  # another processor adds in another order, and 12 iterations spread that
        torch.testing.assert_close(ours, then, rtol=1e-4, atol=1e-5)
    assert main(["bench", "run", "--runs", "2", "--batch-sizes", "1"]) == 0
    assert "tiny-baseline" in capsys.readouterr().out
    assert main(["report", "run"]) == 0
    assert (begun / "run" / "report.html").is_file()
