"""The nets and solvers that come with the package."""

from importlib.resources import files
from pathlib import Path

from prototxt.errors import InputError

ARTICLE = "allconv6"
DEMO_MANIFEST = "demo.json"  # in the folder of a demo data set
CLASSES = 20  # of the article's data and of the demo set


def _folder() -> Path:
    return Path(str(files("prototxt.nets")))


def nets() -> list[str]:
    """Names of the shipped nets."""
    return sorted(path.stem for path in _folder().glob("*.prototxt") if not path.stem.endswith("_solver"))


def solvers() -> list[str]:
    """Names of the shipped solvers."""
    return sorted(path.stem for path in _folder().glob("*_solver.prototxt"))


def find(name: str) -> tuple[Path, bool]:
    """(path, whether it is a shipped file) of a prototxt given as a path or a shipped file's name.

    A file of that path comes first; a shipped one may be named with or without ``.prototxt``. Raises
    InputError where neither is there.
    """
    path = Path(name)
    if path.exists():
        return path, False
    shipped = _folder() / f"{name.removesuffix('.prototxt')}.prototxt"
    if path.name == name and shipped.is_file():
        return shipped, True
    listed = ", ".join([*nets(), *solvers()])
    raise InputError(f"{name}: no such file, and no shipped prototxt of that name ({listed})")
