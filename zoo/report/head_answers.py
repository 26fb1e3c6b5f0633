"""What global average pooling costs or saves against a fully connected head."""

from collections.abc import Sequence

from eval.robustness import CONDITIONS
from zoo.bench_files import Row
from zoo.report.claims import side, together
from zoo.report.document import Answer, Standing
from zoo.report.results import Results
from zoo.report.runs import Group, partners
from zoo.report.wording import Words, count, percent

Pair = tuple[Group, Group]  # GAP, FC

_STANDINGS: dict[str, Standing] = {"above": "yes", "below": "no"}


def head_answers(results: Results, words: Words) -> list[Answer]:
    """Accuracy, cost and robustness of GAP against FC, over every pair that differs in the head alone."""
    pairs = partners(results.groups)
    if not pairs:
        return []
    found = [_accuracy(results, pairs, words), _cost(results, pairs, words), _robust(results, pairs, words)]
    return [answer for answer in found if answer]


def _accuracy(results: Results, pairs: Sequence[Pair], words: Words) -> Answer:
    found = [results.difference(gap, fc) for gap, fc in pairs]
    sentences = [
        words(
            f"accuracy.{side(item)}",
            group=gap.label,
            baseline=fc.label,
            ours=percent(sum(results.top1(gap)) / len(gap.runs)),
            theirs=percent(sum(results.top1(fc)) / len(fc.runs)),
            difference=words.interval(item),
        )
        for (gap, fc), item in zip(pairs, found, strict=True)
    ]
    stand = together([side(item) for item in found])
    standing = _STANDINGS.get(stand, "open")
    return Answer(words("head.question"), words(f"head.{stand}"), tuple(sentences), standing)


def _cost(results: Results, pairs: Sequence[Pair], words: Words) -> Answer | None:
    sentences = []
    for gap, fc in pairs:
        ours, theirs = results.row(gap), results.row(fc)
        if ours is None or theirs is None:
            continue
        sizes = words(
            "head.parameters",
            group=fc.label,
            baseline=gap.label,
            ours=count(theirs["parameters"]),
            theirs=count(ours["parameters"]),
            ratio=f"{theirs['parameters'] / ours['parameters']:.2f}×",
            macs=f"{theirs['macs'] / ours['macs']:.3f}×",
        )
        sentences.append(sizes + _latency(gap, fc, ours, theirs, words))
    if not sentences:
        return None
    return Answer(words("head.cost_question"), words("head.cost"), tuple(sentences), "yes")


def _latency(gap: Group, fc: Group, ours: Row, theirs: Row, words: Words) -> str:
    """Latency at batch 1: a difference only where the bench could tell the two apart."""
    slower, low, high = (theirs.get(f"to_gap{end}") for end in ("", "_low", "_high"))
    is_told = theirs.get("to_gap_told_apart") and slower is not None
    interval = f" ({low:.2f}–{high:.2f})" if low is not None and high is not None else ""
    return words(
        "head.latency_told" if is_told else "head.latency_open",
        group=fc.label,
        baseline=gap.label,
        ours=f"{theirs['latency_p50_ms']:.2f}",
        theirs=f"{ours['latency_p50_ms']:.2f}",
        ratio=f"{slower:.2f}×{interval}" if slower is not None else "–",
    )


def _robust(results: Results, pairs: Sequence[Pair], words: Words) -> Answer | None:
    sentences, sides = [], []
    for gap, fc in pairs:
        for kind in ("shift", "scale"):
            keys = [key for key in of_kind(kind) if results.takes(gap, key) and results.takes(fc, key)]
            if not keys:
                continue
            found = results.lost_less(gap, fc, keys)
            sides.append(side(found))
            sentences.append(
                words(
                    f"robust.{side(found)}",
                    kind=words(f"kind.{kind}"),
                    group=gap.label,
                    baseline=fc.label,
                    difference=words.interval(found),
                )
            )
    if not sentences:
        return None
    if any(
        results.takes(gap, key) and not results.takes(fc, key) for gap, fc in pairs for key in of_kind("size")
    ):
        sentences.append(words("robust.sizes"))
    stand = together(sides)
    return Answer(
        words("robust.question"),
        words(f"robust.verdict_{stand}"),
        tuple(sentences),
        _STANDINGS.get(stand, "open"),
    )


def of_kind(kind: str) -> list[str]:
    """The keys of a kind's conditions."""
    return [condition.key for condition in CONDITIONS if condition.kind == kind]
