"""What else computes a net: its generated source, its ONNX file in onnxruntime, OpenCV's Caffe importer.

Each takes a deployed net in TEST phase and its inputs by blob, and gives every blob that it has, as each
layer leaves it. Each raises InputError, in one line, where it is not there or does not take the net.
"""

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from converters.export.onnx_file import file_net, onnx_model
from converters.export.source.loading import load_source
from converters.graph import Value
from converters.layers.forks.ssd.detection_output import DetectionOutput
from converters.network import Network
from eval.difference import Array
from eval.parity import running
from eval.runtime import Feeds
from prototxt.errors import InputError, first_line

Values = dict[Value, Array]
_LONGEST = 200  # signs of what another program says


@torch.no_grad()
def by_source(net: Network, feeds: Feeds) -> Values:
    """The PyTorch source that ``zoo convert`` writes, run."""
    source = load_source(net, net.graph)
    values = source.values({name: torch.from_numpy(array) for name, array in feeds.items()})
    return {value: tensor.numpy() for value, tensor in values.items() if value not in net.graph.inputs}


def by_onnxruntime(net: Network, feeds: Feeds) -> Values:
    """The ONNX file that ``zoo convert`` writes, each node as it stands in it."""
    small = file_net(net, net.graph)
    model, _ = onnx_model(small)
    try:
        return running(model, small.graph)(feeds)
    except InputError:
        raise
    except Exception as error:  # onnxruntime has an exception of its own for each of its codes
        raise InputError(f"onnxruntime: {first_line(error)[:_LONGEST]}") from None


def by_opencv(net: Network, feeds: Feeds, prototxt: Path, weights: Path) -> Values:
    """OpenCV 4's own reading of the two files: it shares nothing with ours. Layers are found by their names,
    which must be their own. It runs in a process of its own, which it may end.
    """
    import cv2

    if not hasattr(cv2.dnn, "readNetFromCaffe"):
        raise InputError(f"OpenCV {cv2.__version__} has no Caffe importer: OpenCV 4 has")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        arrays = {str(at): array for at, array in enumerate(feeds.values())}
        np.savez(folder / "feeds.npz", **arrays)  # type: ignore[arg-type]
        (folder / "names.json").write_text(json.dumps(list(feeds)), encoding="utf-8")
        command = [*_OPENCV, name, str(prototxt.absolute()), str(weights.absolute())]
        code = subprocess.run(command, capture_output=True, check=False).returncode
        return _by_value(net, _tops(folder, code))


# -P: a file eval.py in the user's folder must not stand in for this package.
_OPENCV = (sys.executable, "-P", "-m", "eval.verdict.opencv")


def _tops(folder: Path, code: int) -> dict[str, list[Array]]:
    """What the process left, by layer. Raises InputError where it left nothing."""
    if (error := folder / "error.json").is_file():
        raise InputError(first_line(json.loads(error.read_text(encoding="utf-8")))[:_LONGEST])
    if code or not (folder / "layers.json").is_file():
        ended = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        raise InputError(f"it crashed: its process ended by {ended}")
    layers = json.loads((folder / "layers.json").read_text(encoding="utf-8"))
    tops: dict[str, list[Array]] = {layer: [] for layer in layers}
    with np.load(folder / "tops.npz", allow_pickle=False) as file:
        for key in file.files:
            tops[layers[int(key.split()[0])]].append(file[key])
    return tops


def _by_value(net: Network, tops: Mapping[str, Sequence[Array]]) -> Values:
    """OpenCV's tops by layer; its blobs have two axes at least, and a shape of theirs that holds the same
    numbers in the same order counts as Caffe's.
    """
    names = [node.layer.name for node in net.graph.nodes]
    values: Values = {}
    for node in net.graph.nodes:
        name = node.layer.name
        if node.is_data or name not in tops or names.count(name) > 1:
            continue
        for value, top in zip(node.outputs, tops[name], strict=False):
            shape = net.shapes[value]
            if isinstance(net.module_of(node), DetectionOutput):
                values[value] = _rows(top, net.shapes[node.inputs[0]][0])
                continue
            values[value] = top.reshape(shape) if top.size == shape.numel() else top
    return values


def _rows(top: Array, images: int) -> Array:
    """OpenCV's rows of detections as Caffe has them: by image, label and score, where OpenCV puts all by
    score; as many as there are, where it fills up with zeros; and where there is none one of -1 an image.
    """
    rows = top.reshape(-1, 7)
    rows = rows[rows.any(1)]
    if not len(rows):
        rows = np.full((images, 7), -1, np.float32)
        rows[:, 0] = np.arange(images)
    order = np.lexsort((-rows[:, 2], rows[:, 1], rows[:, 0]))
    return rows[order].reshape(1, 1, -1, 7)
