"""The notes under the tables of ``zoo bench``, made from its rows alone."""

from collections.abc import Iterable, Sequence

import numpy as np

from eval.cost import CONVENTION
from eval.speed.rounds import NOISY
from zoo.bench.grid import distinct, other_lists
from zoo.bench.row import Row, by_key, main_of
from zoo.tasks.classes import Classes


def notes(rows: Sequence[Row]) -> list[str]:
    """The notes: the environment, the images, which latencies are shared, and how MACs are counted."""
    return [*environment(rows), *_images_note(rows), *_shared_note(rows), CONVENTION, *_unknown_macs(rows)]


def environment(rows: Sequence[Row]) -> list[str]:
    """One line for each processor: what the rows were measured on, and how."""
    lines = []
    for row in distinct(rows, "processor", "threads"):
        own = [other for other in rows if other["processor"] == row["processor"]]
        calls = _span(other["runs"] for other in own)
        rounds = max(other["rounds"] for other in own)
        lines.append(
            f"{row['processor']}, {row['threads']} threads; by turns in {rounds} rounds, {calls} calls "
            f"a batch size; {versions_of(row)}"
        )
    return lines


def versions_of(row: Row) -> str:
    """The versions that matter for a latency."""
    names = ("python", "onnxruntime-gpu", "onnxruntime", "torch", "opencv-python-headless")
    versions = ((name, by_key(row).get(f"version_{name}")) for name in names)
    return ", ".join(f"{name} {number}" for name, number in versions if number is not None)


def _images_note(rows: Sequence[Row]) -> list[str]:
    if not any(row["images"] for row in rows):
        return []
    kind = " (SYNTHETIC demo images)" if any(row["synthetic"] for row in rows) else ""
    images = _span(row["images"] for row in rows if row["images"])
    whole = ", ".join(other_lists(rows)) or "the whole validation list"
    what = "accuracy" if all(main_of(row) is Classes.quantities[0] for row in rows) else "figures"
    return [f"{what} over {whole}, in onnxruntime on the CPU: {images} images{kind}"]


def _shared_note(rows: Sequence[Row]) -> list[str]:
    groups: dict[str, set[str]] = {}
    for row in rows:
        groups.setdefault(row["latency_of"], set()).add(row["run"] or row["name"])
    if all(len(group) == 1 for group in groups.values()):
        return []
    what, each = ("runs", "run") if any(row["run"] for row in rows) else ("weight files", "file")
    return [f"{what} of one net (×n) share its latency, measured once; accuracy is each {each}'s own"]


def _unknown_macs(rows: Sequence[Row]) -> list[str]:
    unknown = [row for row in distinct(rows, "name") if row["macs_unknown"]]
    return [f"{row['name']}: MACs unknown for {', '.join(row['macs_unknown'])}" for row in unknown]


def noise_warning(rows: Sequence[Row]) -> str | None:
    """A line where the machine was too noisy for small differences; None where it was not."""
    spread = float(np.median([row["latency_spread"] for row in rows]))
    floor = max(row["latency_floor"] for row in rows)
    if max(spread, floor) <= NOISY:
        return None
    return (
        f"WARNING: this machine was noisy: round medians spread over {spread:.0%}, and one "
        f"net in two processes differed by up to {floor:.0%}; above {NOISY:.0%} small differences mean "
        "nothing. Measure again with nothing else running"
    )


def _span(numbers: Iterable[int]) -> str:
    least, *more = sorted(set(numbers))
    return f"{least}–{more[-1]}" if more else f"{least}"
