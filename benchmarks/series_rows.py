"""The rows of a study of the series: what eval/results/series/STUDY.json holds, made from a folder of runs by
benchmarks/series.py, and read again for the page.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from converters.host.files import write_text
from eval.statistics import Floats, Interval
from zoo.bench.files import model_columns
from zoo.report.read.gather import gather
from zoo.report.read.results import Results
from zoo.report.read.runs import Group
from zoo.report.say.asked import Asked, Entrant, asked_of, entrant_of, name_of
from zoo.report.say.sentences import Compared
from zoo.report.say.wording import Words
from zoo.study.question import question_of
from zoo.study.study_json import StudyJson

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "eval" / "results" / "series"
Rows = Mapping[str, Any]


def rows_of(folder: Path) -> Rows:
    """What a study's finished runs show: a row a run, who was compared with whom, and what intervals rest on.

    ``blocks`` are rows of the validation list that are resampled together, ``right`` of a run has a bit for
    each of that list's photographs, first the highest of a byte. Raises InputError where no run is finished,
    and AssertionError for runs of no study.
    """
    results, study = gather(folder, None, Words("en"), conditions=(), is_benched=False)
    assert study, f"{folder}: has no study.json"
    every = asked_of(results, study)
    entrants = {each.name: each for asked in every for each in asked.entrants}
    groups = {name_of(group.first.path.name): group for group in results.groups}
    data = results.first.record["data"]
    return {
        "title": study["title"],
        "overrides": {key: value for key, value in study["overrides"].items() if key != "data"},
        "data": {key: data[key]["images"] for key in ("TRAIN", "TEST")}
        | {"content": data["TEST"]["content"]},
        "entrants": [_entrant(entrants[name], group) for name, group in groups.items() if name in entrants],
        "questions": [_asked(asked) for asked in every],
        "runs": _runs(results, study),
        "blocks": results.blocks,
    }


def _entrant(each: Entrant, group: Group) -> dict[str, Any]:
    cost = model_columns(group.first.model)
    seconds = [run.seconds[-1] for run in group.runs]
    return {
        "name": each.name,
        "label": each.label,
        "runs": list(each.runs),
        "planned": each.planned,
        "accuracy": asdict(each.accuracy),
        "parameters": cost["parameters"],
        "macs": cost["macs"],
        "seconds": sum(seconds) / len(seconds),
    }


def _asked(asked: Asked) -> dict[str, Any]:
    return {
        "question": asdict(asked.question),
        "entrants": [each.name for each in asked.entrants],
        "pairs": [_pair(pair) for pair in asked.pairs],
        "missing": list(asked.missing),
        "chance": asked.chance,
    }


def _pair(pair: Compared) -> dict[str, Any]:
    ours, theirs = (entrant_of(each).name for each in (pair.group, pair.other))
    return {"ours": ours, "theirs": theirs, "difference": asdict(pair.difference)}


def _runs(results: Results, study: StudyJson) -> list[dict[str, Any]]:
    """A row for every run that was planned, in that order; of one that did not end, why."""
    known = {run.path.name: (group, at) for group in results.groups for at, run in enumerate(group.runs)}
    here = f"{results.folder.absolute()}/"  # means nothing elsewhere
    return [
        {
            "run": entry["name"],
            "state": entry["state"],
            "reason": (entry.get("reason") or "").replace(here, ""),
        }
        | (_run(results, *known[entry["name"]]) if entry["name"] in known else {})
        for entry in study["runs"]
    ]


def _run(results: Results, group: Group, place: int) -> dict[str, Any]:
    run, right = group.runs[place], results.right(group)[place]
    return {
        "seed": run.seed,
        "iterations": run.record["iteration"],
        "images_per_step": run.images_per_step,
        "top1": results.top1(group)[place],
        "top5": results.top5(group)[place] if results.tells_top5 else None,
        "seconds": run.seconds[-1],
        "processor": run.record["device"],
        "versions": run.record["versions"],
        "right": np.packbits(right.astype(bool)).tobytes().hex(),
    }


def write_rows(rows: Rows, path: Path) -> None:
    """Rows as a file: a line a run, an entrant, a pair."""
    lines = ",\n".join(f" {json.dumps(key)}: {_listed(value)}" for key, value in rows.items())
    write_text(path, f"{{\n{lines}\n}}\n")


def _listed(value: Any) -> str:
    if not isinstance(value, list) or not value or not isinstance(value[0], dict):
        return json.dumps(value, ensure_ascii=False)
    return "[\n  " + ",\n  ".join(json.dumps(each, ensure_ascii=False) for each in value) + "\n ]"


def read_rows(name: str) -> Rows | None:
    """The committed rows of a study; None where there are none yet."""
    path = FOLDER / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def asked_in(rows: Rows) -> tuple[Asked, ...]:
    """The questions with their figures, as a report has them."""
    entrants = {
        each["name"]: Entrant(
            each["name"], each["label"], tuple(each["runs"]), Interval(**each["accuracy"]), each["planned"]
        )
        for each in rows["entrants"]
    }
    return tuple(_asked_in(table, entrants) for table in rows["questions"])


def _asked_in(table: Mapping[str, Any], entrants: Mapping[str, Entrant]) -> Asked:
    pairs = tuple(
        Compared(entrants[each["ours"]], entrants[each["theirs"]], Interval(**each["difference"]))
        for each in table["pairs"]
    )
    question = question_of({key: value for key, value in table["question"].items() if value}, "rows")
    taking_part = tuple(entrants[name] for name in table["entrants"])
    return Asked(question, taking_part, pairs, tuple(table["missing"]), table["chance"])


def right_of(rows: Rows, name: str) -> Floats:
    """(S, N): was run s of an entrant right on photograph i?"""
    bits: Sequence[Any] = [
        np.unpackbits(np.frombuffer(bytes.fromhex(run["right"]), np.uint8), count=rows["data"]["TEST"])
        for run in rows["runs"]
        if name_of(run["run"]) == name and "right" in run
    ]
    return np.array(bits, float)
