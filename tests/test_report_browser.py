"""The report in a headless Chromium: quiet, whole, and as wide as its window."""

from pathlib import Path

import pytest
from chromium import Page, page
from report_runs import stand_in, write_article

from zoo.cli import main

_SIZES = "[innerWidth, document.documentElement.scrollWidth]"
_INK = "getComputedStyle(document.querySelector('svg')).color"
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


@pytest.mark.slow
def test_it_prints(tab: Page, folder: Path) -> None:
    tab.open(folder / "report.html", 1280)
    tab.pdf(folder / "report.pdf")
    assert (folder / "report.pdf").read_bytes().startswith(b"%PDF")
    assert tab.evaluate("matchMedia('print').matches") is False
    tab.call("Emulation.setEmulatedMedia", media="print")
    assert tab.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"
