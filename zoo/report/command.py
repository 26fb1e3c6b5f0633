"""``zoo report``: a folder of runs as one HTML page, and as Markdown with its figures beside it."""

import argparse
import re
from pathlib import Path

from converters.host.files import write_text
from eval.robustness import CONDITIONS
from prototxt.errors import InputError
from prototxt.rawbytes import readable
from zoo.bench.command import elsewhere
from zoo.cli.choices import LANGUAGES
from zoo.ours import keep_others
from zoo.report.figures_report import compose_figures, print_figures
from zoo.report.read.gather import figures_of, read_folder, results_of
from zoo.report.read.results import Results
from zoo.report.say import gallery, provenance
from zoo.report.say.accuracy_section import accuracy_section, head_section, lost_in_int8
from zoo.report.say.answers import answers
from zoo.report.say.asked import asked_of
from zoo.report.say.asked_picture import asked_lead
from zoo.report.say.cost_section import cost_section
from zoo.report.say.robustness_section import robustness_section
from zoo.report.say.training_section import training_section
from zoo.report.say.which import which
from zoo.report.say.wording import Words, bracketed, count, spread
from zoo.report.write.as_html import as_html
from zoo.report.write.as_markdown import as_markdown, write_figures
from zoo.report.write.document import Document, Section
from zoo.study.study_json import StudyJson
from zoo.tasks.classes import Classes
from zoo.terminal.console import stdout, table


def run(args: argparse.Namespace) -> int:
    """Write the report of a folder of runs; a table and the page's path go to stdout."""
    folder = Path(args.folder)
    output = Path(args.output) if args.output else folder / default_name(args.lang)
    if output.suffix != ".html":
        raise InputError(f"--output {output}: the report is an .html file; its Markdown goes beside it")
    for path in (output, output.with_suffix(".md")):
        keep_others(path, "report", is_report)
    where = elsewhere(args)
    words = Words(args.lang, where.list.name if where.list else None)
    has_photographs = not args.no_images
    conditions = [condition for condition in CONDITIONS if condition.kind in args.conditions]
    reading = read_folder(folder, where)
    if isinstance(reading.runs[0].model.task, Classes):
        results = results_of(reading, args.title, words, conditions)
        write(compose(results, reading.study, words, has_photographs), output)
        print_summary(results, words)
    else:
        figures = figures_of(reading, args.title, words)
        write(compose_figures(figures, reading.study, words, has_photographs), output)
        print_figures(figures, words)
    stdout().print(str(output), soft_wrap=True, markup=False)
    return 0


def default_name(language: str) -> str:
    """report.html, or report.zh.html."""
    return "report.html" if language == "en" else f"report.{language}.html"


def compose(results: Results, study: StudyJson | None, words: Words, has_photographs: bool) -> Document:
    """The whole report; parts that the runs cannot fill are left out. It begins with the study's question, or
    with which variant to ship.
    """
    commands = provenance.commands(results, study)
    conditions = provenance.conditions(results, words)
    asked, ship = asked_of(results, study), which(results, words)
    sections = [
        Section("answers", words("answers.title"), (answers(results, asked, words), *conditions)),
        Section("which", words.judged("which.title"), ship) if asked else None,
        accuracy_section(results, words),
        training_section(results, words),
        head_section(results, words),
        cost_section(results, words, lambda group: lost_in_int8(results, group)),
        robustness_section(results, words),
        gallery.confusion_section(results, words),
        gallery.worst_section(results, words) if has_photographs else None,
        gallery.filters_section(results, words),
        gallery.maps_section(results, words) if has_photographs else None,
        provenance.runs_section(results, commands, words),
        provenance.method_section(words),
    ]
    return provenance.whole(results, asked_lead(asked, words) if asked else ship, sections, words)


def write(document: Document, output: Path) -> None:
    """The page, and beside it the Markdown with a folder of its figures."""
    figures = output.with_name(f"{output.stem}-figures")
    write_figures(document, figures)
    write_text(output.with_suffix(".md"), readable(as_markdown(document, figures.name)))
    write_text(output, readable(as_html(document)))


def is_report(path: Path) -> bool:
    """Whether a page, or its Markdown, ends as a report does in one of the languages."""
    text = path.read_text(encoding="utf-8")
    ends = (re.escape(Words(language)("footer", runs=0)).replace("0", r"\d+") for language in LANGUAGES)
    return any(re.search(rf"{end}(</p></footer>\s*</main>\s*</body>\s*</html>)?\s*\Z", text) for end in ends)


def print_summary(results: Results, words: Words) -> None:
    """A table of the groups: accuracy, difference from the baseline, parameters, latency."""
    names = ("group", "runs", "top1", "difference", "parameters", "latency")
    columns = [words(f"column.{name}", baseline=results.baseline.label) for name in names]
    rows = []
    for group in results.groups:
        row = results.row(group)
        is_base = group is results.baseline
        difference = "" if is_base else bracketed(results.difference(group, results.baseline))
        speed = f"{row['latency_p50_ms']:.2f}" if row else "–"
        own = [group.label, str(len(group.runs)), spread(results.top1(group)), difference]
        rows.append([*own, count(row["parameters"] if row else None), speed])
    title = words.judged("terminal.title", folder=results.folder.name or str(results.folder))
    table(title, columns, rows)
