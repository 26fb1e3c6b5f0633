"""A study file: TOML that says which nets, variants, solver changes and seeds are trained, and how long."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prototxt.errors import InputError
from zoo.cli.choices import SOLVER, VARIANT
from zoo.study.keys import checked
from zoo.study.question import Question, question_of


@dataclass(frozen=True)
class RunBlock:
    """One ``[[runs]]``: nets × variants × changes, with settings of its own.

    ``changes`` are texts for --set by name; ``set`` is one that all of them share. An iteration takes
    ``iter_size`` batches of ``batch_size``.
    """

    nets: Sequence[str] = ()
    variants: Sequence[str] = (VARIANT,)
    changes: Mapping[str, str] = field(default_factory=dict)
    batch_size: int | None = None
    iter_size: int | None = None
    set: str | None = None


@dataclass(frozen=True)
class Study:
    """A study as its file says; None: as the solver says. ``data`` is the folder with the lists, ``dialect``
    names the forks whose rules are meant, as --dialect does, ``skip_bad`` passes over broken images;
    ``questions`` are what the report answers first; ``title_zh`` is what the Chinese report is called.
    """

    title: str
    runs: Sequence[RunBlock]
    solver: str = SOLVER
    data: str | None = None
    max_iter: int | None = None
    batch_size: int | None = None
    size: int | None = None
    seeds: Sequence[int] = (0,)
    set: str | None = None
    dialect: str | None = None
    skip_bad: bool | None = None
    questions: Sequence[Question] = ()
    title_zh: str = ""


def read_study(path: Path) -> Study:
    """A study from its file; paths in it (solver, nets, data) count from the file's folder.

    Raises InputError, naming file and key, for text that is not TOML, for a key that is unknown, missing
    or of the wrong kind, and for a study without runs.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: cannot be read as TOML ({error})") from None
    known = checked(table, Study, str(path), required=("title", "runs"))
    known["runs"] = [_block(block, path, number) for number, block in enumerate(known["runs"], 1)]
    asked = enumerate(known.get("questions", ()), 1)
    known["questions"] = tuple(question_of(table, f"{path}: questions[{number}]") for number, table in asked)
    here: dict[str, Any] = {key: _beside(path, known[key]) for key in ("solver", "data") if key in known}
    return Study(**(known | here))


def _block(table: Mapping[str, Any], path: Path, number: int) -> RunBlock:
    known = checked(table, RunBlock, f"{path}: runs[{number}]")
    known["nets"] = [_beside(path, net) for net in known.get("nets", ())]
    return RunBlock(**known)


def _beside(path: Path, name: str) -> str:
    """``name`` from the study file's folder, where it is there; else as it stands."""
    beside = path.absolute().parent / name
    return str(beside) if beside.exists() else name
