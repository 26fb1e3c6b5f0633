"""Questions of studies with figures that are made up, and folders of runs whose study asks one."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from report_runs import write_bench, write_run

from eval.statistics import Interval
from zoo.report.say.asked import Asked, Entrant
from zoo.report.say.sentences import Compared
from zoo.study.keys import Outcome
from zoo.study.question import Question

TEXTS = {"en": "Does it help?", "zh": "有用吗？"}


def entrant(name: str, *runs: float, planned: int | None = None) -> Entrant:
    mean = sum(runs) / len(runs)
    interval = Interval(mean, mean - 0.05, mean + 0.05, over_seeds=len(runs) > 1)
    return Entrant(name, name, runs, interval, planned or len(runs))


def asked(
    differences: Mapping[tuple[str, str], tuple[float, float]],
    yes: Outcome | None = "higher",
    runs: int = 3,
    missing: Sequence[str] = (),
    planned: int | None = None,
    too_few: bool = False,
) -> Asked:
    """A question about differences that are made up: of each pair the ends of its interval."""
    names = dict.fromkeys(name for pair in differences for name in pair)
    entrants = {name: entrant(name, *[0.6] * runs, planned=planned) for name in names}
    pairs = tuple(
        Compared(
            entrants[ours], entrants[theirs], Interval((low + high) / 2, low, high, runs > 1, too_few=too_few)
        )
        for (ours, theirs), (low, high) in differences.items()
    )
    against = dict(differences.keys()) if yes else {}
    return Asked(Question(**TEXTS, yes=yes, against=against), tuple(entrants.values()), pairs, tuple(missing))


def write_asking(folder: Path, questions: Any, seeds: int = 3, failed: Sequence[str] = ()) -> None:
    """A study's runs, with a bench, and a study.json that asks ``questions``."""
    entries = []
    for variant in ("baseline", "dropout0.9", "bn"):
        for seed in range(seeds):
            name = f"{variant}-seed{seed}"
            is_there = name not in failed
            if is_there:
                write_run(folder, variant, seed)
            entries.append({"name": name, "state": "finished" if is_there else "diverged", "max_iter": 20})
    write_bench(folder)
    study = {
        "title": "t",
        "title_zh": "题",
        "file": "t.toml",
        "overrides": {},
        "questions": questions,
        "runs": entries,
    }
    (folder / "study.json").write_text(json.dumps(study))
