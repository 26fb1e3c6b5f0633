"""How long detection layers take on 300 rois, and on the 8,732 priors of SSD300 and 21 classes, against
OpenCV's own layers and NMSBoxes on the same work; how long MultiBoxLoss takes, which OpenCV does not have.

Run from the repository root: ``python benchmarks/detection.py``. Each figure is the best of several turns, in
which the two take theirs one after the other, both with one thread. Exits 1 where ours takes over three times
as long, or the two differ by more than 1e-5, or have other rows.
"""

import math
import sys
import time
from collections.abc import Callable

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from converters import load_net
from converters.layers.parts.boxes.nms import suppressed

LIMIT = 3.0
APART = 1e-5
TURNS = 25
HEAD = """input: "x" input_shape {{ dim: 1 dim: {channels} dim: 38 dim: 50 }}
input: "rois" input_shape {{ dim: 300 dim: 5 }}
"""
ROI = """layer { name: "y" type: "ROIPooling" bottom: "x" bottom: "rois" top: "y"
  roi_pooling_param { pooled_h: 7 pooled_w: 7 spatial_scale: 0.0625 } }"""
PSROI = """layer { name: "y" type: "PSROIPooling" bottom: "x" bottom: "rois" top: "y"
  psroi_pooling_param { spatial_scale: 0.0625 output_dim: 21 group_size: 7 } }"""

SSD = """input: "loc" input_shape {{ dim: {images} dim: 34928 }}
input: "conf" input_shape {{ dim: {images} dim: 183372 }}
input: "prior" input_shape {{ dim: 1 dim: 2 dim: 34928 }}
"""
OUTPUT = """layer { name: "y" type: "DetectionOutput" bottom: "loc" bottom: "conf" bottom: "prior" top: "y"
  detection_output_param { num_classes: 21 share_location: true background_label_id: 0 code_type: CENTER_SIZE
    keep_top_k: 200 confidence_threshold: 0.01
    nms_param { nms_threshold: 0.45 top_k: 400 } } }"""
LOSS = """input: "label" input_shape { dim: 1 dim: 1 dim: 64 dim: 8 }
layer { name: "y" type: "MultiBoxLoss" bottom: "loc" bottom: "conf" bottom: "prior" bottom: "label" top: "y"
  multibox_loss_param { num_classes: 21 code_type: CENTER_SIZE } }"""
MAP = """input: "x" input_shape { dim: 1 dim: 512 dim: 38 dim: 38 }
input: "data" input_shape { dim: 1 dim: 3 dim: 300 dim: 300 }
"""
PRIORS = """layer { name: "y" type: "PriorBox" bottom: "x" bottom: "data" top: "y" prior_box_param {
  min_size: 30 max_size: 60 aspect_ratio: 2 flip: true clip: false step: 8 offset: 0.5
  variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2 } }"""
PRIOR_COUNT = 8732

Array = NDArray[np.float32]
Call = Callable[[], Array]


def rois(random: np.random.Generator) -> Array:
    """300 boxes of 32 to 500 pixels in an image of 800 by 600."""
    size = random.uniform(32, [500, 400], (300, 2))
    first = random.uniform(0, 1, (300, 2)) * ([800, 600] - size)
    return np.hstack([np.zeros((300, 1)), first, first + size]).astype(np.float32)


def pooling(layer: str, channels: int) -> tuple[Call, Call]:
    """Ours and OpenCV's, of one layer over a map of (1, channels, 38, 50)."""
    random = np.random.Generator(np.random.PCG64(0))
    feeds = {"x": random.standard_normal((1, channels, 38, 50)).astype(np.float32), "rois": rois(random)}
    return of_layer(HEAD.format(channels=channels) + layer, feeds)


def of_layer(text: str, feeds: dict[str, Array]) -> tuple[Call, Call]:
    """Ours and OpenCV's, of a net of one layer."""
    net, theirs = load_net(text), cv2.dnn.readNetFromCaffe(np.frombuffer(text.encode(), np.uint8))
    tensors = [torch.from_numpy(feeds[name]) for name in net.inputs]

    def run_ours() -> Array:
        with torch.no_grad():
            y: Array = net(*tensors).numpy()
        return y

    def run_theirs() -> Array:
        for name, array in feeds.items():
            theirs.setInput(array, name)
        return np.asarray(theirs.forward(), np.float32)

    return run_ours, run_theirs


def boxes(random: np.random.Generator, count: int) -> Array:
    """(count, 4) of corners, of a tenth to a half of the image."""
    size = random.uniform(0.1, 0.5, (count, 2))
    first = random.uniform(0, 1, (count, 2)) * (1 - size)
    return np.hstack([first, first + size]).astype(np.float32)


def ssd_feeds(images: int) -> dict[str, Array]:
    """Locations, scores of 21 classes of which the background's is most often the greatest, and priors."""
    random = np.random.Generator(np.random.PCG64(1))
    scores = random.standard_normal((images, PRIOR_COUNT, 21)) * 2
    scores[..., 0] += 6
    share = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    variance = np.tile([0.1, 0.1, 0.2, 0.2], PRIOR_COUNT)
    prior = np.stack([boxes(random, PRIOR_COUNT).ravel(), variance])[None]
    location = random.standard_normal((images, 4 * PRIOR_COUNT)) * 0.5
    feeds = {"loc": location, "conf": share.reshape(images, -1), "prior": prior}
    return {name: array.astype(np.float32) for name, array in feeds.items()}


def output(images: int) -> tuple[Call, Call]:
    """DetectionOutput's rows, in one order."""
    calls = of_layer(SSD.format(images=images) + OUTPUT, ssd_feeds(images))

    def in_order(call: Call) -> Call:
        def run() -> Array:
            rows = call().reshape(-1, 7)
            return rows[np.lexsort(rows.T[::-1])]

        return run

    return in_order(calls[0]), in_order(calls[1])


def nms(count: int) -> tuple[Call, Call]:
    """Which of boxes in the order of their scores stay."""
    random = np.random.Generator(np.random.PCG64(2))
    corners, scores = boxes(random, count), np.linspace(1, 0.5, count, dtype=np.float32)
    sides = np.hstack([corners[:, :2], corners[:, 2:] - corners[:, :2]]).astype(np.float64)
    tensor = torch.from_numpy(corners)

    def run_ours() -> Array:
        return suppressed(tensor, 0.45).nonzero().flatten().numpy().astype(np.float32)

    def run_theirs() -> Array:
        return np.asarray(cv2.dnn.NMSBoxes(sides, scores, 0.0, 0.45), np.float32)  # type: ignore[arg-type]

    return run_ours, run_theirs


def map_feeds() -> dict[str, Array]:
    """A feature map and an image, of which the sizes count."""
    return {"x": np.zeros((1, 512, 38, 38), np.float32), "data": np.zeros((1, 3, 300, 300), np.float32)}


def loss_of(images: int) -> Call:
    """MultiBoxLoss of images of 8 true boxes each, forward and backward."""
    feeds, random = ssd_feeds(images), np.random.Generator(np.random.PCG64(3))
    label = np.zeros((1, 1, 8 * images, 8), np.float32)
    label[0, 0, :, 0], label[0, 0, :, 1] = np.repeat(np.arange(images), 8), random.integers(1, 21, 8 * images)
    label[0, 0, :, 3:7] = boxes(random, 8 * images)
    net = load_net(SSD.format(images=images) + LOSS, phase="TRAIN", input_shapes={"label": label.shape})
    tensors = [torch.from_numpy(array).requires_grad_() for array in (*feeds.values(), label)]

    def run() -> Array:
        y = net(*tensors)
        return torch.autograd.grad(y, tensors[:2])[0].numpy()

    return run


def best_of_turns(*calls: Call) -> list[float]:
    """The least seconds that each took."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(TURNS):
        for call, taken in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            taken.append(time.perf_counter() - start)
    return [min(taken) for taken in times]


def apart(ours: Array, theirs: Array) -> float:
    """The greatest difference; infinite where there are other rows."""
    return float(np.abs(ours - theirs).max(initial=0)) if ours.shape == theirs.shape else math.inf


CASES: dict[str, Callable[[], tuple[Call, Call]]] = {
    "ROIPooling, 512 channels, 7 by 7": lambda: pooling(ROI, 512),
    "PSROIPooling, 21 of 7 by 7": lambda: pooling(PSROI, 1029),
    "NMS, 300 boxes": lambda: nms(300),
    "NMS, 8,732 boxes": lambda: nms(PRIOR_COUNT),
    "DetectionOutput, 1 image": lambda: output(1),
    "DetectionOutput, 8 images": lambda: output(8),
    "PriorBox, 38 by 38": lambda: of_layer(MAP + PRIORS, map_feeds()),
}


def main() -> int:
    """Print a line a case."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    is_good = True
    for name, make in CASES.items():
        ours, theirs = make()
        error = apart(ours(), theirs())
        mine, other = best_of_turns(ours, theirs)
        ratio = mine / other
        is_good &= ratio <= LIMIT and error <= APART
        print(
            f"{name}: {mine * 1e3:.1f} ms, OpenCV {other * 1e3:.1f} ms: {ratio:.2f}x; differ by {error:.1e}"
        )
    (seconds,) = best_of_turns(loss_of(8))
    print(f"MultiBoxLoss, 8 images, forward and backward: {seconds * 1e3:.1f} ms")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
