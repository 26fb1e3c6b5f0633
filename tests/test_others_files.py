"""What reports, benchmarks, studies and data imports would write over: their own files, nobody else's."""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from report_runs import stand_in, write_bench, write_run

from converters.host import files
from zoo.cli import main


@contextmanager
def kept(*paths: Path) -> Iterator[None]:
    """In the block these files stay to the byte."""
    before = [path.read_bytes() for path in paths]
    yield
    assert [path.read_bytes() for path in paths] == before


def test_a_report_goes_over_reports_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(monkeypatch)
    write_run(tmp_path / "runs", "bn")
    write_run(tmp_path / "runs", "baseline")
    write_bench(tmp_path / "runs")
    command = ["report", str(tmp_path / "runs"), "--output", str(tmp_path / "README.html")]
    readme = tmp_path / "README.md"
    readme.write_text("# Mine\n\nMade by zoo report from 3 finished runs, it says.\n")
    with kept(readme):
        assert main(command) == 2
    assert "README.md: is no report's of ours" in capsys.readouterr().err
    assert not (tmp_path / "README.html").exists()
    readme.unlink()
    assert main([*command, "--lang", "zh"]) == 0
    assert main(command) == 0
    figure = next((tmp_path / "README-figures").glob("*.svg"))
    figure.write_text("drawn over")
    with kept(figure, readme, tmp_path / "README.html"):
        assert main([*command, "--lang", "zh"]) == 2
    assert f"{figure}: is no report's of ours" in capsys.readouterr().err


def test_a_benchmark_goes_over_benchmarks_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path)
    write_bench(tmp_path)
    rows = json.loads((tmp_path / "bench.json").read_text())
    monkeypatch.setattr("zoo.bench.command.measure_models", lambda models, settings: rows)
    monkeypatch.setattr("zoo.bench.command.print_tables", lambda rows: None)
    places = {"--json": "a.json", "--csv": "a.csv", "--plot": "a.png"}
    given = [word for option, name in places.items() for word in (option, str(tmp_path / name))]
    command = ["bench", str(tmp_path), *given]
    assert [main(command), main(command)] == [0, 0]
    monkeypatch.setattr("zoo.bench.command.measure_models", lambda models, settings: pytest.fail("measured"))
    for name in ("bench.json", "a.json", "a.csv", "a.png", "a-accuracy.png"):
        path = tmp_path / name
        own = path.read_bytes()
        path.write_text('[{"batch": 1}, 2]')
        with kept(path):
            assert main(command) == 2
        assert f"{path}: is no benchmark's of ours" in capsys.readouterr().err
        path.write_bytes(own)


def test_a_study_leaves_another_programs_record(
    solver: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("tiny.toml").write_text('title = "t"\nsolver = "data/solver.prototxt"\n[[runs]]\n')
    record = Path("study.json")
    record.write_text('{"runs": 3}')
    with kept(record):
        assert main(["study", "tiny.toml", "--output", "."]) == 2
    assert "study.json: is no study's of ours" in capsys.readouterr().err
    assert not Path("baseline-seed0").exists()


def test_lists_come_to_be_together_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("ape", "bee"):
        (tmp_path / "P" / name).mkdir(parents=True)
        for number in range(2):
            picture = np.full((4, 4, 3), 20 * number + len(list(tmp_path.rglob("*"))), np.uint8)
            cv2.imwrite(str(tmp_path / "P" / name / f"{number}.png"), picture)

    def refuse(beside: Path, path: Path) -> None:
        if path.name == "classes.txt":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        publish(beside, path)

    publish = files._publish
    with monkeypatch.context() as patch:
        patch.setattr(files, "_publish", refuse)
        assert main(["data", "import", str(tmp_path / "P")]) == 2
    assert "classes.txt: No space left" in capsys.readouterr().err
    assert sorted(path.name for path in (tmp_path / "P").iterdir()) == ["ape", "bee"]
    assert main(["data", "import", str(tmp_path / "P")]) == 0
