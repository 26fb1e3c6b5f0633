"""What a study asks, with the figures that answer it: who takes part, and who stands against whom."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from eval.statistics import Interval
from zoo.report.read.results import Results
from zoo.report.read.runs import Group
from zoo.report.say.choice import Candidate, Choice, relation
from zoo.report.say.claims import EQUAL_WITHIN, is_equal
from zoo.report.say.sentences import Compared
from zoo.study.keys import Outcome
from zoo.study.question import Question
from zoo.study.study_json import StudyJson, questions_in

_SIDES = {"higher": "above", "lower": "below", "equal": "equal"}


@dataclass(frozen=True)
class Entrant:
    """The runs of a study that differ in the seed alone: their name in the study and in the report, top-1 of
    each that reached its end, the mean's interval, and how many were planned.
    """

    name: str
    label: str
    runs: tuple[float, ...]
    accuracy: Interval
    planned: int


@dataclass(frozen=True)
class Asked:
    """A study's question with the figures that answer it: who takes part, in the study's order, who is
    compared with whom, the names of those of which no run reached its end, and what a guess is right in.
    """

    question: Question
    entrants: tuple[Entrant, ...]
    pairs: tuple[Compared, ...]
    missing: tuple[str, ...]
    chance: float = 0.0

    @property
    def is_contest(self) -> bool:
        """Whether it is asked which is the most accurate: every other then stands against that."""
        return not self.question.against

    @property
    def unlearned(self) -> list[str]:
        """The labels of those not shown to be above a guess by more than what counts as about equal."""
        return [each.label for each in self.entrants if each.accuracy.low <= self.chance + EQUAL_WITHIN]

    def outcome(self, pair: Compared) -> str:
        """``yes``, ``open`` where it cannot be told, or what it is instead: above, below, equal. That two are
        equal is not told where neither has learned."""
        found = outcome(pair.difference, self.question.yes or "higher")
        is_idle = {pair.group.label, pair.other.label} <= set(self.unlearned)
        return "open" if is_idle and is_equal(pair.difference) else found


def asked_of(results: Results, study: StudyJson | None) -> tuple[Asked, ...]:
    """What the study that made the runs asks. Raises InputError for a study.json with no proper questions."""
    questions = questions_in(study, results.folder)
    if study is None or not questions:
        return ()
    planned = Counter(name_of(entry["name"]) for entry in study["runs"])
    groups = {name: group for group in results.groups if (name := name_of(group.first.path.name)) in planned}
    entrants = {name: _entrant_of(results, name, group, planned[name]) for name, group in groups.items()}
    classes = results.first.record.get("classes")

    def difference(name: str, other: str) -> Interval:
        return results.difference(groups[name], groups[other])

    return tuple(
        arranged(question, entrants, tuple(planned), difference, 1 / classes if classes else 0.0)
        for question in questions
    )


def _entrant_of(results: Results, name: str, group: Group, planned: int) -> Entrant:
    most = max(planned, len(group.runs))
    return Entrant(name, group.label, tuple(results.top1(group)), results.interval(group), most)


def arranged(
    question: Question,
    entrants: Mapping[str, Entrant],
    planned: Sequence[str],
    difference: Callable[[str, str], Interval],
    chance: float,
) -> Asked:
    """A question with those of the entrants that take part, and the difference of each pair of names."""
    against = against_of(question, entrants)
    pairs = [
        Compared(entrants[name], entrants[other], difference(name, other))
        for name, other in against.items()
        if name in entrants and other in entrants
    ]
    wanted = [*against, *against.values()] if question.against else planned
    taking_part = tuple(each for name, each in entrants.items() if name in wanted)
    missing = tuple(name for name in dict.fromkeys(wanted) if name not in entrants)
    return Asked(question, taking_part, tuple(pairs), missing, chance)


def name_of(folder: str) -> str:
    """What a study calls the runs of a folder's kind: its name without the seed."""
    return re.sub(r"-seed\d+$", "", folder)


def against_of(question: Question, entrants: Mapping[str, Entrant]) -> Mapping[str, str]:
    """Who stands against whom: as the question says, or every other against the most accurate."""
    if question.against:
        return question.against
    best = max(entrants, key=lambda name: entrants[name].accuracy.mean, default="")
    return {name: best for name in entrants if name != best}


def outcome(difference: Interval, yes: Outcome) -> str:
    """How an interval answers a question whose answer is yes where the difference is ``yes``.

    ``equal`` where the whole of it lies within ``EQUAL_WITHIN`` and it is asked for or else nothing is told.
    """
    stand = "equal" if yes == "equal" and is_equal(difference) else relation(difference)
    return "yes" if stand == _SIDES[yes] else stand


def entrant_of(side: object) -> Entrant:
    """A side of a pair, which is an entrant."""
    assert isinstance(side, Entrant)
    return side


def contest(asked: Asked) -> Choice:
    """The entrants as candidates; the accurate ones are those not shown to be below the highest."""
    candidates = {each.name: Candidate(each.label, each.accuracy) for each in asked.entrants}
    best = candidates[entrant_of(asked.pairs[0].other).name]
    rest = [
        candidates[entrant_of(pair.group).name]
        for pair in sorted(asked.pairs, key=lambda pair: -pair.difference.mean)
        if relation(pair.difference) != "below"
    ]
    accurate = (best, *rest)
    return Choice(tuple(candidates.values()), accurate, accurate, (), ())
