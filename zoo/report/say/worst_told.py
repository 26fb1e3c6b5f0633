"""The photographs whose numbers the best net tells worst."""

import numpy as np

from zoo.report.measure.pictures import judged_pixels
from zoo.report.read.figures import Figures, of_sums
from zoo.report.say.figures_section import best_of
from zoo.report.say.gallery import SIDE, jpeg
from zoo.report.say.scatter_section import one_axis
from zoo.report.say.wording import Words
from zoo.report.write.document import Picture, Pictures, Section

_SHOWN = 8


def worst_told(figures: Figures, words: Words) -> Section | None:
    """Those that the best group's first run is furthest off of, with what it tells; None of nets that tell no
    numbers.
    """
    best, main = best_of(figures), figures.task.main
    summed = figures.summed[best.first.path]
    if not summed.told.size:
        return None
    rows = np.argsort(-of_sums(main)(summed.sums)[:, 0], kind="stable")[:_SHOWN].tolist()
    told, true = (one_axis(figures, each) for each in (summed.told, summed.true))
    pictures = [
        Picture(
            f"worst-told-{place}",
            "jpeg",
            jpeg(image),
            words("worst_told.picture", told=_joined(told[row]), true=_joined(true[row])),
        )
        for place, (row, image) in enumerate(zip(rows, judged_pixels(best.first.model, rows), strict=True), 1)
    ]
    caption = words.judged("worst_told.caption", group=best.label)
    return Section("worst", words.judged("worst_told.title"), (Pictures(caption, tuple(pictures), SIDE),))


def _joined(numbers: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> str:
    return ", ".join(f"{number:.4g}" for number in numbers).replace("-", "−")
