"""The pictures that int8 is calibrated on."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from converters.data.order import evenly
from eval.runtime import Feeds
from zoo.bench.images import in_batches, listed_images
from zoo.bench.label_maps import listed_pairs
from zoo.bench.models import Model


def calibration(model: Model, count: int) -> Iterator[Feeds]:
    """``count`` images spread evenly over the run's training list, under the TEST transform, by input.

    Of a net without a run those that it is judged by; without such random pixels, as many.
    """
    name = next(iter(model.inputs[0]))
    if model.given is not None and model.given.pictures is not None:
        yield from ({name: data.contiguous().numpy()} for data in model.given.pictures.spread(count))
    elif model.reads_pairs and (pairs := listed_pairs(model, "TRAIN")):
        yield from ({name: data.contiguous().numpy()} for data in pairs.spread(count))
    elif model.reads_pairs or (images := listed_images(model, "TRAIN")) is None:
        yield from _random_pixels(model, count)
    else:
        rows = evenly(len(images.labels), count)
        chosen = replace(images, pixels=images.pixels[rows], labels=images.labels[rows])
        yield from ({name: data.contiguous().numpy()} for data, _ in in_batches(chosen))


def calibrated_on(model: Model) -> str:
    """What :func:`calibration` gives."""
    if model.given is not None and model.given.pictures is not None:
        return "judged images"
    has_list = model.record is not None and "TRAIN" in model.record["data"] and len(model.inputs[0]) == 1
    return "training images" if has_list else "random pixels"


def _random_pixels(model: Model, count: int) -> Iterator[Feeds]:
    shapes, batch = model.inputs
    drawn = np.random.Generator(np.random.PCG64(1))
    for _ in range(-(-count // (batch or 16))):
        yield {
            name: drawn.uniform(-128, 128, (batch or 16, *shape)).astype(np.float32)
            for name, shape in shapes.items()
        }
