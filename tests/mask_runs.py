"""A small set of drawn masks and a run on it: what the tests of label maps share."""

import json
from pathlib import Path
from typing import Any

from train_runs import train

from zoo.cli import main
from zoo.data.masks import make_masks

BENCH = ["--batch-sizes", "1", "--runs", "1"]


def write_mask_run() -> None:
    """In the current folder data, nine pairs to train on and six to be judged by, and in runs/masks a run of
    three iterations of the shipped net.
    """
    make_masks(Path("data").absolute(), train=9, val=6)
    short = ("--max-iter", "3", "--batch-size", "3", "--set", "test_iter: 2 base_lr: 0.01")
    assert train(Path("masknet_solver"), "--root", "data", *short, "--output", "runs/masks") == 0


def rows(*options: str) -> list[dict[str, Any]]:
    """What zoo bench measures of the runs, on one list."""
    Path("runs/bench.json").unlink(missing_ok=True)  # rows on other lists would stay
    assert main(["bench", "runs", *BENCH, *options]) == 0
    found: list[dict[str, Any]] = json.loads(Path("runs/bench.json").read_text())
    return found
