"""Which recording holds which rule of a layer type. Run as a program, it writes zoo/layer_cases.py anew."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from golden_cases import GOLDEN

from converters.graph import with_known_classes
from converters.layers.registry import records, rules_of
from prototxt.net_file import NetFile

MODULE = Path(__file__).parent.parent / "zoo" / "layer_cases.py"


def types_in(path: Path) -> set[str]:
    return {layer.type for layer in with_known_classes(NetFile.read(path).message).layer}


def dialect_of(data: Mapping[str, np.ndarray]) -> str | None:
    """The dialect whose rule is of the repository that computed a recording; None of Caffe's own."""
    repository = str(data.get("fork", "")).partition("@")[0]
    named = {rule.source.partition(":")[0]: rule.dialect_name for rule in records() if rule.dialect_name}
    return named.get(repository)


def rules_in(path: Path) -> list[str]:
    """The rules that a recording holds: those of the types in it, of several rules the fork's, if it has one
    of its own, else Caffe's.
    """
    with np.load(path.with_suffix(".npz")) as data:
        dialect = dialect_of(data)
    several = [rules_of(name) for name in sorted(types_in(path) - {"Input"})]
    chosen = [[rule for rule in rules if rule.dialect and dialect in rule.dialect.names] for rules in several]
    own = [[rule for rule in rules if not rule.dialect_name] for rules in several]
    return [rule.rule_name for fork, caffe in zip(chosen, own, strict=True) for rule in fork or caffe]


def recorded() -> tuple[dict[str, list[str]], dict[str, int]]:
    """(one-layer cases of each rule, number of small nets with it)."""
    cases: dict[str, list[str]] = {}
    nets: dict[str, int] = {}
    for path in sorted(path for room in ("layers", "forks") for path in (GOLDEN / room).glob("*.prototxt")):
        for name in rules_in(path):
            if path.stem.startswith("net_"):
                nets[name] = nets.get(name, 0) + 1
            else:
                cases.setdefault(name, []).append(path.stem)
    return dict(sorted(cases.items())), dict(sorted(nets.items()))


def module_text() -> str:
    cases, nets = recorded()
    lines = [
        f'    "{name}": ({", ".join(repr(x).replace(chr(39), chr(34)) for x in of)},),'
        for name, of in cases.items()
    ]
    return "\n".join(
        [
            '"""Which recordings of real Caffe hold which layer type: written by tests/layer_cases.py."""',
            "",
            "# fmt: off",
            "# ruff: noqa: E501",
            "CASES: dict[str, tuple[str, ...]] = {",
            *lines,
            "}",
            "IN_NETS: dict[str, int] = {",
            *(f'    "{name}": {count},' for name, count in nets.items()),
            "}",
            "",
        ]
    )


if __name__ == "__main__":
    MODULE.write_text(module_text())
