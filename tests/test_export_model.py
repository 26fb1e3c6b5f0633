"""An ONNX model whose arrays stand beside it, written as protobuf would write it."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from converters.export.model import Model
from converters.export.nodes.folding import fold
from converters.export.nodes.writer import Tensor, Writer

ARRAYS = {
    "large": np.arange(6000, dtype=np.float32).reshape(60, 100).T,  # not in C's order
    "one": np.array(3.5, np.float32),
    "none": np.zeros((0, 4), np.float32),
    "places": np.array([-1, 2**40]),
    "marks": np.array([True, False]),
    "halves": np.array([0.1, 7], np.float16),
}


def proto(*initializers: onnx.TensorProto) -> onnx.ModelProto:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 60]) for name in "xy")
    node = helper.make_node("Add", ["x", "one"], ["y"])
    graph = helper.make_graph([node], "net", [x], [y], list(initializers))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], doc_string="a note")
    helper.set_model_props(model, {"classes": "[]"})
    return model


def test_a_written_file_is_protobufs(tmp_path: Path) -> None:
    Model(proto(), ARRAYS).write(tmp_path / "net.onnx")
    expected = proto(*(numpy_helper.from_array(array, name) for name, array in ARRAYS.items()))
    assert onnx.load(tmp_path / "net.onnx") == expected
    onnx.checker.check_model(tmp_path / "net.onnx", full_check=True)


def test_a_read_file_is_written_again_to_the_byte(tmp_path: Path) -> None:
    Model(proto(), ARRAYS).write(tmp_path / "a.onnx")
    model = Model.read(tmp_path / "a.onnx")
    assert model.opset == 18
    assert not model.proto.graph.initializer
    model.write(tmp_path / "b.onnx")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_plain_has_large_arrays_as_inputs() -> None:
    model = Model(proto(), ARRAYS)
    plain = onnx.ModelProto.FromString(model.plain(["more", "y"]))
    assert [item.name for item in plain.graph.input] == ["x", "large"]
    assert [item.name for item in plain.graph.output] == ["y", "more"]
    assert {item.name for item in plain.graph.initializer} == ARRAYS.keys() - {"large"}
    assert [item.name for item in model.proto.graph.output] == ["y"]


def test_factors_of_groups_of_outputs() -> None:
    """ConvTranspose's weight is (in, out / group, …): two groups of three inputs and two outputs each."""
    g = Writer(18)
    weight = np.arange(12, dtype=np.float32).reshape(6, 2, 1, 1)
    y = g.add("ConvTranspose", "x", g.hold(weight, "up.weight"), group=2)
    g.readers[y] = 1
    for _ in range(2):
        assert fold(g, Tensor(y, (1, 4, 1, 1)), np.array([1.0, 2, 3, 4]), np.array([0.5, 0, 0, 0]))
    (node,), arrays = g.finish({})
    squared = np.array([[1, 4]] * 3 + [[9, 16]] * 3, np.float32).reshape(6, 2, 1, 1)
    np.testing.assert_array_equal(arrays[node.input[1]], weight * squared)
    np.testing.assert_array_equal(arrays[node.input[2]], [1, 0, 0, 0])
    assert list(node.input)[1:] == ["up.weight.folded", "up.bias.folded"]
