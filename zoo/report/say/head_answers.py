"""What global average pooling costs or saves against a fully connected head."""

from collections.abc import Sequence

from eval.statistics import LEAST_BLOCKS, Interval
from zoo.bench.row import Row
from zoo.report.read.results import Results
from zoo.report.read.runs import Group, partners
from zoo.report.say.accuracy_section import paired_ratio
from zoo.report.say.claims import shown, side, together
from zoo.report.say.sentences import Compared, difference_sentence, verdict
from zoo.report.say.wording import Words, count
from zoo.report.write.document import Answer, Standing

HeadPair = tuple[Group, Group]  # GAP, FC

_STANDINGS: dict[str, Standing] = {"above": "yes", "below": "no"}


def head_answers(results: Results, words: Words) -> list[Answer]:
    """Accuracy, cost and robustness of GAP against FC, over every pair that differs in the head alone."""
    pairs = partners(results.groups)
    if not pairs:
        return []
    every = [_accuracy(results, pairs, words), _cost(results, pairs, words), _robust(results, pairs, words)]
    return [answer for answer in every if answer]


def _accuracy(results: Results, pairs: Sequence[HeadPair], words: Words) -> Answer:
    differences = [(gap, fc, results.difference(gap, fc)) for gap, fc in pairs]
    sentences = [difference_sentence(results, gap, fc, item, words) for gap, fc, item in differences]
    stand = together([side(item) for *_, item in differences])
    standing = _STANDINGS.get(stand, "open")
    text = words(f"head.{together([side(item) for *_, item in differences if item.over_seeds])}")
    fc_first = [Compared(fc, gap, results.difference(fc, gap)) for gap, fc, _ in differences]
    return Answer(words.judged("head.question"), verdict(text, fc_first, words), tuple(sentences), standing)


def _cost(results: Results, pairs: Sequence[HeadPair], words: Words) -> Answer | None:
    rows = [(gap, fc, results.row(gap), results.row(fc)) for gap, fc in pairs]
    benched = [(gap, fc, ours, theirs) for gap, fc, ours, theirs in rows if ours and theirs]
    if not benched:
        return None
    ratios = sorted({f"{theirs['parameters'] / ours['parameters']:.2f}×" for _, _, ours, theirs in benched})
    sentences = [_sizes(*pair, words) + _latency(*pair[2:], words) for pair in benched]
    text = words("head.cost", ratio=words.listed(ratios))
    return Answer(words("head.cost_question"), text, tuple(sentences), "yes")


def _sizes(gap: Group, fc: Group, ours: Row, theirs: Row, words: Words) -> str:
    """Parameters and multiply-accumulates of FC beside GAP's."""
    return words(
        "head.parameters",
        group=fc.label,
        baseline=gap.label,
        ours=count(theirs["parameters"]),
        theirs=count(ours["parameters"]),
        ratio=f"{theirs['parameters'] / ours['parameters']:.2f}×",
        macs=f"{theirs['macs'] / ours['macs']:.3f}×",
    )


def _latency(ours: Row, theirs: Row, words: Words) -> str:
    """Latency at batch 1: a difference only where the bench could tell the two apart."""
    return words(
        "head.latency_told" if theirs.get("to_gap_told_apart") else "head.latency_open",
        ours=f"{theirs['latency_p50_ms']:.2f}",
        theirs=f"{ours['latency_p50_ms']:.2f}",
        ratio=paired_ratio(theirs),
    )


def _robust(results: Results, pairs: Sequence[HeadPair], words: Words) -> Answer | None:
    tried = [
        (gap, fc, kind, results.lost_less(gap, fc, keys))
        for gap, fc in pairs
        for kind in ("shift", "scale")
        if (keys := _both_take(results, gap, fc, kind))
    ]
    if not tried:
        return None
    sentences = [_lost(*item, words) for item in tried]
    sizes = [(gap, fc, item.key) for gap, fc in pairs for item in results.of_kind("size")]
    if any(results.takes(gap, key) and not results.takes(fc, key) for gap, fc, key in sizes):
        sentences.append(words("robust.sizes"))
    stand = together([side(lost) for *_, lost in tried])
    text = words(f"robust.verdict_{together([side(lost) for *_, lost in tried if lost.over_seeds])}")
    compared = [Compared(gap, fc, it, words(f"kind.{kind}")) for gap, fc, kind, it in tried]
    kinds = {kind for _, _, kind, _ in tried}
    question = "robust.question" if len(kinds) > 1 else f"robust.question_{kinds.pop()}"
    return Answer(
        words.judged(question),
        verdict(text, compared, words),
        tuple(sentences),
        _STANDINGS.get(stand, "open"),
    )


def _both_take(results: Results, gap: Group, fc: Group, kind: str) -> list[str]:
    """The keys of a kind's conditions that the nets of both were tried under."""
    keys = [condition.key for condition in results.of_kind(kind)]
    return [key for key in keys if results.takes(gap, key) and results.takes(fc, key)]


def _lost(gap: Group, fc: Group, kind: str, difference: Interval, words: Words) -> str:
    """How much less GAP loses than FC under the conditions of a kind."""
    return words(
        f"robust.{shown(difference)}",
        kind=words(f"kind.{kind}"),
        group=gap.label,
        baseline=fc.label,
        difference=words.interval(difference),
        least=LEAST_BLOCKS,
    )
