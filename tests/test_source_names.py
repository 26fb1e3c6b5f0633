"""Names that are no identifiers, that collide, or are code: what is written of them in every kind of file."""

import ast
import io
import tokenize
from pathlib import Path

import onnx
import pytest
import torch
from safetensors import safe_open

from converters import Network
from converters.export.onnx_file import deploy_message, deploy_net, export_onnx
from converters.export.source import load_source, source_of, write_source
from converters.graph import build_graph
from converters.load import build
from converters.net_state import net_state
from converters.weights.formats import write_safetensors
from prototxt.caffe_pb2 import NetParameter
from prototxt.text import to_text
from zoo.cli import main
from zoo.report.write.as_html import as_html
from zoo.report.write.document import Document, Section, Table

HOSTILE = [
    "conv 1",
    "conv-1",
    "conv/1",
    "conv_1",
    "conv_1_2",
    "1x1",
    "class",
    "None",
    "self",
    "torch",
    "nn",
    "Tensor",
    "forward",
    "train",
    "parameters",
    "layers",
    "__init__",
    "__class__",
    "_see_",
    "",
    " ",
    '"""',
    "'''",
    '"',
    "\\",
    "\\N{BULLET}",
    "a\nimport os",
    "a\rimport os",
    "a\x0cb\x0bc\x85d\u2028e",
    "x\x00y",
    '__import__("os").system("true")',
    'x"] = __import__("os") #',
    "# type: ignore",
    "type: ignore",
    "noqa",
    "-*- coding: utf-7 -*-",
    "\u202eevil\u2066",
    "卷积",
    "ｃｏｎｖ",
    "Ⅷ",
    "\U0010ffb5\U0010ffe2",  # bytes that are no UTF-8, as a message has them
    "{x}",
    "%s",
    "</script><script>alert(1)</script>",
    "dup",
    "dup",
]


def hostile_net() -> Network:
    """A chain of layers that are called so, as are their blobs, to a top that is called as code."""
    net = NetParameter(name='"""\nraise SystemExit\n\\')
    fed = net.layer.add(name="data", type="Input", top=["import\n"])
    fed.input_param.shape.add(dim=[1, 2, 4, 4])
    bottom = "import\n"
    for number, name in enumerate(HOSTILE):
        kind = ("Convolution", "Scale", "Power", "ReLU")[number % 4]
        top = f"{name}{number}" if name == "dup" else f"{name} "
        layer = net.layer.add(name=name, type=kind, bottom=[bottom], top=[top])
        layer.convolution_param.num_output = 2
        layer.convolution_param.kernel_size.append(1)
        layer.convolution_param.weight_filler.type = "xavier"
        layer.power_param.shift = 0.5
        for other in {"convolution_param", "power_param"} - {f"{kind.lower()}_param"}:
            layer.ClearField(other)
        bottom = top
    return build(build_graph(net, net_state("TEST")))


@pytest.fixture(scope="module")
def net() -> Network:
    return hostile_net()


def test_the_source_is_one_class_that_computes_what_the_net_does(net: Network, tmp_path: Path) -> None:
    source = load_source(net)
    x = {"import\n": torch.randn(1, 2, 4, 4)}
    ours, theirs = source.values(x), deploy_net(net).values(x)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[value], theirs[value]) for value in theirs)
    tree = ast.parse(source.source.text)
    assert [type(node).__name__ for node in tree.body] == ["Expr", "Import", "ImportFrom", "ClassDef"]
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert not {"__import__", "system", "exec", "eval", "SystemExit"} & calls


def test_attributes_are_distinct_and_none_is_a_modules_own(net: Network) -> None:
    source = load_source(net)
    module = source.module
    names = [*dict(module.named_children()), *dict(module.named_parameters(recurse=False))]
    made = [line for line in source.source.text.splitlines() if line.startswith("        self.")]
    assert len(set(names)) == len(names) == len(made)
    assert not set(names) & set(dir(torch.nn.Module()))
    assert all(name.isidentifier() and name.isascii() and not name.startswith("_") for name in names)


def test_a_comment_ends_where_its_line_does_and_says_the_layers_name(net: Network) -> None:
    text = source_of(deploy_net(net)).text
    assert all(sign.isprintable() or sign == "\n" for sign in text)
    tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    comments = [token.string for token in tokens if token.type == tokenize.COMMENT]
    assert '# "a\\nimport os"' in comments and '# "\\u202eevil\\u2066"' in comments
    assert '# "__import__(\\"os\\").system(\\"true\\")"' in comments
    assert not [each for each in comments if each.startswith(("# type:", "# noqa", "# -*-"))]


def test_the_files_are_read_back(net: Network, tmp_path: Path) -> None:
    weights = write_source(net, tmp_path / 'a"b\n.py')
    with safe_open(weights, "pt") as file:
        keys = set(file.keys())
    source = source_of(deploy_net(net))
    assert keys == source.state.keys()
    compile((tmp_path / 'a"b\n.py').read_text(encoding="utf-8"), "a", "exec")


def test_zoo_convert_writes_every_file_of_such_names(net: Network, tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(to_text(deploy_message(net)), encoding="utf-8", errors="surrogateescape")
    assert main(["convert", str(path), "--output", str(tmp_path / "out")]) == 0
    (file,) = (tmp_path / "out").glob("*.onnx")
    onnx.checker.check_model(onnx.load(file), full_check=True)


def test_weights_and_pages_take_such_names(net: Network, tmp_path: Path) -> None:
    """Caffe's blobs under the layers' own names in .safetensors, and a report's page, where they stay text."""
    write_safetensors(tmp_path / "a.safetensors", net.state_dict(), {"net": "".join(HOSTILE)})
    other = hostile_net()
    for blob in other.parameters():
        blob.data.zero_()
    other.load_weights(tmp_path / "a.safetensors")
    state = other.state_dict()
    assert all(torch.equal(state[name], blob) for name, blob in net.state_dict().items())
    blocks = [Table("t", ("layer",), tuple((name,) for name in HOSTILE))]
    page = as_html(Document("en", "t", blocks, (Section("a", "t", blocks),), "", ""))
    assert "<script" not in page and page.count("&lt;script&gt;") == 2


def test_onnx_files_have_the_names_as_they_are(net: Network, tmp_path: Path) -> None:
    export_onnx(net, tmp_path / "a.onnx")
    graph = onnx.load(tmp_path / "a.onnx").graph
    assert [value.name for value in graph.input] == ["import\n"]
    named = {name for node in graph.node for name in (*node.input, *node.output)}
    assert {"class ", "a\nimport os "} <= named  # others are in the weights before them
