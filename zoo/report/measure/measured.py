"""What a report needs to know of a finished run, photograph by photograph; kept in the run's folder."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from converters.host.files import write_text
from eval.accuracy import Answers, accuracy, judge, run_scores
from eval.robustness import CONDITIONS, PLAIN, Condition, evenly
from eval.runtime import open_session
from zoo.bench.models import Model
from zoo.report.measure.conditions import Scorer, digits, robustness
from zoo.report.measure.images import folder_of, open_list, pixels_of, served, slices
from zoo.terminal.progress import counting
from zoo.train.images.dataset import ImageSet

FORMAT = 2  # raised whenever a measurement changes, so that an older file is not taken for today's
# Of longer lists so many photographs, evenly spaced; a share of 400 has a standard error of 2.5 points or
# less, one of 1,500 of 1.3, and runs compared on the same photographs differ more surely than that.
ROBUSTNESS_IMAGES, TRAINING_IMAGES = 400, 1500


@dataclass(frozen=True)
class Measured:
    """A run's answers on its validation list, in the list's order, and its accuracy on the training list.

    Both lists are served as the TEST net's data layer serves them: centre crop, no mirror. ``confidence``
    is the probability of the class named, ``probability`` that of the true one. Of a long training list
    ``train_images`` evenly spaced photographs are taken. ``robustness`` has, by the key of each condition
    and "plain", one character for each validation photograph of ``rows``: "1" where the answer was right.
    A condition that the net cannot take is not there.
    """

    labels: list[int]
    paths: list[str]
    predictions: list[int]
    in_top5: list[bool]
    confidence: list[float]
    probability: list[float]
    train_top1: float
    train_images: int
    rows: list[int]
    robustness: dict[str, str]

    @property
    def right(self) -> list[bool]:
        """Was the answer right, for each validation photograph."""
        return [named == label for named, label in zip(self.predictions, self.labels, strict=True)]


def measure_run(model: Model, conditions: Sequence[Condition] = CONDITIONS) -> Measured:
    """Measure a finished run, or read what was measured before where model, lists, pixels and conditions are
    the same.

    Raises InputError for a run on data other than lists of images, for photographs that cannot be read,
    and for a model whose scores are not finite.
    """
    path = folder_of(model).path / "measured.json"
    validation, training = open_list(model, "TEST"), open_list(model, "TRAIN")
    key = _key(model, validation, training, conditions)
    measured = _read_saved(path, key)
    if measured is None:
        measured = _measure(model, validation, training, conditions)
        write_text(path, json.dumps({"key": key, "measured": asdict(measured)}) + "\n")
    return measured


def _key(
    model: Model, validation: ImageSet, training: ImageSet, conditions: Sequence[Condition]
) -> dict[str, Any]:
    sets = {"validation": validation, "training": training}
    data = {name: [str(images.list_path), images.content] for name, images in sets.items()}
    digest = hashlib.sha256(model.path.read_bytes()).hexdigest()
    return {"format": FORMAT, "model": digest, "conditions": [c.key for c in conditions], **data}


def _read_saved(path: Path, key: dict[str, Any]) -> Measured | None:
    """What was measured before; None where there is nothing, or something else, or the file is broken."""
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        return Measured(**saved["measured"]) if saved["key"] == key else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _measure(
    model: Model, validation: ImageSet, training: ImageSet, conditions: Sequence[Condition]
) -> Measured:
    session = open_session(model.path)

    def score(data: Tensor) -> Tensor:
        return run_scores(session, data)

    answers = _answers(score, validation, f"measuring {model.name}")
    rows = evenly(len(validation.labels), ROBUSTNESS_IMAGES)
    plain = [answers.predictions[row] == validation.labels[row] for row in rows]
    seen = evenly(len(training.labels), TRAINING_IMAGES)
    trained = accuracy(session, _batches(training, seen, f"measuring {model.name} on its training list"))
    return Measured(
        labels=validation.labels.tolist(),
        paths=list(validation.paths),
        **asdict(answers),
        train_top1=trained.top1,
        train_images=trained.images,
        rows=rows,
        robustness={PLAIN: digits(plain)} | robustness(model, score, validation, rows, conditions),
    )


def _answers(score: Scorer, images: ImageSet, what: str) -> Answers:
    batches = _batches(images, range(len(images.labels)), what)
    return reduce(add, (judge(score(data), labels) for data, labels in batches))


def _batches(images: ImageSet, rows: Sequence[int], what: str) -> Iterator[tuple[Tensor, Tensor]]:
    """These rows of a list in order: the net's input and whole labels."""
    done = 0
    with counting(what) as advance:
        for batch in slices(rows):
            yield served(images, pixels_of(images, batch)), torch.from_numpy(images.labels[batch])
            done += len(batch)
            advance(done, len(rows))
