"""What a study asks: how its file says it, what the report answers, and the picture that it begins with."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from asked_cases import TEXTS, asked, entrant, write_asking
from report_runs import stand_in

from eval.statistics import Interval
from prototxt.errors import InputError
from zoo.cli import main
from zoo.plots.panels import narrow, wide
from zoo.report.read.gather import gather
from zoo.report.say.asked import Asked, against_of, asked_of, outcome
from zoo.report.say.asked_answer import asked_answer
from zoo.report.say.asked_picture import asked_drawing, asked_lead
from zoo.report.say.wording import Words
from zoo.report.write.document import Heading, Paragraph
from zoo.study.expand import expand
from zoo.study.file import read_study
from zoo.study.keys import Outcome
from zoo.study.question import Question

EN, ZH = Words("en"), Words("zh")
SKIP = ("skip", "plain")


@pytest.mark.parametrize(
    ("ends", "yes", "expected"),
    [
        ((0.01, 0.09), "higher", "yes"),
        ((-0.09, -0.01), "higher", "below"),
        ((-0.09, 0.01), "higher", "open"),
        ((-0.02, 0.02), "higher", "equal"),
        ((0.0, 0.09), "higher", "open"),  # 0 is not left out
        ((-0.09, -0.01), "lower", "yes"),
        ((0.01, 0.09), "lower", "above"),
        ((-0.03, 0.03), "equal", "yes"),
        ((0.01, 0.03), "equal", "yes"),  # told apart, and about equal all the same
        ((0.01, 0.09), "equal", "above"),
        ((-0.04, 0.03), "equal", "open"),
    ],
)
def test_an_interval_answers_as_the_question_is_put(
    ends: tuple[float, float], yes: Outcome, expected: str
) -> None:
    assert outcome(Interval(sum(ends) / 2, *ends, True), yes) == expected


def test_a_clear_win_is_a_yes_in_both_languages() -> None:
    found = asked_answer(asked({SKIP: (0.02, 0.1)}), EN)
    assert (found.question, found.standing) == ("Does it help?", "yes")
    assert found.verdict == "Yes. skip less plain: +6.0 points (95% interval +2.0 to +10.0)."
    assert found.sentences == (
        "skip 60.0%, plain 60.0%: a real difference of +6.0 points (95% interval +2.0 to +10.0).",
    )
    chinese = asked_answer(asked({SKIP: (0.02, 0.1)}), ZH)
    assert (chinese.question, chinese.standing) == ("有用吗？", "yes")
    assert chinese.verdict == "是。skip 减 plain：+6.0 个百分点（95% 区间 +2.0 到 +10.0）。"


def test_a_tie_cannot_be_told() -> None:
    found = asked_answer(asked({SKIP: (-0.03, 0.05)}), EN)
    assert found.verdict.startswith("It cannot be told from these runs. ") and found.standing == "open"
    assert asked_answer(asked({SKIP: (-0.03, 0.05)}), ZH).verdict.startswith("这些训练无法判断。")


def test_the_opposite_is_a_no_and_about_equal_leaves_room_for_a_little() -> None:
    found = asked_answer(asked({SKIP: (-0.1, -0.01)}), EN)
    assert found.verdict.startswith("No, lower. ") and found.standing == "no"
    found = asked_answer(asked({SKIP: (-0.01, 0.02)}), EN)
    assert found.verdict.startswith("At most a little: the whole interval lies within ±3 points. ")
    assert found.standing == "open"  # a gain of a point would be one
    found = asked_answer(asked({SKIP: (-0.01, 0.02)}, "equal"), EN)
    assert found.verdict.startswith("Yes. ") and found.standing == "yes"


def test_pairs_that_differ_are_told_one_by_one() -> None:
    deep, shallow = ("deep-skip", "deep"), ("shallow-skip", "shallow")
    found = asked_answer(asked({deep: (0.05, 0.15), shallow: (-0.04, 0.04)}), EN)
    assert found.standing == "open"
    assert found.verdict == (
        "Not the same for all: yes for deep-skip; not to be told for shallow-skip. "
        "The differences reach from 0.0 (shallow-skip) to +10.0 points (deep-skip)."
    )
    many = {(f"a{place}", "b"): (0.05, 0.15) for place in range(5)} | {("c", "b"): (-0.15, -0.05)}
    found = asked_answer(asked(many), EN)
    assert "yes for 5 of 6; no, lower, for c." in found.verdict and found.standing == "open"
    chinese = asked_answer(asked(many), ZH)
    assert "6 个中的 5 个：是；c：不是，更低。" in chinese.verdict


@pytest.mark.parametrize("words", [EN, ZH])
@pytest.mark.parametrize("yes", ["higher", "lower", "equal"])
def test_single_runs_say_what_was_seen_and_claim_nothing(words: Words, yes: Outcome) -> None:
    found = asked_answer(asked({SKIP: (0.05, 0.15)}, yes, runs=1), words)
    seen = words("seen.higher", group="skip", baseline="plain", points="10.0")
    assert found.verdict.startswith(words("seen.alone", what=seen)) and found.standing == "open"
    assert words("asked.yes") not in found.verdict


def test_too_few_photographs_claim_nothing() -> None:
    found = asked_answer(asked({SKIP: (0.05, 0.15)}, too_few=True), EN)
    assert found.verdict.startswith("It cannot be told: fewer than 20 photographs are too few.")
    assert found.standing == "open"


@pytest.mark.parametrize("words", [EN, ZH])
def test_runs_that_failed_are_named_and_leave_the_answer_open(words: Words) -> None:
    whole = asked({SKIP: (0.02, 0.1)}, planned=5)
    found = asked_answer(whole, words)
    assert found.standing == "yes"
    assert words("asked.lost", group="skip", lost=2, planned=5) in found.sentences
    found = asked_answer(asked({SKIP: (0.02, 0.1)}, missing=["wide"]), words)
    assert found.standing == "open" and words("asked.missing", groups="wide") in found.verdict
    nothing = Asked(
        Question(**TEXTS, yes="higher", against={"a": "b"}), (entrant("a", 0.5, 0.6),), (), ("b",)
    )
    found = asked_answer(nothing, words)
    assert found.standing == "open" and found.verdict.startswith(words("asked.nothing"))


@pytest.mark.parametrize("words", [EN, ZH])
def test_a_question_of_whose_runs_none_ended_is_answered_without_a_picture(words: Words) -> None:
    nothing = Asked(Question(**TEXTS, yes="higher", against={"a": "b"}), (), (), ("a", "b"))
    heading, said = asked_lead((nothing,), words)
    assert isinstance(heading, Heading) and isinstance(said, Paragraph)
    assert words("asked.nothing") in said.text and words("asked.missing", groups="a, b") in said.text.replace(
        "、", ", "
    ).replace(" and ", ", ")


def test_nets_that_have_learned_nothing_are_no_equals() -> None:
    pair = asked({SKIP: (-0.01, 0.01)}, "equal")  # their intervals begin at 0.55
    idle = Asked(pair.question, pair.entrants, pair.pairs, (), chance=0.53)
    found = asked_answer(idle, EN)
    assert found.standing == "open" and found.verdict.startswith("It cannot be told from these runs.")
    assert "Not shown to be more than 3 points above a guess (53.0%): skip, plain." in found.verdict
    found = asked_answer(Asked(pair.question, pair.entrants, pair.pairs, (), 0.5), EN)
    assert found.standing == "yes" and "guess" not in found.verdict


def test_which_is_best_says_between_whom_it_cannot_be_told() -> None:
    best = {("step", "poly"): (-0.2, -0.1), ("exp", "poly"): (-0.1, 0.02)}
    found = asked_answer(asked(best, yes=None), EN)
    assert found.standing == "open"
    assert found.verdict == "By accuracy: it cannot be told between poly, exp (highest: poly, 60.0%)."
    clear = asked_answer(asked({("step", "poly"): (-0.2, -0.1)}, yes=None), EN)
    assert clear.standing == "yes"
    assert clear.verdict == "By accuracy: poly (60.0%), shown to be more accurate than every other."
    entrants = {name: entrant(name, top1) for name, top1 in (("a", 0.5), ("b", 0.7), ("c", 0.6))}
    assert against_of(Question("?"), entrants) == {"a": "b", "c": "b"}


@pytest.mark.parametrize("words", [EN, ZH])
def test_the_picture_has_every_figure_and_names_who_stands_against_whom(words: Words) -> None:
    deep, shallow = ("deep-skip", "deep"), ("shallow-skip", "shallow")
    figure = asked_drawing(asked({deep: (0.05, 0.15), shallow: (-0.09, 0.04)}), "asked-1", words)
    assert figure.names == ("deep-skip − deep", "deep", "shallow-skip − shallow", "shallow")
    assert figure.starred == (True, False, False, False)
    assert [cell.is_best for cell in figure.panels[1].cells] == [True, False, False, False]
    for svg in (wide(figure), narrow(figure)):
        ElementTree.fromstring(svg)
        assert "asked-1-" in svg and "which-" not in svg
        numbers = re.findall(r"<tspan[^>]*>([^<]*)</tspan>", svg)
        assert numbers == ["60.0"] * 4 + ["+10.0", "–", "−2.5", "–"]
        assert words("asked.star_higher") in svg and ">0</text>" in svg
    single = asked_drawing(asked({SKIP: (0.05, 0.15)}, runs=1), "asked-1", words)
    assert not any(single.starred) and single.names == ("skip", "plain")
    assert words("asked.less", baseline="plain") == single.panels[1].title


ASKS = TEXTS | {"yes": "lower", "against": {"dropout0.9": "baseline"}}


@pytest.mark.parametrize(("language", "words"), [("en", EN), ("zh", ZH)])
def test_the_report_begins_with_the_answer(
    language: str, words: Words, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch)
    write_asking(
        tmp_path,
        [ASKS, {"en": "Which is best?"}],
        failed=["bn-seed0", "bn-seed1", "bn-seed2", "dropout0.9-seed1"],
    )
    output = tmp_path / "page.html"
    assert main(["report", str(tmp_path), "--lang", language, "--no-images", "--output", str(output)]) == 0
    page = output.read_text(encoding="utf-8")
    marks = (
        "<h1>" + {"en": "t", "zh": "题"}[language],
        f"<h3>{TEXTS[language]}",
        '<figure class="forms">',
        f'"verdict">{words("asked.yes")}',
    )
    places = [page.index(mark) for mark in (*marks, '<div class="answers">', '<section id="which">')]
    assert places == sorted(places)
    names = re.findall(r' id="([^"]*)"', page)
    assert len(names) == len(set(names)) and page.count('<figure class="forms">') == 3
    assert words("asked.lost", group="dropout0.9", lost=1, planned=3) in page
    assert words("any.question", baseline="baseline") not in page
    text = output.with_suffix(".md").read_text(encoding="utf-8")
    assert (
        text.index("page-figures/asked-1.svg")
        < text.index("page-figures/asked-2.svg")
        < text.index("page-figures/which.svg")
    )


def test_what_the_study_asks_comes_from_the_runs_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch)
    against = {"dropout0.9": "baseline", "fc": "bn"}
    write_asking(tmp_path, [ASKS | {"against": against}, {"en": "Which is best?"}])
    results, study = gather(tmp_path, None, EN)
    found, best = asked_of(results, study)
    assert [each.name for each in found.entrants] == ["baseline", "dropout0.9", "bn"]
    assert found.missing == ("fc",)
    (pair,) = found.pairs
    groups = {group.label: group for group in results.groups}
    assert pair.difference == results.difference(groups["dropout0.9"], groups["baseline"])
    assert found.entrants[1].runs == tuple(results.top1(groups["dropout0.9"]))
    assert {each.name for each in best.entrants} == {"baseline", "dropout0.9", "bn"}
    means = {each.name: each.accuracy.mean for each in best.entrants}
    assert {pair.other.label for pair in best.pairs} == {max(means, key=lambda name: means[name])}


def test_without_a_question_there_is_nothing_to_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch)
    write_asking(tmp_path, [], seeds=1)
    results, study = gather(tmp_path, None, EN)
    assert study and "questions" in study and asked_of(results, study) == ()
    del study["questions"]  # as an earlier version wrote it
    assert asked_of(results, study) == () == asked_of(results, None)


def test_a_study_json_with_no_proper_question_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(monkeypatch)
    for question, says in (
        (["?"], "questions: is no list of tables"),
        ("?", "questions: is no list of tables"),
        ([{"en": "?", "yes": "higher"}], "against and yes say together"),
        (
            [{"en": "?", "yes": "up", "against": {"a": "b"}}],
            "yes takes one of higher, lower, equal, not 'up'",
        ),
    ):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        write_asking(folder, question, seeds=1)
        assert main(["report", str(folder), "--no-images"]) == 2
        assert says in capsys.readouterr().err.splitlines()[-1]


HEAD = 'title = "t"\n'
BLOCK = '[[runs]]\nvariants = ["baseline", "bn"]\n'


def test_a_study_file_says_what_it_asks(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(
        f'{HEAD}title_zh = "题"\n[[questions]]\nzh = "更高吗？"\nyes = "higher"\n[questions.against]\nbn = "baseline"\n{BLOCK}'
    )
    study = read_study(path)
    assert study.questions == (Question("", "更高吗？", "higher", {"bn": "baseline"}),)
    assert study.title_zh == "题"
    assert study.questions[0].text("en") == "更高吗？" and len(expand(study, "own.toml")) == 2


@pytest.mark.parametrize(
    ("question", "says"),
    [
        ("questions = ['?']\n", "own.toml: questions takes blocks [[questions]], not ['?']"),
        ("[[questions]]\n", "own.toml: questions[1]: en or zh is required and not given"),
        ("[[questions]]\nEN = 'x'\n", 'own.toml: questions[1]: no key "EN"; did you mean "en"?'),
        ("[[questions]]\nen = 'x'\nyes = 'higher'\n", "questions[1]: against and yes say together"),
        ("[[questions]]\nen = 'x'\nagainst = {bn = 'baseline'}\n", "questions[1]: against and yes say together"),
        ("[[questions]]\nen = 'x'\nyes = 'more'\n", "questions[1]: yes takes one of higher, lower, equal, not 'more'"),
        ("[[questions]]\nen = 'x'\nyes = 'lower'\nagainst = {bn = 'bn'}\n", "against takes for names of runs the"),
        ("[[questions]]\nen = 'x'\nyes = 'lower'\nagainst = {bnn = 'baseline'}\n",
         'own.toml: questions[1]: against: no run "bnn"; did you mean "bn"? (known: baseline, bn)'),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_question_is_one_line(question: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(HEAD + question + BLOCK)
    with pytest.raises(InputError) as error:
        expand(read_study(path), "own.toml")
    assert says in str(error.value)
