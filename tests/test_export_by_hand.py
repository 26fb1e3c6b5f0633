"""Our files beside those that torch's exporter makes of the same nets, written by hand in PyTorch."""

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from benchmark_script import load_script

PAIRS = load_script("pairs").NETS
SLOW = [name for name in PAIRS if name != "allconv6"]
LEFTOVERS = {"BatchNormalization", "Cast", "Constant", "Dropout", "Identity", "Shape"}
NEAR = 1e-4  # of the output's scale, as whole nets are held to
Files = tuple[str, Path, Path]


@pytest.fixture(scope="module", params=["allconv6", *(pytest.param(n, marks=pytest.mark.slow) for n in SLOW)])
def files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Files:
    """The net's name, our file, the other."""
    try:
        return request.param, *PAIRS[request.param].write(tmp_path_factory.mktemp("files"))
    except FileNotFoundError as error:
        pytest.skip(str(error))


def test_ours_has_no_more_nodes(files: Files) -> None:
    ours, theirs = (Counter(node.op_type for node in onnx.load(path).graph.node) for path in files[1:])
    assert ours.total() <= theirs.total(), (ours - theirs, theirs - ours)
    assert not LEFTOVERS & ours.keys()


def test_opencv_and_onnxruntime_compute_ours_as_the_other(files: Files) -> None:
    name, *paths = files
    sessions = [onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]) for path in paths]
    reader = cv2.dnn.readNetFromONNX(str(paths[0]))
    for batch in (1, 3):
        images = PAIRS[name].images(batch).numpy()
        reader.setInput(images)
        ours, theirs = (session.run(PAIRS[name].outputs, {"data": images}) for session in sessions)
        for found in (ours, reader.forward(PAIRS[name].outputs)):
            for one, other in zip(found, theirs, strict=True):
                assert one.shape == other.shape
                assert np.abs(one - other).max() <= NEAR * np.abs(other).max()
