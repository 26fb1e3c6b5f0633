"""What people's tools see of a converted net: stock modules by isinstance, and what repr prints."""

import copy
import pickle

import pytest
import torch
from golden_cases import GOLDEN
from one_layer import one_layer
from torch import nn
from torch.nn.utils import prune

from converters import Network, load_net
from converters.layers import Layer
from zoo.catalogue import find_prototxt

STOCK = [
    ("Convolution", "convolution_param { num_output: 4 kernel_size: 1 }", (2, 3, 5), nn.Conv1d),
    ("Convolution", "convolution_param { num_output: 4 kernel_size: 3 }", (2, 3, 5, 5), nn.Conv2d),
    ("Convolution", "convolution_param { num_output: 4 kernel_size: 1 }", (2, 3, 5, 5, 2), nn.Conv3d),
    ("Deconvolution", "convolution_param { num_output: 4 kernel_size: 1 }", (2, 3, 5), nn.ConvTranspose1d),
    ("Deconvolution", "convolution_param { num_output: 4 kernel_size: 3 }", (2, 3, 5, 5), nn.ConvTranspose2d),
    (
        "Deconvolution",
        "convolution_param { num_output: 4 kernel_size: 1 }",
        (2, 3, 5, 5, 2),
        nn.ConvTranspose3d,
    ),
    ("InnerProduct", "inner_product_param { num_output: 4 axis: 2 }", (2, 3, 5), nn.Linear),
    ("ReLU", "", (2, 3), nn.ReLU),
    ("ReLU", "relu_param { negative_slope: 0.1 }", (2, 3), nn.LeakyReLU),
    ("ELU", "", (2, 3), nn.ELU),
    ("Sigmoid", "", (2, 3), nn.Sigmoid),
    ("TanH", "", (2, 3), nn.Tanh),
    ("Softmax", "", (2, 3), nn.Softmax),
    ("Dropout", "", (2, 3), nn.Dropout),
]


def module_of(net: Network) -> Layer:
    return net.module_of(net.graph.nodes[-1])


@pytest.mark.parametrize(("kind", "param", "shape", "stock"), STOCK)
def test_a_layer_is_the_stock_module_whose_arithmetic_it_has(
    kind: str, param: str, shape: tuple[int, ...], stock: type[nn.Module]
) -> None:
    module = module_of(one_layer(f'type: "{kind}" top: "y" {param}', x=shape))
    assert isinstance(module, stock) and isinstance(module, Layer)
    x = torch.randn(shape)
    if kind != "InnerProduct":  # whose bottom has axes to be joined
        assert torch.equal(torch.as_tensor(stock.forward(module, x)), tops(module(x)))
    assert not list(module.children())


def tops(made: torch.Tensor | tuple[torch.Tensor, ...]) -> torch.Tensor:
    return made[0] if isinstance(made, tuple) else made


def test_what_is_laid_out_otherwise_is_no_stock_module() -> None:
    param = "inner_product_param { num_output: 4 transpose: true }"
    assert not isinstance(module_of(one_layer(f'type: "InnerProduct" top: "y" {param}', x=(2, 3))), nn.Linear)
    param = "convolution_param { num_output: 4 axis: 2 }"
    module = module_of(one_layer(f'type: "Convolution" top: "y" {param}', x=(2, 3, 5)))
    assert not isinstance(module, nn.Conv1d | nn.Conv2d)


def test_settings_of_the_stock_module_are_the_layers() -> None:
    param = "num_output: 4 kernel_size: 3 stride: 2 pad: 1 group: 2 bias_term: false"
    module = module_of(
        one_layer(f'type: "Convolution" top: "y" convolution_param {{ {param} }}', x=(2, 6, 8, 8))
    )
    assert isinstance(module, nn.Conv2d)
    assert (module.in_channels, module.out_channels, module.groups, module.bias) == (6, 4, 2, None)
    assert (module.kernel_size, module.stride, module.padding) == ((3, 3), (2, 2), (1, 1))
    drop = module_of(one_layer('type: "Dropout" top: "y" dropout_param { dropout_ratio: 0.3 }', x=(2, 3)))
    assert isinstance(drop, nn.Dropout) and drop.p == pytest.approx(0.3) and not drop.inplace


def test_pruning_by_type_prunes_a_converted_net() -> None:
    net = load_net(find_prototxt("allconv6")[0])
    weighted = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert sum(isinstance(m, nn.Conv2d) for m in weighted) == 5
    assert sum(isinstance(m, nn.Linear) for m in weighted) == 1
    keys = list(net.state_dict())
    x = torch.randn(1, 3, 224, 224)
    for module in weighted:
        prune.l1_unstructured(module, "weight", 0.5)
    halves = [float((m.weight == 0).float().mean()) for m in weighted]
    assert halves == pytest.approx([0.5] * 6, abs=1e-3)
    pruned = net.all_blobs(data=x, label=torch.zeros(1))["fc"]
    for module in weighted:
        prune.remove(module, "weight")
    assert torch.equal(net.all_blobs(data=x, label=torch.zeros(1))["fc"], pruned)
    assert list(net.state_dict()) == keys and "conv1.weight" in keys and "fc.bias" in keys


SHOWN = [
    ("Pooling", "pooling_param { kernel_size: 3 stride: 2 }", "Pooling(MAX, kernel=3, stride=2)"),
    ("Pooling", "pooling_param { pool: AVE global_pooling: true }", "Pooling(AVE, global_pooling=True)"),
    (
        "Convolution",
        "convolution_param { num_output: 8 kernel_h: 3 kernel_w: 1 pad: 1 bias_term: false }",
        "Convolution(num_output=8, kernel=(3, 1), pad=1, bias_term=False)",
    ),
    ("InnerProduct", "inner_product_param { num_output: 10 }", "InnerProduct(num_output=10)"),
    ("LRN", "lrn_param { alpha: 0.0001 }", "LRN(alpha=0.0001)"),
    ("ReLU", "relu_param { negative_slope: 0.1 }", "ReLU(negative_slope=0.1)"),
    ("ReLU", "", "ReLU()"),
    ("Concat", "concat_param { axis: -1 }", "Concat(axis=3)"),
    ("BN", "bn_param { bn_mode: INFERENCE }", "BN(segnet, INFERENCE)"),
]


@pytest.mark.parametrize(("kind", "param", "text"), SHOWN)
def test_repr_says_what_is_not_as_by_default(kind: str, param: str, text: str) -> None:
    net = one_layer(f'type: "{kind}" top: "y" {param}', x=(1, 2, 6, 6))
    assert repr(module_of(net)) == text and text in repr(net)


def test_every_recorded_layer_has_a_frozen_spec() -> None:
    for path in sorted((GOLDEN / "layers").glob("*.prototxt")):
        net = load_net(path)
        for node in net.graph.nodes:
            if not node.is_data:
                assert isinstance(hash(net.module_of(node).spec), int)


def test_copies_and_pickles_of_a_net_keep_the_registered_record() -> None:
    net = one_layer('type: "BN" top: "y"', x=(2, 3, 4, 4))
    for again in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert module_of(again).record is module_of(net).record
        assert torch.equal(again(torch.ones(2, 3, 4, 4)), net(torch.ones(2, 3, 4, 4)))
