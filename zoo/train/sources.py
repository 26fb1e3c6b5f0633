"""What feeds each net of a plan: decoded images where one ImageData does, else converters' data layers."""

from dataclasses import dataclass, field

import torch

from converters.data.forks.pairs import read_pairs
from converters.data.order import drawn_skip
from converters.net_state import trains
from converters.solver.feed import Batches, open_feed
from prototxt.errors import of_layer
from zoo.terminal.console import notice
from zoo.terminal.progress import counting
from zoo.train.images.dataset import (
    ImageSet,
    check_labels,
    first_shape,
    label_shape,
    memory_note,
    open_images,
)
from zoo.train.images.decoding import skip_note
from zoo.train.images.feed import ImageFeed, batch_shapes
from zoo.train.planning.lists import data_layers
from zoo.train.planning.plan import Plan
from zoo.train.ranks import Ranks
from zoo.variants.sizing import scored_classes, unjudged_labels


@dataclass
class Data:
    """The feed of every net, by its key, and the image sets among them."""

    feeds: dict[str, Batches] = field(default_factory=dict)
    images: dict[str, ImageSet] = field(default_factory=dict)


def open_feeds(plan: Plan, device: torch.device, ranks: Ranks) -> Data:
    """Open the data of every net: this rank's share of the train net's, and the test nets' for rank 0."""
    data = Data()
    with ranks.one_first():
        for key in plan.nets:
            spread = (ranks.rank, ranks.world) if key == "TRAIN" else (0, 1)
            if key in plan.lists:
                data.images[key] = _images(plan, key)
                data.feeds[key] = _image_feed(plan, key, data.images[key], device, *spread)
            else:
                data.feeds[key] = _feed(plan, key, device, *spread)
                _tell_pairs(plan, key)
    return data


def _image_feed(
    plan: Plan, key: str, images: ImageSet, device: torch.device, rank: int, world: int
) -> ImageFeed:
    is_random = trains(images.layer, plan.nets[key].phase)
    with plan.nets[key].located():
        rand_skip = images.layer.image_data_param.rand_skip
        skip = drawn_skip(plan.seed, images.layer, rand_skip, len(images.labels))
    return ImageFeed(images, is_random, plan.seed, device, rank, world, skip)


def _feed(plan: Plan, key: str, device: torch.device, rank: int, world: int) -> Batches:
    """Data layers of Caffe's, read as Caffe reads them."""
    options = plan.options
    own = [plan.pairs[key].parent] if key in plan.pairs else []  # of a drawn set's list
    return open_feed(
        plan.graphs[key],
        plan.nets[key].phase,
        plan.seed,
        [*plan.places, *own],
        device,
        rank=rank,
        world=world,
        skip_bad=bool(options.skip_bad),
        label_size=options.label_size,
    )


def _tell_pairs(plan: Plan, key: str) -> None:
    if key in plan.pairs:
        count = len(read_pairs(plan.pairs[key], False))
        notice(f"{key}: {count} images with label maps of {plan.pairs[key]}")


def _images(plan: Plan, key: str) -> ImageSet:
    path, net = plan.lists[key], plan.nets[key]
    graph, skip_bad, size = plan.graphs[key], bool(plan.options.skip_bad), plan.options.label_size
    layer = data_layers(graph)[0]
    with net.located():  # before the decoding, which takes long
        with of_layer(layer):
            image = first_shape(layer, path, plan.places, skip_bad, size)
            own = label_shape(layer, size)
            shapes = batch_shapes(layer, image, own)
        classes = scored_classes(graph, shapes) or plan.options.classes
    if classes is not None and not own:
        check_labels(path, classes, unjudged_labels(graph), layer=layer)
    with net.located(), of_layer(layer), counting(f"decoding {path.name}") as advance:
        images = open_images(layer, path, plan.places, advance, skip_bad, size)
    taken = f"{key}: {len(images.labels)} images of {path}, in {images.base.folder}"
    for note in (taken, memory_note(images), skip_note(str(path), images.skipped, images.bad)):
        if note:
            notice(note)
    return images
