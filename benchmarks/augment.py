"""Images a second of what feeds ``zoo train`` where images are augmented, beside the same OpenCV calls made
by hand in as many threads; and of a training with augmentation beside one without.

Run from the repository root with nothing else running: ``python benchmarks/augment.py`` writes
eval/results/times/augment.json, from which docs/train.md has its figures (``make readme``). Two that are
compared take turns. Both ways of feeding begin with decoded images and end with a float32 batch less the
mean.
"""

import argparse
import json
import os
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from converters.host.files import write_text
from converters.host.machine import cores
from converters.solver.ahead import made_ahead
from eval.environment import cpu_name, versions
from eval.speed.rounds import Samples, ratio
from prototxt.caffe_pb2 import LayerParameter, NetParameter
from prototxt.text import parse
from zoo.train.images.dataset import ImageSet, open_images
from zoo.train.images.feed import ImageFeed
from zoo.train.planning.options import Options
from zoo.train.planning.plan import make_plan
from zoo.train.ranks import Ranks
from zoo.train.sources import open_feeds
from zoo.train.trainer import Trainer, keep_freed_memory

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "eval" / "results" / "times" / "augment.json"
BATCH, CROP, SIDES, SHIFT, CONTRAST, BRIGHTNESS, ANGLE = 32, 224, (256, 320), 20, (0.8, 1.2), 5, 10
MEAN = (104.0, 117.0, 123.0)
IMAGES, ROUNDS, STEPS = 64, 60, 2  # pictures drawn; turns of each; steps of a turn
PLAIN = "mirror: true mean_value: 104 mean_value: 117 mean_value: 123 crop_size: 224"
COLOURS = f"""{PLAIN} min_side_min: {SIDES[0]} min_side_max: {SIDES[1]} max_color_shift: {SHIFT}
  contrast_brightness_adjustment: true"""
WAYS = {"sides": COLOURS, "all": f"{COLOURS} max_rotation_angle: {ANGLE} smooth_filtering: true"}
Array = np.ndarray[Any, np.dtype[Any]]
CPU = torch.device("cpu")


def draw_pictures(folder: Path) -> None:
    """Smooth noise of 256 to 400 pixels a side, and their list."""
    drawn = np.random.default_rng(0)
    for number in range(IMAGES):
        height, width = drawn.integers(256, 400, 2)
        noise = drawn.integers(0, 256, (height // 8, width // 8, 3), np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), cv2.resize(noise, (int(width), int(height))))
    (folder / "list.txt").write_text("".join(f"{number}.png {number % 20}\n" for number in range(IMAGES)))


def layer(fields: str) -> LayerParameter:
    """A data layer that serves the list so."""
    text = f"""layer {{ name: "data" type: "ImageData" top: "data" top: "label" include {{ phase: TRAIN }}
      transform_param {{ {fields} }}
      image_data_param {{ source: "list.txt" batch_size: {BATCH} shuffle: true }} }}"""
    return parse(text, NetParameter).layer[0]


def varied_by_hand(image: Array, chance: random.Random, turns_and_smooths: bool) -> Array:
    """What the fork of the series' author does to a picture, in OpenCV's calls."""
    if turns_and_smooths and (angle := chance.randint(-ANGLE, ANGLE)):
        image = turned_by_hand(image, angle)
    side, (height, width) = chance.randint(*SIDES), image.shape[:2]
    longer = -(-max(height, width) * side // min(height, width))
    image = cv2.resize(image, (longer, side) if width > height else (side, longer))
    if chance.random() < 0.5:
        change = cv2.add if chance.random() < 0.5 else cv2.subtract
        blue, green, red = (float(chance.randint(0, SHIFT)) for _ in range(3))
        image = change(image, (blue, green, red, 0.0))  # type: ignore[call-overload]  # scalars, too
    if chance.random() < 0.5:
        table = np.arange(256) * chance.uniform(*CONTRAST) + chance.randint(-BRIGHTNESS, BRIGHTNESS)
        image = cv2.LUT(image, np.clip(np.rint(table), 0, 255).astype(np.uint8))
    if turns_and_smooths and chance.random() < 0.5:
        width, kind = 1 + 2 * chance.randrange(3), chance.randrange(4)
        blurs: list[Callable[[], Any]] = [
            lambda: cv2.GaussianBlur(image, (width, width), 0),
            lambda: cv2.blur(image, (width, width)),
            lambda: cv2.medianBlur(image, width),
            lambda: cv2.blur(image, (2 * width, 2 * width)),
        ]
        image = blurs[kind]()
    return image


def turned_by_hand(image: Array, angle: int) -> Array:
    """Turned about the middle, into the box of its corners."""
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1)
    cos, sin = abs(turn[0, :2])
    size = int(width * cos + height * sin) + 1, int(width * sin + height * cos) + 1
    turn[:, 2] += (size[0] - width) / 2, (size[1] - height) / 2
    return cv2.warpAffine(image, turn, size)


class ByHand:
    """Batches by a pool of as many threads as there are cores."""

    def __init__(self, images: Sequence[Array], turns_and_smooths: bool) -> None:
        self.images, self.all = images, turns_and_smooths
        self.pool, self.chance = ThreadPoolExecutor(cores()), random.Random(0)

    def batch(self, index: int) -> torch.Tensor:
        """(BATCH, 3, CROP, CROP) float32, channels last in memory."""
        data = np.empty((BATCH, CROP, CROP, 3), np.uint8)

        def one(place: int) -> None:
            image = varied_by_hand(
                self.images[(index * BATCH + place) % len(self.images)], self.chance, self.all
            )
            row, column = (self.chance.randint(0, side - CROP) for side in image.shape[:2])
            part = image[row : row + CROP, column : column + CROP]
            data[place] = cv2.flip(part, 1) if self.chance.random() < 0.5 else part

        list(self.pool.map(one, range(BATCH)))
        return torch.from_numpy(data).float().sub_(torch.tensor(MEAN)).permute(0, 3, 1, 2)


def by_turns(
    one: Callable[[int], object], other: Callable[[int], object], rounds: int
) -> tuple[Samples, Samples]:
    """The seconds of both, a call each in every round, in an order that changes."""
    both = Samples(), Samples()
    for number in range(-2, rounds):  # two rounds are not timed
        for which in (0, 1) if number % 2 else (1, 0):
            start = time.perf_counter()
            (one, other)[which](number + 2)
            if number >= 0:
                both[which].rounds.append([time.perf_counter() - start])
    return both


def figures_of(ours: Samples, theirs: Samples, images: int, names: Sequence[str]) -> dict[str, Any]:
    """Images a second of both, and the ratio of the first's to the other's with its interval."""
    found = ratio(theirs, ours)
    speeds = {
        name: images / samples.percentile(50) for name, samples in zip(names, (ours, theirs), strict=True)
    }
    return speeds | {"ratio": [found.value, found.low, found.high]}


def fed(images: ImageSet, turns_and_smooths: bool, rounds: int) -> dict[str, Any]:
    """Our feed beside the calls by hand."""
    feed, by_hand = (
        ImageFeed(images, True, 0, CPU),
        ByHand([np.array(x) for x in images.pixels], turns_and_smooths),
    )
    return figures_of(*by_turns(feed.batch, by_hand.batch, rounds), BATCH, ("ours", "by hand"))


def trainer(folder: Path, fields: str, stack: ExitStack) -> Trainer:
    """allconv6 on the pictures, as ``zoo train`` trains it."""
    net = parse((ROOT / "prototxt" / "nets" / "allconv6.prototxt").read_text(), NetParameter)
    rest = [each for each in net.layer if each.type != "ImageData" and not each.include]
    path = folder / "net.prototxt"
    path.write_text(str(NetParameter(name="allconv6", layer=[layer(fields), *rest])))
    solver = f'net: "{path}" base_lr: 0.001 lr_policy: "fixed" momentum: 0.9 max_iter: 1000'
    (folder / "solver.prototxt").write_text(solver)
    plan = make_plan(Options(solver=str(folder / "solver.prototxt"), root=str(folder)))
    feeds = stack.enter_context(made_ahead(open_feeds(plan, CPU, Ranks()).feeds))
    return Trainer(plan, feeds, CPU, Ranks())


def trained(folder: Path, rounds: int) -> dict[str, Any]:
    """A training with augmentation beside one that crops and mirrors alone."""
    with ExitStack() as stack:
        trainers = [trainer(folder, fields, stack) for fields in (WAYS["all"], PLAIN)]
        varied, plain = (each.solver for each in trainers)
        both = by_turns(lambda _: varied.step(STEPS), lambda _: plain.step(STEPS), rounds)
        return figures_of(*both, STEPS * BATCH, ("augmented", "plain"))


def main() -> int:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"turns of each (default: {ROUNDS})")
    parser.add_argument("--json", type=Path, default=FIGURES, help="where the figures go")
    args = parser.parse_args()
    keep_freed_memory()
    cv2.setNumThreads(1)
    figures: dict[str, Any] = {"processor": cpu_name(), "threads": cores(), "versions": versions()}
    figures["load"] = os.getloadavg()[0]  # processes that wanted a core in the minute before
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw_pictures(folder)
        for way, fields in WAYS.items():
            images = open_images(layer(fields), folder / "list.txt", [folder], lambda *_: None)
            figures[way] = fed(images, way == "all", args.rounds)
        figures["training"] = trained(folder, args.rounds)
    write_text(args.json, json.dumps(figures, indent=1) + "\n")
    print(args.json.read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
