"""The pages: links lead somewhere, both languages say the same commands, and what they count is what there is."""

import re
from pathlib import Path

import pytest
from docs_pages import (
    CHINESE,
    PAGES,
    ROOT,
    anchors,
    commands,
    links,
    name_of,
    of_both_languages,
    python_blocks,
    text_of,
)
from golden_cases import GOLDEN

README_LINES = 155


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(text_of(page)):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(text_of(target)), link


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_a_readme_is_short_and_leads_to_every_page(name: str) -> None:
    text = text_of(ROOT / name)
    assert len(text.splitlines()) <= README_LINES
    named = {(ROOT / link.partition("#")[0]).resolve() for link in links(text)}
    is_chinese = name.endswith(CHINESE)
    both = of_both_languages()
    for page in PAGES:
        if page.parent == ROOT / "docs" and page.name.endswith(CHINESE) == (is_chinese and page in both):
            assert page in named, page.name


@pytest.mark.parametrize("page", of_both_languages(), ids=name_of)
def test_both_languages_have_the_same_commands(page: Path) -> None:
    english, chinese = text_of(page), text_of(page.with_suffix(CHINESE))
    assert [line.removesuffix(" --lang zh") for line in commands(english)] == [
        line.removesuffix(" --lang zh") for line in commands(chinese)
    ]
    assert [_code(block) for block in python_blocks(english)] == [
        _code(block) for block in python_blocks(chinese)
    ]
    assert f"]({page.with_suffix(CHINESE).name})" in english and f"]({page.name})" in chinese


def _code(block: str) -> list[str]:
    return [line.partition("  # ")[0] for line in block.splitlines()]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_an_option_that_is_named_is_there(page: Path) -> None:
    known = re.findall(r" (--[\w-]+)", (ROOT / "tests" / "data" / "command_line.txt").read_text())
    spans = re.findall(r"`([^`\n]+)`", text_of(page))
    named = {option for span in spans for option in re.findall(r"(?<![\w-])--[a-z][\w-]+", span)}
    assert named <= set(known), page.name


@pytest.mark.parametrize("name", ["proof.md", "proof.zh-CN.md"])
def test_the_proofs_counts_are_those_of_the_recordings(name: str) -> None:
    layers, forks = (
        sorted(path.stem for path in (GOLDEN / room).glob("*.npz")) for room in ("layers", "forks")
    )
    nets = [case for case in layers + forks if case.startswith("net_") or case == "convolution3d_net"]
    rooms = (("solver", "*/"), ("data", "*.npz"), ("series/data", "*.npz"))
    solver, *data = (len(list((GOLDEN / room).glob(what))) for room, what in rooms)
    counted = [len(set(layers) - set(nets)), len(set(forks) - set(nets)), len(nets), solver, sum(data)]
    cells = [
        line.split("|")[2].strip() for line in text_of(ROOT / "docs" / name).splitlines() if line[:2] == "| "
    ]
    assert cells[1 : 1 + len(counted)] == [str(count) for count in counted]
