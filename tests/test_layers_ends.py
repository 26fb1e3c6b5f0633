"""Where a net begins and ends: data layers, DummyData, Parameter, Python, HDF5Output; propagate_down."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from one_layer import one_layer, random, run

from converters import load_net
from converters.export.deploy import deploy
from converters.layers.source import write_hdf5
from converters.network import Network

DATA = [
    ('type: "Data" data_param { batch_size: 2 } transform_param { crop_size: 5 }', [(2, 3, 5, 5), (2,)]),
    ('type: "ImageData" image_data_param { batch_size: 2 new_height: 4 new_width: 6 }', [(2, 3, 4, 6), (2,)]),
    ('type: "ImageData" image_data_param { batch_size: 2 is_color: false } transform_param { crop_size: 3 }',
     [(2, 1, 3, 3), (2,)]),
    ('type: "ImageData" image_data_param { batch_size: 2 label_size: 3 } transform_param { crop_size: 3 }',
     [(2, 3, 3, 3), (2, 3, 1, 1)]),
    ('type: "MemoryData" memory_data_param { batch_size: 2 channels: 1 height: 3 width: 4 }',
     [(2, 1, 3, 4), (2,)]),
    ('type: "WindowData" window_data_param { batch_size: 2 crop_size: 7 }', [(2, 3, 7, 7), (2,)]),
]  # fmt: skip


@pytest.mark.parametrize(("layer", "shapes"), DATA)
def test_a_data_layers_tops_are_inputs(layer: str, shapes: list) -> None:
    net = load_net(f'layer {{ name: "d" top: "data" top: "label" {layer} }}')
    assert net.inputs == ["data", "label"] and net.outputs == ["data", "label"]
    assert [tuple(net.shapes[value]) for value in net.graph.inputs] == shapes
    assert net.layer_types == {"d": net.graph.nodes[0].layer.type} and net.params.get("d", []) == []
    x, label = torch.ones(shapes[0]), torch.zeros(shapes[1])
    assert net(x, label)["data"] is x


def test_shapes_that_only_the_data_know_are_given() -> None:
    text = (
        'layer { name: "d" type: "HDF5Data" top: "a" top: "b" hdf5_data_param { source: "x" batch_size: 2 } }'
    )
    with pytest.raises(ValueError, match='shape of top "a"'):
        load_net(text)
    net = load_net(text, input_shapes={"a": (2, 3), "b": (2,)})
    assert net.inputs == ["a", "b"]


def test_dummy_data_draws_anew_but_for_constants() -> None:
    net = one_layer(
        'type: "DummyData" top: "a" top: "b" dummy_data_param { shape { dim: 2 dim: 3 } '
        'data_filler { value: 7 } data_filler { type: "gaussian" std: 2 } }'
    )
    assert net.inputs == [] and net.params == {} and not net.state_dict()
    first, second = net(), net()
    assert first["a"].tolist() == [[7] * 3] * 2 and torch.equal(first["a"], second["a"])
    assert not torch.equal(first["b"], second["b"])
    torch.manual_seed(3)
    third = net()["b"]
    torch.manual_seed(3)
    assert torch.equal(net()["b"], third)
    assert net.half()()["b"].dtype == torch.half


def test_dummy_data_of_the_older_dims_and_no_filler() -> None:
    net = one_layer(
        'type: "DummyData" top: "a" top: "b" '
        "dummy_data_param { num: 2 channels: 3 height: 1 width: 4 width: 5 }"
    )
    assert [tuple(x.shape) for x in net().values()] == [(2, 3, 1, 4), (2, 3, 1, 5)]
    assert not net()["a"].any()


def test_parameter_is_a_learned_blob() -> None:
    net = one_layer('type: "Parameter" top: "p" parameter_param { shape { dim: 2 dim: 3 } }')
    (blob,) = net.params["it"]
    assert not blob.any()
    with torch.no_grad():
        blob.copy_(torch.ones(2, 3))
    net().sum().backward()
    assert blob.grad.tolist() == [[1] * 3] * 2


def test_what_a_label_alone_needed_is_not_deployed() -> None:
    text = """
        layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
        layer { name: "want" type: "DummyData" top: "t" dummy_data_param { shape { dim: 2 dim: 3 } } }
        layer { name: "act" type: "ReLU" bottom: "x" top: "y" }
        layer { name: "loss" type: "EuclideanLoss" bottom: "y" bottom: "t" top: "l" }"""
    graph = deploy(load_net(text).graph)
    assert [node.layer.name for node in graph.nodes] == ["in", "act"]
    assert Network(graph).outputs == ["y"]


@pytest.mark.parametrize("forced", [False, True])
def test_propagate_down_stops_the_gradient_unless_backward_is_forced(forced: bool) -> None:
    text = f"""force_backward: {str(forced).lower()}
        layer {{ name: "in" type: "Input" top: "a" top: "b" input_param {{ shape {{ dim: 2 }} }} }}
        layer {{ name: "sum" type: "Eltwise" bottom: "a" bottom: "b" top: "y"
                propagate_down: true propagate_down: false }}"""
    blobs = run(load_net(text), a=np.ones(2), b=np.ones(2))
    blobs["y"].sum().backward()
    assert blobs["in/a"].grad.tolist() == [1, 1]
    assert blobs["in/b"].grad is None if not forced else blobs["in/b"].grad.tolist() == [1, 1]


def test_silence_makes_no_output_and_no_gradient() -> None:
    net = load_net(
        'layer { name: "in" type: "Input" top: "a" top: "b" input_param { shape { dim: 2 } } }'
        'layer { name: "hush" type: "Silence" bottom: "b" }'
        'layer { name: "r" type: "ReLU" bottom: "a" top: "y" }'
    )
    assert net.outputs == ["y"]
    blobs = run(net, a=np.ones(2), b=np.ones(2))
    blobs["y"].sum().backward()
    assert blobs["in/b"].grad is None


def test_hdf5_output_writes_only_where_it_is_asked_to(tmp_path: Path) -> None:
    path = tmp_path / "out.h5"
    net = one_layer(f'type: "HDF5Output" hdf5_output_param {{ file_name: "{path}" }}', d=(2, 3), l=(2,))
    data, label = random(2, 3), np.array([4, 5], np.float32)
    assert net(torch.from_numpy(data), torch.from_numpy(label)) == {} and not path.exists()
    write_hdf5(path, torch.from_numpy(data), torch.from_numpy(label))
    with h5py.File(path) as file:
        assert sorted(file) == ["data", "label"]
        assert np.array_equal(file["data"], data[..., None, None])
        assert file["label"].shape == (2, 1, 1, 1) and file["label"].dtype == np.float32


MODULE = """
import caffe
import numpy as np

class Scaled(caffe.Layer):
    def setup(self, bottom, top):
        self.factor = float(self.param_str)
        if len(bottom) != 2:
            raise Exception("needs two bottoms")

    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].data.shape)
        top[1].reshape(1)

    def forward(self, bottom, top):
        top[0].data[...] = bottom[0].data * self.factor
        top[1].data[...] = np.sum(bottom[1].data) + (100 if self.phase == caffe_train else 0)

    def backward(self, top, propagate_down, bottom):
        if propagate_down[0]:
            bottom[0].diff[...] = top[0].diff * self.factor
        bottom[1].diff[...] = top[1].diff[0]

caffe_train = caffe.TRAIN
"""
PYTHON = (
    'layer { name: "in" type: "Input" top: "a" top: "b" input_param { shape { dim: 2 dim: 3 } } }'
    'layer { name: "py" type: "Python" bottom: "a" bottom: "b" top: "y" top: "z"'
    " loss_weight: 0 loss_weight: 2"
    ' python_param { module: "own_layers" layer: "Scaled" param_str: "3" } }'
)


@pytest.fixture
def own_layers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_layers.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))


def test_a_python_layer_runs_only_where_it_is_allowed(own_layers: None) -> None:
    with pytest.raises(ValueError, match=r"would run the code of own_layers\.Scaled"):
        load_net(PYTHON)
    net = load_net(PYTHON, allow_python=True)
    blobs = run(net, a=np.ones((2, 3)), b=np.ones((2, 3)))
    assert blobs["y"].tolist() == [[3] * 3] * 2 and blobs["z"].tolist() == [6]
    (blobs["y"].sum() + 5 * blobs["z"].sum()).backward()
    assert blobs["in/a"].grad.unique().tolist() == [3] and blobs["in/b"].grad.unique().tolist() == [5]
    values = net.values({"a": torch.ones(2, 3), "b": torch.ones(2, 3)})
    assert net.loss(values).item() == 12
    net.train()
    assert net(torch.ones(4, 3), torch.ones(4, 3))["z"].item() == 112  # another batch, and the phase


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"own_layers"', '"no_such_module"', "No module named 'no_such_module'"),
        ('"Scaled"', '"Other"', "has no attribute 'Other'"),
        ('bottom: "a" bottom: "b"', 'bottom: "a"', "needs two bottoms"),
        ('"3"', '"three"', "could not convert string to float"),
    ],
)
def test_a_python_layer_that_fails_is_named(own_layers: None, old: str, new: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as error:
        load_net(PYTHON.replace(old, new), allow_python=True)
    assert 'layer "py"' in str(error.value)


def test_a_python_layer_may_be_a_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its values come in every pass, and not while the net is built."""
    (tmp_path / "own_source.py").write_text(
        "class Count:\n"
        "    passes = 0\n"
        "    def setup(self, bottom, top): pass\n"
        "    def reshape(self, bottom, top): top[0].reshape(2)\n"
        "    def forward(self, bottom, top):\n"
        "        self.passes += 1\n"
        "        top[0].data[...] = self.passes\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    text = 'layer { name: "py" type: "Python" top: "y" python_param { module: "own_source" layer: "Count" } }'
    net = load_net(text, allow_python=True)
    assert net().tolist() == [1, 1] and net.double()().tolist() == [2, 2]
    assert net().dtype == torch.float64
