"""A run by the rules of a dialect: its folder says which, and what goes on from it follows the same."""

import json
from pathlib import Path

import pytest
from tiny import write_run
from train_runs import train

from zoo.bench.models import find_runs, run_graph
from zoo.cli import main

BN = 'layer { name: "bn1" type: "BN" bottom: "conv1" top: "conv1" bn_param { slope_filler { value: 1 } } }\n'


@pytest.fixture
def solver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The solver of a net with a BN of several possible rules, in the current folder."""
    monkeypatch.chdir(tmp_path)
    path = write_run(Path(), max_iter=2)
    net = Path("tiny.prototxt")
    net.write_text(net.read_text().replace('layer { name: "relu1"', f'{BN}layer {{ name: "relu1"'))
    return path


def test_a_run_keeps_the_dialect_asked_for(solver: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(solver, "--dialect", "happynear", "--output", "run") == 0
    record = json.loads(Path("run/run.json").read_text())
    assert record["dialects"] == {"BN": "happynear"} and record["options"]["dialect"] == "happynear"
    assert "\n  # dialect: happynear\n" in Path("run/net.prototxt").read_text()
    assert main(["train", "--output", "run", "--resume", "--max-iter", "4", "--device", "cpu"]) == 0
    assert json.loads(Path("run/run.json").read_text())["dialects"] == {"BN": "happynear"}
    (model,) = find_runs(Path("run"))[0]
    assert model.folder is not None
    graph = run_graph(model.folder, "TEST")
    assert graph is not None and "happynear" in [node.layer.dialect for node in graph.nodes]
    assert main(["convert", "run/net.prototxt", "--weights", "run/weights.safetensors", "--output", "o"]) == 0
    assert "may be that of" not in capsys.readouterr().err


def test_a_run_by_default_says_so_once_and_is_no_run_of_another(
    solver: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(solver, "--output", "run") == 0
    assert capsys.readouterr().err.count("BN may be that of") == 1
    assert main(["train", "--output", "run", "--resume", "--dialect", "happynear", "--device", "cpu"]) == 2
    assert "was begun with --dialect None, not happynear" in capsys.readouterr().err
    assert train(solver, "--dialect", "hapynear", "--output", "other") == 2
    assert 'no layer has the dialect "hapynear"; did you mean "happynear"?' in capsys.readouterr().err
