"""What `make demo` claims: on its data and schedule every variant ends clearly above chance, most far above."""

import json
from pathlib import Path

import pytest

from zoo.cli import main
from zoo.data.demo import make_demo

# What the lower end of each variant's 95% interval is above; chance is 0.05.
AT_LEAST = {"baseline": 0.30, "dropout0.5": 0.20, "dropout0.9": 0.10, "bn": 0.30, "fc": 0.10, "bn+fc": 0.10}


@pytest.mark.slow
def test_every_variant_of_the_demo_leaves_chance(tmp_path: Path) -> None:
    data, runs, rows = tmp_path / "data", tmp_path / "runs", tmp_path / "rows.json"
    make_demo(data)
    assert main(["study", "demo", "--data", str(data), "--output", str(runs), "--device", "cpu"]) == 0
    assert main(["bench", str(runs), "--batch-sizes", "1", "--json", str(rows)]) == 0
    found = {row["variant"]: row for row in json.loads(rows.read_text())}
    assert found.keys() == {f"xavier+{variant}" for variant in AT_LEAST}
    for variant, least in AT_LEAST.items():
        row = found[f"xavier+{variant}"]
        assert row["images"] == 1000
        assert row["top1_low"] > least, (variant, row["top1"])
