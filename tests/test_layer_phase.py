"""A layer's own ``phase`` beats the net's, for everything that asks the phase (net.cpp)."""

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from converters import load_data, load_net, load_solver
from converters.build import infer_shapes
from converters.export.onnx_file import deploy_message, deploy_net
from converters.graph import build_graph
from converters.layers.python_layer import PythonLayer
from converters.net_state import net_state, trains
from prototxt.caffe_pb2 import TEST, TRAIN, NetParameter
from prototxt.text import parse_net

NET = Path(__file__).parent / "data" / "faults" / "layer-phase" / "net.prototxt"
DATA = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 4 dim: 1 dim: 8 dim: 8 } } }\n'


@pytest.mark.parametrize("phase", ["TEST", "TRAIN"])
def test_dropout_drops_by_its_own_phase(phase: str) -> None:
    net = load_net(NET, phase=phase)
    for mode in (net.training, True, False):
        out = net.train(mode).all_blobs(x=torch.ones(1, 1000))
        assert 350 < int((out["d"] == 0).sum()) < 650, "TRAIN"
        assert torch.equal(out["e"], torch.ones(1, 1000)), "TEST"


def test_batch_norm_takes_the_batchs_statistics_by_its_own_phase() -> None:
    bn = 'layer {{ name: "{0}" type: "BatchNorm" bottom: "x" top: "{0}" phase: {0} }}\n'
    for phase in ("TEST", "TRAIN"):
        net = load_net(DATA + bn.format("TRAIN") + bn.format("TEST"), phase=phase)
        net.eval().all_blobs(x=torch.randn(4, 1, 8, 8) + 3)
        assert net.params["TRAIN"][2].item() == 1 and net.params["TEST"][2].item() == 0


def test_stochastic_pooling_draws_by_its_own_phase() -> None:
    pool = (
        'layer { name: "p" type: "Pooling" bottom: "x" top: "y" phase: TRAIN '
        "pooling_param { pool: STOCHASTIC kernel_size: 2 stride: 2 } }"
    )
    x = torch.rand(4, 1, 8, 8)
    y = load_net(DATA + pool).eval()(x)
    windows = x.unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)
    assert (windows == y.unsqueeze(-1)).any(-1).all()


class Asks(PythonLayer):
    """Puts out the phase that it had in setup and the one it has now."""

    def setup(self, bottom: list, top: list) -> None:
        self.at_setup = self.phase

    def reshape(self, bottom: list, top: list) -> None:
        top[0].reshape(2)

    def forward(self, bottom: list, top: list) -> None:
        top[0].data[...] = self.at_setup, self.phase


def test_a_python_layer_is_told_its_own_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("asks")
    module.Asks = Asks  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "asks", module)
    text = ""
    for top, own in (("none", ""), ("train", "phase: TRAIN"), ("test", "phase: TEST")):
        text += (
            f'layer {{ name: "{top}" type: "Python" top: "{top}" {own} '
            'python_param { module: "asks" layer: "Asks" } }\n'
        )
    net = load_net(text, phase="TRAIN", allow_python=True)
    assert {name: x.tolist() for name, x in net.all_blobs().items()} == {
        "none": [0, 0],
        "train": [0, 0],
        "test": [1, 1],
    }
    assert {name: x.tolist() for name, x in net.eval().all_blobs().items()} == {
        "none": [0, 1],
        "train": [0, 0],
        "test": [1, 1],
    }


def images(folder: Path, own: str) -> str:
    import cv2

    cv2.imwrite(str(folder / "a.png"), np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8))
    (folder / "list.txt").write_text("a.png 0\n" * 4)
    return (
        f'layer {{ name: "d" type: "ImageData" top: "x" top: "l" {own} transform_param {{ crop_size: 9 }} '
        f'image_data_param {{ source: "{folder}/list.txt" root_folder: "{folder}/" batch_size: 4 }} }}\n'
    )


def is_random(x: torch.Tensor) -> bool:
    return not all(torch.equal(x[0], other) for other in x)


@pytest.mark.parametrize(("phase", "own"), [("TEST", "TRAIN"), ("TRAIN", "TEST")])
def test_a_data_layer_crops_by_its_own_phase(phase: str, own: str, tmp_path: Path) -> None:
    text = images(tmp_path, f"phase: {own}")
    assert is_random(next(load_data(text, phase=phase))["x"]) == (own == "TRAIN")
    assert is_random(next(load_data(images(tmp_path, ""), phase=phase))["x"]) == (phase == "TRAIN")
    layer = parse_net(text).layer[0]
    assert trains(layer, phase) == (own == "TRAIN")


def test_a_solvers_data_layer_crops_by_its_own_phase(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(
        images(tmp_path, "phase: TEST")
        + 'layer { name: "p" type: "Parameter" top: "p" parameter_param { shape { dim: 4 } } }\n'
        'layer { name: "loss" type: "EuclideanLoss" bottom: "p" bottom: "l" top: "loss" }\n'
    )
    (tmp_path / "s.prototxt").write_text(f'net: "{tmp_path}/net.prototxt" base_lr: 1 lr_policy: "fixed"')
    solver = load_solver(tmp_path / "s.prototxt", log=lambda _: None)
    assert not is_random(solver.net.next_batch()["x"])


def test_what_is_written_carries_the_phase(tmp_path: Path) -> None:
    net = load_net(NET)
    net.save_caffemodel(tmp_path / "w.caffemodel")
    saved = NetParameter.FromString((tmp_path / "w.caffemodel").read_bytes())
    assert [layer.phase for layer in saved.layer] == [TEST, TRAIN, TEST]
    small = deploy_net(load_net(NET, phase="TRAIN"))
    assert 350 < int((small.all_blobs(x=torch.ones(1, 1000))["d"] == 0).sum()) < 650
    layers = {layer.name: layer for layer in deploy_message(small).layer}
    assert layers["d"].phase == TRAIN and layers["e"].phase == TEST and not layers["x"].HasField("phase")


def test_shapes_are_told_in_the_layers_phase() -> None:
    graph = build_graph(parse_net(NET.read_text()), net_state("TRAIN"))
    assert {tuple(shape) for shape in infer_shapes(graph, "TRAIN").values()} == {(1, 1000)}
