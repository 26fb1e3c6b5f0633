"""What ``param_str`` tells py-faster-rcnn's layers in Python."""

import ast
from typing import Any

from converters.layers.checks import LARGEST
from converters.layers.parts.boxes.anchors import Anchors, checked_shapes
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


def python_options(message: LayerParameter, wanted: str) -> dict[str, Any]:
    """Lines, or a list with commas, of ``'name': value``. Raises InputError, naming the layer, for what is
    neither, and where ``wanted`` is no whole number above 0 that an int has.
    """
    text = message.python_param.param_str.replace("!!python/tuple", "").strip().strip("{}").strip()
    try:
        options = ast.literal_eval("{" + ",".join(line for line in text.splitlines() if line.strip()) + "}")
        assert (
            isinstance(options, dict) and isinstance(options[wanted], int) and 0 < options[wanted] <= LARGEST
        )
    except Exception as error:
        raise InputError(f"param_str {text!r} has no '{wanted}': a whole number", message.name) from error
    return options


def python_anchors(message: LayerParameter) -> Anchors:
    """A layer's anchors: its feat_stride, and scales and ratios where it says them. Raises InputError."""
    options, usual = python_options(message, "feat_stride"), Anchors()
    try:
        scales, ratios = (
            tuple(float(value) for value in options.get(name, known))
            for name, known in (("scales", usual.scales), ("ratios", usual.ratios))
        )
        assert scales and ratios and min(scales + ratios) > 0
    except Exception as error:
        raise InputError("param_str: scales and ratios are numbers above 0", message.name) from error
    return Anchors(*checked_shapes(message, ratios, scales), feat_stride=options["feat_stride"])
