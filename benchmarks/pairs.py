"""The nets of by_hand.py beside Caffe's of the same names, with the same weights, and the files of both."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import by_hand
import torch
from build_net import resnet_text
from torch import Tensor, nn

import zoo
from converters import Network, load_net
from converters.export.deploy import deploy, ending_in
from converters.export.onnx_file import export_onnx
from converters.export.silence import silenced

CORPUS = Path(__file__).parents[2] / "shared" / "corpus"  # real prototxts, which may lie beside the checkout


@dataclass(frozen=True)
class Pair:
    """A net by hand, the same as Caffe's, and what a file of that is to put out; side of its images."""

    module: Callable[[], nn.Module]
    caffe: Callable[[], Network]
    outputs: tuple[str, ...]
    side: int = 224

    def made(self) -> tuple[nn.Module, Network]:
        """Both with the same weights, always the same. Raises FileNotFoundError without its prototxt."""
        net = self.caffe()
        torch.manual_seed(0)
        module = self.module().eval()
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                _draw(part)
        give_weights(module, net)
        return module, net

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Our file and that of the net by hand, of any batch, in a folder."""
        module, net = self.made()
        ours, theirs = folder / "ours.onnx", folder / "by_hand.onnx"
        assert export_onnx(net, ours, graph=ending_in(deploy(net.graph), self.outputs))
        with silenced():
            by_hand.export(module, self.images(2), self.outputs, theirs)
        return ours, theirs

    def images(self, count: int) -> Tensor:
        """(count, 3, side, side), always the same."""
        return torch.randn(count, 3, self.side, self.side, generator=torch.Generator().manual_seed(0))


def _from_corpus(name: str) -> Network:
    if not (path := CORPUS / name).is_file():
        raise FileNotFoundError(f"{name} of the corpus of prototxts is not beside the checkout")
    return load_net(path)


NETS = {
    "allconv6": Pair(by_hand.allconv6, partial(zoo.load, "allconv6", variant="bn"), ("fc",)),
    "ResNet-50": Pair(
        partial(by_hand.resnet, "ResNet-50"),
        lambda: load_net(resnet_text("ResNet-50", by_hand.STAGES["ResNet-50"])),
        ("prob",),
    ),
    "MobileNet": Pair(
        by_hand.mobilenet,
        partial(_from_corpus, "shicai__MobileNet-Caffe/mobilenet_deploy.prototxt"),
        ("prob",),
    ),
    "GoogLeNet": Pair(
        by_hand.googlenet,
        partial(_from_corpus, "alexgkendall__caffe-segnet/models__bvlc_googlenet__deploy.prototxt"),
        ("prob",),
    ),
    "SSD-MobileNet": Pair(
        by_hand.MobileNetSSD,
        partial(_from_corpus, "chuanqi305__MobileNet-SSD/voc__MobileNetSSD_deploy.prototxt"),
        ("mbox_loc", "mbox_conf_flatten"),
        300,
    ),
}


def _draw(norm: nn.BatchNorm2d) -> None:
    """Numbers as training leaves them, so that nothing cancels out."""
    assert norm.running_mean is not None and norm.running_var is not None
    for tensor in (norm.running_mean, norm.bias):
        nn.init.uniform_(tensor, -0.1, 0.1)
    for tensor in (norm.running_var, norm.weight):
        nn.init.uniform_(tensor, 0.5, 1.5)


def give_weights(module: nn.Module, net: Network) -> None:
    """Have ``net`` compute with the weights of ``module``, whose convolutions, inner products and BatchNorms
    stand in the order of its layers.
    """
    given = [part for part in module.modules() if isinstance(part, nn.Conv2d | nn.Linear | nn.BatchNorm2d)]
    layers = iter(net.params.values())
    with torch.no_grad():
        for part in given:
            blobs = [*next(layers), *(next(layers) if isinstance(part, nn.BatchNorm2d) else [])]
            for blob, value in zip(blobs, _values(part), strict=True):
                blob.copy_(value.reshape(blob.shape))
    assert next(layers, None) is None


def _values(part: nn.Module) -> list[Tensor]:
    """In the order of Caffe's blobs: those of BatchNorm, whose third divides the others, then of Scale."""
    state = part.state_dict()
    if isinstance(part, nn.BatchNorm2d):
        return [state["running_mean"], state["running_var"], torch.ones(1), state["weight"], state["bias"]]
    return list(state.values())
