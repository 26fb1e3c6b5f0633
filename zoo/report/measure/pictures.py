"""Pictures for a report: photographs as a net saw them, what its first layer looks for, where it looked."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from converters.export.onnx_file import deploy_net
from converters.graph import Node
from converters.network import Network
from eval.robustness import PixelBatch
from zoo.bench.images import judged_images
from zoo.bench.models import Model
from zoo.report.measure.images import open_list, pixels_of, run_net, served
from zoo.train.images.dataset import ImageSet
from zoo.variants.heads import global_pools, head_of

Maps = np.ndarray[Any, np.dtype[np.float32]]

_JPEG_QUALITY = 80


def validation_pixels(model: Model, rows: Sequence[int]) -> PixelBatch:
    """(n, H, W, 3) RGB: these photographs of the validation list as the net sees them, cropped."""
    return _seen(open_list(model, "TEST"), rows)


def judged_pixels(model: Model, rows: Sequence[int]) -> PixelBatch:
    """The same of a net that tells no classes."""
    return _seen(judged_images(model), rows)


def _seen(images: ImageSet, rows: Sequence[int]) -> PixelBatch:
    pixels = pixels_of(images, rows)
    if crop := images.layer.transform_param.crop_size:
        top, left = ((side - crop) // 2 for side in pixels.shape[1:3])
        pixels = pixels[:, top : top + crop, left : left + crop]
    return _rgb(pixels)


def first_filters(model: Model) -> PixelBatch | None:
    """(n, h, w, 3) RGB: the first convolution's filters, all on one scale, grey (128) standing for 0.

    None for a net without a convolution of pictures (3 channels or 1).
    """
    net = run_net(model)
    first = next((node for node in net.graph.nodes if node.layer.type == "Convolution"), None)
    if first is None:
        return None
    weights = net.blobs_of(first)[0].detach().numpy()
    if weights.ndim != 4 or weights.shape[1] not in (1, 3):
        return None
    scaled = weights / max(float(np.abs(weights).max()), 1e-12)
    return _rgb(np.rint(127.5 + 127.5 * scaled).astype(np.uint8).transpose(0, 2, 3, 1))


def activation_maps(model: Model, rows: Sequence[int]) -> Maps | None:
    """(n, H, W) from 0 to 1: where in these validation photographs the net saw the class that it names.

    Class activation maps (B. Zhou et al., CVPR 2016), stretched from each map's least to its greatest
    and drawn up to the input's size. None for a net without a GAP head of one InnerProduct.
    """
    net = deploy_net(run_net(model))
    head = gap_head(model, net)
    if head is None:
        return None
    images = open_list(model, "TEST")
    data = served(images, pixels_of(images, rows))
    maps = class_maps(net, *head, data)[0]
    large = F.interpolate(maps[:, None], data.shape[2:], mode="bilinear", align_corners=False)[:, 0]
    low, high = large.amin((1, 2), keepdim=True), large.amax((1, 2), keepdim=True)
    stretched: Maps = ((large - low) / (high - low).clamp(min=1e-12)).numpy()
    return stretched


def gap_head(model: Model, net: Network) -> tuple[Node, Node] | None:
    """The global pooling of a deploy net and the one InnerProduct that reads it; None for other heads."""
    passed = ("Dropout", "Flatten", "Softmax")  # these leave the order of scores, and a mean, as they are
    nodes = [node for node in net.graph.nodes if node.layer.type not in passed]
    if head_of(model.net) != "gap" or len(nodes) < 2 or nodes[-1].layer.type != "InnerProduct":
        return None
    pools = [model.net.layer[index].name for index in global_pools(model.net)]
    return (nodes[-2], nodes[-1]) if nodes[-2].layer.name in pools else None


@torch.no_grad()
def class_maps(net: Network, pool: Node, classifier: Node, data: Tensor) -> tuple[Tensor, Tensor]:
    """((N, h, w) maps of each image's best class, (N, K) scores).

    A map is the feature map weighted as the classifier weights the class's channels. Pooling and
    classifier being linear, its mean is the class's score less the bias.
    """
    values = net.values({net.inputs[0]: data})
    scores = values[classifier.outputs[0]]
    weights = net.blobs_of(classifier)[0]
    if classifier.layer.inner_product_param.transpose:
        weights = weights.T
    return torch.einsum("nchw,nc->nhw", values[pool.inputs[0]], weights[scores.argmax(1)]), scores


def encoded_picture(pixels: PixelBatch, kind: str = "png") -> bytes:
    """A (H, W, 3) RGB or (H, W, 4) RGBA picture as a file of ``kind`` png or jpeg."""
    flags = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if kind == "jpeg" else []
    is_done, data = cv2.imencode(f".{kind}", np.dstack([pixels[..., 2::-1], pixels[..., 3:]]), flags)
    assert is_done
    return data.tobytes()


def _rgb(pixels: PixelBatch) -> PixelBatch:
    """BGR, as Caffe's nets have colours, or one grey channel, to RGB."""
    return np.ascontiguousarray(pixels[..., ::-1] if pixels.shape[-1] == 3 else pixels.repeat(3, -1))
