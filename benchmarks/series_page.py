"""What docs/series.md says of each study, and its pictures: from the committed rows, and nothing else."""

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from series import SETTINGS, asking, command
from series_rows import Rows, asked_in, read_rows

from zoo.catalogue import find_study
from zoo.plots.charts import standalone
from zoo.plots.panels import wide
from zoo.report.say.asked import Asked, asked_answer, short_answer
from zoo.report.say.asked_picture import asked_drawing
from zoo.report.say.wording import Words, bounds, bracketed, count, spread
from zoo.report.write.as_markdown import blocks_as_markdown
from zoo.report.write.document import Block, Code, Paragraph, Table, TwoForms
from zoo.study.file import read_study

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "series"  # of the pictures
Texts = Mapping[str, Any]
DATA = "GroceryStoreDataset"  # as the pages' commands name it
# Of the page; a study that is not here comes after these.
ORDER = ("learning-rate", "optimizers", "depth", "width")

ENGLISH = {
    "none": "Not trained yet: without rows of this study nothing is said of it; “make series” makes them.",
    "none short": "not trained yet",
    "claim yes": "Commonly it is said to be so, and here it is.",
    "claim no": "Commonly it is said to be so; here it is not.",
    "claim part": "Commonly it is said to be so; here it is for a part.",
    "claim open": "Commonly it is said to be so; these runs neither bear that out nor contradict it.",
    "short yes": "borne out",
    "short no": "contradicted",
    "short part": "in part",
    "short open": "not decided",
    "summary": ("study", "what it asks", "answer here", "what is commonly said", "training"),
    "summary caption": "Every study in a line",
    "table": (
        "run",
        "runs",
        "top-1",
        "95% interval",
        "difference, points [95%]",
        "parameters",
        "MACs",
        "a run",
    ),
    "table caption": "What each run came to",
    "trained": "{iterations} iterations of {images} of {train} photographs, judged on {test}; {processor}.",
    "failed": "{run}: {state}: {reason}",
    "article": ("what the article asks", "answer here"),
    "article caption": "The article itself, from the study grocery",
}
CHINESE = {
    "none": "还没有训练：没有这个研究的数据，因此这里什么也不说。数据由“make series”生成。",
    "none short": "还没有训练",
    "claim yes": "通常的说法如此，这里也是如此。",
    "claim no": "通常的说法如此，这里则不然。",
    "claim part": "通常的说法如此，这里只有一部分如此。",
    "claim open": "通常的说法如此，这些训练既未证实，也未推翻。",
    "short yes": "成立",
    "short no": "与结果相反",
    "short part": "部分成立",
    "short open": "未能判定",
    "summary": ("研究", "问题", "这里的回答", "通常的说法", "训练时间"),
    "summary caption": "每个研究一行",
    "table": ("运行", "次数", "top-1", "95% 区间", "差，百分点 [95%]", "参数", "乘加次数", "每次训练"),
    "table caption": "每组运行的结果",
    "trained": "迭代 {iterations} 次，每次 {images} 张；照片 {train} 张，评判 {test} 张；{processor}。",
    "failed": "{run}：{state}：{reason}",
    "article": ("文章的问题", "这里的回答"),
    "article caption": "文章本身，来自研究 grocery",
}


def ordered() -> list[str]:
    """The studies of the page, in its order."""
    names = asking()
    return [*(name for name in ORDER if name in names), *(name for name in names if name not in ORDER)]


def summary(language: str, texts: Texts) -> str:
    """A line a study: its question, the answer, what of the common claim, and how long all runs trained."""
    words = Words(language)
    lines = tuple(_line(name, words, texts) for name in ordered())
    return _markdown([Table(texts["summary caption"], texts["summary"], lines, text_columns=4)])


def _line(name: str, words: Words, texts: Texts) -> tuple[str, ...]:
    rows, asks = read_rows(name), _question(name, words)
    if rows is None:
        return name, asks, texts["none short"], "–", "–"
    asked = asked_in(rows)
    claim = "–" if asked.is_contest else texts[f"short {_claim(asked)}"]
    return name, asks, short_answer(asked, words)[0], claim, words.duration(_seconds(rows))


def _question(name: str, words: Words) -> str:
    """As the study's file asks it today."""
    question = read_study(find_study(name)).question
    assert question is not None, name
    return question.text(words.language)


def _claim(asked: Asked) -> str:
    """What becomes of the claim that the answer is yes: ``yes``, ``no``, ``part`` or ``open``."""
    standing = short_answer(asked, Words("en"))[1]
    if standing != "open":
        return standing
    told = [pair for pair in asked.pairs if pair.difference.over_seeds and asked.outcome(pair) == "yes"]
    return "part" if told else "open"


def _seconds(rows: Rows) -> float:
    return sum(run.get("seconds", 0.0) for run in rows["runs"])


def sections(language: str, texts: Texts) -> str:
    """Every study: what it asks, the command, the picture, the answer, and the table."""
    return "\n\n".join(f"## {name}\n\n{section(name, language, texts)}" for name in ordered())


def section(name: str, language: str, texts: Texts) -> str:
    """What is said of a study; that there is nothing to be said where it has no rows."""
    words, rows = Words(language), read_rows(name)
    settings = rows["overrides"] if rows else SETTINGS
    blocks: list[Block] = [Paragraph(_question(name, words)), Code(shlex.join(command(name, DATA, settings)))]
    blocks += _told(name, rows, words, texts) if rows else [Paragraph(texts["none"])]
    return _markdown(blocks)


def _told(name: str, rows: Rows, words: Words, texts: Texts) -> list[Block]:
    asked = asked_in(rows)
    answer, key = asked_answer(asked, words), picture_of(name, words.language).stem
    blocks: list[Block] = [
        TwoForms(key, _question(name, words), "", ""),
        Paragraph(answer.verdict, "verdict"),
    ]
    if not asked.is_contest:
        blocks.append(Paragraph(texts[f"claim {_claim(asked)}"]))
    blocks.append(_table(rows, asked, words, texts))
    return blocks + [Paragraph(line, "note") for line in _failed(rows, words, texts)]


def _table(rows: Rows, asked: Asked, words: Words, texts: Texts) -> Table:
    differences = {pair.group.label: pair.difference for pair in asked.pairs}
    lines = [
        (
            each.label,
            str(len(each.runs)),
            spread(each.runs),
            bounds(each.accuracy),
            bracketed(differences[each.label]) if each.label in differences else "",
            count(row["parameters"]),
            count(row["macs"]),
            words.duration(row["seconds"]),
        )
        for each, row in zip(asked.entrants, rows["entrants"], strict=True)
    ]
    return Table(texts["table caption"], texts["table"], tuple(lines), note=_trained(rows, texts))


def _trained(rows: Rows, texts: Texts) -> str:
    ended = [run for run in rows["runs"] if "top1" in run]

    def every(key: str) -> str:
        return ", ".join(dict.fromkeys(str(run[key]) for run in ended))

    data = {"train": count(rows["data"]["TRAIN"]), "test": count(rows["data"]["TEST"])}
    known = {"iterations": every("iterations"), "images": every("images_per_step")}
    return texts["trained"].format(processor=every("processor"), **known, **data)


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
    return _markdown([Table(texts["article caption"], texts["article"], lines, text_columns=2)])


def _markdown(blocks: Sequence[Block]) -> str:
    return blocks_as_markdown(blocks, FOLDER.name)


def picture_of(name: str, language: str) -> Path:
    """Where a study's picture is."""
    return FOLDER / f"{name}.svg" if language == "en" else FOLDER / f"{name}.{language}.svg"


def picture(name: str, language: str) -> str:
    """A study's picture as its report begins with it."""
    rows = read_rows(name)
    assert rows is not None, name
    return standalone(wide(asked_drawing(asked_in(rows), Words(language))))


def blocks() -> dict[str, Callable[[], str]]:
    """What fills the pages."""
    made: dict[str, Callable[[], str]] = {}
    for language, suffix, texts in (("en", "", ENGLISH), ("zh", "-zh", CHINESE)):
        report = "report.md" if language == "en" else f"report.{language}.md"
        made[f"series{suffix}"] = partial(sections, language, texts)
        made[f"series-summary{suffix}"] = partial(summary, language, texts)
        made[f"series-article{suffix}"] = partial(article, report, texts)
    return made


def pictures() -> dict[Path, Callable[[], str]]:
    """The pictures of the studies that have rows."""
    known = [(name, language) for name in ordered() if read_rows(name) for language in ("en", "zh")]
    return {picture_of(*each): partial(picture, *each) for each in known}
