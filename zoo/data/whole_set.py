"""A drawn data set in a folder of its own: whole or not at all, and known again by its manifest."""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from converters.host.machine import cores
from prototxt.errors import InputError
from zoo.catalogue import DEMO_MANIFEST as MANIFEST

Manifest = Mapping[str, object]
Progress = Callable[[int], None]  # pictures, or pairs, written so far
SPLITS = ("train", "val")


@dataclass(frozen=True)
class Drawn:
    """What a line of a list names: uint8 pictures by their places in the set's folder, and the line."""

    pictures: Mapping[str, NDArray[np.uint8]]
    line: str


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


def generator(seed: int, split: str, *numbers: int) -> np.random.Generator:
    """What draws a picture: a pure function of the keys."""
    key = np.random.SeedSequence([seed, SPLITS.index(split), *numbers])
    return np.random.Generator(np.random.Philox(key))


def write_drawn(
    folder: Path,
    draw: Callable[[str, int], Drawn],
    counts: Sequence[int],
    lists: Sequence[str],
    progress: Progress | None,
) -> None:
    """Write what ``draw`` makes of each split and number below its count, as PNG files, and a list a split.
    ``progress`` is called after each.
    """
    keys = [(split, number) for split, count in zip(SPLITS, counts, strict=True) for number in range(count)]
    lines: dict[str, list[str]] = {split: [] for split in SPLITS}
    with ThreadPoolExecutor(cores()) as pool:
        every = pool.map(lambda key: draw(*key), keys)
        for done, ((split, _), drawn) in enumerate(zip(keys, every, strict=True), 1):
            for place, pixels in drawn.pictures.items():
                write_picture(folder / place, pixels)
            lines[split].append(drawn.line)
            if progress is not None:
                progress(done)
    for split, name in zip(SPLITS, lists, strict=True):
        write_lines(folder / name, lines[split])


def write_picture(path: Path, pixels: NDArray[np.uint8], options: Sequence[int] = ()) -> None:
    """A grey or BGR picture in the format of the file's ending; ``options`` are cv2.imencode's."""
    is_encoded, data = cv2.imencode(path.suffix, pixels, options)
    assert is_encoded
    path.write_bytes(data.tobytes())


def write_lines(file: Path, lines: Sequence[str]) -> None:
    """A text of these lines."""
    file.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
