"""``torch.compile(net, fullgraph=True)``: one graph, TEST and TRAIN, that computes what the net does."""

import pytest
import torch
from golden_cases import GOLDEN
from layer_cases import recorded
from recordings import is_traceable, load
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend

from converters import Network, load_net
from prototxt.text import to_text
from zoo.variants.edits import find_net
from zoo.variants.sizing import resize_input

NETS = sorted(path.stem for path in (GOLDEN / "layers").glob("net_*.npz"))
# One recording of each rule; what a user wrote in Python is no graph.
ONE_EACH = {cases[0] for kind, cases in recorded()[0].items() if kind != "Python"}
CASES = sorted(filter(is_traceable, ONE_EACH | set(NETS)))
SHIPPED = [("allconv6", "baseline"), ("allconv6", "bn+fc"), ("allconv6", "dropout0.5"), ("allconv8", "gap")]


def run(net: Network, call: object, inputs: list[Tensor]) -> list[Tensor]:
    """The outputs and, where there are any, the gradients of their sum."""
    torch.manual_seed(3)  # Dropout's masks
    net.zero_grad()
    out = call(*inputs)  # type: ignore[operator]
    tops = list(out.values()) if isinstance(out, dict) else [out]
    losses = [top.sum() for top in tops if top.requires_grad]
    if losses:
        torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
    gradients = [blob.grad.clone() for blob in net.parameters() if blob.grad is not None]
    return [*(top.detach() for top in tops), *gradients]


def is_one_graph(net: Network, inputs: list[Tensor], backend: str = "eager") -> bool:
    """Whether the net compiles whole, to a graph that gives what the net itself gives."""
    torch._dynamo.reset()
    counter = CompileCounterWithBackend(backend)
    state = {name: blob.clone() for name, blob in net.state_dict().items()}
    wanted = run(net, net, inputs)
    net.load_state_dict(state)  # BatchNorm's sums moved on
    for module in net.modules():
        if hasattr(module, "reset"):
            module.reset()
    found = run(net, torch.compile(net, fullgraph=True, backend=counter), inputs)
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, equal_nan=True)
    return counter.frame_count == 1


@pytest.mark.parametrize("case", CASES)
def test_recorded_layers_and_nets(case: str) -> None:
    net, inputs, _ = load(case)
    assert is_one_graph(net, [inputs[name] for name in net.inputs])


@pytest.mark.parametrize("phase", ["TEST", "TRAIN"])
@pytest.mark.parametrize(("name", "variant"), SHIPPED)
def test_shipped_nets(name: str, variant: str, phase: str) -> None:
    message = find_net(name, f"{variant}+msra").message
    resize_input(message, 64)
    net = load_net(to_text(message), phase=phase, input_shapes={"data": (2, 3, 64, 64), "label": (2,)})
    generator = torch.Generator().manual_seed(0)
    assert is_one_graph(net, [torch.randn(2, 3, 64, 64, generator=generator) * 50, torch.tensor([1.0, 0])])


ELTWISE = """
layer { name: "in" type: "Input" top: "a" top: "b" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "e" type: "Eltwise" bottom: "a" bottom: "b" top: "%s" eltwise_param { %s } }
"""


@pytest.mark.parametrize("is_learning", [False, True])
@pytest.mark.parametrize("top", ["a", "y"])
@pytest.mark.parametrize(
    "param", ["operation: SUM", "operation: MAX", "operation: PROD stable_prod_grad: false"]
)
def test_backward_passes_of_our_own(param: str, top: str, is_learning: bool) -> None:
    """Where no gradient is asked, dynamo may take a Function's ctx for its first argument."""
    inputs = [torch.full((2, 3), value, requires_grad=is_learning) for value in (2.0, 3.0)]
    assert is_one_graph(load_net(ELTWISE % (top, param)), inputs)


def test_values_and_the_loss_of_a_training_step() -> None:
    net, inputs, _ = load("net_resnet_train")
    names = net.inputs

    def loss(*tensors: Tensor) -> Tensor:
        return net.loss(net.values(dict(zip(names, tensors, strict=True))))

    torch._dynamo.reset()
    counter = CompileCounterWithBackend("aot_eager")
    wanted = net.loss(net.values(inputs))
    found = torch.compile(loss, fullgraph=True, backend=counter)(*(inputs[name] for name in names))
    found.backward()  # type: ignore[no-untyped-call]
    assert counter.frame_count == 1 and all(blob.grad is not None for blob in net.parameters())
    torch.testing.assert_close(found, wanted)
