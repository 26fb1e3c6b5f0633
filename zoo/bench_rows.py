"""What ``zoo bench`` measures: one row a model and provider."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from converters.graph import build_graph, net_state
from converters.network import Network
from eval.accuracy import accuracy, wilson
from eval.cost import parameters, total_macs
from eval.latency import measure
from eval.runtime import open_session
from prototxt.caffe_pb2 import NetParameter
from prototxt.errors import InputError
from prototxt.text import read_net
from zoo.dataset import open_images
from zoo.display import counting
from zoo.feed import Feed
from zoo.run_folder import RunFolder, read_record, versions


@dataclass(frozen=True)
class Model:
    """A deploy net to be measured, with the run it comes from, if any."""

    name: str
    path: Path
    net: NetParameter
    folder: RunFolder | None = None
    record: dict[str, Any] | None = None


def find_runs(folder: Path) -> tuple[list[Model], list[str]]:
    """(the finished runs at or below ``folder``, a line about each other one). Raises InputError for none."""
    models: list[Model] = []
    left_out: list[str] = []
    for path in sorted(folder.rglob("run.json")):
        record, run = read_record(path.parent), RunFolder(path.parent, "")
        assert record is not None
        if record.get("finished") and run.model.is_file():
            models.append(Model(record["name"], run.model, read_net(run.net), run, record))
        else:
            left_out.append(f"{path.parent}: not finished, left out")
    if not models:
        raise InputError(f"{folder}: holds no finished run; `zoo train` makes one, --untrained needs none")
    return models, left_out


def measure_row(model: Model, provider: str, threads: int, runs: int) -> dict[str, Any]:
    """Everything about one model on one provider, as a flat row; None where there is nothing to measure."""
    net = Network(build_graph(model.net, net_state("TEST")), fill_blobs=False)
    macs, unknown = total_macs(net)
    record = model.record or {}
    row: dict[str, Any] = {
        "name": model.name,
        "run": str(model.folder.path) if model.folder else None,
        "variant": record.get("variant", model.name),
        "head": record.get("head"),
        "seed": record.get("seed"),
        "synthetic": record.get("data", {}).get("synthetic"),
    }
    row |= measure_accuracy(model)
    row |= {"parameters": parameters(net), "macs": macs, "macs_unknown": unknown}
    row |= {"onnx_bytes": model.path.stat().st_size}
    latency = measure(model.path, provider, threads, runs)
    row |= {
        "latency_p50_ms": latency.p50_ms,
        "latency_p90_ms": latency.p90_ms,
        "latency_p99_ms": latency.p99_ms,
        "latency_batch": 1,
        "images_per_second": latency.images_per_second,
        "throughput_batch": 64,
        "runs": latency.runs,
        "threads": latency.threads,
        "provider": latency.provider,
        "processor": latency.processor,
    }
    return row | {f"version_{name}": number for name, number in versions().items()}


def measure_accuracy(model: Model) -> dict[str, Any]:
    """Top 1 and top 5 over the whole validation list of the run, with the 95% interval of top 1."""
    if model.record is None or "TEST" not in model.record["data"]:
        return {"top1": None, "top1_low": None, "top1_high": None, "top5": None, "images": None}
    found = accuracy(open_session(model.path), validation(model))
    low, high = wilson(found.top1, found.images)
    return {
        "top1": found.top1,
        "top1_low": low,
        "top1_high": high,
        "top5": found.top5,
        "images": found.images,
    }


def validation(model: Model) -> Iterator[tuple[Tensor, Tensor]]:
    """The validation list once, in batches, as the TEST phase's data layer serves it."""
    assert model.record is not None
    record = model.record
    graph = build_graph(_tested_net(model), net_state("TEST"))
    layer = next(node.layer for node in graph.nodes if node.is_data)
    list_path = Path(record["data"]["TEST"]["list"])
    with counting(f"decoding {list_path.name}") as advance:
        images = open_images(layer, list_path, [Path(place) for place in record["places"]], advance)
    feed = Feed(images, False, record["seed"], torch.device("cpu"))
    count = len(images.labels)
    for index in range(-(-count // feed.batch_size)):
        batch = feed.batch(index)
        kept = min(feed.batch_size, count - index * feed.batch_size)
        yield batch[layer.top[0]][:kept], batch[layer.top[1]][:kept]


def _tested_net(model: Model) -> NetParameter:
    """The net whose TEST phase was tested: a file of its own where the solver named two."""
    own = model.path.parent / "test_net.prototxt"
    return read_net(own) if own.is_file() else model.net
