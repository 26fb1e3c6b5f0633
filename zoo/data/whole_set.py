"""A drawn data set in a folder of its own: whole or not at all, and known again by its manifest."""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from prototxt.errors import InputError
from zoo.catalogue import DEMO_MANIFEST as MANIFEST

Manifest = Mapping[str, object]


def make_whole(folder: Path, wanted: Manifest, write: Callable[[Path], None]) -> bool:
    """Have ``write`` fill a folder that then takes the place of ``folder``; False where that holds the very
    set of the manifest ``wanted`` already. Raises InputError where it holds anything else.
    """
    folder = folder.absolute()
    if _is_there(folder, wanted):
        return False
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as home:
        whole = Path(home, folder.name)
        whole.mkdir()
        write(whole)
        write_lines(whole / MANIFEST, [json.dumps(wanted)])
        _take_place(whole, folder)
    return True


def _take_place(whole: Path, folder: Path) -> None:
    if folder.exists():
        folder.rmdir()  # found empty; elsewhere than on POSIX a rename does not replace even that
    whole.rename(folder)


def _is_there(folder: Path, wanted: Manifest) -> bool:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    manifest = _manifest(folder)
    if manifest is None:
        raise InputError(f"{folder} holds something other than demo data; name another folder or empty it")
    if manifest != wanted:
        others, ours = _named(manifest), _named(wanted)
        raise InputError(f"{folder} holds other demo data ({others}); wanted {ours}")
    return True


def _manifest(folder: Path) -> Manifest | None:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) else None


def _named(manifest: Manifest) -> str:
    return ", ".join(f"{key} {value}" for key, value in manifest.items())


def write_lines(file: Path, lines: Sequence[str]) -> None:
    """A text of these lines."""
    file.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
