"""zoo bench and report beside runs that are broken, and folders of other programs: they go on, and say so."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from report_runs import measured, stand_in, write_bench
from report_runs import write_run as made_up
from tiny import write_run
from train_runs import train

from eval.robustness import CONDITIONS, Condition
from prototxt.errors import InputError
from zoo.bench.models import Model
from zoo.cli import main
from zoo.report.measure.measured import Measured
from zoo.report.read import gather


def spoil(path: Path) -> None:
    """Put NaN into a model's first weights."""
    model = onnx.load(path)
    first = model.graph.initializer[0]
    values = np.full(tuple(first.dims), np.nan, np.float32)
    first.CopyFrom(onnx.numpy_helper.from_array(values, first.name))
    onnx.save(model, path)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A good run, one whose scores are not finite, one without weights, and two foreign run.json."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    runs = tmp_path / "runs"
    solver = write_run(tmp_path, max_iter=1)
    assert train(solver, "--output", str(runs / "good")) == 0
    for name in ("bare", "nan", "foreign", "list"):
        shutil.copytree(runs / "good", runs / name)
    spoil(runs / "nan" / "model.onnx")
    (runs / "bare" / "weights.safetensors").unlink()
    (runs / "foreign" / "run.json").write_text('{"finished": true, "program": "another"}')
    (runs / "list" / "run.json").write_text("[1]")
    return runs


def test_a_bad_run_does_not_stop_the_bench(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--runs", "1", "--batch-sizes", "1", "--precisions", "fp32", "int8"]
    assert main(["bench", str(folder), *options]) == 0
    out, err = capsys.readouterr()
    rows = json.loads((folder / "bench.json").read_text())
    found = {(Path(row["run"]).name, row["precision"]): row for row in rows}
    assert found.keys() == {("good", "fp32"), ("good", "int8"), ("nan", "fp32")}
    assert found["good", "fp32"]["failed"] is None and found["good", "fp32"]["top1"] is not None
    bad = found["nan", "fp32"]
    assert bad["top1"] is None and "not finite" in bad["failed"] and "not finite" in out
    for name, why in (
        ("nan", "not finite"),
        ("bare", "weights.safetensors"),
        ("foreign", "is no record of a run"),
        ("list", "is no record of a run"),
    ):
        assert any(str(folder / name) in line and why in line for line in err.splitlines()), name


def test_a_report_leaves_out_what_cannot_be_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(monkeypatch)

    def one_fails(model: Model, conditions: Sequence[Condition] = CONDITIONS) -> Measured:
        if model.record and model.record["seed"] == 1:
            raise InputError("the model's scores are not finite")
        return measured(model, conditions)

    monkeypatch.setattr(gather, "measure_run", one_fails)
    for seed in (0, 1):
        made_up(tmp_path, seed=seed)
    write_bench(tmp_path)
    assert main(["report", str(tmp_path)]) == 0
    line = "baseline-seed1: cannot be measured, left out: the model’s scores are not finite".replace("’", "'")
    assert line in (tmp_path / "report.md").read_text(encoding="utf-8").replace("’", "'")
    monkeypatch.setattr(
        gather, "measure_run", lambda model, _: one_fails(Model("x", Path(), model.net, record={"seed": 1}))
    )
    assert main(["report", str(tmp_path)]) == 2
    assert "not finite" in capsys.readouterr().err.splitlines()[-1]
