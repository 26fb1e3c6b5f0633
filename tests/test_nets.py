"""Whole nets and trained models against real Caffe 1.0. Their recordings lie beside the repository."""

import re
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_cases import arrays, error, named
from torch import Tensor

from converters import Network, load_net
from converters.graph import Node, build_graph
from converters.net_state import net_state
from prototxt.net_file import NetFile

SHARED = Path(__file__).parents[2] / "shared"
NETS = SHARED / "golden" / "nets"
WEIGHTS = SHARED / "golden" / "weights"
ABSENT = "recordings of real Caffe that may not be copied into the repository"
PROBES = 64
TOLERANCE = 1e-4
# Every BatchNorm of these takes the statistics of a batch of 2 (use_global_stats: false), layer after layer.
LOOSER = {
    "resnet_50__train": 5e-4,  # float64 is 1.3e-4 from Caffe: rounding grows by that much in Caffe itself
    "resnet_50_1by2__train": 5e-4,  # float64 is 1.1e-4 from Caffe
    "resnet_77_1by2__train": 1e-3,  # float64 is 5.7e-4 from Caffe
}


def tolerance(case: str) -> float:
    return next((loose for end, loose in LOOSER.items() if case.endswith(f"{end}@TEST")), TOLERANCE)


def cases(folder: Path) -> list[object]:
    """The recordings of a folder, or one case that skips where the folder is absent."""
    found = sorted(path.stem for path in folder.glob("*.npz"))
    return found or [pytest.param("none", marks=pytest.mark.skip(f"no {folder}: {ABSENT}"))]


def rng(tag: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(tag.encode()))


def parameter(kind: str, layer: str, index: int, shape: tuple[int, ...]) -> np.ndarray:
    """The value that both sides give a blob (README.md of the recordings)."""
    r = rng(f"{layer}/{index}")
    if kind == "BatchNorm":
        if index in (0, 4):
            return 0.1 * r.standard_normal(shape)
        if index == 3:  # NVIDIA's
            return r.uniform(0.5, 1.5, shape)
        r.standard_normal(shape)
        return r.uniform(0.5, 1.5, shape) if index == 1 else np.ones(shape)
    if kind == "BN":
        return r.uniform(0.5, 1.5, shape) if index in (0, 3) else 0.1 * r.standard_normal(shape)
    if kind in ("Scale", "Normalize") and index == 0:
        return r.uniform(0.5, 1.5, shape)
    if kind == "PReLU":
        return r.uniform(0, 0.3, shape)
    if len(shape) >= 2:
        return r.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
    return 0.1 * r.standard_normal(shape)


def feed(blob: str, shape: tuple[int, ...], is_label: bool) -> Tensor:
    values = np.zeros(shape) if is_label else rng(f"in/{blob}").standard_normal(shape)
    return torch.from_numpy(values.astype(np.float32))


def build(data: dict[str, np.ndarray]) -> Network:
    return build_file(NetFile.read(SHARED / "corpus" / str(data["net"])), data)


def build_file(file: NetFile, data: dict[str, np.ndarray]) -> Network:
    """The net with the weights of a recording."""
    shapes = {str(blob): tuple(data[f"shape/{blob}"]) for blob in data["feeds"]}
    with file.located():
        graph = build_graph(file.message, net_state(str(data["phase"])))
        net = Network(graph, str(data["phase"]), shapes, fill_blobs=False)
    with torch.no_grad():
        for layer, blobs in net.params.items():
            for index, blob in enumerate(blobs):
                values = parameter(net.layer_types[layer], layer, index, tuple(blob.shape))
                blob.copy_(torch.from_numpy(values.astype(np.float32)))
    return net


def forward(net: Network, data: dict[str, np.ndarray]) -> dict[str, Tensor]:
    """Every blob; a loss without a top under Caffe's name for it."""
    labels = {value.blob for node in net.graph.nodes if node.is_data for value in node.outputs[1:]}
    if all(node.layer.type == "Input" for node in net.graph.nodes if node.is_data):
        labels = set()
    inputs = {str(b): feed(str(b), tuple(data[f"shape/{b}"]), str(b) in labels) for b in data["feeds"]}
    inputs.update(named(data, "in"))
    with torch.no_grad():
        values = net.values(inputs)
        blobs = {value.blob: tensor for value, tensor in values.items()}
        for node in net.graph.nodes:
            if is_topless_loss(node):
                top = net.module_of(node)(*(values[value] for value in node.inputs))
                blobs["(automatic)"] = top[0] if isinstance(top, tuple) else top
    return blobs


def is_topless_loss(node: Node) -> bool:
    return node.layer.type.endswith("Loss") and not node.outputs


@pytest.mark.slow
@pytest.mark.parametrize("case", cases(NETS))
def test_whole_nets_are_caffes(case: str) -> None:
    data = arrays(NETS / f"{case}.npz")
    check(build(data), data, tolerance(case))


def check(net: Network, data: dict[str, np.ndarray], most: float) -> None:
    """Every probed blob within ``most`` of Caffe's, as a share of its scale."""
    blobs = forward(net, data)
    checked = 0
    for name, theirs in named(data, "probe").items():
        if re.search(r"_split_\d+$", name):
            continue
        flat = blobs[name].flatten()
        assert tuple(blobs[name].shape) == tuple(data[f"shape/{name}"]), name
        places = np.linspace(0, len(flat) - 1, PROBES).astype(int)
        assert error(flat[torch.from_numpy(places)], theirs) <= most, name
        checked += 1
    assert checked >= len(net.graph.nodes) / 4


@pytest.mark.parametrize("case", cases(WEIGHTS))
def test_trained_models_put_out_what_caffe_did(case: str) -> None:
    data = arrays(WEIGHTS / f"{case}.npz")
    shapes = {name: tuple(x.shape) for name, x in named(data, "in").items()}
    net = load_net(WEIGHTS / f"{case}.prototxt", WEIGHTS / f"{case}.caffemodel", input_shapes=shapes)
    with torch.no_grad():
        blobs = net.all_blobs(**named(data, "in"))
    for name, theirs in named(data, "out").items():
        ours = blobs[name] if blobs[name].shape == theirs.shape else blobs[name].flatten()[: len(theirs)]
        assert error(ours, theirs) <= 1e-5, name
