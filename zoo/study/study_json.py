"""What study.json says: which runs a study plans, and how each stands. `zoo report` reads it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NotRequired, TypedDict, cast

from prototxt.errors import InputError
from zoo.study.question import Question, question_of

NAME = "study.json"


class RunEntry(TypedDict):
    """A run of a study. ``state`` is planned, begun, finished, diverged or failed."""

    name: str
    state: str
    reason: str | None  # why it diverged or failed
    max_iter: int
    options: Mapping[str, Any]  # of zoo.train.planning.options.Options


class StudySource(TypedDict):
    """Where a study comes from."""

    title: str
    title_zh: NotRequired[str]  # empty where it has none
    file: str  # as it was named on the command line
    overrides: Mapping[str, Any]  # what the command line put in place of the file's
    questions: NotRequired[Sequence[Mapping[str, Any]]]  # of zoo.study.question.Question


class StudyJson(StudySource):
    """The whole file. One that is read may lack all but the runs and their names."""

    runs: Sequence[RunEntry]


def read_study_json(folder: Path) -> StudyJson | None:
    """What `zoo study` wrote of its runs; None where the folder is no study's."""
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        study = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: is not JSON ({error})") from None
    runs = study.get("runs") if isinstance(study, dict) else None
    if not isinstance(runs, list) or not all(isinstance(run, dict) and "name" in run for run in runs):
        raise InputError(f"{path}: is no record of a study's runs")
    return cast(StudyJson, study)


def titled(study: StudyJson, language: str) -> str | None:
    """The study's title in a language; in English where it has none in that."""
    return (study.get("title_zh") if language == "zh" else None) or study.get("title")


def questions_in(study: StudyJson | None, folder: Path) -> list[Question]:
    """What the study asks. Raises InputError, naming the file, for what is no list of questions."""
    where = f"{folder / NAME}: questions"
    tables = (study.get("questions") if study else None) or []
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise InputError(f"{where}: is no list of tables")
    # Empty texts and None stand for what was not said.
    return [question_of({key: value for key, value in table.items() if value}, where) for table in tables]
