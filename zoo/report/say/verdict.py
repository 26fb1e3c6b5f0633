"""What to ship, in a sentence: by accuracy, by size, by latency, and where it cannot be told."""

from collections.abc import Mapping, Sequence

from eval.statistics import LEAST_BLOCKS
from zoo.bench.row import Row, ratio_of
from zoo.report.say.choice import SAME_SIZE, Candidate, Choice
from zoo.report.say.wording import Words, bounds, percent, points

_MOST_NAMED = 3  # groups that a sentence names; of more, those left out, or their number


def ship(choice: Choice, words: Words) -> str:
    """The verdict on the figure, as far as ``choice`` allows one."""
    each = choice.candidates
    if len(each) == 1:
        known = {"top1": percent(each[0].accuracy.mean), "interval": bounds(each[0].accuracy)}
        return words("which.alone", group=each[0].label, **known)
    accuracy = most_accurate(choice, words)
    if not choice.smallest:
        return words("which.verdict_accuracy", accuracy=accuracy)
    size, latency = _smallest(choice, words), _fastest(choice, words)
    return words("which.verdict", accuracy=accuracy, size=size, latency=latency)


def most_accurate(choice: Choice, words: Words) -> str:
    """Which is the most accurate, as far as it can be told."""
    best = choice.accurate[0]
    known = {"group": best.label, "top1": percent(best.accuracy.mean)}
    if any(one.accuracy.too_few for one in choice.candidates):
        return words("which.best_few", least=LEAST_BLOCKS, **known)
    if not choice.is_over_seeds:
        return words("which.best_these", **known)
    if len(choice.accurate) == 1:
        return words("which.best", **known)
    if len(choice.accurate) == len(choice.candidates):
        return words("which.best_all", **known)
    return words("which.best_open", groups=_named(choice.accurate, choice, words), **known)


def _smallest(choice: Choice, words: Words) -> str:
    unit, name = unit_of(choice.candidates)
    least = min(one.row["model_bytes"] for one in choice.smallest if one.row)
    known = {"size": f"{least / unit:.2f} {name}", "share": f"{SAME_SIZE:.0%}"}
    return _among("smallest", choice.smallest, choice, known, words)


def unit_of(candidates: Sequence[Candidate]) -> tuple[float, str]:
    """What sizes are told in: megabytes, or kilobytes where no file has one."""
    most = max(one.row["model_bytes"] for one in candidates if one.row)
    return (1e6, "MB") if most >= 1e6 else (1e3, "kB")


def _fastest(choice: Choice, words: Words) -> str:
    least = min(one.row["latency_p50_ms"] for one in choice.fastest if one.row)
    return _among("fastest", choice.fastest, choice, {"ms": f"{least:.2f}"}, words)


def _among(
    key: str, some: Sequence[Candidate], choice: Choice, known: Mapping[str, str], words: Words
) -> str:
    """One, several, or all of those that the bench has rows of."""
    if len(some) == sum(one.row is not None for one in choice.candidates):
        return words(f"which.{key}_all", **known)
    many = "" if len(some) == 1 else "_many"
    return words(f"which.{key}{many}", groups=_named(some, choice, words), **known)


def _named(some: Sequence[Candidate], choice: Choice, words: Words) -> str:
    """Names, or those of the few others, or how many."""
    rest = [one.label for one in choice.candidates if one not in some]
    if len(some) <= _MOST_NAMED:
        return words.listed([one.label for one in some])
    if len(rest) <= _MOST_NAMED:
        return words("which.any_but", groups=words.listed(rest))
    return words("which.some", count=len(some), every=len(choice.candidates))


def int8(candidates: Sequence[Candidate], words: Words) -> str:
    """What int8 does to size, latency and accuracy, over all variants; empty where it was not measured."""
    known = [(one, one.row, one.small) for one in candidates if one.row and one.small]
    changed = sorted(one.top1_small - one.accuracy.mean for one, *_ in known if one.top1_small is not None)
    if not known or len(changed) < len(known):
        return ""
    sizes = sorted(row["model_bytes"] / small["model_bytes"] for _, row, small in known)
    return words(
        "which.int8",
        size=_range([f"{size:.1f}" for size in sizes], words),
        latency=_int8_latency([small for *_, small in known], words),
        points=_range([points(share) for share in changed], words),
    )


def _int8_latency(rows: Sequence[Row], words: Words) -> str:
    """How much faster calls are, by the ratios of the bench's paired rounds."""
    ratios = [ratio for row in rows if (ratio := ratio_of(row, "to_fp32"))]
    factors = sorted(1 / ratio.value for ratio in ratios if ratio.is_told_apart and ratio.value < 1)
    if not factors:
        return words("which.int8_untold")
    if len(factors) < len(rows):
        return words("which.int8_mixed")
    return words("which.int8_faster", ratio=_range([f"{factor:.1f}" for factor in factors], words))


def _range(texts: Sequence[str], words: Words) -> str:
    """The least and the most of sorted figures; one where they are written alike."""
    return texts[0] if texts[0] == texts[-1] else words("which.range", low=texts[0], high=texts[-1])
