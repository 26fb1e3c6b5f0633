"""Pooling and LRN in files as each reader of ONNX computes them, held to the net."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from one_layer import random
from outside import OPENCV_5, OPENVINO, forward
from test_layers_sizes import poolings

from converters import Network, load_net
from converters.export.onnx_file import export_onnx

Outputs = dict[str, np.ndarray]


def by_onnxruntime(path: Path, x: np.ndarray, names: list[str]) -> Outputs:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return dict(zip(names, session.run(names, {"x": x}), strict=True))


def by_opencv(path: Path, x: np.ndarray, names: list[str]) -> Outputs:
    net = cv2.dnn.readNetFromONNX(str(path))
    net.setInput(x)
    return dict(zip(names, net.forward(names), strict=True))


def by_opencv_5(path: Path, x: np.ndarray, names: list[str]) -> Outputs:
    return forward(OPENCV_5, "opencv", path, {"x": x}, names)


def by_openvino(path: Path, x: np.ndarray, names: list[str]) -> Outputs:
    return forward(OPENVINO, "openvino", path, {"x": x}, names)


@pytest.fixture(scope="module", params=["MAX", "AVE"])
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Network, Path]:
    """A net of poolings of every kind and an LRN, across channels or within one, and its file."""
    # At 21 rows its last window starts below the image: Caffe's mean of it is not a number.
    skipped = "kernel_size: 2 stride: 3" if request.param == "AVE" else ""
    net = load_net(poolings(request.param, has_masks=False, skipped=skipped))
    path = tmp_path_factory.mktemp("clients") / "net.onnx"
    assert export_onnx(net, path)
    return net, path


@pytest.mark.parametrize(
    "run",
    [
        by_onnxruntime,
        by_opencv,
        *(pytest.param(run, marks=pytest.mark.slow) for run in (by_opencv_5, by_openvino)),
    ],
)
def test_readers_agree_with_the_net(
    run: Callable[[Path, np.ndarray, list[str]], Outputs], exported: tuple[Network, Path]
) -> None:
    net, path = exported
    for batch in (1, 3):
        x = random(batch, 3, 21, 18)
        theirs = run(path, x, net.outputs)
        for name, ours in net(torch.from_numpy(x)).items():
            assert theirs[name].shape == tuple(ours.shape), name
            assert torch.allclose(torch.from_numpy(theirs[name]), ours, atol=2e-6, equal_nan=True), name


def test_files_leave_nothing_to_interpret(exported: tuple[Network, Path]) -> None:
    """No average counts padding or ends past the image: some readers take a file's word for neither."""
    nodes = onnx.load(exported[1]).graph.node
    for node in nodes:
        if node.op_type == "AveragePool":
            numbers = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
            assert not any(numbers.get("pads", [])) and not numbers.get("ceil_mode", 0)
