"""Which photographs of a list were taken together: neighbours in name order, as far as results show it."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from eval.statistics import LEAST_BLOCKS, Floats

Booleans = np.ndarray[Any, np.dtype[np.bool_]]

_LENGTHS = 3  # a block in lengths of what it is to keep together; simulated: two leave intervals too narrow


def name_blocks(paths: Sequence[str], labels: Sequence[int], right: Booleans) -> list[list[int]]:
    """Blocks of rows that stand together by name, for resampling; ``right`` (S, N): every run's answers.

    A series is the photographs of one class whose names differ in the last number alone, in that
    number's order. It is cut into equal blocks of at most :func:`block_length` photographs. Blocks follow
    the names and not the list's order, which is often shuffled.
    """
    by_name = series(paths, labels)
    longest = max(1, min(block_length(right, labels, by_name), len(paths) // LEAST_BLOCKS))
    cut = [part for rows in by_name for part in np.array_split(rows, -(-len(rows) // longest))]
    return [part.tolist() for part in cut]


def series(paths: Sequence[str], labels: Sequence[int]) -> list[list[int]]:
    """Rows of photographs of one class and folder whose names differ in the last number alone, by number."""
    listed = enumerate(zip(paths, labels, strict=True))
    keyed = [(label, *_split(path), path, row) for row, (path, label) in listed]
    groups: dict[tuple[int, str], list[int]] = {}
    for label, stem, _, _, row in sorted(keyed):
        groups.setdefault((label, stem), []).append(row)
    return list(groups.values())


def _split(path: str) -> tuple[str, int]:
    """A path without the last number in its name, and that number; the folder and −1 where it has none."""
    place = PurePosixPath(path.replace("\\", "/"))
    match = re.search(r"(\d+)(?=\D*$)", place.stem)
    if match is None:
        return str(place.parent), -1
    return str(place.with_name(place.stem[: match.start()] + "#" + place.stem[match.end() :])), int(match[1])


def block_length(right: Booleans, labels: Sequence[int], by_name: Sequence[Sequence[int]]) -> int:
    """How many photographs a block must hold to keep together what is right or wrong together.

    How often each photograph was recognised, over all runs and less the mean of its class, is correlated
    with that of the photograph 1, 2, … places on in its series. The last lag before the first whose
    correlation is within two standard errors of 0 (2/√pairs) is how far neighbours hang together; a block
    is three times that, since one of length L holds only the share 1 − k/L of the pairs at lag k.
    """
    share = np.asarray(right, float).mean(0)
    classes = np.asarray(labels)
    for label in set(labels):
        share[classes == label] -= share[classes == label].mean()
    variance = float((share**2).mean())
    for lag in range(1, max(map(len, by_name)) + 1):
        products = np.concatenate([_products(share[list(rows)], lag) for rows in by_name])
        if not variance or not len(products) or products.mean() / variance < 2 / np.sqrt(len(products)):
            return _LENGTHS * (lag - 1) or 1
    raise AssertionError("the lag of the longest series has no pairs")


def _products(values: Floats, lag: int) -> Floats:
    return values[lag:] * values[:-lag]
