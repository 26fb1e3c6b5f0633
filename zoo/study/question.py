"""What a study asks: the question in words, and which runs stand against which for its answer."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from prototxt.errors import InputError, nearest
from zoo.study.keys import Outcome, checked


@dataclass(frozen=True)
class Question:
    """``en`` and ``zh`` ask it in words. ``against`` has for a run the one that it stands against, both named
    as their folders are, without the seed; ``yes`` is how the accuracy of the first must stand to that of
    the second for the answer to be yes. Without them the question is which run is the most accurate.
    """

    en: str = ""
    zh: str = ""
    yes: Outcome | None = None
    against: Mapping[str, str] = field(default_factory=dict)

    def text(self, language: str) -> str:
        """The question in a language; in the other where it is not asked in that."""
        return (self.zh or self.en) if language == "zh" else (self.en or self.zh)


def question_of(table: Mapping[str, Any], where: str) -> Question:
    """A question from its table. Raises InputError, beginning with ``where``, for one that is not whole."""
    question = Question(**checked(table, Question, where))
    if not question.en and not question.zh:
        raise InputError(f"{where}: en or zh is required and not given")
    if bool(question.against) != bool(question.yes):
        raise InputError(
            f"{where}: against and yes say together what the answer is yes for; give both or none"
        )
    return question


def check_names(question: Question, names: Iterable[str], where: str) -> None:
    """Raise InputError, beginning with ``where``, for a run in ``against`` that the study does not have."""
    known = sorted(set(names))
    for name in (*question.against, *question.against.values()):
        if name not in known:
            raise InputError(
                f'{where}: against: no run "{name}"{nearest(name, known)} (known: {", ".join(known)})'
            )
