"""Texts in the reader's language, and how numbers are written in them."""

import math
import tomllib
from collections.abc import Sequence
from importlib.resources import files

from eval.statistics import Interval, mean_std
from zoo.report.say.claims import Range


def read_texts(language: str) -> dict[str, str]:
    """Every text of a language by its key."""
    return tomllib.loads(
        files("zoo.report.say").joinpath(f"texts_{language}.toml").read_text(encoding="utf-8")
    )


class Words:
    """The texts of one language, by key: ``words("seeds", count=3)``."""

    def __init__(self, language: str, other_list: str | None = None) -> None:
        self.language = language
        self.other_list = other_list  # its name, where runs are judged by it and not by their own
        self._texts = read_texts(language)

    def __call__(self, key: str, **values: object) -> str:
        """The text with its placeholders filled."""
        return self._texts[key].format(**values)

    def judged(self, key: str, **values: object) -> str:
        """The text of a title, question or caption whose figures are of the list that runs are judged by: it
        names the list where that is not the runs' own.
        """
        if self.other_list is None:
            return self(key, **values)
        suffix = "title" if key.endswith((".title", ".question")) else "caption"
        return self(key, **values) + self(f"other_list.{suffix}", list=self.other_list)

    def translated(self, kind: str, text: str) -> str:
        """A word that a run's record holds in English; as it is where there is no text for it."""
        return self._texts.get(f"{kind}.{text}", text)

    def listed(self, items: Sequence[str]) -> str:
        """Names one after another."""
        return self._texts["comma"].join(items)

    def interval(self, difference: Interval) -> str:
        """A difference of accuracies: points with their interval."""
        return self(
            "difference",
            points=points(difference.mean),
            low=points(difference.low),
            high=points(difference.high),
        )

    def ratio(self, span: Range) -> str:
        """A ratio with the least and greatest over pairs of seeds."""
        if span.low == span.high:
            return f"{span.mean:.2f}×"
        return self("ratio", mean=f"{span.mean:.2f}", low=f"{span.low:.2f}", high=f"{span.high:.2f}")

    def duration(self, seconds: float | None) -> str:
        """Seconds, minutes or hours, by size."""
        if seconds is None or math.isnan(seconds):
            return "–"
        if seconds < 120:
            return self("seconds", count=f"{seconds:.1f}" if seconds < 10 else f"{seconds:.0f}")
        if seconds < 7200:
            return self("minutes", count=f"{seconds / 60:.1f}")
        return self("hours", count=f"{seconds / 3600:.1f}")


def percent(share: float) -> str:
    """A share as a percentage."""
    return f"{100 * share:.1f}%"


def points(share: float) -> str:
    """A difference of shares in percentage points, with its sign."""
    text = f"{100 * share:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "−")


def bracketed(difference: Interval) -> str:
    """A difference in points with its interval, for a table."""
    return f"{points(difference.mean)} [{points(difference.low)}, {points(difference.high)}]"


def spread(values: Sequence[float]) -> str:
    """Mean ± standard deviation over seeds of shares; of one seed the value alone."""
    mean, deviation = mean_std(values)
    return percent(mean) if deviation is None else f"{100 * mean:.1f} ± {100 * deviation:.1f}%"


def bounds(interval: Interval) -> str:
    """The two ends of an interval of shares."""
    return f"{100 * interval.low:.1f}–{100 * interval.high:.1f}%"


def count(number: float | None) -> str:
    """A whole number with its thousands set apart."""
    return "–" if number is None else f"{round(number):,}"


def mean_of(values: Sequence[float | None]) -> float | None:
    """The mean; None where there is none or one is missing."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None
