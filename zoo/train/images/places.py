"""Where the pictures of a list lie, and what is kept of them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from converters.data.images.lists import Entry
from converters.host.places import place_of_list, refuse_escapes
from prototxt.caffe_pb2 import ImageDataParameter
from prototxt.rawbytes import bytes_of, from_message
from zoo.runs.sums import Sums, short


@dataclass(frozen=True)
class Base:
    """What a list's paths are put behind: a ``place``, and root_folder as a text (ReadImageToCVMat's caller
    in image_data_layer.cpp), so that it may be the beginning of a name.
    """

    place: Path
    root: str

    def path(self, name: str) -> Path:
        """Where a picture lies."""
        return self.place / (self.root + name)

    @property
    def folder(self) -> Path:
        """The folder that all pictures lie below."""
        return self.place / self.root[: self.root.rfind("/") + 1]


def image_base(
    param: ImageDataParameter, list_path: Path, entries: Sequence[Entry], places: Sequence[Path]
) -> Base:
    """Where a list's pictures lie: behind root_folder in the place where the list was found. A root_folder
    without a slash behind it is a folder, too, unless a picture's name begins with it.
    """
    refuse_escapes("root_folder", param.root_folder)
    root = from_message(param.root_folder)
    for text in dict.fromkeys([root, root and f"{root.rstrip('/')}/"]):
        names = [text + entry.path for entry in entries]
        base = Base(place_of_list(list_path, param.source, names, places, root), text)
        if any((base.place / name).is_file() for name in names):
            break
    return base


def cache_folder() -> Path:
    """Where decoded images and the demo data lie: $ZOO_CACHE, else zoo/ in the user's cache folder."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zoo"
    return Path(os.environ.get("ZOO_CACHE") or default)


def sums_of(list_path: Path, base: Path) -> Sums:
    """The sums of a list's pictures, as the cache keeps them."""
    name = short(bytes_of(f"{list_path.resolve()}\0{base.resolve()}"))
    return Sums(cache_folder() / "sums" / f"{name}.json")
