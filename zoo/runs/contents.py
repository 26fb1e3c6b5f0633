"""What a plan's data holds: names of classes, each list's rows and pictures, other files, as sums."""

from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path

from google.protobuf.message import Message

from converters.host.places import find
from converters.layers.registry import record_of
from prototxt.caffe_pb2 import LayerParameter
from prototxt.rawbytes import bytes_of, from_message
from zoo.runs.first_row import Rows, image_rows, pair_rows
from zoo.runs.identity import PATHS, full_name
from zoo.runs.pairs import Pairs, pairs_in
from zoo.runs.run_json import ListRecord, RunRecord
from zoo.runs.sums import RowSums, Sums, prints, short
from zoo.train.images.dataset import ImageSet
from zoo.train.images.names import class_names, names_beside
from zoo.train.images.places import cache_folder, images_in, sums_of
from zoo.train.planning.lists import data_layers
from zoo.train.planning.plan import Plan

# What names a list that run.json has by itself.
_LISTED = ("ImageDataParameter.source", "DenseImageDataParameter.source")


def data_of(plan: Plan) -> RunRecord:
    """The parts of run.json that say what data a run of ``plan`` would see, without decoding a picture."""
    lists = {key: _list(plan, key, path) for key, path in plan.lists.items()}
    pairs = {key: pairs_of(plan, key) for key in plan.pairs}
    return {"class_names": names(plan), "data": lists | pairs, "files": files(plan)}


def names(plan: Plan) -> list[str]:
    """The classes' names, as they stand beside the training list."""
    path = plan.lists.get("TRAIN")
    if path is None:
        return names_beside(plan.pairs["TRAIN"]) if "TRAIN" in plan.pairs else []
    return class_names(path, plan.classes) if plan.classes else []


def pairs_of(plan: Plan, key: str) -> ListRecord:
    """What run.json says of a list of images and label maps."""
    pairs, sums = listed_pairs(plan, key)
    rows, content, each = sums
    where: ListRecord = {"list": str(pairs.path.absolute()), "folder": str(pairs.base.folder.absolute())}
    return {**where, "images": len(each), "skipped": 0, "rows": rows, "content": content}


def listed_pairs(plan: Plan, key: str) -> tuple[Pairs, tuple[str, str, RowSums]]:
    """The plan's list of images and label maps of ``key``, and its sums."""
    pairs = pairs_in(data_layers(plan.graphs[key])[0], plan.pairs[key], plan.places)
    return pairs, pairs.prints(sums_of(pairs.path, pairs.base.folder))


def _list(plan: Plan, key: str, path: Path) -> ListRecord:
    rows, content, each = _prints(plan, key, path)
    return {"images": len(each), "skipped": 0, "rows": rows, "content": content}


def row_sums(plan: Plan, key: str) -> RowSums:
    """The sums of every row of the plan's list of ``key``."""
    return (_prints(plan, key, plan.lists[key]) if key in plan.lists else listed_pairs(plan, key)[1])[2]


def listed_rows(plan: Plan, key: str) -> Rows:
    """What reads the rows of the plan's list of ``key``."""
    if key in plan.pairs:
        return pair_rows(plan.pairs[key])
    return image_rows(data_layers(plan.graphs[key])[0], plan.lists[key], plan.options.label_size)


def _prints(plan: Plan, key: str, path: Path) -> tuple[str, str, RowSums]:
    found = images_in(data_layers(plan.graphs[key])[0], path, plan.places, plan.options.label_size)
    return prints(found.entries, found.paths, sums_of(path, found.base.folder))


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
        is_listed = node.is_data and (key in plan.lists or key in plan.pairs)
        for name, value, root in _paths(node.layer):
            if not (is_listed and name in _LISTED):
                yield from _file(plan, node.layer, name, find(value, plan.places).absolute(), root, sums)


def _file(plan: Plan, layer: LayerParameter, name: str, path: Path, root: str, sums: Sums) -> Iterator[str]:
    yield sums.of(path)
    tops = record_of(layer).data_tops
    if tops is None or not path.is_file() or not name.endswith(".source"):
        return
    if tops.is_list:
        asked = plan.options.label_size if tops.takes_label_lists else None
        images = images_in(layer, path, plan.places, asked)
        yield prints(images.entries, images.paths, sums)[1]
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
