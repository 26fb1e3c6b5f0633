"""Where the images of a list lie, and what is kept of them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from converters.data.forks.label_lists import entries_of
from converters.data.images.lists import Entry
from converters.host.places import Base, base_of_list
from prototxt.caffe_pb2 import ImageDataParameter, LayerParameter
from prototxt.rawbytes import bytes_of
from zoo.runs.sums import Sums, short


@dataclass(frozen=True)
class ListedImages:
    """The entries of a list, and where their images lie."""

    entries: Sequence[Entry]
    base: Base

    @property
    def paths(self) -> list[Path]:
        """Where each image lies."""
        return [self.base.path(entry.path) for entry in self.entries]


def images_in(
    layer: LayerParameter, list_path: Path, places: Sequence[Path], label_size: int | None = None
) -> ListedImages:
    """What a list has for a data layer of images; its own folder is the last of the ``places``. Raises
    InputError as :func:`converters.data.forks.label_lists.entries_of` and :func:`image_base`.
    """
    entries = entries_of(layer, list_path, label_size)
    base = image_base(layer.image_data_param, list_path, entries, [*places, list_path.parent])
    return ListedImages(entries, base)


def image_base(
    param: ImageDataParameter, list_path: Path, entries: Sequence[Entry], places: Sequence[Path]
) -> Base:
    """Where a list's images lie, as :func:`converters.host.places.base_of_list` says; but a root_folder
    without a slash behind it is a folder, too, unless an image's name begins with it.
    """
    names = [entry.path for entry in entries]
    base = base_of_list(list_path, param, names, places)
    if base.root[-1:] in ("", "/") or any(base.path(name).is_file() for name in names):
        return base
    folder = ImageDataParameter(source=param.source, root_folder=f"{param.root_folder}/")
    return base_of_list(list_path, folder, names, places)


def cache_folder() -> Path:
    """Where decoded images and the demo data lie: $ZOO_CACHE, else zoo/ in the user's cache folder."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zoo"
    return Path(os.environ.get("ZOO_CACHE") or default)


def sums_of(list_path: Path, base: Path) -> Sums:
    """The sums of a list's pictures, as the cache keeps them."""
    name = short(bytes_of(f"{list_path.resolve()}\0{base.resolve()}"))
    return Sums(cache_folder() / "sums" / f"{name}.json")
