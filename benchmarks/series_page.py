"""What docs/series.md says of each study, and its pictures: from the committed rows, and nothing else."""

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from series import asking
from series_rows import Rows, asked_in, read_rows

from zoo.catalogue import find_study
from zoo.plots.charts import standalone
from zoo.plots.panels import wide
from zoo.report.say.asked import Asked
from zoo.report.say.asked_answer import asked_answer, short_answer
from zoo.report.say.asked_picture import asked_drawing
from zoo.report.say.sentences import Compared
from zoo.report.say.wording import Words, bounds, bracketed, count, spread
from zoo.report.write.as_markdown import blocks_as_markdown
from zoo.report.write.document import Block, Code, Heading, Paragraph, Table, TwoForms
from zoo.study.file import read_study
from zoo.study.question import Question

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "series"  # of the pictures
DATA = "GroceryStoreDataset"  # as the pages' commands name it
Texts = Mapping[str, Any]
TEXTS: dict[str, Texts] = {
    language: tomllib.loads(Path(__file__).with_name(f"series_{language}.toml").read_text(encoding="utf-8"))
    for language in ("en", "zh")
}
# Of the page; a study that is not here comes after these.
ORDER = (
    "learning-rate",
    "optimizers",
    "depth",
    "width",
    "batchnorm",
    "dropout",
    "downsampling",
    "one-by-one",
    "bottleneck",
    "skip",
    "separable",
    "augmentation",
)


def ordered() -> list[str]:
    """The studies of the page, in its order."""
    names = asking()
    return [*(name for name in ORDER if name in names), *(name for name in names if name not in ORDER)]


def questions(name: str) -> Sequence[Question]:
    """What a study asks today."""
    return read_study(find_study(name)).questions


def summary(language: str, texts: Texts) -> str:
    """A line a question: its answer, what of the common claim, and how long all runs of its study trained."""
    words = Words(language)
    lines = tuple(line for name in ordered() for line in _lines(name, words, texts))
    return _markdown([Table(texts["summary caption"], tuple(texts["summary"]), lines, text_columns=4)])


def _lines(name: str, words: Words, texts: Texts) -> list[tuple[str, ...]]:
    rows, asks = read_rows(name), [question.text(words.language) for question in questions(name)]
    if rows is None:
        return [(name, text, texts["none short"], "–", "–") for text in asks]
    time = words.duration(sum(run.get("seconds", 0.0) for run in rows["runs"]))
    return [
        (name, text, short_answer(asked, words)[0], texts[f"short {_claim(asked)}"], time)
        for text, asked in zip(asks, asked_in(rows), strict=True)
    ]


def _claim(asked: Asked) -> str:
    """What becomes of the claim that the answer is yes: ``yes`` or ``no`` of all pairs; of some and the
    opposite of none, ``part`` or ``against``; of some each, ``mixed``; ``open`` where no pair is told.
    ``none`` where it is asked which is best.
    """
    if asked.is_contest:
        return "none"
    standing = short_answer(asked, Words("en"))[1]
    if standing != "open":
        return standing
    told = {asked.outcome(pair) for pair in asked.pairs if pair.difference.over_seeds}
    is_so, is_not = "yes" in told, not told.isdisjoint(("above", "below"))
    return "mixed" if is_so and is_not else "part" if is_so else "against" if is_not else "open"


def sections(language: str, texts: Texts) -> str:
    """Every study under its name."""
    return "\n\n".join(f"## {name}\n\n{section(name, language, texts)}" for name in ordered())


def section(name: str, language: str, texts: Texts) -> str:
    """What a study asks, its command, each question's picture and answer, and the runs; without rows, that
    there is nothing to be said.
    """
    words, rows = Words(language), read_rows(name)
    asks = [question.text(language) for question in questions(name)]
    blocks: list[Block] = [Paragraph(texts[f"said {name}"]), Code(f"zoo study {name} --data {DATA}")]
    if rows is None:
        together = Paragraph(words("asked.join").join(asks))
        return _markdown([together, *blocks, Paragraph(texts["none"])])
    for number, (text, asked) in enumerate(zip(asks, asked_in(rows), strict=True), 1):
        blocks += _told(text, asked, picture_of(name, number, language), words, texts)
    blocks.append(_runs(rows, words, texts))
    return _markdown(blocks + [Paragraph(line, "note") for line in _failed(rows, words, texts)])


def _told(text: str, asked: Asked, picture: Path, words: Words, texts: Texts) -> list[Block]:
    """A question with its picture, its answer, and who differs from whom by how much."""
    said = [Paragraph(texts[f"claim {_claim(asked)}"])] if not asked.is_contest else []
    figure, answer = TwoForms(picture.stem, text, "", ""), asked_answer(asked, words)
    pairs = tuple(_pair(asked, pair, texts) for pair in asked.pairs)
    table = Table(texts["pairs caption"], tuple(texts["pairs"]), pairs, text_columns=2)
    return [Heading(text), figure, Paragraph(answer.verdict, "verdict"), *said, *([table] if pairs else [])]


def _pair(asked: Asked, pair: Compared, texts: Texts) -> tuple[str, ...]:
    stand = asked.outcome(pair) if pair.difference.over_seeds else "single"
    key = f"best {stand}" if asked.is_contest and stand != "single" else stand
    return pair.group.label, pair.other.label, bracketed(pair.difference), texts[f"pair {key}"]


def _runs(rows: Rows, words: Words, texts: Texts) -> Table:
    asked = {each.name: each for every in asked_in(rows) for each in every.entrants}
    lines = [
        (
            row["label"],
            str(len(row["runs"])),
            spread(row["runs"]),
            bounds(asked[row["name"]].accuracy),
            count(row["parameters"]),
            count(row["macs"]),
            words.duration(row["seconds"]),
        )
        for row in rows["entrants"]
    ]
    return Table(texts["runs caption"], tuple(texts["runs"]), tuple(lines), note=_trained(rows, texts))


def _trained(rows: Rows, texts: Texts) -> str:
    ended = [run for run in rows["runs"] if "top1" in run]

    def every(key: str) -> str:
        return ", ".join(dict.fromkeys(str(run[key]) for run in ended))

    data = {"train": count(rows["data"]["TRAIN"]), "test": count(rows["data"]["TEST"])}
    known = {"iterations": every("iterations"), "images": every("images_per_step")}
    text: str = texts["trained"].format(processor=every("processor"), **known, **data)
    return text


def _failed(rows: Rows, words: Words, texts: Texts) -> list[str]:
    return [
        texts["failed"].format(
            run=run["run"], state=words.translated("state", run["state"]), reason=run["reason"] or "–"
        )
        for run in rows["runs"]
        if "top1" not in run
    ]


def article(name: str, texts: Texts) -> str:
    """The article's questions with the verdicts of a published report."""
    text = (ROOT / "docs" / "study" / name).read_text(encoding="utf-8")
    found = re.findall(r"^(?:### |- )([^\n]+?)(?:\n\n| )\*\*([^*\n]+)\*\*", text, re.MULTILINE)
    lines = tuple((asks, said) for asks, said in found if re.search(r"[?？]", asks))
    assert lines, name
    return _markdown([Table(texts["article caption"], tuple(texts["article"]), lines, text_columns=2)])


def _markdown(blocks: Sequence[Block]) -> str:
    return blocks_as_markdown(blocks, FOLDER.name)


def picture_of(name: str, number: int, language: str) -> Path:
    """Where the picture of a study's question is, which are counted from 1."""
    stem = name if number == 1 else f"{name}-{number}"
    return FOLDER / f"{stem}.svg" if language == "en" else FOLDER / f"{stem}.{language}.svg"


def picture(name: str, number: int, language: str) -> str:
    """The picture of a study's question, as its report begins with it."""
    rows = read_rows(name)
    assert rows is not None, name
    drawing = asked_drawing(asked_in(rows)[number - 1], f"{name}-{number}", Words(language))
    return standalone(wide(drawing))


def blocks() -> dict[str, Callable[[], str]]:
    """What fills the pages."""
    made: dict[str, Callable[[], str]] = {}
    for language, texts in TEXTS.items():
        suffix = "" if language == "en" else f"-{language}"
        report = f"report{suffix.replace('-', '.')}.md"
        made[f"series{suffix}"] = partial(sections, language, texts)
        made[f"series-summary{suffix}"] = partial(summary, language, texts)
        made[f"series-article{suffix}"] = partial(article, report, texts)
    return made


def pictures() -> dict[Path, Callable[[], str]]:
    """The pictures of the studies that have rows."""
    known = [
        (name, number, language)
        for name in ordered()
        if (rows := read_rows(name))
        for number in range(1, len(rows["questions"]) + 1)
        for language in ("en", "zh")
    ]
    return {picture_of(*each): partial(picture, *each) for each in known}
