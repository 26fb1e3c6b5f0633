"""zoo bench: rows, pairs, files, and figures that can be checked by hand."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import write_run

from eval.accuracy import accuracy, wilson
from eval.choices import ROUNDS
from eval.runtime import input_shapes
from prototxt.errors import InputError
from zoo.bench.command import trained
from zoo.bench.files import measure_accuracy
from zoo.bench.pairs import find_pairs
from zoo.cli import main


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four runs: GAP and FC of one seed, each with bn too, and an FC of another seed."""
    folder = tmp_path_factory.mktemp("bench")
    solver = write_run(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_CACHE", str(folder / "cache"))
        for variant, seed in (
            ("baseline", 0),
            ("fc", 0),
            ("bn", 0),
            ("bn+fc", 0),
            ("dropout0.9+fc", 0),
            ("fc", 1),
        ):
            output = folder / "runs" / f"{variant}-{seed}"
            options = [
                "--solver",
                str(solver),
                "--variant",
                variant,
                "--seed",
                str(seed),
                "--output",
                str(output),
            ]
            assert main(["train", *options, "--device", "cpu"]) == 0
    return folder / "runs"


def test_the_tables_and_files(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = ["--csv", str(tmp_path / "a.csv"), "--json", str(tmp_path / "a.json")]
    plots = ["--plot", str(tmp_path / "plots")]
    assert (
        main(["bench", str(runs), "--runs", "2", "--batch-sizes", "1", "3", "--threads", "1", *files, *plots])
        == 0
    )
    out = capsys.readouterr().out
    assert (
        "FC against GAP" in out and "tiny-fc, seed 0 / tiny-baseline" in out and "tiny-bn+fc / tiny-bn" in out
    )
    assert "no partner that differs in the head alone: " + str(runs / "dropout0.9+fc-0") in out
    assert "too few rounds" in out and "cannot be told apart on this machine" in out
    assert "…" not in out and "MACs: multiply-accumulates" in out
    assert "runs of one net (×n) share its latency" in out and "tiny-fc ×2" in out
    rows = json.loads((runs / "bench.json").read_text())
    assert rows == json.loads((tmp_path / "a.json").read_text())
    assert [(row["name"], row["batch"]) for row in rows[:3]] == [
        ("tiny-baseline", 1),
        ("tiny-baseline", 3),
        ("tiny-bn+fc", 1),
    ]
    for name in ("latency", "accuracy"):
        assert "<svg" in (tmp_path / "plots" / f"{name}.svg").read_text()
    table = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert [row["name"] for row in table] == [row["name"] for row in rows]
    check_rows(runs, rows)


def check_rows(runs: Path, rows: list[dict[str, object]]) -> None:
    held = {(row["run"].rsplit("/", 1)[1], row["batch"]): row for row in rows}
    assert len(held) == len(rows) == 12
    gap, fc = held["baseline-0", 1], held["fc-0", 1]
    assert gap["parameters"] == 8 * 27 + 8 + 3 * 8 + 3 and fc["parameters"] == 8 * 27 + 8 + 3 * 8 * 144 + 3
    assert gap["macs"] == 12 * 12 * 8 * 27 + 24 and gap["macs_unknown"] == []
    assert gap["images"] == 6 and 0 <= gap["top1"] <= 1 and gap["top5"] is None
    assert gap["onnx_bytes"] == gap["model_bytes"] == (runs / "baseline-0" / "model.onnx").stat().st_size
    assert (fc["gap"], fc["gap_run"], gap["gap"]) == ("tiny-baseline", str(runs / "baseline-0"), None)
    assert fc["to_gap"] > 0 and fc["to_gap_low"] is None and fc["to_gap_told_apart"] is False
    shared = [held["fc-0", 3], held["fc-1", 3]]
    assert shared[0]["latency_p50_ms"] == shared[1]["latency_p50_ms"]
    assert {row["latency_of"] for row in shared} == {str(runs / "fc-0")} and shared[1]["seed"] == 1
    for row in rows:
        assert 0 < row["latency_p50_ms"] <= row["latency_p90_ms"] <= row["latency_p99_ms"]
        assert row["images_per_second"] == pytest.approx(1000 * row["batch"] / row["latency_p50_ms"])
        assert row["threads"] == 1 and row["runs"] == 2 and row["rounds"] == 2 < ROUNDS
        assert row["provider"] == "CPUExecutionProvider" and row["latency_spread"] >= 0
        assert row["processor"] and row["version_torch"]
        assert (row["precision"], row["runtime"]) == ("fp32", "onnxruntime")


def test_pairs_are_equal_in_all_but_the_head(runs: Path) -> None:
    pairs, alone = find_pairs(trained(runs))
    names = [(gap.path.parent.name, fc.path.parent.name) for gap, fc in pairs]
    assert sorted(names) == [("baseline-0", "fc-0"), ("bn-0", "bn+fc-0")]
    assert sorted(model.path.parent.name for model in alone) == ["dropout0.9+fc-0", "fc-1"]


def test_the_accuracy_is_that_of_the_whole_list(runs: Path) -> None:
    """Against PyTorch, image by image, from the run folder's own prototxt and weights."""
    from converters import load_net
    from zoo.bench.images import validation

    model = next(m for m in trained(runs) if m.path.parent.name == "bn-0")
    net = load_net(model.path.parent / "net.prototxt", model.path.parent / "weights.safetensors")
    hits, count = 0.0, 0
    for data, labels in validation(model):
        with torch.no_grad():
            fc = net.all_blobs(data=data, label=labels)["fc"]
        hits += (fc.argmax(1) == labels).sum().item()
        count += len(labels)
    assert count == 6
    assert measure_accuracy(model)["top1"] == pytest.approx(hits / count)


def test_untrained_variants_of_the_article(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo.bench.files.CALIBRATION", 2)
    options = ["--runs", "1", "--batch-sizes", "1", "--precisions", "fp32", "int8"]
    assert main(["bench", "--untrained", "baseline", "fc", "bn", *options]) == 0
    out, err = capsys.readouterr()
    assert "int8 without training images is calibrated on random pixels" in err
    for text in ("560,468", "806,228", "561,748", "untrained", "allconv6-fc / allconv6-baseline", "int8"):
        assert text in out
    assert "no partner that differs in the head alone: allconv6-bn" in out


def test_unfinished_runs_are_named(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "half"
    folder.mkdir()
    (folder / "run.json").write_text('{"name": "half", "finished": false}')
    assert main(["bench", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert "holds no finished run" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere"], "nowhere: no such folder of runs, no such prototxt"),
        (["--untrained", "baseline", "--providers", "openvino", "--runs", "1"], "provider openvino"),
        (["--untrained", "baseline", "--precisions", "int8", "--against", "torch"], "give fp32"),
        (
            ["--untrained", "baseline", "--runs", "1", "--batch-sizes", "1", "--plot", "a.gif"],
            "a.gif: a chart",
        ),
    ],
)
def test_bad_input(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str], monkeypatch, tmp_path
) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)
    assert main(["bench", *arguments]) == 2
    assert says in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--against", "caffe2"], "'caffe2' is none of opencv, torch, torch-compile"),
        (["--batch-sizes", "0"], "'0' is not a whole number from 1"),
        (["--precisions", "int4"], "invalid choice: 'int4'"),
        (["--runs", "0"], "'0' is not a whole number from 1"),
    ],
)
def test_bad_options(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["bench", *arguments])
    assert end.value.code == 2 and says in capsys.readouterr().err


def test_a_model_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"a\.onnx"):
        input_shapes(tmp_path / "a.onnx")


class Scores:
    """A session that gives back what it is given; of one batch size where it has a number."""

    def __init__(self, batch: int | str = "batch") -> None:
        self.batch = batch

    def get_inputs(self) -> list[object]:
        return [type("Input", (), {"name": "data", "shape": [self.batch, 3]})()]

    def run(self, outputs: None, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:  # type: ignore[type-arg]
        assert self.batch in ("batch", len(feeds["data"]))
        return [feeds["data"]]


def test_accuracy_counts_ties_against_the_label_as_caffe_does() -> None:
    scores = torch.tensor([[3.0, 2, 1], [1, 1, 0], [0, 1, 2], [5, 5, 5]])
    labels = torch.tensor([0.0, 0, 0, 1])
    for session in (Scores(), Scores(2)):
        found = accuracy(session, [(scores[:3], labels[:3]), (scores[3:], labels[3:])])
        assert (found.top1, found.top5, found.images) == (0.25, None, 4)  # of three the first five are all


def test_the_first_five_are_told_of_more_classes_than_five() -> None:
    scores = torch.tensor([[6.0, 5, 4, 3, 2, 1], [1, 2, 3, 4, 5, 6]])
    found = accuracy(Scores(), [(scores, torch.tensor([4.0, 0]))])
    assert (found.top1, found.top5) == (0, 0.5)


def test_scores_that_are_not_finite_are_refused() -> None:
    with pytest.raises(InputError, match="not finite"):
        accuracy(Scores(), [(torch.tensor([[float("nan"), 0]]), torch.tensor([0.0]))])


def test_wilson_against_published_figures() -> None:
    assert wilson(0.5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert wilson(0, 10)[0] == pytest.approx(0, abs=1e-12) and wilson(0, 10)[1] == pytest.approx(
        0.2775, abs=1e-4
    )
    assert wilson(0.3, 1000) == pytest.approx((0.2724, 0.3291), abs=1e-4)
