"""What feeds each net of a plan: decoded images where one ImageData does, else converters' data layers."""

from dataclasses import dataclass, field
from typing import Any

import torch

from converters.data import open_data as open_layer
from converters.load import located
from prototxt.caffe_pb2 import LayerParameter
from prototxt.text import read_text
from zoo.console import notice
from zoo.dataset import ImageSet, check_labels, memory_note, open_images
from zoo.display import counting
from zoo.feed import Batches, Feed, SourceFeed
from zoo.lists import data_layers
from zoo.nets import phase_of
from zoo.plan import Plan
from zoo.ranks import Ranks
from zoo.sizing import scored_classes, unjudged_labels


@dataclass
class Data:
    """The feed of every net, by its key, and the image sets among them."""

    feeds: dict[str, Batches] = field(default_factory=dict)
    images: dict[str, ImageSet] = field(default_factory=dict)
    sources: dict[str, list[Any]] = field(default_factory=dict)

    def skipped(self, key: str) -> int:
        """How many broken images or records of a net's data were passed over so far."""
        if key in self.images:
            return self.images[key].skipped
        return sum(getattr(source, "skipped", 0) for source in self.sources.get(key, []))


def open_data(plan: Plan, device: torch.device, ranks: Ranks) -> Data:
    """Open the data of every net: this rank's share of the train net's, and the test nets' for rank 0."""
    data = Data()
    with ranks.one_first():
        for key in plan.nets:
            spread = (ranks.rank, ranks.world) if key == "TRAIN" else (0, 1)
            if key in plan.lists:
                data.images[key] = _images(plan, key)
                data.feeds[key] = Feed(data.images[key], key == "TRAIN", plan.seed, device, *spread)
            else:
                layers = enumerate(data_layers(plan.graph(key)))
                data.sources[key] = [_source(plan, key, layer, index) for index, layer in layers]
                data.feeds[key] = SourceFeed(data.sources[key], device, *spread)
    return data


def _images(plan: Plan, key: str) -> ImageSet:
    path = plan.lists[key]
    graph = plan.graph(key)
    size = plan.options.label_size
    if size is None and (classes := scored_classes(graph) or plan.options.classes) is not None:
        check_labels(path, classes, unjudged_labels(graph))
    layer = data_layers(graph)[0]
    with counting(f"decoding {path.name}") as advance:
        images = open_images(layer, path, plan.places, advance, bool(plan.options.skip_bad), size)
    for note in (memory_note(images), skip_note(str(path), images.skipped)):
        if note:
            notice(note)
    return images


def skip_note(name: str, count: int) -> str | None:
    """A line about what --skip-bad passed over; None where it was nothing."""
    return f"{name}: {count} broken entries skipped" if count else None


def _source(plan: Plan, key: str, layer: LayerParameter, index: int) -> Any:
    """A data layer of Caffe's, read as Caffe reads it; errors name the layer's line.

    Layers of one net choose independently, as in Caffe.
    """
    net = plan.nets[key].path
    extra: dict[str, Any] = {"skip_bad": True} if plan.options.skip_bad else {}
    if layer.type == "ImageData":
        extra["label_size"] = plan.options.label_size
    with located(str(net), read_text(net)):
        return open_layer(layer, phase_of(key), seed=plan.seed + index, places=plan.places, **extra)
