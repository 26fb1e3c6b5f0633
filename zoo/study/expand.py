"""The runs of a study: every net × variant × change × seed of its blocks, each with its options and name."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from prototxt.errors import InputError
from zoo.study.file import RunBlock, Study
from zoo.study.question import check_names
from zoo.study.schedule import stretched
from zoo.train.planning.options import Options
from zoo.train.planning.solver_changes import one_setting


@dataclass(frozen=True)
class PlannedRun:
    """One run: the name of its folder inside the study's, and the options for ``zoo train``."""

    name: str
    options: Options


@dataclass(frozen=True)
class _Cell:
    """A combination of a block, before its name is known."""

    block: RunBlock
    net: str | None
    variant: str
    change: str | None
    settings: str | None

    @property
    def parts(self) -> tuple[str, str, str]:
        """What may tell it apart from others: net, variant, change."""
        return Path(self.net or "").stem, self.variant, self.change or ""


def overridden(study: Study, overrides: Mapping[str, Any]) -> Study:
    """The study with what the command line gives; a batch size there is every block's, in one part, and with
    another length than the file's its rate policies are as much longer or shorter.
    """
    changes = {key: value for key, value in overrides.items() if value is not None}
    if "seeds" in changes:
        changes["seeds"] = tuple(range(changes["seeds"]))
    if "batch_size" in changes:
        changes["runs"] = [replace(block, batch_size=None, iter_size=None) for block in study.runs]
    if "max_iter" in changes and study.max_iter not in (None, changes["max_iter"]):
        share = changes["max_iter"] / study.max_iter
        changes["runs"] = [_stretched(block, share) for block in changes.get("runs", study.runs)]
        changes["set"] = stretched(study.set, share) if study.set else None
    return replace(study, **changes)


def _stretched(block: RunBlock, share: float) -> RunBlock:
    changes = {name: stretched(text, share) for name, text in block.changes.items()}
    return replace(block, changes=changes, set=stretched(block.set, share) if block.set else None)


def expand(study: Study, source: str) -> list[PlannedRun]:
    """The runs in the order in which they are begun, all of a seed before the next seed.

    ``source`` names the study in errors. Raises InputError for changes that are no solver text and for
    two runs that nothing in their name tells apart, and for a question about a run that is not there.
    """
    cells = list(_cells(study, source))
    names = _names(cells)
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{source}: two runs are named {name}; name what differs in [runs.changes]")
    for number, question in enumerate(study.questions, 1):
        check_names(question, names, f"{source}: questions[{number}]")
    return [
        PlannedRun(f"{name}-seed{seed}", _options(study, cell, seed))
        for seed in study.seeds
        for name, cell in zip(names, cells, strict=True)
    ]


def _cells(study: Study, source: str) -> Iterator[_Cell]:
    for number, block in enumerate(study.runs, 1):
        where = f"{source}: runs[{number}]"
        parts = f"iter_size: {block.iter_size}" if block.iter_size else None
        shared = [(f"{source}: set", study.set), (f"{where}.iter_size", parts), (f"{where}.set", block.set)]
        for change, text in block.changes.items() or [(None, None)]:
            texts = [*shared, (f"{where}.changes.{change}", text)]
            settings = one_setting([(name, text) for name, text in texts if text is not None])
            for net in block.nets or (None,):
                for variant in block.variants:
                    yield _Cell(block, net, variant, change, settings)


def _names(cells: list[_Cell]) -> list[str]:
    """Each cell's name: those of its parts that are not the same in the whole study, else the variant."""
    columns = list(zip(*(cell.parts for cell in cells), strict=True))
    telling = [index for index, column in enumerate(columns) if len(set(column)) > 1] or [1]
    return ["-".join(cell.parts[i] for i in telling if cell.parts[i]) or "baseline" for cell in cells]


def _options(study: Study, cell: _Cell, seed: int) -> Options:
    return Options(
        variant=cell.variant,
        solver=study.solver,
        root=None if study.data is None else str(Path(study.data).absolute()),
        max_iter=study.max_iter,
        batch_size=cell.block.batch_size or study.batch_size,
        seed=seed,
        net=cell.net,
        set=cell.settings,
        size=study.size,
        dialect=study.dialect,
        skip_bad=study.skip_bad,
    )


def arguments(options: Options) -> list[str]:
    """The command line of ``zoo train`` that says these options."""
    chosen = {name: value for name, value in asdict(options).items() if value is not None}
    flags = [f"--{name.replace('_', '-')}" for name, value in chosen.items() if value is True]
    return flags + [
        f"--{name.replace('_', '-')}={value}" for name, value in chosen.items() if not isinstance(value, bool)
    ]
