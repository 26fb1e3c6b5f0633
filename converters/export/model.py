"""An ONNX model whose weights stand beside it, as arrays, which nobody copies: a large net's are most of the
time that its file takes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, TensorProto, helper, numpy_helper

from prototxt.binary.wire import counted

Array = NDArray[Any]
_LARGE = 1024  # elements of an array that is handed over, not copied
_GRAPH = ModelProto.GRAPH_FIELD_NUMBER
_INITIALIZER = GraphProto.INITIALIZER_FIELD_NUMBER
_RAW = TensorProto.RAW_DATA_FIELD_NUMBER


@dataclass(frozen=True)
class Model:
    """``proto`` without initializers, and these by name."""

    proto: ModelProto
    arrays: dict[str, Array]

    @classmethod
    def read(cls, path: Path) -> "Model":
        """The model of a file."""
        proto = onnx.load(path)
        arrays = {item.name: numpy_helper.to_array(item) for item in proto.graph.initializer}
        del proto.graph.initializer[:]
        return cls(proto, arrays)

    @property
    def opset(self) -> int:
        """Of ONNX's own operators."""
        return next(item.version for item in self.proto.opset_import if not item.domain)

    def large(self) -> dict[str, Array]:
        """The arrays that :meth:`plain` takes as inputs."""
        return {name: array for name, array in self.arrays.items() if array.size > _LARGE}

    def plain(self, outputs: Sequence[str] = ()) -> bytes:
        """The content of a file whose large arrays are inputs, for whoever computes or checks it here, with
        more ``outputs`` of any shape.
        """
        proto, large, known = ModelProto(), self.large(), {item.name for item in self.proto.graph.output}
        proto.CopyFrom(self.proto)
        proto.graph.input.extend(_told(name, array) for name, array in large.items())
        proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs if name not in known)
        small = [name for name in self.arrays if name not in large]
        proto.graph.initializer.extend(numpy_helper.from_array(self.arrays[name], name) for name in small)
        content: bytes = proto.SerializeToString()
        return content

    def content(self) -> bytes:
        """All of a file."""
        return b"".join(self._parts())

    def write(self, path: Path) -> None:
        """Write the file."""
        with path.open("wb") as file:
            file.writelines(self._parts())

    def _parts(self) -> Iterator[bytes | memoryview]:
        """The message as protobuf would write it, a graph's initializers last."""
        rest, graph = ModelProto(), self.proto.graph.SerializeToString()
        rest.CopyFrom(self.proto)
        rest.ClearField("graph")
        heads = {name: _head(name, array) for name, array in self.arrays.items()}
        inner = sum(len(heads[name]) + array.nbytes for name, array in self.arrays.items())
        yield rest.SerializeToString() + counted(_GRAPH, len(graph) + inner) + graph
        for name, array in self.arrays.items():
            yield heads[name]
            yield _bytes(array)


def _told(name: str, array: Array) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)


def _head(name: str, array: Array) -> bytes:
    """What a graph has of a tensor before its values."""
    tensor = TensorProto(name=name, dims=array.shape, data_type=helper.np_dtype_to_tensor_dtype(array.dtype))
    inner = tensor.SerializeToString() + counted(_RAW, array.nbytes)
    return counted(_INITIALIZER, len(inner) + array.nbytes) + inner


def _bytes(array: Array) -> memoryview:
    """The values in C's order, the lowest byte first."""
    flat = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
    return flat.reshape(-1).view(np.uint8).data
