"""The nets, solvers and studies that come with the package."""

from importlib.resources import files
from pathlib import Path

from prototxt.errors import InputError, nearest, nearest_file
from zoo.cli.choices import ARTICLE, SOLVER

__all__ = ["ARTICLE", "SOLVER"]

DEMO_MANIFEST = "demo.json"  # in the folder of a demo data set
CLASSES = 20  # of the article's data and of the demo set


def _folder() -> Path:
    return Path(str(files("prototxt.nets")))


def _study_folder() -> Path:
    return Path(str(files("zoo"))) / "studies"


def studies() -> list[str]:
    """Names of the shipped studies."""
    return sorted(path.stem for path in _study_folder().glob("*.toml"))


def find_study(name: str) -> Path:
    """A study file's path, given that or a shipped study's name. Raises InputError where neither is there."""
    shipped = _study_folder() / f"{name}.toml"
    path = shipped if name in studies() else Path(name)
    if path.is_dir():
        raise InputError(f"{name}: is a folder, not a study file")
    if not path.is_file():
        hint = nearest(name, studies())
        listed = ", ".join(studies())
        raise InputError(f"{name}: no such file, and no shipped study of that name ({listed}){hint}")
    return path


def nets() -> list[str]:
    """Names of the shipped nets."""
    return sorted(path.stem for path in _folder().glob("*.prototxt") if not path.stem.endswith("_solver"))


def article_nets() -> list[str]:
    """Names of the article's net and those of other depths."""
    return [name for name in nets() if name.startswith(ARTICLE.rstrip("0123456789"))]


def solvers() -> list[str]:
    """Names of the shipped solvers."""
    return sorted(path.stem for path in _folder().glob("*_solver.prototxt"))


def find_prototxt(name: str, here: Path = Path()) -> tuple[Path, bool]:
    """(path, whether it is a shipped file) of a prototxt given as a path or a shipped file's name.

    A file of that path, counted from ``here``, comes first; a shipped one may be named with or without
    ``.prototxt``. Raises InputError where neither is there.
    """
    path, stem = here / name, name.removesuffix(".prototxt")
    if _is_there(path):
        return path, False
    shipped = [*nets(), *solvers()]
    if stem in shipped:
        return _folder() / f"{stem}.prototxt", True
    if Path(name).parent != Path():  # a path, and no shipped name
        raise InputError(f"{name}: no such file{nearest_file(path)}")
    hint, listed = nearest_file(path) or nearest(name, shipped), ", ".join(shipped)
    raise InputError(f"{name}: no such file, and no shipped prototxt of that name ({listed}){hint}")


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # of a folder that is closed, say: whoever reads the file says what it is
        return True
