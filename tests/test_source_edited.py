"""A source that was edited is its editor's: no conversion writes over it."""

from pathlib import Path

import pytest

from zoo.__main__ import main

NET = """name: "net" layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 3 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 2 } }"""


@pytest.mark.parametrize("options", [[], ["--pth"]])
def test_an_edited_source_stays(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "net.prototxt").write_text(NET)
    convert = ["convert", str(tmp_path / "net.prototxt"), "--output", str(tmp_path / "out")]
    assert main([*convert, *options]) == 0
    assert main([*convert, "--opset", "17", *options]) == 0  # its own files go
    assert main([*convert, "--pth"]) == 0  # whatever format their weights have
    source = tmp_path / "out" / "net.py"
    edited = source.read_text() + "# mine\n"
    source.write_text(edited)
    assert main([*convert, *options]) == 2
    assert f"{source}: is no conversion's of ours (or was changed since)" in capsys.readouterr().err
    assert source.read_text() == edited
