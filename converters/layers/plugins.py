"""Layer types of your own: of a file that the user names, or of an installed package's entry point.

Both run their code, so a file is loaded only where the user names it: never for what a prototxt, a run
folder or another file says.
"""

import hashlib
import os
import sys
import traceback
from collections.abc import Iterable
from importlib.machinery import SourceFileLoader
from importlib.metadata import entry_points
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

from converters.layers.registry import layer_types
from prototxt.errors import InputError

GROUP = "caffe_zoo.layers"  # of entry points
VARIABLE = (
    "ZOO_PLUGINS"  # files, for the processes that a command starts; the command line's --plugin sets it
)
_SUMS: dict[Path, str] = {}


def load_plugin(path: Path | str) -> None:
    """Run a Python file for the layer types that it registers with ``@layer``; once a process.

    Raises InputError, with the file's line, for one that cannot be run, that registers a type which is there
    already, or that registers none.
    """
    file = Path(path).resolve()
    if file in _SUMS:
        return
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: no plugin: {error.strerror}") from None
    before = layer_types()
    _run(file, str(path))
    if layer_types() == before:
        raise InputError(f"{path}: no plugin: it registers no layer type (@layer)")
    _SUMS[file] = hashlib.sha256(content).hexdigest()


def _run(file: Path, name: str) -> None:
    module = _module(file)
    sys.modules[module.__name__] = module  # by which its classes are pickled
    try:
        exec(compile(file.read_bytes(), str(file), "exec"), vars(module))
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        raise InputError(f"{name}{_line_in(file, error)}: {type(error).__name__}: {error}") from error


def _module(file: Path) -> ModuleType:
    spec = spec_from_loader(f"plugin_{file.stem}", SourceFileLoader(f"plugin_{file.stem}", str(file)))
    assert spec is not None
    return module_from_spec(spec)


def _line_in(file: Path, error: BaseException) -> str:
    """The line of the file that failed, the last of those that led to it."""
    if isinstance(error, SyntaxError):
        return f":{error.lineno}"
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)
    ]
    return f":{lines[-1]}" if lines else ""


def load_named() -> None:
    """Load what installed packages register, and the files that the command which started this process was
    given. Raises InputError as :func:`load_plugin`, with the package's name.
    """
    for entry in entry_points(group=GROUP):
        try:
            entry.load()
        except Exception as error:
            package = entry.dist.name if entry.dist else entry.name
            raise InputError(
                f"the package {package} gives layers of its own, which cannot be loaded: "
                f"{entry.value}: {type(error).__name__}: {error}"
            ) from error
    for path in filter(None, os.environ.get(VARIABLE, "").split(os.pathsep)):
        load_plugin(path)


def for_children(paths: Iterable[str]) -> None:
    """Have the processes that this one starts load the files, too."""
    os.environ[VARIABLE] = os.pathsep.join(str(Path(path).resolve()) for path in paths)


def plugin_sums() -> dict[str, str]:
    """The name and SHA-256 of each file that was loaded."""
    return {path.name: total for path, total in _SUMS.items()}
