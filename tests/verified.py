"""A small net with its weights, and what ``zoo verify`` says of it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from eval.verdict import engines
from zoo.api import load

NET = """
name: "small"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 4 dim: 3 dim: 9 dim: 9 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param { num_output: 4 kernel_size: 3
  weight_filler { type: "xavier" } bias_filler { type: "gaussian" std: 0.5 } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool" pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 } }
layer { name: "drop" type: "Dropout" bottom: "pool" top: "pool" }
layer { name: "ip" type: "InnerProduct" bottom: "pool" top: "ip" inner_product_param { num_output: 5
  weight_filler { type: "xavier" } } }
layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }
"""  # fmt: skip
Faulty = Callable[..., engines.Values]


def small_files(folder: Path) -> tuple[str, str]:
    """The net's prototxt and its weights."""
    (folder / "net.prototxt").write_text(NET)
    load(folder / "net.prototxt", seed=1).save_caffemodel(folder / "w.caffemodel")
    return str(folder / "net.prototxt"), str(folder / "w.caffemodel")


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def line(found: list[str], start: str) -> str:
    return next(each for each in found if each.strip().startswith(start))
