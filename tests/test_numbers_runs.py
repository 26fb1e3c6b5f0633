"""Runs of nets that tell numbers: trained from whole labels too, and benched against what is told always."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort
import pytest

from zoo.bench.notes import notes
from zoo.bench.plots import accuracy_figure
from zoo.cli import main

NET = """
name: "aged"
layer {{ name: "data" type: "ImageData" top: "data" top: "label" include {{ phase: TRAIN }}
  transform_param {{ scale: 0.01 }} image_data_param {{ source: "train.txt" batch_size: 6 shuffle: true new_height: 8 new_width: 8 }} }}
layer {{ name: "data" type: "ImageData" top: "data" top: "label" include {{ phase: TEST }}
  transform_param {{ scale: 0.01 }} image_data_param {{ source: "val.txt" batch_size: 5 new_height: 8 new_width: 8 }} }}
layer {{ name: "told" type: "InnerProduct" bottom: "data" top: "told"
  inner_product_param {{ num_output: {outputs} weight_filler {{ type: "xavier" }} }} }}
{more}
layer {{ name: "loss" type: "EuclideanLoss" bottom: "{told}" bottom: "label" top: "loss" }}
"""
SOLVER = """
net: "net.prototxt" test_iter: 2 test_interval: 5 base_lr: 0.001 lr_policy: "fixed" momentum: 0.9
display: 5 max_iter: 10 snapshot_prefix: "snap"
"""
BENCH = ("--batch-sizes", "1", "--runs", "1", "--precisions", "fp32")


def write_run(folder: Path, outputs: int = 1, more: str = "", told: str = "told") -> Path:
    """A net and its solver; the solver's path."""
    net = NET.format(outputs=outputs, more=more, told=told)
    (folder / "net.prototxt").write_text(net)
    (folder / "solver.prototxt").write_text(SOLVER)
    return folder / "solver.prototxt"


def write_pictures(folder: Path, labels: dict[str, list[str]]) -> None:
    """Noise, with lists of those labels."""
    random = np.random.default_rng(0)
    for name, texts in labels.items():
        lines = []
        for index, text in enumerate(texts):
            path = f"{name[:-4]}_{index}.png"
            cv2.imwrite(str(folder / path), random.integers(0, 256, (8, 8, 3)).astype(np.uint8))
            lines.append(f"{path} {text}\n")
        (folder / name).write_text("".join(lines))


def trained(solver: Path, *options: str) -> Path:
    run = solver.parent / "runs" / "run"
    assert main(["train", "--solver", str(solver), "--output", str(run), *options]) == 0
    return run


def benched(run: Path, *options: str) -> dict[str, Any]:
    assert main(["bench", str(run.parent), *BENCH, *options]) == 0
    rows: list[dict[str, Any]] = json.loads((run.parent / "bench.json").read_text())
    return rows[0]


def told_by(run: Path, folder: Path) -> np.ndarray[Any, np.dtype[Any]]:
    """What the run's ONNX file tells of the validation pictures, by onnxruntime alone."""
    session = ort.InferenceSession(run / "model.onnx")
    paths = [line.split()[0] for line in (folder / "val.txt").read_text().splitlines()]
    images = (
        np.stack([np.asarray(cv2.imread(str(folder / path))) for path in paths]).astype(np.float32) * 0.01
    )
    told = session.run(None, {session.get_inputs()[0].name: images.transpose(0, 3, 1, 2)})[0]
    return np.asarray(told).reshape(len(paths), -1)


AGES = {"train.txt": [str(age) for age in range(20, 90, 5)], "val.txt": ["-1", "18", "33", "70", "91"]}


def test_ages_that_are_whole_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Labels above the outputs and below 0: none is a class, and none is left out."""
    write_pictures(tmp_path, AGES)
    run = trained(write_run(tmp_path))
    said = capsys.readouterr().err
    assert "outputs instead of" not in said and "never trained" not in said
    record = json.loads((run / "run.json").read_text())
    assert record["numbers"] == {"task": "numbers", "always": [52.5]} and record["classes"] is None
    row = benched(run)
    true = np.array(AGES["val.txt"], float)
    assert row["task"] == "numbers" and row["images"] == 5 and row["top1"] is None
    assert row["mae"] == pytest.approx(np.abs(told_by(run, tmp_path)[:, 0] - true).mean(), rel=1e-5)
    assert row["mae_constant"] == pytest.approx(np.abs(52.5 - true).mean())
    assert row["mae_low"] <= row["mae"] <= row["mae_high"]
    assert "always the median" in capsys.readouterr().out


def test_two_numbers_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    places = {name: [f"{index}.5 {index * 10}" for index in range(8)] for name in ("train.txt", "val.txt")}
    write_pictures(tmp_path, places)
    run = trained(write_run(tmp_path, outputs=2), "--label-size", "2")
    row = benched(run)
    errors = np.abs(told_by(run, tmp_path) - [[i + 0.5, i * 10] for i in range(8)])
    assert row["each_mae"] == pytest.approx(errors.mean(0), rel=1e-5)
    assert row["mae"] == pytest.approx(errors.mean(), rel=1e-5)
    assert row["each_mae_constant"] == pytest.approx([2, 20])
    assert "errors of each number that is told" in capsys.readouterr().out


@pytest.mark.parametrize("has_softmax", [True, False])
def test_shares_that_sum_to_1(tmp_path: Path, has_softmax: bool) -> None:
    votes = ["0.5 0.25 0.25", "0 0.5 0.5", "0.1 0.8 0.1", "0 0 1", "1 0 0", "0.2 0.2 0.6"]
    write_pictures(tmp_path, {"train.txt": votes, "val.txt": votes})
    softmax = 'layer { name: "shares" type: "Softmax" bottom: "told" top: "shares" }'
    more, told = (softmax, "shares") if has_softmax else ("", "told")
    run = trained(write_run(tmp_path, 3, more=more, told=told), "--label-size", "3")
    row = benched(run)
    true, shares = np.array([vote.split() for vote in votes], float), told_by(run, tmp_path).astype(float)
    if not has_softmax:
        shares = np.array([each / each.sum() if each.any() else np.full(3, 1 / 3) for each in shares.clip(0)])
    apart = np.cumsum(shares - true, 1)
    assert row["task"] == "distributions"
    assert row["emd"] == pytest.approx(np.sqrt((apart**2).mean(1)).mean(), rel=1e-5)
    assert row["emd1"] == pytest.approx(np.abs(apart).mean(1).mean(), rel=1e-5)
    assert row["mean_error"] == pytest.approx(np.abs((shares - true) @ [1, 2, 3]).mean(), rel=1e-5)
    always = np.abs((true.mean(0) - true) @ [1, 2, 3]).mean()
    assert row["mean_error_constant"] == pytest.approx(always, rel=1e-5)


def test_another_list_is_judged_by_numbers_too(tmp_path: Path) -> None:
    write_pictures(tmp_path, AGES)
    run = trained(write_run(tmp_path))
    (tmp_path / "other.txt").write_text("val_0.png 10\nval_1.png 20\n")
    row = benched(run, "--list", str(tmp_path / "other.txt"))
    assert row["images"] == 2
    assert row["mae"] == pytest.approx(np.abs(told_by(run, tmp_path)[:2, 0] - [10, 20]).mean(), rel=1e-5)


def test_a_net_and_its_weights_are_judged_by_a_list_as_the_run_is(tmp_path: Path) -> None:
    write_pictures(tmp_path, AGES)
    run = trained(write_run(tmp_path))
    row = benched(run)
    weights = tmp_path / "runs" / "run" / "weights.safetensors"
    rows = tmp_path / "rows.json"
    net = f"{tmp_path / 'net.prototxt'}={weights}"
    assert main(["bench", net, "--list", str(tmp_path / "val.txt"), "--json", str(rows), *BENCH]) == 0
    alone = json.loads(rows.read_text())[0]
    assert alone["task"] == "numbers" and alone["mae_constant"] is None
    assert alone["mae"] == pytest.approx(row["mae"], rel=1e-6)


def test_classify_prints_the_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pictures(tmp_path, AGES)
    run = trained(write_run(tmp_path))
    told = told_by(run, tmp_path)
    for net in (run, run / "model.onnx"):
        capsys.readouterr()
        assert main(["classify", str(tmp_path / "val_0.png"), "--net", str(net)]) == 0
        _, line = capsys.readouterr().out.splitlines()
        value, _, name = line.partition(" - ")
        assert name == '"told"' and float(value) == pytest.approx(told[0, 0], abs=1e-3)


def test_classify_prints_a_distribution_in_its_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    votes = ["0.5 0.25 0.25", "0 0.5 0.5", "0.1 0.8 0.1"]
    write_pictures(tmp_path, {"train.txt": votes, "val.txt": votes})
    softmax = 'layer { name: "shares" type: "Softmax" bottom: "told" top: "shares" }'
    run = trained(write_run(tmp_path, 3, softmax, "shares"), "--label-size", "3")
    told = told_by(run, tmp_path)[0]
    for net in (run, run / "model.onnx"):
        capsys.readouterr()
        assert main(["classify", str(tmp_path / "val_0.png"), "--net", str(net), "--top", "1"]) == 0
        _, *lines = capsys.readouterr().out.splitlines()
        assert [line.partition(" - ")[2] for line in lines] == ['"1"', '"2"', '"3"', "mean"]
        values = [float(line.partition(" - ")[0]) for line in lines]
        assert values[:3] == pytest.approx(told, abs=1e-4)
        assert values[3] == pytest.approx(told @ [1, 2, 3], abs=1e-3)


def test_a_figure_has_nets_that_are_judged_alike(tmp_path: Path) -> None:
    """Errors in years and shares of right answers have no axis in common."""
    write_pictures(tmp_path, AGES)
    row = benched(trained(write_run(tmp_path)))
    classes = {**row, "task": "classes", "top1": 0.5, "top1_low": 0.4, "top1_high": 0.6, "name": "other"}
    figure = accuracy_figure([row, classes])  # type: ignore[list-item]
    assert {axes.get_ylabel() for axes in figure.axes} == {"MAE", ""}
    assert all(len(axes.containers) == 1 for axes in figure.axes)
    assert [note for note in notes([row]) if note.startswith("figures over the whole validation list")]  # type: ignore[list-item]
