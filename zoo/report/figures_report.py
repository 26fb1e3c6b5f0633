"""The report of nets that are judged by figures made of sums over photographs: numbers, distributions, label
maps.
"""

from zoo.report.read.figures import Figures
from zoo.report.say import provenance
from zoo.report.say.cost_section import cost_section
from zoo.report.say.figures_section import (
    best_of,
    bounds_of,
    figures_section,
    figures_verdict,
    lost_in_int8,
    spread_of,
)
from zoo.report.say.mask_sections import class_section, masks_section
from zoo.report.say.scatter_section import scatter_section, scatters
from zoo.report.say.training_section import losses_section
from zoo.report.say.wording import Words, count
from zoo.report.say.worst_told import worst_told
from zoo.report.write.document import Document, Paragraph, Section
from zoo.study.study_json import StudyJson, questions_in
from zoo.tasks.maps import Maps
from zoo.terminal.console import table


def compose_figures(
    figures: Figures, study: StudyJson | None, words: Words, has_photographs: bool
) -> Document:
    """The whole report: what the best nets tell, the verdict, and what it rests on."""
    are_maps = isinstance(figures.task, Maps)
    lost = "lost_int8" if figures.task.main.is_share else "lost_int8_figure"
    picture = scatters(figures, best_of(figures), words)
    sections = [
        figures_section(figures, words),
        scatter_section(figures, words),
        worst_told(figures, words) if has_photographs else None,
        class_section(figures, words) if are_maps else None,
        masks_section(figures, words) if are_maps and has_photographs else None,
        losses_section(figures, words),
        cost_section(figures, words, lambda group: lost_in_int8(figures, group), lost),
        Section("compared", words("conditions.title"), provenance.conditions(figures, words)[1:]),
        provenance.runs_section(figures, provenance.commands(figures, study), words),
        provenance.method_section(words, ("figures", "training", "macs")),
    ]
    lead = (
        *([picture] if picture else []),
        *figures_verdict(figures, words),
        *unanswered(figures, study, words),
    )
    return provenance.whole(figures, lead, sections, words)


def unanswered(figures: Figures, study: StudyJson | None, words: Words) -> list[Paragraph]:
    """That what the study asks is not answered of these nets: an answer is one of shares, more is better."""
    asked = questions_in(study, figures.folder)
    return [Paragraph(words("figures.asked", question=each.text(words.language))) for each in asked]


def print_figures(figures: Figures, words: Words) -> None:
    """A table of the groups: the main figure with its interval, parameters, latency."""
    main = figures.task.main
    title = words.judged(
        "terminal.figures",
        folder=figures.folder.name or str(figures.folder),
        quantity=words(f"quantity.{main.key}"),
    )
    columns = [words("column.group"), words("column.runs"), words(f"quantity.{main.key}")]
    columns += [words(f"column.{name}") for name in ("interval", "parameters", "latency")]
    rows = []
    for group in figures.groups:
        row = figures.row(group)
        own = [group.label, str(len(group.runs)), spread_of(figures.values(group, main), main)]
        speed = f"{row['latency_p50_ms']:.2f}" if row else "–"
        interval = bounds_of(figures.interval(group, main), main)
        rows.append([*own, interval, count(row["parameters"] if row else None), speed])
    table(title, columns, rows)
