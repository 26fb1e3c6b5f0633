"""Layers of the user's own: a file that --plugin names, and a package's entry point."""

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import onnxruntime
import pytest
from docs_pages import python_blocks, text_of

from zoo.cli import main

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "plugins.md"
NET = """name: "own"
layer { name: "d" type: "HDF5Data" top: "x" top: "t" hdf5_data_param { source: "list.txt" batch_size: 4 } }
layer { name: "fc" type: "InnerProduct" bottom: "x" top: "y"
        inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
layer { name: "own" type: "Square" bottom: "y" top: "z" }
layer { name: "loss" type: "EuclideanLoss" bottom: "z" bottom: "t" top: "loss" }
"""
SHAPES = ["--input-shape", "x=4,3", "--input-shape", "t=4,2"]
SOLVER = 'net: "net.prototxt" base_lr: 0.05 lr_policy: "fixed" max_iter: 20 display: 1 snapshot: 10 snapshot_prefix: "s" random_seed: 1'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A net with a layer of its user's own, its solver, and the page's example as square.py."""
    (tmp_path / "net.prototxt").write_text(NET)
    (tmp_path / "solver.prototxt").write_text(SOLVER)
    example = python_blocks(text_of(PAGE))[0]
    (tmp_path / "square.py").write_text(example)
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["x"] = np.random.default_rng(0).standard_normal((8, 3), np.float32)
        file["t"] = np.ones((8, 2), np.float32)
    (tmp_path / "list.txt").write_text(str(tmp_path / "data.h5"))
    return tmp_path


def zoo(folder: Path, *words: str, code: int = 0, path: str = "") -> str:
    """What the command says, on both streams."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), path)))}
    command = [sys.executable, "-m", "zoo", *words]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == code and "Traceback" not in said, said
    return said


def test_a_net_with_it_is_converted_checked_and_shown(folder: Path) -> None:
    convert = ["convert", "net.prototxt", *SHAPES, "--output", "out"]
    assert 'type "Square" is not supported' in zoo(folder, *convert, code=2)
    zoo(folder, *convert, "--plugin", "square.py", "--verify")
    (file,) = (folder / "out").glob("*.onnx")
    session = onnxruntime.InferenceSession(file)
    (z,) = session.run(None, {session.get_inputs()[0].name: np.ones((4, 3), np.float32)})
    assert z.shape == (4, 2) and (z >= 0).all()
    assert "1 ran" in zoo(folder, "check", "net.prototxt", *SHAPES, "--plugin", "square.py")
    assert "Square" in zoo(folder, "layers", "--plugin", "square.py")
    assert "Square" in zoo(folder, "show", "net.prototxt", "--plugin", "square.py", "--phase", "TRAIN")


def test_a_run_learns_with_it_and_asks_for_it_again(folder: Path) -> None:
    train = ["train", "--solver", "solver.prototxt", "--output", "run"]
    plugin = ["--plugin", "square.py"]
    zoo(folder, *train, *plugin, "--max-iter", "10")
    lines = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert losses[-1] < losses[0]
    record = json.loads((folder / "run" / "run.json").read_text())
    assert list(record["plugins"]) == ["square.py"]
    resume = [*train, "--resume", "--max-iter", "20"]
    assert "run: was begun with layers of square.py: give --plugin square.py again" in zoo(
        folder, *resume, code=2
    )
    (folder / "square.py").write_text((folder / "square.py").read_text() + "# another\n")
    assert "square.py has changed since the run was begun" in zoo(folder, *resume, *plugin)
    assert "give --plugin square.py again" in zoo(folder, "bench", "run", code=2)
    assert "own" in zoo(
        folder, "bench", "run", *plugin, "--batch-sizes", "1", "--runs", "3", "--against", "torch"
    )


def test_a_studys_runs_load_it(folder: Path) -> None:
    (folder / "own.toml").write_text(
        'title = "own"\nsolver = "solver.prototxt"\n[[runs]]\nvariants = ["baseline"]\n'
    )
    said = zoo(folder, "study", "own.toml", "--plugin", "square.py", "--output", "runs", "--max-iter", "5")
    assert len(list((folder / "runs").glob("*/run.json"))) == 1, said


def test_a_packages_entry_point_needs_no_option(folder: Path) -> None:
    about = folder / "lib" / "mine-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[caffe_zoo.layers]\nmine = mine_layers\n")
    (folder / "lib" / "mine_layers.py").write_text((folder / "square.py").read_text())
    lib = str(folder / "lib")
    assert "1 ran" in zoo(folder, "check", "net.prototxt", *SHAPES, path=lib)
    (folder / "lib" / "mine_layers.py").write_text("1 / 0")
    assert "the package mine gives layers of its own" in zoo(
        folder, "check", "net.prototxt", code=2, path=lib
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\n1 / 0\n", "bad.py:2: ZeroDivisionError: division by zero"),
        ("def f(:\n", "bad.py:1: SyntaxError"),
        ("import nobodys\n", "bad.py:1: ModuleNotFoundError: No module named 'nobodys'"),
        ("x = 1\n", "bad.py: no plugin: it registers no layer type (@layer)"),
        ("from converters.layers import layer\n\nlayer('ReLU')(print)\n", "bad.py:3: AssertionError: layer type ReLU is registered twice"),
        ("raise SystemExit(3)", "bad.py:1: SystemExit: 3"),
        (None, "bad.py: no plugin: No such file or directory"),
    ],
)  # fmt: skip
def test_a_bad_file_is_one_line(
    text: str | None, said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is not None:
        (folder / "bad.py").write_text(text)
    assert main(["show", str(folder / "net.prototxt"), "--plugin", str(folder / "bad.py")]) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1
