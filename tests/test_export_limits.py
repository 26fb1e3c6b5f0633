"""What keeps a layer out of an ONNX file, or a file's batch from being dynamic, as the types' records say."""

from pathlib import Path

import pytest
import torch

from converters import load_net
from converters.export.onnx_file import export_onnx
from converters.layers.registry import records
from prototxt.errors import InputError
from zoo.cli import main

IMAGE = 'input: "x" input_shape { dim: 2 dim: 3 dim: 4 dim: 4 }\n'
Y = 'bottom: "x" top: "y" }'
UNTRACEABLE = """
from converters.layers.python_layer import PythonLayer

class It(PythonLayer):
    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].data.shape)

    def forward(self, bottom, top):
        top[0].data[...] = sorted(bottom[0].data.ravel().tolist())[0]
"""


def test_a_record_says_what_no_file_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.onnx, "export", lambda *_, **__: pytest.fail("nothing is tried"))
    with pytest.raises(InputError, match="draws at random") as caught:
        export_onnx(load_net(f'{IMAGE}layer {{ name: "lot" type: "Dropout" phase: TRAIN {Y}'), tmp_path / "a")
    assert caught.value.layer == "lot"
    refusing = {record.type for record in records() if record.refuses_export}
    of_forks = {"BoxAnnotatorOHEM", "MultiStageMeanfield", "RReLU", "spatial_dropout.SpatialDropoutLayer"}
    assert refusing == {"Dropout", "Pooling", "DummyData"} | of_forks


def test_a_python_layer_that_torch_cannot_trace_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "untraceable.py").write_text(UNTRACEABLE)
    monkeypatch.syspath_prepend(tmp_path)
    layer = f'layer {{ name: "py" type: "Python" python_param {{ module: "untraceable" layer: "It" }} {Y}'
    with pytest.raises(InputError, match=r'cannot be exported to ONNX \(layer "py" runs Python code, of'):
        export_onnx(load_net(IMAGE + layer, allow_python=True), tmp_path / "a.onnx")


def test_a_file_of_one_batch_says_which_layer_is_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(
        IMAGE + f'layer {{ name: "r" type: "Reshape" reshape_param {{ shape {{ dim: 2 dim: 48 }} }} {Y}'
    )
    assert main(["convert", str(path), "--output", str(tmp_path)]) == 0
    said = 'the batch cannot be dynamic in this net (layer "r": '
    assert said in capsys.readouterr().err
