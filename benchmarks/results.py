"""Fill the pages' tables and examples from eval/results: ``make readme``, or ``make results`` first.

A block ``<!-- results: NAME -->`` … ``<!-- /results -->`` in one of PAGES holds what BLOCKS makes for
NAME, so that no figure there was typed by hand, and PICTURES are drawn from the same figures; ``--check``
exits 1 where one is not up to date.
"""

import argparse
import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import augment_tables
import series_page
from exporter_tables import CHINESE, ENGLISH, exporter_tables, measured

from converters.export.onnx_file import deploy_net
from converters.export.source import source_of
from converters.host.files import write_text
from converters.load import load_net
from eval.statistics import Interval
from zoo.bench.grid import Grid
from zoo.bench.latency_tables import engine_grid, head_latency_grid, latency_grid
from zoo.bench.notes import environment, noise_warning
from zoo.bench.row import Row
from zoo.bench.tables import accuracy_grid, grids, head_grid
from zoo.plots.charts import standalone
from zoo.plots.panels import wide
from zoo.report.say.choice import by_own_intervals, choose, from_rows
from zoo.report.say.which import drawing
from zoo.report.say.wording import Words

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "eval" / "results"
STUDY = ROOT / "docs" / "study"
_FILLED = ("README", "docs/convert", "docs/train", "docs/studies", "docs/series", "docs/bench-and-report")
PAGES = (
    *(ROOT / f"{name}{language}.md" for name in _FILLED for language in ("", ".zh-CN")),
    ROOT / "docs" / "source.md",
    RESULTS / "README.md",
)
_BLOCK = re.compile(r"(<!-- results: (\S+) -->\n).*?(<!-- /results -->)", re.DOTALL)
Rows = Sequence[Row]


def rows_of(name: str) -> Rows:
    """The committed rows of a ``zoo bench``."""
    rows: Rows = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return rows


def markdown(grid: Grid) -> str:
    """A table as Markdown, its title above it in bold."""
    rule = ["---" if index < grid.left else "---:" for index in range(len(grid.columns))]
    lines = [f"| {' | '.join(cells)} |" for cells in (grid.columns, rule, *grid.lines)]
    return "\n".join([f"**{grid.title[0].upper()}{grid.title[1:]}**", "", *lines])


def bench(name: str, *grids: Callable[[Rows], Grid]) -> str:
    """Tables of a committed bench."""
    rows = rows_of(name)
    return "\n\n".join(markdown(made) for grid in grids if (made := grid(rows)).lines)


def heads(name: str) -> str:
    """FC against GAP of a committed bench in onnxruntime, without fp16: what README has room for."""
    rows = rows_of(name)
    kept = [row for row in rows if row["precision"] != "fp16"]
    tables = [markdown(grid(kept)) for grid in (head_grid, head_latency_grid)]
    return "\n\n".join([*tables, *filter(None, [noise_warning(rows)])])


def measured_on(name: str) -> str:
    """What a committed bench was measured on, and a warning where that was too noisy."""
    rows = rows_of(name)
    return "\n\n".join([*environment(rows), *filter(None, [noise_warning(rows)])])


def everything(name: str) -> str:
    """Every table of a committed bench, and what it was measured on."""
    return "\n\n".join([measured_on(name), *map(markdown, grids(rows_of(name)))])


def example(name: str) -> str:
    """A command and all that it said, as benchmarks/examples.py recorded it."""
    return f"```\n{(RESULTS / 'examples' / f'{name}.txt').read_text(encoding='utf-8')}```"


def first_table(name: str) -> str:
    """The first table of a published report, whose captions are bold: the accuracy of every group."""
    found = re.search(r"^\*\*.+\*\*\n\n(\|.+\n)+", (STUDY / name).read_text(encoding="utf-8"), re.MULTILINE)
    assert found, name
    return found[0].rstrip()


DEMO_TIME = (
    "After installation the demo took {} min {} s on {processor} ({threads} threads),\n"
    "{ratio:.1f} times as long as 100 training steps of allconv6 in plain PyTorch ({plain_100_s:.0f} s)."
)
DEMO_TIME_ZH = (
    "安装之后，演示在 {processor}（{threads} 线程）上用了 {} 分 {} 秒，\n"
    "是纯 PyTorch 训练 allconv6 一百步（当时 {plain_100_s:.0f} 秒）的 {ratio:.1f} 倍。"
)


def demo_time(text: str) -> str:
    """How long ``make demo`` took, as benchmarks/demo_time.py measured it."""
    figures = json.loads((RESULTS / "times" / "demo.json").read_text(encoding="utf-8"))
    return text.format(*divmod(round(figures["demo_s"]), 60), **figures)


def exporter(words: Mapping[str, Any]) -> str:
    """How ONNX files are made and how fast they are, as benchmarks/exporter.py measured it."""
    figures = json.loads((RESULTS / "times" / "exporter.json").read_text(encoding="utf-8"))
    return "\n\n".join([*map(markdown, exporter_tables(figures, words)), measured(figures, words)])


def augment(words: Mapping[str, Any]) -> str:
    """How fast augmented images are served, as benchmarks/augment.py measured it."""
    figures = json.loads((RESULTS / "times" / "augment.json").read_text(encoding="utf-8"))
    tables = augment_tables.tables(figures, words)
    return "\n\n".join([*map(markdown, tables), augment_tables.measured(figures, words)])


BLOCKS: dict[str, Callable[[], str]] = {
    "study": partial(first_table, "report.md"),
    "study-zh": partial(first_table, "report.zh.md"),
    "demo": lambda: bench("demo", accuracy_grid, head_grid),
    "demo-time": partial(demo_time, DEMO_TIME),
    "demo-time-zh": partial(demo_time, DEMO_TIME_ZH),
    "augment": partial(augment, augment_tables.ENGLISH),
    "augment-zh": partial(augment, augment_tables.CHINESE),
    "exporter": partial(exporter, ENGLISH),
    "exporter-zh": partial(exporter, CHINESE),
    "demo-machine": lambda: measured_on("demo"),
    "bench": lambda: bench("untrained", latency_grid, head_grid, head_latency_grid),
    "heads": partial(heads, "grocery"),
    "bench-machine": lambda: measured_on("untrained"),
    "bench-runtimes": lambda: bench("untrained", engine_grid),
}
BLOCKS |= {
    f"all-{name}": partial(everything, name) for name in ("untrained", "demo", "grocery", "grocery-bn")
}
BLOCKS |= {
    f"example-{name}": partial(example, name) for name in ("convert", "pasted", "train", "load", "build")
}


LAYERS = ROOT / "tests" / "golden" / "layers"
SOURCES = {
    "resnet": LAYERS / "net_resnet_test.prototxt",
    "inceptions": ROOT / "benchmarks" / "two_inceptions.prototxt",
    "allconv6": ROOT / "prototxt" / "nets" / "allconv6.prototxt",
}


def source(name: str) -> str:
    """A net as PyTorch source."""
    text = source_of(deploy_net(load_net(SOURCES[name])), name, f"{name}.torch.safetensors").text
    return f"```python\n{text}```"


BLOCKS |= {f"source-{name}": partial(source, name) for name in SOURCES}


def accuracies(name: str) -> dict[str, Interval]:
    """A published report's accuracy of every group with its interval, over seeds, from its first table."""
    row = re.compile(r"^\| (\S+) \| \d+ \| ([\d.]+) ± [\d.]+% \| ([\d.]+)–([\d.]+)% \|", re.MULTILINE)
    found = row.findall(first_table(name))
    return {group: Interval(*_shares(shares), over_seeds=True) for group, *shares in found}


def _shares(percents: Sequence[str]) -> tuple[float, float, float]:
    mean, low, high = (float(each) / 100 for each in percents)
    return mean, low, high


def which_picture(name: str, known: Mapping[str, Interval]) -> str:
    """The first figure of a report, drawn from a committed bench and from accuracies by group."""
    rows: dict[str, list[Row]] = {}
    for row in rows_of(name):
        rows.setdefault(group_of(row), []).append(row)
    candidates = [from_rows(group, own, known.get(group)) for group, own in rows.items()]
    order = [*known, *rows]
    candidates.sort(key=lambda each: order.index(each.label))
    return standalone(wide(drawing(choose(candidates, by_own_intervals), Words("en"))))


def group_of(row: Mapping[str, Any]) -> str:
    """The group of a run, as a report names it: its folder without the seed and the filler that all share."""
    return re.sub(r"-seed\d+$", "", Path(row["run"]).name).removeprefix("xavier+")


BLOCKS |= series_page.blocks()
PICTURES: dict[Path, Callable[[], str]] = {
    ROOT / "docs" / "which.svg": lambda: which_picture("grocery", accuracies("report.md")),
} | series_page.pictures()


def filled(text: str) -> str:
    """``text`` with every block made anew. Raises KeyError for a block of an unknown name."""
    return _BLOCK.sub(lambda found: f"{found[1]}{BLOCKS[found[2]]()}\n{found[3]}", text)


def outdated() -> dict[Path, str]:
    """What is not up to date, with the text that it should have."""
    made = {path: filled(path.read_text(encoding="utf-8")) for path in PAGES}
    made |= {path: draw() for path, draw in PICTURES.items()}
    return {
        path: text for path, text in made.items() if not path.is_file() or path.read_text("utf-8") != text
    }


def main() -> int:
    """Fill the pages and draw the pictures, or with ``--check`` say which of them are not up to date."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 for a block that is old")
    is_check = parser.parse_args().check
    old = outdated()
    for path, text in old.items():
        print(f"{path.relative_to(ROOT)}: {'not up to date' if is_check else 'filled'}")
        if not is_check:
            write_text(path, text)
    return 1 if is_check and old else 0


if __name__ == "__main__":
    raise SystemExit(main())
