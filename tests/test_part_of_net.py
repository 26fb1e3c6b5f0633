"""A part of a net, and what can be built upon it from outside: blobs whose memory lasts, a backward pass layer
by layer, a test net that shares the train net's blobs.
"""

from pathlib import Path

import pytest
import torch
from golden_cases import GOLDEN, arrays, named, set_blobs
from torch import Tensor

from converters import Network, load_net
from converters.graph import Value
from converters.solver.net import share_trained_layers
from converters.steps import loss_weights
from prototxt.errors import InputError

NETS = sorted((GOLDEN / "layers").glob("net_*.prototxt"))


def weights(net: Network) -> dict[Value, float]:
    """The loss weight of every value that has one; of a net without a loss 1 for what it puts out."""
    pairs = [pair for node in net.graph.nodes for pair in zip(node.outputs, loss_weights(node), strict=False)]
    return dict(pairs) or dict.fromkeys(net.graph.outputs, 1.0)


class Face:
    """A small face on a net, as pycaffe's: a pass over layers copies what they make into tensors that last, a
    backward pass goes back over the same layers. Only what Network shows is used.
    """

    def __init__(self, net: Network) -> None:
        self.net, self.nodes = net, net.graph.nodes
        self.data = {value: torch.zeros(shape) for value, shape in net.shapes.items()}
        self.diff = {value: torch.zeros(shape) for value, shape in net.shapes.items()}
        self.passes: dict[int, tuple[dict[Value, Tensor], dict[Value, Tensor]]] = {}

    def forward(self, start: int = 0, end: int | None = None) -> None:
        for number in range(start, len(self.nodes) if end is None else end + 1):
            read = {value: self.data[value].clone() for value in self.net.reads(number, number)}
            for tensor in read.values():
                tensor.requires_grad_(tensor.is_floating_point())
            made = self.net.run(number, number, read)
            self.passes[number] = read, made
            for value, tensor in made.items():
                self.data[value].copy_(tensor.detach())

    def backward(self) -> None:
        for value, diff in self.diff.items():
            diff.fill_(weights(self.net).get(value, 0))
        for number in reversed(range(len(self.nodes))):
            read, made = self.passes[number]
            tops = [value for value, tensor in made.items() if tensor.requires_grad]
            if tops and not self.nodes[number].is_data:
                torch.autograd.backward([made[v] for v in tops], [self.diff[v] for v in tops])
            for value, tensor in read.items():
                if tensor.grad is not None and not self.nodes[number].is_data:
                    self.diff[value] += tensor.grad


def case(path: Path) -> tuple[Network, dict[Value, Tensor]]:
    """A recorded net with its weights, and its inputs."""
    data = arrays(path.with_suffix(".npz"))
    net = load_net(path, phase=str(data["phase"]))
    set_blobs(net, named(data, "param"))
    inputs = named(data, "in")
    return net, {value: inputs[value.blob] for value in net.graph.inputs}


@pytest.mark.parametrize("path", NETS, ids=lambda path: path.stem)
def test_layer_by_layer_gives_the_gradients_of_one_pass(path: Path) -> None:
    net, inputs = case(path)
    leaves = {value: x.clone().requires_grad_(x.is_floating_point()) for value, x in inputs.items()}
    torch.manual_seed(1)
    values = net.values({value.blob: x for value, x in leaves.items()})
    for tensor in values.values():
        if tensor.requires_grad:
            tensor.retain_grad()
    sum((values[value] * weight).sum() for value, weight in weights(net).items()).backward()
    other, _ = case(path)
    face = Face(other)
    memory = {value: tensor.data_ptr() for value, tensor in face.data.items()}
    for value, x in inputs.items():
        face.data[value].copy_(x)
    torch.manual_seed(1)
    face.forward()
    face.backward()
    for value, tensor in values.items():
        torch.testing.assert_close(face.data[value], tensor.detach(), rtol=0, atol=0, check_dtype=False)
        if tensor.grad is not None:
            torch.testing.assert_close(face.diff[value], tensor.grad, rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(net.parameters(), other.parameters(), strict=True):
        expected = torch.zeros_like(ours) if ours.grad is None else ours.grad
        torch.testing.assert_close(theirs.grad, expected, rtol=1e-5, atol=1e-6)
    assert memory == {value: tensor.data_ptr() for value, tensor in face.data.items()}


CHAIN = """
layer { name: "in" type: "Input" top: "x" top: "z" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "one" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 3
  weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "y" top: "y" }
layer { name: "sum" type: "Eltwise" bottom: "y" bottom: "z" top: "s" }
"""


def test_a_part_needs_what_it_reads_and_does_not_make() -> None:
    net = load_net(CHAIN)
    x, z = torch.randn(2, 3), torch.randn(2, 3)
    values = net.values({"x": x, "z": z})
    y = Value("y", "one")
    assert [net.reads(*part) for part in ((1, 2), (2, 3), (3, 2))] == [
        [net.graph.inputs[0]], [y, net.graph.inputs[1]], [],
    ]  # fmt: skip
    assert net.reads(0, 3) == list(net.graph.inputs)
    last = net.run(2, 3, {y: values[y], net.graph.inputs[1]: z})
    assert list(last) == [Value("y", "relu"), Value("s", "sum")]
    assert all(torch.equal(tensor, values[value]) for value, tensor in last.items())
    both = net.run(0, 1, {net.graph.inputs[0]: x, net.graph.inputs[1]: z})
    assert torch.equal(both[y], values[y]) and list(both)[:2] == list(net.graph.inputs)
    assert net.run(3, 2, {}) == {}
    with pytest.raises(InputError, match=r"^no tensor for z$"):
        net.run(2, 3, {y: values[y]})


def test_a_changed_blob_goes_on_from_there() -> None:
    face = Face(load_net(CHAIN))
    for value in face.net.graph.inputs:
        face.data[value].normal_()
    face.forward()
    face.data[Value("y", "one")].fill_(-1)
    face.forward(2)
    assert torch.equal(face.data[Value("s", "sum")], face.data[face.net.graph.inputs[1]])


def test_a_test_net_shares_the_train_nets_blobs() -> None:
    train, test = load_net(CHAIN, phase="TRAIN"), load_net(CHAIN)
    share_trained_layers(test, train)
    with torch.no_grad():
        train.params["one"][0].fill_(2)
    x = torch.randn(2, 3)
    assert torch.equal(test(x, x), train(x, x)) and (train(x, x) != load_net(CHAIN)(x, x)).any()
    assert test.params["one"][0].data_ptr() == train.params["one"][0].data_ptr()
