"""What a run is, however it was asked for: its solver and nets as resolved, its data, its arithmetic.

Facts are (what, value) pairs in words; two runs are of one kind where theirs are equal.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from prototxt.caffe_pb2 import LayerParameter, NetParameter, SolverParameter
from prototxt.errors import InputError
from prototxt.text import read_solver
from zoo.runs.run_folder import RunFolder
from zoo.runs.run_json import ListRecord, RunRecord, lists_of
from zoo.train.planning.nets import read_nets
from zoo.train.planning.plan import MEANINGLESS, Plan

# Raised whenever the same texts, data and seed train to other weights than before, by more than rounding
# as another processor has it. Runs of versions that did not record it have none.
ARITHMETIC = 1

RunFacts = dict[str, str]
_LIST = " list: "  # in a fact's name, after the net whose list it is about
NetEdit = Callable[[NetParameter], NetParameter]

# What such a field names is compared by its bytes (zoo.runs.contents), so that no spelling counts.
PATHS = {
    "SolverParameter.weights": "the files' sums are compared",
    "TransformationParameter.mean_file": "the file's sum is compared",
    "ImageDataParameter.source": "the list's rows and pictures are compared",
    "ImageDataParameter.root_folder": "the pictures' bytes are compared, wherever they lie",
    "DataParameter.source": "the data base's sum is compared",
    "HDF5DataParameter.source": "the sums of the list and its files are compared",
    "WindowDataParameter.source": "the sums of the list and its pictures are compared",
    "WindowDataParameter.root_folder": "the pictures' bytes are compared, wherever they lie",
    "DenseImageDataParameter.source": "the sums of the list and its pictures are compared",
    "DenseImageDataParameter.root_folder": "the pictures' bytes are compared, wherever they lie",
    "AnnotatedDataParameter.label_map_file": "names of classes, which nothing reads",
    "InfogainLossParameter.source": "the file's sum is compared",
}

# Fields that decide nothing of what a run learned or was judged by, each with the reason.
NEUTRAL = PATHS | {
    **{f"SolverParameter.{field}": reason for field, reason in MEANINGLESS.items()},
    "SolverParameter.net": "the nets themselves are compared",
    "SolverParameter.net_param": "the nets themselves are compared",
    "SolverParameter.train_net": "the nets themselves are compared",
    "SolverParameter.train_net_param": "the nets themselves are compared",
    "SolverParameter.test_net": "the nets themselves are compared",
    "SolverParameter.test_net_param": "the nets themselves are compared",
    "SolverParameter.random_seed": "the runs of a group differ in it",
    "SolverParameter.display": "when a line is shown",
    "SolverParameter.snapshot": "when a snapshot is written",
    "SolverParameter.snapshot_prefix": "where a snapshot is written",
    "SolverParameter.snapshot_after_train": "when a snapshot is written",
    "SolverParameter.snapshot_format": "in which of Caffe's formats snapshots are written as well",
    "SolverParameter.snapshot_diff": "what Caffe's snapshots hold beside the weights",
    "SolverParameter.debug_info": "which lines are shown",
    "NetParameter.name": "a name; first weights follow from the layers' names",
    "NetParameter.debug_info": "no such output",
    "HDF5OutputParameter.file_name": "nothing is written there",
    "DataParameter.prefetch": "how far is read ahead: the batches are the same",
    "WindowDataParameter.cache_images": "where pictures are held: the batches are the same",
}

# What a run may go on with that it was not begun with, each with the reason.
MAY_CHANGE = {
    "max_iter": "a run may go on for longer",
    "test_interval": "when it is tested: what it learns is the same",
    "test_initialization": "when it is tested: what it learns is the same",
    "average_loss": "how the loss is shown: what it learns is the same",
}


def of_message(message: Message, skipped: Collection[str] = NEUTRAL, where: str = "") -> RunFacts:
    """Every field that a message sets, by its place, but for those of ``skipped`` (Message.field)."""
    facts: RunFacts = {}
    for field, value in message.ListFields():
        if full_name(field) in skipped:
            continue
        for at, item in _items(field, value):
            if field.message_type is None:
                facts[where + at] = _text(field, item)
            else:
                facts |= {where + at: "set"} | of_message(item, skipped, f"{where}{at} ")
    return facts


def full_name(field: FieldDescriptor) -> str:
    """Message.field."""
    assert field.containing_type is not None
    return f"{field.containing_type.name}.{field.name}"


def _items(field: FieldDescriptor, value: Any) -> Iterator[tuple[str, Any]]:
    if not field.is_repeated:
        yield field.name, value
        return
    for index, item in enumerate(value):
        named = f' "{item.name}"' if isinstance(item, LayerParameter) else ""
        yield f"{field.name}[{index}]{named}", item


def _text(field: FieldDescriptor, value: Any) -> str:
    if field.enum_type is not None:
        return str(field.enum_type.values_by_number[value].name)
    return str(np.float32(value)) if field.cpp_type == field.CPPTYPE_FLOAT else str(value)


def of_texts(solver: SolverParameter, nets: Mapping[str, NetParameter], skipped: Collection[str]) -> RunFacts:
    """The facts of a solver and its nets; of nets with one text the first one's."""
    facts = of_message(solver, skipped)
    for key, net in nets.items():
        if key == "TRAIN" or net != nets["TRAIN"]:
            facts |= of_message(net, skipped, f"{key} net: ")
    return facts


def of_classes_named(names: Iterable[object]) -> RunFacts:
    """The names of classes, by label."""
    return {f"class {label}": str(name) for label, name in enumerate(names)}


def of_contents(record: RunRecord) -> RunFacts:
    """The facts of a run's data as run.json has them: names of classes, lists, other files."""
    facts = of_classes_named(record.get("class_names") or ())
    for key, about in lists_of(record).items():
        facts |= _of_list(key, about)
    for key, total in (record.get("files") or {}).items():
        facts[f"{key}: its files' sum"] = str(total)
    return facts


def _of_list(key: str, about: ListRecord) -> RunFacts:
    if "content" in about:
        return {
            f"{key}{_LIST}pictures": str(about["images"] + about["skipped"]),
            f"{key}{_LIST}the rows' sum": str(about["rows"]),
            f"{key}{_LIST}the pictures' sum": str(about["content"]),
        }
    return {f"{key}{_LIST}fingerprint": str(about.get("fingerprint"))}


def of_plan(plan: Plan, contents: RunRecord) -> RunFacts:
    """What a run of ``plan`` would be on the data of ``contents`` (:func:`zoo.runs.contents.data_of`)."""
    return of_contents(contents) | _of_plans_texts(plan, NEUTRAL)


def before_data(plan: Plan) -> RunFacts:
    """The same before any data is read: files are told apart by their paths."""
    return _of_plans_texts(plan, NEUTRAL.keys() - PATHS)


def _of_plans_texts(plan: Plan, skipped: Collection[str]) -> RunFacts:
    return of_texts(plan.solver, {key: source.message for key, source in plan.nets.items()}, skipped)


def _of_folder(folder: RunFolder, skipped: Collection[str], edit: NetEdit = lambda net: net) -> RunFacts:
    """The facts of a run folder's own texts, each net changed by ``edit``."""
    solver = read_solver(folder.solver)
    sources = read_nets(solver, folder.solver, (folder.path,))
    return of_texts(solver, {key: edit(source.message) for key, source in sources.items()}, skipped)


def kind(folder: RunFolder, record: RunRecord, edit: NetEdit = lambda net: net) -> RunFacts:
    """What runs of one group have in common: data, texts (each net changed by ``edit``), ranks, arithmetic.

    Where an earlier version recorded no sums of files, the paths that name them count.
    """
    own = {"ranks": str(record.get("world_size", 1)), "arithmetic": str(record.get("arithmetic", "none"))}
    skipped = NEUTRAL if "files" in record else NEUTRAL.keys() - PATHS
    return _of_folder(folder, skipped, edit) | of_contents(record) | own


def as_key(facts: RunFacts) -> tuple[tuple[str, str], ...]:
    """Facts as a key that can be hashed, and does not depend on their order."""
    return tuple(sorted(facts.items()))


def first_difference(ours: RunFacts, theirs: RunFacts) -> str | None:
    """Where ``theirs`` first differs: "base_lr 0.1, not 0.01"; None where they are equal."""
    key = _first_other(ours, theirs)
    return None if key is None else _said(key, theirs, ours)


def _first_other(ours: RunFacts, theirs: RunFacts) -> str | None:
    return next((key for key in ours | theirs if ours.get(key) != theirs.get(key)), None)


def _said(key: str, theirs: RunFacts, ours: RunFacts) -> str:
    return f"{key} {_short(theirs.get(key, 'unset'))}, not {_short(ours.get(key, 'unset'))}"


def _short(value: str) -> str:
    return value if len(value) < 60 else f"{value[:57]}…"


def check_same(
    folder: RunFolder, record: RunRecord, now: RunFacts, first_row: Callable[[str], str | None]
) -> None:
    """Raise InputError, with the first difference, where the run of ``folder`` is another than the one of
    ``now`` (:func:`of_plan`) in more than what may change. Of a version that recorded no sums, texts and
    names of classes are compared. ``first_row`` says where the list of a net (TRAIN, TEST, …) first
    differs, as far as that is known.
    """
    saved = of_contents(record) if "files" in record else of_contents({**record, "data": {}})
    if "files" not in record:
        now = {key: value for key, value in now.items() if _LIST not in key and "files' sum" not in key}
    if folder.solver.is_file():
        saved |= _of_folder(folder, NEUTRAL)
    ours, theirs = (
        {key: value for key, value in facts.items() if key not in MAY_CHANGE} for facts in (now, saved)
    )
    if (key := _first_other(ours, theirs)) is None:
        return
    row = first_row(key.partition(_LIST)[0]) if _LIST in key else None
    said = _said(key, theirs, ours) + (f" (first {row})" if row else "")
    raise InputError(f"{folder.path}: was begun with {said}; --output names a folder for another run")
