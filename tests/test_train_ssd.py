"""An SSD of the corpus trains from a data base of images with boxes."""

import re
from pathlib import Path

import numpy as np
import pytest
from annotated import record, write_lmdb
from train_runs import train

from converters.solver.file import load_solver
from zoo.runs.run_folder import read_metrics

CORPUS = Path(__file__).parents[2] / "shared" / "corpus"
NET = CORPUS / "chuanqi305__MobileNet-SSD" / "train.prototxt"
SOLVER = """net: "net.prototxt" base_lr: 0.01 lr_policy: "fixed" momentum: 0.9 weight_decay: 0.00005 max_iter: 20
  display: 1 snapshot: 10 snapshot_prefix: "s" random_seed: 1 solver_mode: CPU
"""
SIDE = 120

pytestmark = pytest.mark.skipif(not NET.is_file(), reason="the corpus is not here")


def small(text: str) -> str:
    """The net for images of 120×120 in place of 300×300, four at a time, with anchors in proportion."""
    text = re.sub(r"((?:height|width): )300", rf"\g<1>{SIDE}", text)
    text = re.sub(r"(m(?:in|ax)_size: )([\d.]+)", lambda m: f"{m[1]}{float(m[2]) * SIDE / 300}", text)
    return re.sub(r'source: "[^"]*"', 'source: "db"', text.replace("batch_size: 24", "batch_size: 4"))


@pytest.fixture
def bright_boxes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current folder, with a data base of 8 pictures with a bright box of class 1 each, net and solver."""
    monkeypatch.chdir(tmp_path)
    rng, records = np.random.default_rng(0), []
    for _ in range(8):
        image = rng.integers(0, 90, (100, 140, 3), np.uint8)
        (row, height), (column, width) = ((rng.integers(0, side // 2), side // 2 - 5) for side in (100, 140))
        image[row : row + height, column : column + width] += 160
        edges = (column / 140, row / 100, (column + width) / 140, (row + height) / 100)
        records.append(record(image, [(1, *edges)]))
    write_lmdb(tmp_path / "db", records)
    (tmp_path / "net.prototxt").write_text(small(NET.read_text()))
    (tmp_path / "solver.prototxt").write_text(SOLVER)


@pytest.mark.usefixtures("bright_boxes")
def test_a_mobilenet_ssd_learns_as_in_caffe() -> None:
    log: list[str] = []
    load_solver("solver.prototxt", log.append).solve()
    losses = [float(m[1]) for line in log if (m := re.search(r"Iteration \d+.*, loss = ([\d.]+)", line))]
    assert len(losses) >= 20 and np.isfinite(losses).all()
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:3])


@pytest.mark.usefixtures("bright_boxes")
def test_zoo_trains_it_and_goes_on() -> None:
    assert train(Path("solver.prototxt"), "--output", "run", "--max-iter", "10") == 0
    assert train(Path("solver.prototxt"), "--output", "run", "--resume", "--max-iter", "20") == 0
    losses = [row["loss"] for row in read_metrics(Path("run/metrics.jsonl")) if "loss" in row]
    assert len(losses) >= 20 and np.mean(losses[-5:]) < 0.6 * np.mean(losses[:3])
