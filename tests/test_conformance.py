"""docs/conformance.md is whole, current and within its bounds; test_layers.py measures each case again."""

from conformance import FIGURES, PAGE, PICTURE, comparisons, dumped, page, read
from recordings import CASES, OF_FORKS, UNEQUAL

from zoo.plots.charts import is_chart

ANEW = "run make conformance"


def test_every_recording_is_in_the_figures() -> None:
    assert sorted(read()["cases"]) == sorted(CASES + OF_FORKS), ANEW


def test_no_published_error_is_beyond_its_bound() -> None:
    assert [it for it in comparisons(read()) if (it.share > it.bound) != bool(it.excuse)] == []


def test_what_is_left_unequal_is_recorded() -> None:
    published = {(it.case, it.what) for it in comparisons(read())}
    assert UNEQUAL.keys() <= published


def test_the_page_is_of_the_figures() -> None:
    assert FIGURES.read_text(encoding="utf-8") == dumped(read())
    assert PAGE.read_text(encoding="utf-8") == page(read()), ANEW
    assert is_chart(PICTURE)
