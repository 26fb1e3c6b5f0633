"""What `make demo` claims: on its data and schedule every variant ends clearly above chance, bn far above."""

import json
from pathlib import Path

import pytest

from zoo.cli import main
from zoo.data.demo import make_demo

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "data"
    make_demo(folder)
    return folder


@pytest.mark.parametrize(
    ("variant", "at_least"),
    [("baseline", 0.10), ("dropout0.5", 0.10), ("dropout0.9", 0.10), ("bn", 0.30), ("fc", 0.075)],
)
def test_every_variant_of_the_demo_leaves_chance(
    variant: str, at_least: float, data: Path, tmp_path: Path
) -> None:
    options = ["--solver", "demo_solver", "--root", str(data), "--batch-size", "16", "--device", "cpu"]
    run = ["train", *options, "--variant", f"xavier+{variant}", "--output", str(tmp_path / "runs" / variant)]
    assert main(run) == 0
    assert (
        main(["bench", str(tmp_path / "runs"), "--batch-sizes", "1", "--json", str(tmp_path / "rows.json")])
        == 0
    )
    (row,) = json.loads((tmp_path / "rows.json").read_text())
    assert row["images"] == 1000
    assert row["top1_low"] > at_least, row["top1"]  # chance is 0.05; the lower end of the 95% interval counts
