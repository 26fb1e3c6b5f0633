"""The answer to what a study asks, as far as the intervals over its seeds allow one."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eval.statistics import LEAST_BLOCKS, Interval
from zoo.report.read.results import Results
from zoo.report.say.choice import Candidate, Choice, relation
from zoo.report.say.claims import EQUAL_WITHIN, is_equal
from zoo.report.say.sentences import Compared, verdict
from zoo.report.say.verdict import most_accurate
from zoo.report.say.wording import Words, percent, points
from zoo.report.write.document import Answer, Standing
from zoo.study.question import Outcome, Question
from zoo.study.study_json import StudyJson, question_in

_SIDES = {"higher": "above", "lower": "below", "equal": "equal"}
_STANDINGS: dict[str, Standing] = {"yes": "yes", "open": "open"}  # of an outcome; no of every other
_MOST_NAMED = 4  # runs that a part of a sentence names; of more, their number


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
        """The labels of those that are not shown to do better than a guess."""
        return [each.label for each in self.entrants if each.accuracy.low <= self.chance]

    def outcome(self, pair: Compared) -> str:
        """``yes``, ``open`` where it cannot be told, or what it is instead: above, below, equal. That two are
        equal is not told where neither has learned."""
        found = outcome(pair.difference, self.question.yes or "higher")
        is_idle = {pair.group.label, pair.other.label} <= set(self.unlearned)
        return "open" if is_idle and is_equal(pair.difference) else found


def asked_of(results: Results, study: StudyJson | None) -> Asked | None:
    """What the study that made the runs asks; None where it asks nothing. Raises InputError for a study.json
    with no proper question."""
    question = question_in(study, results.folder)
    if study is None or question is None:
        return None
    planned = Counter(name_of(entry["name"]) for entry in study["runs"])
    groups = {name_of(group.first.path.name): group for group in results.groups}
    entrants = {
        name: Entrant(
            name,
            group.label,
            tuple(results.top1(group)),
            results.interval(group),
            max(planned[name], len(group.runs)),
        )
        for name, group in groups.items()
    }
    against = against_of(question, entrants)
    pairs = [
        Compared(entrants[name], entrants[other], results.difference(groups[name], groups[other]))
        for name, other in against.items()
        if name in entrants and other in entrants
    ]
    wanted = dict.fromkeys([*against, *against.values()]) if question.against else planned
    taking_part = [each for name, each in entrants.items() if name in wanted]
    missing = [name for name in wanted if name not in entrants]
    classes = results.first.record.get("classes")
    chance = 1 / classes if classes else 0.0
    return Asked(question, tuple(taking_part), tuple(pairs), tuple(missing), chance)


def name_of(folder: str) -> str:
    """What a study calls the runs of a folder's kind: its name without the seed."""
    return re.sub(r"-seed\d+$", "", folder)


def against_of(question: Question, entrants: Mapping[str, Entrant]) -> Mapping[str, str]:
    """Who stands against whom: as the question says, or every other against the most accurate."""
    if question.against:
        return question.against
    best = max(entrants, key=lambda name: entrants[name].accuracy.mean)
    return {name: best for name in entrants if name != best}


def outcome(difference: Interval, yes: Outcome) -> str:
    """How an interval answers a question whose answer is yes where the difference is ``yes``.

    ``equal`` where the whole of it lies within ``EQUAL_WITHIN`` and it is asked for or else nothing is told.
    """
    stand = "equal" if yes == "equal" and is_equal(difference) else relation(difference)
    return "yes" if stand == _SIDES[yes] else stand


def asked_answer(asked: Asked, words: Words) -> Answer:
    """The question, its answer in a sentence or two, and the figures that it rests on."""
    text, standing = short_answer(asked, words)
    parts = [text, *_span(asked, words)]
    if asked.missing:
        parts.append(words("asked.missing", groups=words.listed(asked.missing)))
    if asked.unlearned:
        chance = percent(asked.chance)
        parts.append(words("asked.unlearned", groups=words.listed(asked.unlearned), chance=chance))
    sentences = [_told(pair, words) for pair in asked.pairs]
    sentences += [
        words("asked.lost", group=each.label, lost=each.planned - len(each.runs), planned=each.planned)
        for each in asked.entrants
        if len(each.runs) < each.planned
    ]
    judged_by = words("other_list.title", list=words.other_list) if words.other_list else ""
    return Answer(
        asked.question.text(words.language) + judged_by,
        words("asked.join").join(parts),
        tuple(sentences),
        standing,
    )


def short_answer(asked: Asked, words: Words) -> tuple[str, Standing]:
    """The answer alone, and whether it is shown; where runs are missing it is not."""
    text, standing = _contest(asked, words) if asked.is_contest else _yes_or_no(asked, words)
    return text, "open" if asked.missing else standing


def _told(pair: Compared, words: Words) -> str:
    ours, theirs = (sum(each.runs) / len(each.runs) for each in (_entrant(pair.group), _entrant(pair.other)))
    return pair.told(ours, theirs, words)


def _entrant(side: object) -> Entrant:
    assert isinstance(side, Entrant)
    return side


def _contest(asked: Asked, words: Words) -> tuple[str, Standing]:
    """Which is the most accurate, or between which it cannot be told."""
    if not asked.pairs:
        return words("asked.nothing"), "open"
    choice = contest(asked)
    is_told = len(choice.accurate) == 1 and choice.is_over_seeds
    return words("asked.best", accuracy=most_accurate(choice, words)), "yes" if is_told else "open"


def contest(asked: Asked) -> Choice:
    """The entrants as candidates; the accurate ones are those not shown to be below the highest."""
    candidates = {each.name: Candidate(each.label, each.accuracy) for each in asked.entrants}
    best = candidates[_entrant(asked.pairs[0].other).name]
    rest = [
        candidates[_entrant(pair.group).name]
        for pair in sorted(asked.pairs, key=lambda pair: -pair.difference.mean)
        if relation(pair.difference) != "below"
    ]
    accurate = (best, *rest)
    return Choice(tuple(candidates.values()), accurate, accurate, (), ())


def _yes_or_no(asked: Asked, words: Words) -> tuple[str, Standing]:
    """Yes or no where all pairs say so; of pairs that differ, which say what."""
    if not asked.pairs:
        return words("asked.nothing"), "open"
    if any(pair.difference.too_few for pair in asked.pairs):
        return words("asked.few", least=LEAST_BLOCKS), "open"
    over_seeds = [pair for pair in asked.pairs if pair.difference.over_seeds]
    text, standing = _together(asked, over_seeds, words)
    is_whole = len(over_seeds) == len(asked.pairs)
    return verdict(text, asked.pairs, words), standing if is_whole else "open"


def _together(asked: Asked, pairs: Sequence[Compared], words: Words) -> tuple[str, Standing]:
    """What pairs that have an interval over seeds say."""
    if not pairs:
        return "", "open"
    labels: dict[str, list[str]] = {}
    for pair in pairs:
        labels.setdefault(asked.outcome(pair), []).append(pair.group.label)
    standings = {_STANDINGS.get(key, "no") for key in labels}
    standing = standings.pop() if len(standings) == 1 else "open"
    if len(labels) == 1:
        return words(f"asked.{next(iter(labels))}", points=f"{100 * EQUAL_WITHIN:.0f}"), standing
    parts = [
        words(f"asked.{key}_of", groups=_named(labels[key], len(pairs), words))
        for key in ("yes", "above", "below", "equal", "open")
        if key in labels
    ]
    return words("asked.differs", parts=words("semicolon").join(parts)), standing


def _named(labels: Sequence[str], every: int, words: Words) -> str:
    if len(labels) <= _MOST_NAMED:
        return words.listed(labels)
    return words("asked.count", count=len(labels), every=every)


def _span(asked: Asked, words: Words) -> list[str]:
    """The difference of one pair with its interval; of several the least and the greatest."""
    if not asked.pairs or asked.is_contest:
        return []
    least, *_, most = sorted(asked.pairs * 2, key=lambda pair: pair.difference.mean)
    if len(asked.pairs) == 1:
        known = {"group": least.group.label, "baseline": least.other.label}
        return [words("asked.one", difference=words.interval(least.difference), **known)]
    ends = {"low": points(least.difference.mean), "high": points(most.difference.mean)}
    return [words("asked.span", least=least.group.label, most=most.group.label, **ends)]
