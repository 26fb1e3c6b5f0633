"""What the tests of zoo train share: a tiny run, its results, and processes that train."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from converters.graph import Graph
from converters.solver.feed import SourceFeed
from zoo.cli import main
from zoo.runs.run_folder import read_metrics

ROOT = Path(__file__).parents[1]


class Memory:
    """MemoryData with a recording's arrays."""

    def __init__(self, layer: Any, data: dict[str, Any]) -> None:
        self.size = layer.memory_data_param.batch_size
        self.tops = dict(
            zip(layer.top, (torch.from_numpy(data["X"]), torch.from_numpy(data["y"])), strict=True)
        )
        self.shapes = {top: (self.size, *rows.shape[1:]) for top, rows in self.tops.items()}

    def batch(self, index: int) -> dict[str, torch.Tensor]:
        serial = torch.arange(index * self.size, (index + 1) * self.size)
        return {top: rows[serial % len(rows)] for top, rows in self.tops.items()}


def memory_feed(data: dict[str, Any]) -> Callable[..., SourceFeed]:
    """What stands for open_feed: a recording's arrays for every data layer."""

    def opened(graph: Graph, *_: object, **options: object) -> SourceFeed:
        return SourceFeed([Memory(node.layer, data) for node in graph.nodes if node.is_data])

    return opened


def train(solver: Path, *options: str) -> int:
    return main(["train", "--solver", str(solver), "--device", "cpu", *options])


def weights(folder: str | Path) -> dict[str, torch.Tensor]:
    return load_file(Path(folder) / "weights.safetensors")


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def lines(folder: str | Path) -> list[dict[str, Any]]:
    """metrics.jsonl without the rate, which is the clock's."""
    return [
        {k: v for k, v in line.items() if k != "images_per_second"}
        for line in read_metrics(Path(folder) / "metrics.jsonl")
    ]


def start(command: list[str]) -> subprocess.Popen[bytes]:
    """A Python process of one thread, which other processes slow down least; what it says goes to log.txt in
    the current folder.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with Path("log.txt").open("ab") as log:
        return subprocess.Popen([sys.executable, *command], env=environment, stdout=log, stderr=log)


def wait_for(is_there: Callable[[], bool], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not is_there():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def logged(folder: str | Path) -> int:
    """Lines of metrics so far."""
    path = Path(folder) / "metrics.jsonl"
    return len(read_metrics(path)) if path.is_file() else 0


def edit(path: Path, *pairs: tuple[str, str]) -> None:
    text = path.read_text()
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    path.write_text(text)
