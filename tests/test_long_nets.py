"""Walks over a net of many layers, and building one: each layer takes a fixed number of looks and of lines run."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from converters import Network, blobs, load_net
from converters.solver.update.rules import learnable
from converters.weights.formats import write_safetensors
from eval.cost import layer_costs

INPUT = 'layer { name: "in" type: "Input" top: "t0" input_param { shape { dim: 1 dim: 2 } } }\n'
IP = (
    'layer {{ name: "l{0}" type: "InnerProduct" bottom: "t{0}" top: "t{1}" param {{ name: "{2}" }} '
    "inner_product_param {{ num_output: 2 bias_term: false }} }}\n"
)


def chain(layers: int) -> Network:
    """Every second layer shares its weights with the one before."""
    return load_net(INPUT + "".join(IP.format(i, i + 1, f"w{i // 2}") for i in range(layers)))


def through(suffix: str, folder: Path) -> Callable[[Network], object]:
    def run(net: Network) -> None:
        path = folder / f"w.{suffix}"
        if suffix == "caffemodel":
            net.save_caffemodel(path)
        elif suffix == "h5":
            net.save_hdf5(path)
        else:
            write_safetensors(path, net.state_dict(), {})
        net.load_weights(path)

    return run


WALKS: dict[str, Callable[[Network], object]] = {
    "params": lambda net: net.params,
    "learnable": learnable,
    "cost": layer_costs,
    "fill": lambda net: net.fill(0),
    "share": lambda net: net.bind(),
    "state": lambda net: net.load_state_dict(net.state_dict()),
    "pass": lambda net: net.loss(net.values({"t0": torch.ones(1, 2)})),
    "build": lambda net: Network(net.graph),
}


def looks(monkeypatch: pytest.MonkeyPatch, layers: int, walk: Callable[[Network], object]) -> int:
    """How often a walk asks for a blob or for a layer's list of them."""
    net, count = chain(layers), 0

    def counting(function: Callable[..., object]) -> Callable[..., object]:
        def counted(*args: object, **kwargs: object) -> object:
            nonlocal count
            count += 1
            return function(*args, **kwargs)

        return counted

    with monkeypatch.context() as patch:
        for module in (blobs, Network.__init__.__globals__, learnable.__globals__):
            table = module if isinstance(module, dict) else vars(module)
            patch.setitem(table, "tensor_of", counting(blobs.tensor_of))
        patch.setattr(Network, "blobs_of", counting(Network.blobs_of))
        walk(net)
    return count


@pytest.mark.parametrize("walk", [*WALKS, "caffemodel", "h5", "safetensors"])
def test_a_walk_looks_at_each_blob_a_fixed_number_of_times(
    walk: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = WALKS.get(walk) or through(walk, tmp_path)
    short, long = (looks(monkeypatch, layers, run) for layers in (20, 80))
    assert long <= 4 * short + 8


LAYERS = {
    "convolutions": 'name: "l{0}" type: "Convolution" bottom: "t{0}" top: "t{1}" '
    "convolution_param {{ num_output: 2 kernel_size: 1 }}",
    "one name": 'name: "l" type: "BatchNorm" bottom: "t{0}" top: "t{1}"',
    "one blob": 'name: "l{0}" type: "Scale" bottom: "t{0}" top: "t{1}" param {{ name: "w" }}',
    "one bottom": 'name: "l{0}" type: "Sigmoid" bottom: "t0" top: "t{1}"',
    "joined": 'name: "l{0}" type: "Eltwise" bottom: "t{0}" bottom: "t0" top: "t{1}"',
    "in place": 'name: "l{0}" type: "Sigmoid" bottom: "t0" top: "t0"',
}


def lines_run(kind: str, layers: int) -> int:
    """How many lines of Python run on the way from text to module."""
    text = INPUT.replace("dim: 2", "dim: 2 dim: 3 dim: 3")
    text += "".join(f"layer {{ {LAYERS[kind].format(i, i + 1)} }}\n" for i in range(layers))
    count = 0

    def note(frame: object, event: str, argument: object) -> Callable[..., object]:
        nonlocal count
        count += event == "line"
        return note

    before = sys.gettrace()
    sys.settrace(note)
    try:
        load_net(text)
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("kind", LAYERS)
def test_building_takes_as_many_lines_a_layer_in_a_long_net(kind: str) -> None:
    lines_run(kind, 2)  # what is done once a process
    short, long = (lines_run(kind, layers) for layers in (50, 200))
    assert long <= 4.1 * short
