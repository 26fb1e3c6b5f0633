"""What run.json says. One that is read may be an earlier version's, or another program's, and lack keys."""

from collections.abc import Mapping
from typing import Any, TypedDict, cast


class ListRecord(TypedDict, total=False):
    """A list of images that a run reads."""

    list: str  # absolute path
    folder: str  # that the images' paths count from
    images: int  # without those skipped
    skipped: int
    fingerprint: str  # of some pictures, by which earlier versions' runs are known
    rows: str  # the rows' sum
    content: str  # the sum of rows and pictures


class RunRecord(TypedDict, total=False):
    """A run: what was asked for, on what data and machine, and how far it has come."""

    name: str
    net: str
    variant: str
    head: str
    seed: int
    classes: int | None
    class_names: list[str]
    data: dict[str, Any]  # a ListRecord by net (TRAIN, TEST, TEST1, …), and "synthetic": bool
    numbers: dict[str, Any] | None  # of a net that tells such: the task, and what telling the same always is
    files: dict[str, str]  # sums
    arithmetic: int | str
    here: str  # the folder that relative paths count from
    places: list[str]  # where files are sought
    departures: list[str]
    options: dict[str, Any]  # of zoo.train.planning.options.Options
    plugins: dict[str, str]  # names of the files with layers of the user's own, and their SHA-256
    dialects: dict[str, str]  # by type, of the types with several rules
    device: str
    precision: str  # earlier versions'
    world_size: int
    images_per_step: int
    versions: dict[str, str]
    iteration: int
    finished: bool
    id: str
    started: str
    ended: str
    texts: dict[str, str]  # digests of the prototxts that the run wrote
    skipped: dict[str, int]
    diverged: str  # why
    caffe_snapshots: list[str]


def dialects_in(record: RunRecord | None) -> dict[str, str]:
    """The record's dialects by layer type; none of a version that recorded none."""
    dialects = (record or {}).get("dialects")
    return dialects if isinstance(dialects, dict) and all(map(_is_text, dialects.values())) else {}


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def lists_of(record: RunRecord) -> Mapping[str, ListRecord]:
    """The record's lists by net."""
    data = record.get("data") or {}
    return {key: cast(ListRecord, about) for key, about in data.items() if isinstance(about, dict)}
