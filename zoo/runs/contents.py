"""What a plan's data holds: names of classes, each list's rows and pictures, other files, as sums."""

from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path

from google.protobuf.message import Message

from converters.data.images.lists import read_list
from converters.host.places import find
from converters.layers.registry import record_of
from prototxt.caffe_pb2 import LayerParameter
from prototxt.rawbytes import bytes_of, from_message
from zoo.runs.identity import PATHS, full_name
from zoo.runs.run_json import ListRecord, RunRecord
from zoo.runs.sums import RowSums, Sums, prints, short
from zoo.train.images.dataset import ImageSet, cache_folder, class_names, image_base, sums_of
from zoo.train.planning.lists import data_layers
from zoo.train.planning.plan import Plan


def data_of(plan: Plan) -> RunRecord:
    """The parts of run.json that say what data a run of ``plan`` would see, without decoding a picture."""
    lists = {key: _list(plan, key, path) for key, path in plan.lists.items()}
    return {"class_names": names(plan), "data": lists, "files": files(plan)}


def names(plan: Plan) -> list[str]:
    """The classes' names, as they stand beside the training list."""
    path = plan.lists.get("TRAIN")
    return class_names(path, plan.classes) if path and plan.classes else []


def _list(plan: Plan, key: str, path: Path) -> ListRecord:
    rows, content, each = _prints(plan, key, path)
    return {"images": len(each), "skipped": 0, "rows": rows, "content": content}


def row_sums(plan: Plan, key: str) -> RowSums:
    """The sums of every row of the plan's list of ``key``."""
    return _prints(plan, key, plan.lists[key])[2]


def _prints(plan: Plan, key: str, path: Path) -> tuple[str, str, RowSums]:
    entries = read_list(path, plan.options.label_size)
    param = data_layers(plan.graphs[key])[0].image_data_param
    base = image_base(param, path, entries, [*plan.places, path.parent])
    return prints(entries, [base / entry.path for entry in entries], sums_of(path, base))


def of_images(images: ImageSet) -> ListRecord:
    """The same of a list that is open."""
    return {"rows": images.rows, "content": images.content}


def files(plan: Plan) -> dict[str, str]:
    """A sum of the files that each net names besides the lists, and of the weights to begin with."""
    sums = Sums(cache_folder() / "sums" / "files.json")
    by_owner = {f"{key} net": [*_of_net(plan, key, sums)] for key in plan.nets}
    by_owner["weights"] = [sums.of(find(name, plan.places).absolute()) for name in plan.weights]
    sums.save()
    return {key: short(" ".join(totals).encode()) for key, totals in by_owner.items() if totals}


def _of_net(plan: Plan, key: str, sums: Sums) -> Iterator[str]:
    for node in plan.graphs[key].nodes:
        is_listed = node.is_data and key in plan.lists
        for name, value, root in _paths(node.layer):
            if not (is_listed and name.startswith("ImageDataParameter.")):
                yield from _file(plan, node.layer, name, find(value, plan.places).absolute(), root, sums)


def _file(plan: Plan, layer: LayerParameter, name: str, path: Path, root: str, sums: Sums) -> Iterator[str]:
    yield sums.of(path)
    tops = record_of(layer).data_tops
    if tops is None or not path.is_file() or not name.endswith(".source"):
        return
    if tops.takes_label_lists:
        entries = read_list(path, plan.options.label_size)
        base = image_base(layer.image_data_param, path, entries, [*plan.places, path.parent])
        yield prints(entries, [base / entry.path for entry in entries], sums)[1]
    elif tops.names_of:
        module, _, function = tops.names_of.partition(":")
        listed: Iterable[str] = getattr(import_module(module), function)(path)
        named = (find(from_message(root) + each, plan.places) for each in listed)
        inner = [sums.of(each.absolute()) for each in named if each.is_file()]
        yield short(bytes_of(" ".join(inner)))


def _paths(message: Message) -> Iterator[tuple[str, str, str]]:
    """(Message.field, path, root folder beside it) of every file that a layer names."""
    for field, value in message.ListFields():
        name = full_name(field)
        if name in PATHS and field.name != "root_folder" and value:
            yield name, value, getattr(message, "root_folder", "")
        elif field.message_type is not None:
            for item in value if field.is_repeated else (value,):
                yield from _paths(item)
