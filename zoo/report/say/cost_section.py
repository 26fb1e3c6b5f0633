"""What nets cost: size and speed in onnxruntime, whatever they are judged by."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from zoo.bench.notes import noise_warning
from zoo.bench.plots import LABELS, accuracy_figure, latency_figure
from zoo.bench.row import Row, is_judged
from zoo.report.read.gathered import Gathered
from zoo.report.read.runs import Group
from zoo.report.say.wording import Words, count
from zoo.report.write.document import Chart, Charts, Paragraph, Section, Table

Lost = Callable[[Group], str]  # what int8 costs a group


def cost_section(
    results: Gathered, words: Words, lost: Lost, lost_title: str = "lost_int8"
) -> Section | None:
    """Size and speed in onnxruntime, at fp32 and int8, with what int8 costs in what nets are judged by (the
    column ``lost_title``); None where nothing was benched.
    """
    benched = [group for group in results.groups if results.row(group)]
    if not benched:
        return None
    names = (
        "group",
        "parameters",
        "macs",
        "bytes",
        "latency",
        "rate",
        "bytes_int8",
        "latency_int8",
        lost_title,
    )
    rows = tuple(_cost_row(results, group, lost) for group in benched)
    columns = tuple(words(f"column.{name}") for name in names)
    table = Table(words.judged("size.caption"), columns, rows, note=_bench_note(results, benched[0], words))
    rows_of = [row for group in benched for row in _named_rows(results, group)]
    noise = [Paragraph(words("size.noise"), "note")] if noise_warning(rows_of) else []
    return Section("size", words("size.title"), (table, *noise, _plots(rows_of, words)))


def _bench_note(results: Gathered, group: Group, words: Words) -> str:
    """What the figures were measured on."""
    row: Mapping[str, Any] = results.row(group) or {}
    return words(
        "size.note",
        processor=row.get("processor", "?"),
        threads=row.get("threads", "?"),
        provider=str(row.get("provider", "?")).removesuffix("ExecutionProvider"),
        version=row.get("version_onnxruntime-gpu") or row.get("version_onnxruntime") or "?",
    )


def _cost_row(results: Gathered, group: Group, lost: Lost) -> tuple[str, ...]:
    row, small, most = results.row(group), results.row(group, "int8"), results.row(group, batch=None)
    assert row is not None and most is not None
    return (
        group.label,
        count(row["parameters"]),
        count(row["macs"]),
        count(row["model_bytes"]),
        f"{row['latency_p50_ms']:.2f}",
        f"{most['images_per_second']:,.0f} ({most['batch']})",
        count(small["model_bytes"]) if small else "–",
        f"{small['latency_p50_ms']:.2f}" if small else "–",
        lost(group),
    )


def _plots(rows: Sequence[Row], words: Words) -> Charts:
    """The bench's own figures, under the groups' names and in their colours."""
    labels = {name: words(f"bench.{name}", batch="{batch}") for name in LABELS}
    charts = [Chart.of("latency", words("size.chart_latency"), latency_figure(rows, labels), is_wide=True)]
    if any(map(is_judged, rows)):
        figure = accuracy_figure(rows, labels)
        charts.append(Chart.of("accuracy-cost", words.judged("size.chart_accuracy"), figure, is_wide=True))
    return Charts(tuple(charts))


def _named_rows(results: Gathered, group: Group) -> list[Row]:
    """A group's rows under the group's name, so that groups of one net are drawn as two."""
    own = [row for run in group.runs for row in results.rows.get(run.path, ())]
    return [{**row, "name": group.label, "latency_of": group.label} for row in own]
