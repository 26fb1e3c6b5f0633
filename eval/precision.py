"""A model's file in half precision or in eight bits, through onnxruntime's own converters."""

import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx

from converters.export.silence import silenced
from converters.host.files import whole
from eval.runtime import Feeds
from prototxt.errors import InputError, first_line


def to_fp16(model: Path, target: Path) -> None:
    """Write ``model`` with half-precision weights and arithmetic; inputs and outputs stay float32.

    Raises InputError where onnxruntime's converter cannot.
    """
    with _converting(model, "fp16"):
        from onnxruntime.transformers.float16 import convert_float_to_float16

        _write(convert_float_to_float16(onnx.load(model), keep_io_types=True), target)


def to_int8(model: Path, target: Path, batches: Iterable[Feeds]) -> None:
    """Write ``model`` with 8-bit weights (a scale a channel) and activations (one a tensor), as QDQ nodes.

    The activations' ranges are the least and greatest values over ``batches`` (input name to float32
    array, such as the model takes); BatchNorm is folded into its convolution first, where there is one. A
    layer that takes a root or power of what it has summed (LRN, MVN) stays in float: eight bits of squares
    are four of a value.
    Raises InputError where onnxruntime's static quantisation cannot.
    """
    with _converting(model, "int8"), tempfile.TemporaryDirectory(prefix="zoo-int8-") as scratch:
        from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process

        folded, made = Path(scratch) / "folded.onnx", Path(scratch) / "int8.onnx"
        quant_pre_process(model, folded, skip_symbolic_shape=True)
        quantize_static(
            folded,
            made,
            _reader(batches),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=beneath_roots(onnx.load(folded, load_external_data=False).graph.node),
        )
        quantised = onnx.load(made)
        del quantised.metadata_props[:]
        quantised.metadata_props.extend(onnx.load(model).metadata_props)
        _write(quantised, target)


def beneath_roots(nodes: Iterable[onnx.NodeProto]) -> list[str]:
    """The names of the nodes of layers with a root or power among theirs; a layer's nodes are called as the
    layer, with the operator behind it but for the last (``converters.export.nodes.naming.label``).
    """
    named = [(node.name, node.name.rpartition(f"/{node.op_type}")[0] or node.name) for node in nodes]
    powers = {layer for name, layer in named if name != layer and re.search(r"/(Sqrt|Pow)(_\d+)?$", name)}
    return [name for name, layer in named if layer in powers]


def _reader(batches: Iterable[Feeds]) -> Any:
    """The batches as onnxruntime's calibration takes them, one a call and None at the end."""
    from onnxruntime.quantization import CalibrationDataReader

    left = iter(batches)

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> Feeds | None:
            return next(left, None)

    return Reader()


def _write(model: onnx.ModelProto, target: Path) -> None:
    with whole(target) as beside:
        onnx.save(model, beside)


@contextmanager
def _converting(model: Path, precision: str) -> Iterator[None]:
    """Keep the converter's own notes from the user, and turn what it raises into one line."""
    try:
        with silenced():
            yield
    except (InputError, OSError):
        raise
    except Exception as error:
        raise InputError(f"{model}: onnxruntime cannot make it {precision}: {first_line(error)}") from error
