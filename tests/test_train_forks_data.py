"""Nets that forks' data layers feed train: a segmentation net from a list of images and label maps."""

import re
from contextlib import nullcontext
from pathlib import Path

import cv2
import numpy as np
import pytest
from train_runs import same, train, weights

from converters.solver.file import load_solver
from zoo.runs.run_folder import read_metrics

SEGMENTATION = """
layer { name: "data" type: "%s" top: "data" top: "label" %s { source: "list.txt" batch_size: 4 shuffle: true %s }
  transform_param { mean_value: 100 scale: 0.02 %s } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 8 kernel_size: 3 pad: 1 weight_filler { type: "xavier" } } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "score" type: "Convolution" bottom: "conv1" top: "score"
  convolution_param { num_output: 2 kernel_size: 1 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "loss"
  loss_param { ignore_label: 255 } }
"""
SOLVER = """net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" momentum: 0.9 max_iter: 20 display: 1
  snapshot: 10 snapshot_prefix: "s" random_seed: 3 solver_mode: CPU
"""
KINDS = [
    (
        "ImageSegData",
        "image_data_param",
        "label_type: PIXEL",
        "crop_size: 20 mirror: true scale_factors: 0.8 scale_factors: 1.5",
    ),
    ("DenseImageData", "dense_image_data_param", "mirror: true crop_height: 12 crop_width: 14", ""),
]


@pytest.fixture
def shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with twelve images of a bright square on a dark ground, their masks and a list."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for number in range(12):
        image, mask = rng.integers(0, 80, (16, 18, 3), np.uint8), np.zeros((16, 18), np.uint8)
        row, column = rng.integers(0, 9, 2)
        image[row : row + 7, column : column + 8] += 150
        mask[row : row + 7, column : column + 8] = 1
        cv2.imwrite(f"{number}.png", image)
        cv2.imwrite(f"{number}_mask.png", mask)
    (tmp_path / "list.txt").write_text("".join(f"{n}.png {n}_mask.png\n" for n in range(12)))
    (tmp_path / "solver.prototxt").write_text(SOLVER)
    return tmp_path


@pytest.mark.parametrize("kind", KINDS)
def test_a_segmentation_net_trains_as_in_caffe(kind: tuple[str, ...], shapes: Path) -> None:
    Path("net.prototxt").write_text(SEGMENTATION % kind)
    log: list[str] = []
    solver = load_solver("solver.prototxt", log.append)
    solver.solve()
    losses = [float(m[1]) for line in log if (m := re.search(r"Iteration \d+.*, loss = ([\d.]+)", line))]
    assert len(losses) >= 20 and np.mean(losses[-3:]) < 0.5 * np.mean(losses[:3])


@pytest.mark.parametrize("kind", KINDS)
def test_zoo_trains_it_and_goes_on_to_the_same_weights(
    kind: tuple[str, ...], shapes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("net.prototxt").write_text(SEGMENTATION % kind)
    assert train(Path("solver.prototxt"), "--output", "whole") == 0
    losses = [row["loss"] for row in read_metrics(Path("whole/metrics.jsonl")) if "loss" in row]
    assert np.mean(losses[-3:]) < 0.5 * np.mean(losses[:3])
    assert train(Path("solver.prototxt"), "--output", "half", "--max-iter", "10") == 0
    assert train(Path("solver.prototxt"), "--output", "half", "--resume", "--max-iter", "20") == 0
    monkeypatch.setattr("zoo.train.command.made_ahead", nullcontext)  # each batch when it is asked for
    assert train(Path("solver.prototxt"), "--output", "asked") == 0
    assert same(weights("whole"), weights("half")) and same(weights("whole"), weights("asked"))
