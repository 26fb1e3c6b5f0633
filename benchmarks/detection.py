"""How long detection layers take on 300 rois, against OpenCV's own layers on the same work.

Run from the repository root: ``python benchmarks/detection.py``. Each figure is the best of several turns, in
which the two take theirs one after the other, both with one thread. Exits 1 where ours takes over three times
as long, or they do not agree.
"""

import sys
import time
from collections.abc import Callable

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from converters import load_net

LIMIT = 3.0
TURNS = 9
HEAD = """input: "x" input_shape {{ dim: 1 dim: {channels} dim: 38 dim: 50 }}
input: "rois" input_shape {{ dim: 300 dim: 5 }}
"""
ROI = """layer { name: "y" type: "ROIPooling" bottom: "x" bottom: "rois" top: "y"
  roi_pooling_param { pooled_h: 7 pooled_w: 7 spatial_scale: 0.0625 } }"""
PSROI = """layer { name: "y" type: "PSROIPooling" bottom: "x" bottom: "rois" top: "y"
  psroi_pooling_param { spatial_scale: 0.0625 output_dim: 21 group_size: 7 } }"""

Array = NDArray[np.float32]
Call = Callable[[], Array]


def rois(random: np.random.Generator) -> Array:
    """300 boxes of 32 to 500 pixels in an image of 800 by 600."""
    size = random.uniform(32, [500, 400], (300, 2))
    first = random.uniform(0, 1, (300, 2)) * ([800, 600] - size)
    return np.hstack([np.zeros((300, 1)), first, first + size]).astype(np.float32)


def pooling(layer: str, channels: int) -> tuple[Call, Call]:
    """Ours and OpenCV's, of one layer over a map of (1, channels, 38, 50)."""
    text = HEAD.format(channels=channels) + layer
    random = np.random.Generator(np.random.PCG64(0))
    feeds = {"x": random.standard_normal((1, channels, 38, 50)).astype(np.float32), "rois": rois(random)}
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


def best_of_turns(*calls: Call) -> list[float]:
    """The least seconds that each took."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(TURNS):
        for call, taken in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            taken.append(time.perf_counter() - start)
    return [min(taken) for taken in times]


CASES: dict[str, Callable[[], tuple[Call, Call]]] = {
    "ROIPooling, 512 channels, 7 by 7": lambda: pooling(ROI, 512),
    "PSROIPooling, 21 of 7 by 7": lambda: pooling(PSROI, 1029),
}


def main() -> int:
    """Print a line a case."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    is_good = True
    for name, make in CASES.items():
        ours, theirs = make()
        error = float(np.abs(ours() - theirs()).max())
        mine, other = best_of_turns(ours, theirs)
        ratio = mine / other
        is_good &= ratio <= LIMIT
        print(
            f"{name}: {mine * 1e3:.1f} ms, OpenCV {other * 1e3:.1f} ms: {ratio:.2f}x; differ by {error:.1e}"
        )
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
