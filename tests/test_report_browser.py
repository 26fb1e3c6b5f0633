"""The report in a headless Chromium: quiet, whole, and as wide as its window."""

from pathlib import Path

import pytest
from chromium import Page, page
from report_runs import stand_in, write_article

from zoo.cli import main

_SIZES = "[innerWidth, document.documentElement.scrollWidth]"
_INK = "getComputedStyle(document.querySelector('svg')).color"
_FIGURE = "[...document.querySelectorAll('.forms svg')].filter(svg => svg.getBoundingClientRect().width)"
# Of the texts of the figure that shows: [the smallest in px, how many leave it, how many pairs overlap].
_TEXTS = f"""(() => {{
  const svg = {_FIGURE}[0], frame = svg.getBoundingClientRect(), scale = frame.width / svg.viewBox.baseVal.width;
  const texts = [...svg.querySelectorAll('text')].filter(text => text.textContent);
  const boxes = texts.map(text => text.getBoundingClientRect());
  const sizes = texts.map(text => scale * parseFloat(getComputedStyle(text).fontSize));
  const isOut = box => box.left < frame.left - 1 || box.right > frame.right + 1 || box.bottom > frame.bottom + 1;
  const meet = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 3 && b.top < a.bottom - 3;
  const pairs = boxes.flatMap((box, index) => boxes.slice(index + 1).filter(other => meet(box, other)));
  return [Math.min(...sizes), boxes.filter(isOut).length, pairs.length];
}})()"""
_LEFT = "document.querySelectorAll('main svg').length"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    write_article(folder)
    with pytest.MonkeyPatch.context() as patch:
        stand_in(patch)
        for language in ("en", "zh"):
            assert main(["report", str(folder), "--lang", language]) == 0
    return folder


@pytest.fixture(scope="module")
def tab(folder: Path) -> Page:  # type: ignore[misc]
    with page(folder / "profile") as found:
        yield found


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", ["report.html", "report.zh.html"])
def test_a_page_fits_and_is_quiet(tab: Page, folder: Path, name: str, width: int, scheme: str) -> None:
    tab.open(folder / name, width, scheme)
    inner, scrolled = tab.evaluate(_SIZES)
    assert inner == width and scrolled <= width
    assert tab.troubles == []
    assert all(address.startswith(("file:", "data:")) for address in tab.requests)
    assert tab.evaluate(_LEFT) >= 20 and tab.evaluate("[...document.images].every(i => i.naturalWidth > 0)")
    red, *_ = map(int, tab.evaluate(_INK).removeprefix("rgb(").split(",")[:1])
    assert (red > 128) == (scheme == "dark")  # charts in the page's ink
    assert tab.evaluate(f"{_FIGURE}.length") == 1
    smallest, outside, overlapping = tab.evaluate(_TEXTS)
    assert smallest >= 10.9 and outside == 0 and overlapping == 0


@pytest.mark.slow
def test_it_prints(tab: Page, folder: Path) -> None:
    tab.open(folder / "report.html", 1280)
    tab.pdf(folder / "report.pdf")
    assert (folder / "report.pdf").read_bytes().startswith(b"%PDF")
    assert tab.evaluate("matchMedia('print').matches") is False
    tab.call("Emulation.setEmulatedMedia", media="print")
    assert tab.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert tab.evaluate(f"{_FIGURE}.length") == 1
    closed = "[...document.querySelectorAll('.answers p')].filter(p => p.getBoundingClientRect().height == 0)"
    assert tab.evaluate(f"{closed}.length") == 0  # on paper nobody opens anything
