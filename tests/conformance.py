"""How far every recorded number is from ours, as a page. ``make conformance`` measures it anew and writes
docs/conformance.json, .md and .svg; a test keeps page and figures together and complete.
"""

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypedDict

import torch
from layer_cases import rules_in
from recordings import CASES, OF_FORKS, UNEQUAL, WITHOUT_A_RECORDING, Comparison, compare, is_net, path_of

from converters.host.files import write_text
from converters.layers.registry import Record, records
from eval.environment import cpu_name, versions
from zoo.plots.charts import colour, new_figure, save_chart, style

DOCS = Path(__file__).parent.parent / "docs"
FIGURES = DOCS / "conformance.json"
PAGE = DOCS / "conformance.md"
PICTURE = DOCS / "conformance.svg"
KINDS = {"output": "outputs", "gradient": "gradients", "afterwards": "parameters changed by the forward pass"}
_COLUMNS = ("rule", "follows", "cases", "outputs", "ULPs", "gradients", "ULPs", "changed", "ULPs", "unequal")


class Number(TypedDict):
    """One comparison."""

    kind: str
    what: str
    share: float
    ulps: float


class Figures(TypedDict):
    """What docs/conformance.json holds."""

    processor: str
    versions: dict[str, str]
    cases: dict[str, list[Number]]


def measure() -> Figures:
    """Compare every case, in one thread."""
    torch.set_num_threads(1)
    cases = {case: [_number(it) for it in compare(case)] for case in CASES + OF_FORKS}
    return Figures(processor=cpu_name(), versions=versions(), cases=cases)


def _number(it: Comparison) -> Number:
    """Three digits are enough, and a page's worth of them is read."""
    share, ulps = (float(f"{value:.3g}") for value in (it.share, it.ulps))
    return Number(kind=it.kind, what=it.what, share=share, ulps=ulps)


def comparisons(figures: Figures) -> list[Comparison]:
    """The published numbers."""
    return [
        Comparison(case, **number) for case, numbers in sorted(figures["cases"].items()) for number in numbers
    ]


def page(figures: Figures) -> str:
    """docs/conformance.md."""
    every = comparisons(figures)
    parts = [_head(figures, every), _table(every), _unequal(), _without()]
    return "\n\n".join(parts) + "\n"


def _head(figures: Figures, every: Sequence[Comparison]) -> str:
    nets = [case for case in figures["cases"] if is_net(case)]
    layers = [it for it in every if not is_net(it.case) and not it.excuse]
    torch_version = figures["versions"]["torch"]
    lines = [
        "# Conformance",
        "",
        "What this project computes, beside what Caffe and its forks computed: every number that the recordings",
        "under `tests/golden/layers` and `tests/golden/forks` hold. Written by `make conformance`; CI measures",
        "each again and fails where one is beyond its bound.",
        "",
        f"- **{len(figures['cases'])} recordings** ({len(nets)} of them small nets), {len(every)} tensors, "
        f"{len({it.case for it in every if it.excuse})} recordings with something left unequal.",
        *(f"- {line}" for line in _totals(layers)),
        f"- Measured in one thread of {figures['processor']} with PyTorch {torch_version}.",
        "",
        "![How far off: a histogram of the largest error of each tensor](conformance.svg)",
        "",
        "An error is the largest difference of a tensor's elements as a share of its scale (its largest absolute",
        "value, or 0.001). *ULPs*: the largest in units of the last place of float32, of the elements that are",
        "at least a thousandth of that scale; a gradient that is a sum of many is rounded as often in Caffe.",
        "Bounds: 3e-6 for outputs and changed parameters, 6e-6 for gradients; 1e-5 and 1e-3 in small nets, where",
        "errors add up, which count under each of their layers' rules in [layers.md](layers.md) but not here.",
        "Two gradients there are 0 in exact arithmetic, what Caffe and we give is rounding alone: 1e-2 of 0.001.",
    ]
    return "\n".join(lines)


def _totals(every: Sequence[Comparison]) -> list[str]:
    return [
        f"Single layers, {name}: {len(of)} tensors, largest error {_share(of)} of scale, {_ulps(of)} ULPs; "
        f"{sum(it.share == 0 for it in of)} equal to the last bit."
        for kind, name in KINDS.items()
        if (of := [it for it in every if it.kind == kind])
    ]


def _table(every: Sequence[Comparison]) -> str:
    rules: dict[str, set[str]] = {}
    for case in {it.case for it in every if not is_net(it.case)}:
        for rule in rules_in(path_of(case)):
            rules.setdefault(rule, set()).add(case)
    lines = [
        _row(record, [it for it in every if it.case in rules.get(record.rule_name, ())])
        for record in records()
    ]
    return "\n".join(["## By rule", "", _line(_COLUMNS), _line(["---"] * len(_COLUMNS)), *lines])


def _row(record: Record, every: Sequence[Comparison]) -> str:
    if not every:
        why = "see below" if record.rule_name in WITHOUT_A_RECORDING else "in nets"
        return _line([record.rule_name, record.source, "0", *[""] * 6, why])
    cells = [record.rule_name, record.source, str(len({it.case for it in every}))]
    for kind in KINDS:
        of = [it for it in every if it.kind == kind and not it.excuse]
        cells += [_share(of), _ulps(of)]
    return _line([*cells, str(sum(bool(it.excuse) for it in every) or "")])


def _unequal() -> str:
    lines = [_line([case, what, reason]) for (case, what), reason in sorted(UNEQUAL.items())]
    head = ["## Left unequal", "", _line(["recording", "what", "why"]), _line(["---"] * 3)]
    return "\n".join([*head, *lines]) if lines else "## Left unequal\n\nNothing."


def _without() -> str:
    lines = [_line([rule, reason]) for rule, reason in sorted(WITHOUT_A_RECORDING.items())]
    return "\n".join(
        ["## Without a recording", "", _line(["rule", "what holds it"]), _line(["---"] * 2), *lines]
    )


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _share(every: Sequence[Comparison]) -> str:
    return f"{max(it.share for it in every):.1e}" if every else ""


def _ulps(every: Sequence[Comparison]) -> str:
    return f"{max(it.ulps for it in every):.3g}" if every else ""


def draw(figures: Figures, path: Path) -> None:
    """The histogram: how many tensors are how far off, by powers of ten."""
    figure = new_figure(7, 3.2)
    edges = [-9 + step / 4 for step in range(29)]
    with style():
        axes = figure.subplots()
        for index, (kind, name) in enumerate(KINDS.items()):
            of = [it for it in comparisons(figures) if it.kind == kind and not it.excuse]
            shares = [max(edges[0], math.log10(it.share)) if it.share else edges[0] for it in of]
            axes.hist(shares, edges, label=name, color=colour(index), histtype="step", linewidth=1.6)
        axes.set_xlabel("largest error as a share of scale, power of ten (exactly equal: at the left edge)")
        axes.set_ylabel("tensors")
        axes.legend()
    save_chart(figure, path)


def read() -> Figures:
    """The published figures."""
    figures: Figures = json.loads(FIGURES.read_text(encoding="utf-8"))
    return figures


def dumped(figures: Figures) -> str:
    """A case a line, so that a change is read in a diff."""
    rows = ",\n".join(
        f"  {json.dumps(case)}: {json.dumps(of)}" for case, of in sorted(figures["cases"].items())
    )
    head = json.dumps({"processor": figures["processor"], "versions": figures["versions"]})
    return f'{head[:-1]}, "cases": {{\n{rows}\n}}}}\n'


if __name__ == "__main__":
    measured = measure()
    write_text(FIGURES, dumped(measured))
    write_text(PAGE, page(measured))
    draw(measured, PICTURE)
