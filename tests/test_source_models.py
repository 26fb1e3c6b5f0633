"""Whole nets as PyTorch source: trained models that people published, and the corpus's well-known nets."""

import pytest
import torch
from golden_cases import error
from test_models import ABSENT, MODELS, drawn, folder_of
from test_nets import SHARED, TOLERANCE

from converters import Network, load_net
from converters.export.source import load_source
from eval.probe import draw_weights, probe_inputs, tensors

# Nets that take some seconds.
LONG = {
    *("hyperlpr-mininet-ssd", "mobilenetv2-yolov3-nano-voc", "mobilenet-yolov3-lite-tusimple"),
    *("landmark106", "mtcnn-fast-det3-half", "yoloface-100k"),
}


def names() -> list[object]:
    found = sorted(path.parent.name for path in MODELS.glob("*/deploy.prototxt"))
    if not found:
        return [pytest.param("none", marks=pytest.mark.skip(f"no {MODELS}: {ABSENT}"))]
    return [pytest.param(name, marks=[pytest.mark.slow] if name in LONG else []) for name in found]


NETS = {
    "LeNet": "BVLC__caffe/examples__mnist__lenet.prototxt",
    "AlexNet": "BVLC__caffe/models__bvlc_alexnet__deploy.prototxt",
    "GoogLeNet": "alexgkendall__caffe-segnet/models__bvlc_googlenet__deploy.prototxt",
    "ResNet-50": "soeaver__caffe-model/cls__resnet__deploy_resnet50.prototxt",
    "MobileNet": "shicai__MobileNet-Caffe/mobilenet_deploy.prototxt",
    "SSD": "chuanqi305__MobileNet-SSD/voc__MobileNetSSD_deploy.prototxt",
}


def check(net: Network, inputs: dict[str, torch.Tensor], most: float) -> None:
    """Every blob of the source is the net's, and none is lost but what a BatchNorm hands to a Scale."""
    source = load_source(net)
    with torch.no_grad():
        theirs, ours = net.values(inputs), source.values(inputs)
    assert set(source.graph.outputs) <= ours.keys()
    for value, x in ours.items():
        assert error(x, theirs[value]) <= most, value


@pytest.mark.parametrize("name", names())
def test_the_source_of_a_trained_model_computes_what_the_net_does(name: str) -> None:
    folder = folder_of(name)
    net = load_net(folder / "deploy.prototxt", folder / "weights.caffemodel")
    inputs = {value.blob: drawn(value.blob, tuple(net.shapes[value])) for value in net.graph.inputs}
    check(net, inputs, TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_the_source_of_a_well_known_net_computes_what_the_net_does(name: str) -> None:
    path = SHARED / "corpus" / NETS[name]
    if not path.is_file():
        pytest.skip(f"no {path}: other people's nets, which may not be copied into the repository")
    net = load_net(path)
    draw_weights(net)
    check(net, tensors(probe_inputs(net, 1)), TOLERANCE)
