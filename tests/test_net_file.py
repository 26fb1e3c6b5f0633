"""A net's file keeps its text: errors about a layer name file and line, and nothing is read twice."""

from pathlib import Path

import pytest

from converters.graph import graph_of
from converters.load import build
from converters.net_state import net_state
from prototxt.encoding import read_text
from prototxt.errors import InputError
from prototxt.net_file import NetFile
from zoo.__main__ import main

NET = """name: "a"
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 4 } }
"""


def test_a_net_is_read_from_a_path_or_a_text(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(NET)
    assert NetFile.of(NET) == NetFile(NetFile.of(path).message, "<text>", NET)
    assert NetFile.of(str(path)) == NetFile.read(path) and NetFile.read(path).path == path


def test_graph_and_module_name_the_line_of_their_net() -> None:
    wrong = NetFile.parse(NET.replace('bottom: "x"', 'bottom: "z"'), "net.prototxt")
    with pytest.raises(InputError, match=r'^net\.prototxt:3: layer "ip": bottom "z" is written by no layer'):
        graph_of(wrong, net_state())
    empty = graph_of(NetFile.parse(NET.replace("num_output: 4", ""), "net.prototxt"), net_state())
    with pytest.raises(InputError, match=r'^net\.prototxt:3: layer "ip": num_output'):
        build(empty)


def test_convert_reads_a_prototxt_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, texts = tmp_path / "net.prototxt", []
    path.write_text(NET)
    for module in ("prototxt.text", "prototxt.net_file"):
        monkeypatch.setattr(f"{module}.read_text", lambda path: texts.append(str(path)) or read_text(path))
    assert main(["convert", str(path), "--output", str(tmp_path)]) == 0
    assert texts == [str(path)]
