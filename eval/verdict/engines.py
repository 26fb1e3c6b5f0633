"""What else computes a net: its generated source, its ONNX file in onnxruntime, OpenCV's Caffe importer.

Each takes a deployed net in TEST phase and its inputs by blob, and gives every blob that it has, as each
layer leaves it. Each raises InputError, in one line, where it is not there or does not take the net.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from converters.export.onnx_file import file_net, onnx_model
from converters.export.source.loading import load_source
from converters.graph import Value
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


def by_opencv(net: Network, feeds: Feeds, prototxt: bytes, weights: bytes) -> Values:
    """OpenCV 4's own reading of the two files: it shares nothing with ours. Layers are found by their names,
    which must be their own; fusion and Winograd's convolutions, which round otherwise, are off.
    """
    import cv2

    if not hasattr(cv2.dnn, "readNetFromCaffe"):
        raise InputError(f"OpenCV {cv2.__version__} has no Caffe importer: OpenCV 4 has")
    with _quiet(cv2):
        try:
            theirs = cv2.dnn.readNetFromCaffe(
                *(np.frombuffer(each, np.uint8) for each in (prototxt, weights))
            )
            theirs.enableFusion(False)
            theirs.enableWinograd(False)
            for name, array in feeds.items():
                theirs.setInput(array, name)
            names = list(theirs.getLayerNames())
            tops = dict(zip(names, theirs.forwardAndRetrieve(names), strict=True))
        except cv2.error as error:
            raise InputError(first_line(getattr(error, "err", error) or error)[:_LONGEST]) from None
    return _by_value(net, tops)


def _by_value(net: Network, tops: dict[str, Any]) -> Values:
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
            values[value] = top.reshape(shape) if top.size == shape.numel() else top
    return values


@contextmanager
def _quiet(cv2: Any) -> Iterator[None]:
    """Without OpenCV's own lines on stderr."""
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)
