"""What was run where and with what, what was cut short, and how the figures are to be read."""

import re
import shlex
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from zoo.cli.choices import KINDS, LANGUAGES
from zoo.report.read.gathered import Gathered, OtherList
from zoo.report.read.runs import FinishedRun
from zoo.report.say.wording import Words, count
from zoo.report.write.document import Block, Code, Definitions, Document, Heading, Paragraph, Section, Table
from zoo.runs.run_json import ListRecord, RunRecord
from zoo.study.study_json import StudyJson

_METHOD = ("intervals", "orders", "tests", "training", "macs")


def whole(
    results: Gathered, lead: Sequence[Block], sections: Iterable[Section | None], words: Words
) -> Document:
    """A report: what is said before anything else, the ``lead``, how the runs depart from the article, and
    the sections that there are.
    """
    return Document(
        LANGUAGES[words.language],
        results.title,
        (*warnings(results, words), *lead, *departures(results, words)),
        tuple(section for section in sections if section),
        words("contents"),
        words("footer", runs=sum(len(group.runs) for group in results.groups)),
    )


def warnings(results: Gathered, words: Words) -> tuple[Block, ...]:
    """What is said before anything else: that data is drawn, that runs are missing."""
    is_drawn = results.first.record["data"]["synthetic"]
    drawn = [Paragraph(words("lead.synthetic"), "warning")] if is_drawn else []
    cut = [Paragraph(words("lead.cut", count=len(results.notes)), "warning")] if results.notes else []
    return (*drawn, *cut)


def departures(results: Gathered, words: Words) -> tuple[Block, ...]:
    """A line of all that is not as in the article; none where nothing is."""
    departed = _departures(results, words)
    return (Paragraph(words("lead.departures", departures=departed)),) if departed else ()


def conditions(results: Gathered, words: Words) -> tuple[Block, ...]:
    """What was compared, on what data, and how it was trained."""
    about = results.first.record
    facts = [(words("lead.compared"), words.listed([group.label for group in results.groups]))]
    facts.append((words("lead.data"), _data(about, words)))
    if results.judged_by:
        facts.append((words("lead.judged"), _judged_by(results, results.judged_by, words)))
    facts.append((words("lead.seeds"), _seeds(results, words)))
    facts.append((words("lead.length"), _length(results, words)))
    facts.append((words("lead.device"), words.listed(_every(results, lambda run: str(run.record["device"])))))
    return (Heading(words("conditions.title")), Definitions(tuple(facts)))


def _every(results: Gathered, what: Any) -> list[str]:
    """What the runs say, each text once, in order."""
    return list(dict.fromkeys(what(run) for group in results.groups for run in group.runs))


def _data(record: RunRecord, words: Words) -> str:
    data = record["data"]
    train, test = data.get("TRAIN", {}), data["TEST"]
    return words(
        "lead.data_text" if record.get("classes") else "lead.data_figures",
        name=Path(test["list"]).parent.name,
        train=count(train.get("images", 0)),
        test=count(test["images"]),
        classes=record["classes"] or len(record.get("class_names") or ()) or "–",
    )


def _judged_by(results: Gathered, other: OtherList, words: Words) -> str:
    return words("lead.judged_text", name=other.path.name, images=count(results.images))


def _seeds(results: Gathered, words: Words) -> str:
    seeds = sorted({run.seed for group in results.groups for run in group.runs})
    most = max(len(group.runs) for group in results.groups)
    return words("lead.seeds_text", seeds=", ".join(map(str, seeds)), most=most)


def _length(results: Gathered, words: Words) -> str:
    lengths = sorted({run.record["iteration"] for group in results.groups for run in group.runs})
    batches = sorted({run.images_per_step for group in results.groups for run in group.runs})
    return words("lead.length_text", iterations=_joined(lengths), batch=_joined(batches))


def _joined(numbers: Sequence[int]) -> str:
    return ", ".join(map(count, numbers))


def _departures(results: Gathered, words: Words) -> str:
    """Each departure from the article once, with the groups it holds for where it does not hold for all."""
    groups_by_line: dict[str, list[str]] = {}
    for group in results.groups:
        for line in group.first.record.get("departures", ()):
            groups_by_line.setdefault(line, []).append(group.label)
    lines = []
    for line, labels in groups_by_line.items():
        is_general = len(labels) == len(results.groups)
        lines.append(departure(line, words) + ("" if is_general else f" [{words.listed(labels)}]"))
    return words("semicolon").join(lines)


def departure(line: str, words: Words) -> str:
    """A line of :func:`zoo.variants.article.departures` in the reader's language, another as it is."""
    match = re.fullmatch(r"(batch size|input size|convolution filler|\w+) (.+) \(article: (.+)\)", line)
    if match is None:
        return words("departure.data") if line.startswith("data:") else line
    name, ours, theirs = (words.translated("departure", text) for text in match.groups())
    return words("departure", name=name, ours=ours, theirs=theirs)


def runs_section(results: Gathered, commands: str, words: Words) -> Section:
    """Every run with its device and time, versions, the data's fingerprints, and how to repeat it."""
    blocks: list[Block] = [_runs_table(results, words), Definitions(tuple(_versions(results, words)))]
    if results.notes:
        blocks += [Heading(words("cut.title")), *(Paragraph(note) for note in results.notes)]
    blocks += [Heading(words("commands.title")), Code(commands)]
    return Section("runs", words("runs.title"), tuple(blocks))


def _runs_table(results: Gathered, words: Words) -> Table:
    names = (
        "run",
        "group",
        "device",
        "precision",
        "seed",
        "iterations",
        "training_time",
        "wall_time",
        "rate",
    )
    rows = [
        (
            run.path.relative_to(results.folder).as_posix() or run.path.name,
            group.label,
            str(run.record["device"]),
            str(run.record.get("precision", "fp32")),
            str(run.seed),
            count(run.record["iteration"]),
            words.duration(run.seconds[-1]),
            words.duration(_wall_seconds(run.record)),
            "–" if run.rate is None else count(run.rate),
        )
        for group in results.groups
        for run in group.runs
    ]
    columns = tuple(words(f"column.{name}") for name in names)
    return Table(words("runs.caption"), columns, tuple(rows), text_columns=4, note=words("runs.note"))


def _wall_seconds(record: RunRecord) -> float | None:
    """Seconds from a run's beginning to its end."""
    if "ended" not in record:
        return None
    began, ended = (datetime.fromisoformat(record[key]) for key in ("started", "ended"))
    return (ended - began).total_seconds()


def _versions(results: Gathered, words: Words) -> list[tuple[str, str]]:
    prints = results.first.record["data"]
    sums = [
        words("runs.fingerprint", name=Path(prints[key]["list"]).name, fingerprint=_print_of(prints[key]))
        for key in ("TRAIN", "TEST")
        if key in prints
    ]
    if other := results.judged_by:
        sums.append(words("runs.fingerprint", name=other.path.name, fingerprint=other.content))
    versions = _every(
        results, lambda run: ", ".join(f"{name} {number}" for name, number in run.record["versions"].items())
    )
    return [(words("runs.versions"), "; ".join(versions)), (words("runs.data"), "; ".join(sums))]


def _print_of(about: ListRecord) -> str:
    """The sum of a list's rows and pictures; of an earlier version's run, what it knew."""
    return str(about.get("content") or about["fingerprint"])


def commands(results: Gathered, study: StudyJson | None) -> str:
    """Lines that make the runs and this report again; DIR stands for a folder given by an absolute path."""
    report = f"zoo report {shlex.quote(results.folder.name)}"
    if results.judged_by:
        report += f" {_option('list', results.judged_by.path)}"
    if results.kinds != list(KINDS):
        report = " ".join([report, "--conditions", *results.kinds])
    if study:
        return f"{_study_command(study, results.folder)}\n{report}"
    runs = [run for group in results.groups for run in group.runs]
    return "\n".join([*(_train_command(run, results.folder) for run in runs), report])


def _study_command(study: StudyJson, folder: Path) -> str:
    options = [_option(name, value) for name, value in study.get("overrides", {}).items()]
    path = Path(study.get("file", "STUDY"))
    is_shipped = path.parts[-3:-1] == ("zoo", "studies")
    name = path.stem if is_shipped else path.name
    return " ".join(["zoo study", shlex.quote(name), *options, f"--output {shlex.quote(folder.name)}"])


def _train_command(run: FinishedRun, folder: Path) -> str:
    options = {**run.record.get("options", {}), "seed": run.seed}
    words = [
        _option(name, value) for name, value in options.items() if value is not None and value is not False
    ]
    output = Path(folder.name) / run.path.relative_to(folder)
    return " ".join(["zoo train", *words, f"--output {shlex.quote(output.as_posix())}"])


def _option(name: str, value: object) -> str:
    flag = f"--{name.replace('_', '-')}"
    return flag if value is True else f"{flag} {shlex.quote(_portable(value))}"


def _portable(value: object) -> str:
    """An option's text; of an absolute path, which means nothing elsewhere, the last part."""
    text = str(value)
    return Path(text).name if Path(text).is_absolute() else text


def method_section(words: Words, about: Sequence[str] = _METHOD) -> Section:
    """How the figures come about, and what they cannot show."""
    keys = ("other_list" if key == "tests" and words.other_list else key for key in about)
    texts = tuple(Paragraph(words(f"method.{key}", list=words.other_list)) for key in keys)
    return Section("method", words("method.title"), texts)
