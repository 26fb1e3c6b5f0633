"""What a user decides of a run."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from prototxt.errors import InputError
from zoo.cli.choices import SOLVER, VARIANT

FILES = ("solver", "root", "net", "weights")  # the options that are paths


@dataclass(frozen=True)
class Options:
    """What the command line of ``zoo train`` decides about a run's outcome; None: as the files say."""

    variant: str = VARIANT
    solver: str = SOLVER
    root: str | None = None
    max_iter: int | None = None
    batch_size: int | None = None
    seed: int | None = None
    classes: int | None = None
    size: int | None = None
    weights: str | None = None
    skip_bad: bool | None = None
    net: str | None = None
    set: str | None = None
    label_size: int | None = None
    dialect: str | None = None


def check_begun(folder: Path, saved: Options, given: Mapping[str, object]) -> None:
    """Raise InputError where a run folder's run was begun with an option other than the one given. The
    length and what to do with broken images may change; what paths name is compared by itself.
    """
    for name, value in given.items():
        if name not in (*FILES, "max_iter", "skip_bad") and value != getattr(saved, name):
            option = f"--{name.replace('_', '-')}"
            raise InputError(f"{folder}: was begun with {option} {getattr(saved, name)}, not {value}")
