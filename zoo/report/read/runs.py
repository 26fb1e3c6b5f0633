"""A folder's runs in groups: equal in what zoo.runs.identity compares, named by what tells them apart."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from converters.graph import build_graph
from converters.solver.nets import merged_state
from eval.convergence import seconds_at
from prototxt.caffe_pb2 import TRAIN
from prototxt.errors import InputError
from prototxt.text import read_net, read_solver
from zoo.bench.models import Model
from zoo.bench.pairs import but_head
from zoo.runs.identity import RunFacts, as_key, kind
from zoo.runs.run_folder import read_metrics
from zoo.runs.run_json import RunRecord
from zoo.train.planning.lists import data_layers
from zoo.train.planning.nets import batch_size

NamedOptions = tuple[tuple[str, Any], ...]

_FILLERS = ("msra", "xavier", "gaussian")
# Options that name no group: what paths hold is compared, and the seed is what runs of a group differ in.
_UNNAMED = ("seed", "variant", "root", "solver", "weights", "skip_bad")
_MOST_NAMED = 3  # facts in a label


@dataclass(frozen=True)
class FinishedRun:
    """A finished run: its model with its record, and the lines of its metrics.jsonl."""

    model: Model
    lines: tuple[Mapping[str, Any], ...]

    @property
    def record(self) -> RunRecord:
        """What run.json says."""
        assert self.model.record is not None
        return self.model.record

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self.model.path.parent

    @property
    def seed(self) -> int:
        """The run's seed."""
        return int(self.record["seed"])

    @property
    def variant(self) -> frozenset[str]:
        """The edits of its variant; none for the baseline."""
        return frozenset(self.record["variant"].split("+")) - {"baseline"}

    @cached_property
    def facts(self) -> RunFacts:
        """What the run is, but for its seed."""
        assert self.model.folder is not None
        return kind(self.model.folder, self.record)

    @cached_property
    def kind(self) -> tuple[tuple[str, str], ...]:
        """What runs of one group have in common."""
        return as_key(self.facts)

    @property
    def options(self) -> NamedOptions:
        """What was asked for in words that may name a group."""
        options = self.record.get("options", {})
        named = {key: value for key, value in options.items() if key not in _UNNAMED}
        return tuple(sorted((key, value) for key, value in named.items() if value is not None))

    @cached_property
    def images_per_step(self) -> int:
        """Images that one iteration trained on, all ranks together, as the run itself counted them; of a
        run that did not say so, as its prototxts tell.
        """
        if "images_per_step" in self.record:
            return int(self.record["images_per_step"])
        assert self.model.folder is not None
        net, solver = read_net(self.model.folder.net), read_solver(self.model.folder.solver)
        graph = build_graph(net, merged_state(TRAIN, net.state, solver.train_state))
        batches = [size for layer in data_layers(graph) if (size := batch_size(layer))]
        return next(iter(batches), 1) * solver.iter_size * int(self.record.get("world_size", 1))

    @cached_property
    def seconds(self) -> list[float]:
        """Training seconds at each line."""
        return seconds_at(self.lines, self.images_per_step)

    @property
    def rate(self) -> float | None:
        """Training images a second over the whole run; None for one of no time."""
        images = self.lines[-1]["iteration"] * self.images_per_step
        return images / self.seconds[-1] if self.seconds[-1] else None


@dataclass(frozen=True)
class Group:
    """Runs that differ in the seed alone, by seed; ``index`` is the group's place and colour."""

    label: str
    index: int
    runs: tuple[FinishedRun, ...]
    variant: frozenset[str]  # less what all groups share

    @property
    def first(self) -> FinishedRun:
        """The run of the lowest seed."""
        return self.runs[0]

    @property
    def head(self) -> str:
        """``gap``, ``fc`` or ``other``."""
        return str(self.first.record["head"])


def read_run(model: Model) -> FinishedRun:
    """A run with its curve. Raises InputError where metrics.jsonl lacks what a report draws."""
    assert model.folder is not None
    path = model.folder.metrics
    if not path.is_file():
        raise InputError(f"{path}: no such file; the run cannot be reported on")
    lines = read_metrics(path)
    if not lines:
        raise InputError(f"{path}: holds no line; the run cannot be reported on")
    return FinishedRun(model, tuple(lines))


def group_runs(runs: Sequence[FinishedRun], planned: Sequence[str] = ()) -> list[Group]:
    """Groups in the order of ``planned``, the names of a study's run folders; without: baseline first, then
    by the number of edits and by name."""
    by_kind: dict[object, list[FinishedRun]] = {}
    for run in runs:
        by_kind.setdefault(run.kind, []).append(run)
    members = [tuple(sorted(alike, key=lambda run: run.seed)) for alike in by_kind.values()]
    shared = _shared([alike[0].variant for alike in members])
    named = _told_apart([(_label(alike, members, shared), alike) for alike in members])
    named.sort(key=lambda pair: (_place(pair[1], planned), *_rank(pair[1][0].variant - shared), pair[0]))
    return [
        Group(label, index, alike, alike[0].variant - shared) for index, (label, alike) in enumerate(named)
    ]


def _told_apart(
    named: Sequence[tuple[str, tuple[FinishedRun, ...]]],
) -> list[tuple[str, tuple[FinishedRun, ...]]]:
    """The same with, after a label that several groups have, the first facts in which those differ."""
    every = []
    for label, members in named:
        rivals = [other[0].facts for name, other in named if name == label]
        every.append((" ".join([label, *_telling(members[0].facts, rivals)]), members))
    return every


def _telling(own: RunFacts, rivals: Sequence[RunFacts]) -> list[str]:
    keys = [key for facts in rivals for key in facts]
    differing = [key for key in dict.fromkeys(keys) if len({facts.get(key) for facts in rivals}) > 1]
    return [f"{key}={own.get(key, 'none')[:12]}" for key in differing[:_MOST_NAMED]]


def _shared(variants: Sequence[frozenset[str]]) -> frozenset[str]:
    """The edits that every group has; of one group its filler, which compares nothing."""
    if len(variants) == 1:
        return variants[0] & frozenset(_FILLERS)
    return frozenset.intersection(*variants)


def _place(members: Sequence[FinishedRun], planned: Sequence[str]) -> int:
    return min(
        (planned.index(run.path.name) for run in members if run.path.name in planned), default=len(planned)
    )


def _rank(variant: frozenset[str]) -> tuple[int, list[tuple[bool, str]]]:
    """Dropouts before the other single edits, combinations last."""
    return len(variant), sorted((not edit.startswith("dropout"), edit) for edit in variant)


def _label(
    alike: Sequence[FinishedRun], members: Sequence[Sequence[FinishedRun]], shared: frozenset[str]
) -> str:
    """The variant; where groups differ in more than that, the folders' common name, as a study gives it; of
    several groups with one variant otherwise the options that differ."""
    own = [edit for edit in alike[0].record["variant"].split("+") if edit not in shared | {"baseline"}]
    variant = "+".join(own) or "baseline"
    differing = _differing([runs[0].options for runs in members])
    is_alone = sum(runs[0].variant == alike[0].variant for runs in members) == 1
    if is_alone and not differing:
        return variant
    names = {re.sub(r"-seed\d+$", "", run.path.name) for run in alike}
    if len(names) == 1 and all(run.path.name.endswith(f"-seed{run.seed}") for run in alike):
        return names.pop().replace(alike[0].record["variant"], variant)
    if is_alone:
        return variant
    options = dict(alike[0].options)
    return " ".join(
        [variant, *(_option_text(key, options[key]) for key in sorted(differing & options.keys()))]
    )


def _differing(options: Iterable[NamedOptions]) -> set[str]:
    every = [dict(items) for items in options]
    keys = {key for items in every for key in items}
    return {key for key in keys if len({repr(items.get(key)) for items in every}) > 1}


def _option_text(key: str, value: object) -> str:
    text = (
        Path(value).stem
        if key in ("net", "solver") and isinstance(value, str)
        else " ".join(str(value).split())
    )
    return f"{key}={text}"


def partners(groups: Sequence[Group]) -> list[tuple[Group, Group]]:
    """(GAP, FC) groups that are equal but for the head."""
    bare = {group.index: but_head(group.first.model) for group in groups}
    return [
        (gap, fc)
        for gap in groups
        for fc in groups
        if (gap.head, fc.head) == ("gap", "fc") and bare[gap.index] == bare[fc.index]
    ]
