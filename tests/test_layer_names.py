"""Layers of any name: two of one name, names of a module's own attributes, names with dots, no name."""

import copy
from pathlib import Path

import h5py
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from converters import Network, load_net, load_solver
from converters.export.onnx_file import deploy_net, export_onnx
from converters.solver.net import SolverNet, share_trained_layers
from converters.solver.update.rules import learnable
from converters.weights.formats import write_safetensors
from eval.cost import layer_costs, parameters
from prototxt.errors import InputError
from zoo.train.snapshots import snapshot

DUPLICATES = Path(__file__).parent / "data" / "faults" / "dup-names"
# Attributes of Network, SolverNet and nn.Module, then names that are alike once they are made attributes.
AWKWARD = (
    "loss", "forget", "seen", "feeds", "half", "training", "params", "type", "forward", "items", "layers",
    "blobs", "", "unnamed", "layers.fc.1", "fc.1", "fc_1", "fc.1.weight", "fc_1_", "graph", "keys", "bind",
    "_steps", "weight", "state_dict", "parametrizations", "a/b", "fc#2",
)  # fmt: skip
OLD = {"fc.1": "fc_1", "fc_1": "fc_1_", "loss": "loss_", "values": "values_", "conv1": "conv1", "": "unnamed"}


def chain(names: list[str] | tuple[str, ...]) -> str:
    """A net of InnerProducts of these names, one behind the other, with values of their own."""
    text = 'layer { name: "in" type: "Input" top: "t0" input_param { shape { dim: 1 dim: 2 } } }\n'
    for place, name in enumerate(names):
        text += (
            f'layer {{ name: "{name}" type: "InnerProduct" bottom: "t{place}" top: "t{place + 1}" inner_product_param '
            f'{{ num_output: 2 bias_term: false weight_filler {{ type: "constant" value: {place + 1} }} }} }}\n'
        )
    return text


def numbers(net: nn.Module) -> dict[str, float]:
    return {name: blob.mean().item() for name, blob in net.state_dict().items()}


def same_net() -> Network:
    return load_net(DUPLICATES / "same.prototxt")


def test_no_name_collides_with_an_attribute_or_another_name(tmp_path: Path) -> None:
    net = load_net(chain(AWKWARD))
    values = {f"{name or 'unnamed#2'}.weight": float(place + 1) for place, name in enumerate(AWKWARD)}
    values["unnamed.weight"] = AWKWARD.index("unnamed") + 1.0
    assert numbers(net) == values
    assert {name: blobs[0].mean().item() for name, blobs in net.params.items()} == {
        name: place + 1 for place, name in enumerate(AWKWARD)
    }
    small = deploy_net(net)
    assert numbers(small) == values and numbers(copy.deepcopy(net)) == values
    x = torch.ones(1, 2)
    assert torch.equal(small(x), net(x)) and torch.equal(copy.deepcopy(net)(x), net(x))
    for suffix in ("caffemodel", "h5", "safetensors"):
        path = tmp_path / f"w.{suffix}"
        if suffix == "h5":
            continue  # HDF5 takes a/b for b in a group a, and no empty name
        write_safetensors(path, net.state_dict(), {}) if suffix == "safetensors" else net.save_caffemodel(
            path
        )
        assert numbers(load_net(chain(AWKWARD), path)) == values


def test_a_state_dict_loads_strictly_and_says_what_is_missing() -> None:
    net, other = load_net(chain(["fc.1", "loss"])), load_net(chain(["fc.1", "loss"]))
    state = {name: torch.full_like(blob, 5) for name, blob in net.state_dict().items()}
    assert str(net.load_state_dict(state)) == "<All keys matched successfully>"
    assert numbers(net) == {"fc.1.weight": 5, "loss.weight": 5}
    del state["loss.weight"]
    state["other.weight"] = torch.zeros(2)
    result = other.load_state_dict(state, strict=False)
    assert (result.missing_keys, result.unexpected_keys) == (["loss.weight"], ["other.weight"])
    assert numbers(other) == {"fc.1.weight": 5, "loss.weight": 2}
    with pytest.raises(RuntimeError, match=r'(?s)"loss.weight".*"other.weight"'):
        other.load_state_dict(state)
    with pytest.raises(RuntimeError, match=r"size mismatch for fc\.1\.weight.*\[1, 2\].*\[2, 2\]"):
        other.load_state_dict({"fc.1.weight": torch.zeros(1, 2)}, strict=False)
    assert set(state) == {"fc.1.weight", "other.weight"}


def test_a_state_goes_through_a_module_around_the_net_and_by_assignment() -> None:
    text = chain(["fc.1", "loss"])
    around, other = nn.Sequential(load_net(text)), nn.Sequential(load_net(chain(["a", "b"])))
    assert list(around.state_dict()) == ["0.fc.1.weight", "0.loss.weight"]
    state = {name: blob + 3 for name, blob in around.state_dict().items()}
    around.load_state_dict(state, assign=True)
    assert numbers(around) == {"0.fc.1.weight": 4, "0.loss.weight": 5}
    result = other.load_state_dict(state, strict=False)
    assert result.missing_keys == ["0.a.weight", "0.b.weight"]
    assert result.unexpected_keys == ["0.fc.1.weight", "0.loss.weight"]


def test_names_of_versions_before_are_read(tmp_path: Path) -> None:
    text = chain(list(OLD))
    state = {f"{old}.weight": torch.full((2, 2), 10.0 + place) for place, old in enumerate(OLD.values())}
    wanted = {f"{name or 'unnamed'}.weight": 10.0 + place for place, name in enumerate(OLD)}
    net = load_net(text)
    net.load_state_dict(state)
    assert numbers(net) == wanted
    save_file(state, tmp_path / "old.safetensors")
    again = load_net(text)
    assert again.load_weights(tmp_path / "old.safetensors") == ([], [])
    assert numbers(again) == wanted


def test_names_of_an_old_solvers_net_are_read() -> None:
    net = load_net(chain(["feeds", "seen", "a"]))
    net.load_state_dict({f"{name}.weight": torch.ones(2, 2) for name in ("feeds_", "seen_", "a")})
    assert set(numbers(net).values()) == {1}


def test_two_layers_of_one_name_learn_and_are_saved_apart(tmp_path: Path) -> None:
    solver = load_solver(DUPLICATES / "s.prototxt", log=lambda _: None)
    names = ["fc.weight", "fc.bias", "fc#2.weight", "fc#2.bias"]
    assert [parameter.name for parameter in learnable(solver.net)] == names
    before = {name: blob.clone() for name, blob in solver.net.state_dict().items()}
    solver.step(3)
    state = solver.net.state_dict()
    assert list(state) == names and all(not torch.equal(state[name], before[name]) for name in names)
    assert [row.macs for row in layer_costs(solver.net) if row.name == "fc"] == [12, 8]
    assert parameters(solver.net) == 12 + 4 + 8 + 2
    assert solver.net.params["fc"][0].shape == (2, 4)


def test_the_first_weights_of_a_name_are_as_they_were() -> None:
    """Those of the second are drawn by themselves; the first's do not know of it."""
    ip = 'layer { name: "fc" type: "InnerProduct" bottom: "x" top: "%s" inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }\n'
    data = 'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 3 } } }\n'
    one, two = load_net(data + ip % "a"), load_net(data + ip % "a" + ip % "b")
    first, second = (two.blobs_of(node)[0] for node in two.graph.nodes[1:])
    assert torch.equal(first, one.params["fc"][0]) and not torch.equal(first, second)


def test_files_go_into_the_first_layer_of_a_name(tmp_path: Path) -> None:
    net = same_net()
    assert numbers(net) == {"fc.weight": 7, "fc#2.weight": 9}
    report = net.load_weights(DUPLICATES / "one.caffemodel")
    assert numbers(net) == {"fc.weight": 5, "fc#2.weight": 9} and report == (["fc#2"], [])
    net.load_weights(DUPLICATES / "ab.caffemodel")
    assert numbers(net) == {"fc.weight": 2, "fc#2.weight": 9}
    net.save_caffemodel(tmp_path / "both.caffemodel")
    again = same_net()
    again.load_weights(tmp_path / "both.caffemodel")
    assert numbers(again) == {"fc.weight": 9, "fc#2.weight": 9}  # the file's second comes last, as in Caffe


def test_safetensors_keeps_two_layers_of_one_name_apart(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    write_safetensors(path, same_net().state_dict(), {})
    assert {name: blob.mean().item() for name, blob in load_file(path).items()} == {
        "fc.weight": 7,
        "fc#2.weight": 9,
    }
    net = same_net()
    net.load_state_dict({name: blob * 0 for name, blob in net.state_dict().items()})
    assert net.load_weights(path) == ([], []) and numbers(net) == {"fc.weight": 7, "fc#2.weight": 9}


def test_hdf5_has_no_room_for_two_layers_of_one_name(tmp_path: Path) -> None:
    """Caffe's H5Gcreate2 fails on the second; it reads into the last (layer_names_index_)."""
    net = same_net()
    with pytest.raises(InputError, match='two layers are called "fc"'):
        net.save_hdf5(tmp_path / "w.h5")
    assert not list(tmp_path.iterdir())
    with h5py.File(tmp_path / "one.h5", "w") as file:
        file["data/fc/0"] = torch.full((3, 3), 4.0).numpy()
    net.load_weights(tmp_path / "one.h5")
    assert numbers(net) == {"fc.weight": 7, "fc#2.weight": 4}


def test_a_test_net_shares_into_the_first_layer_of_a_name() -> None:
    trained, tested = same_net(), same_net()
    trained.load_state_dict({"fc.weight": torch.ones(3, 3), "fc#2.weight": torch.full((3, 3), 2.0)})
    share_trained_layers(tested, trained)
    assert numbers(tested) == {"fc.weight": 2, "fc#2.weight": 9}


def test_layers_in_place_of_one_name_are_values_of_their_own() -> None:
    text = (
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 3 } } }\n'
        'layer { name: "r" type: "ReLU" bottom: "x" top: "x" }\n'
        'layer { name: "r" type: "Power" bottom: "x" top: "x" power_param { shift: 1 } }\n'
    )
    net = load_net(text)
    assert net.outputs == ["x"] and len(net.shapes) == 3
    assert net(torch.tensor([[-1.0, 0.0, 2.0]])).tolist() == [[1, 1, 3]]


def test_two_data_layers_of_one_name_serve_both_their_tops(tmp_path: Path) -> None:
    data = (
        'layer {{ name: "d" type: "DummyData" top: "{0}" dummy_data_param {{ shape {{ dim: 2 dim: 3 }} '
        "data_filler {{ value: {1} }} }} }}\n"
        'layer {{ name: "in" type: "Input" top: "{0}in" input_param {{ shape {{ dim: 1 }} }} }}\n'
    )
    net = data.format("a", 1) + data.format("b", 2)
    net += 'layer { name: "l" type: "EuclideanLoss" bottom: "a" bottom: "b" top: "l" }\n'
    (tmp_path / "net.prototxt").write_text(net)
    (tmp_path / "s.prototxt").write_text(f'net: "{tmp_path}/net.prototxt" base_lr: 1 lr_policy: "fixed"')
    solver = load_solver(tmp_path / "s.prototxt", log=lambda _: None)
    assert set(solver.net.next_batch()) == {"ain", "bin"}
    assert solver.step(1) == pytest.approx(1.5)


def test_onnx_weights_are_named_as_in_state_dict(tmp_path: Path) -> None:
    import onnx

    net = load_net(chain(["loss", "fc.1", "fc_1", "layers.fc_1"]))
    export_onnx(net, tmp_path / "a.onnx")
    stored = {item.name for item in onnx.load(tmp_path / "a.onnx").graph.initializer}
    assert set(net.state_dict()) <= stored


def test_a_solvers_net_takes_layers_of_its_own_attributes_names() -> None:
    net = load_net(chain(sorted(name for name in vars(SolverNet) if not name.startswith("__"))))
    assert isinstance(net(torch.ones(1, 2)), Tensor)


def test_snapshots_of_versions_before_are_read_by_todays_names() -> None:
    net = load_net(chain(list(OLD)))
    blob = torch.zeros(2, 2)
    names = [f"{name}.weight" for name in OLD.values()]
    old = {f"net/{name}": blob for name in names} | {f"history/{name}/1": blob for name in names}
    today = [f"{name or 'unnamed'}.weight" for name in OLD]
    wanted = {f"net/{name}" for name in today} | {f"history/{name}/1" for name in today}
    assert snapshot._todays(net, old).keys() == wanted
    assert snapshot._todays(net, dict.fromkeys(wanted, blob)).keys() == wanted
