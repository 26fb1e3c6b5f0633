"""A net's blobs as another program computed them, in a file of numpy's, and the inputs.

``feeds`` names the inputs; ``in/<blob>`` is an input, whole; for every blob, as it stands after the pass,
``shape/<blob>``, ``probe/<blob>`` (64 values, at places spread evenly over it) and ``absmean/<blob>``.
"""

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from converters.graph import Value
from converters.host.files import whole
from converters.network import Network
from eval.difference import TOLERANCE, Array, Difference, difference, largest_of
from eval.rounding import drift_of
from eval.runtime import Feeds
from eval.verdict.held import Held, sized
from prototxt.errors import InputError

PROBES = 64
_MOST = 2**31 - 1  # values of a blob, as in Caffe
_DRAWN = (1, 50)  # times normal: what the recordings without in/<blob> were fed


@dataclass(frozen=True)
class Recording:
    """A file's arrays by their names in it."""

    path: Path
    arrays: Mapping[str, NDArray[np.generic]]

    @classmethod
    def read(cls, path: Path) -> "Recording":
        """Raises InputError for a file that is no recording; nothing in it is unpickled."""
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        except (ValueError, TypeError, AttributeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise InputError(f"{path}: is no .npz of blobs ({str(error).splitlines()[0]})") from None
        recording = cls(path, arrays)
        if "feeds" not in arrays or not recording.blobs:
            raise InputError(f"{path}: holds no blobs: it has no feeds, or no probe/<blob>")
        return recording

    @property
    def feeds(self) -> list[str]:
        """The inputs' names."""
        return [str(name) for name in np.ravel(self.arrays["feeds"])]

    @property
    def blobs(self) -> list[str]:
        """The recorded blobs, without the copies that Caffe makes of those that several layers read."""
        names = [name.removeprefix("probe/") for name in self.arrays if name.startswith("probe/")]
        return [name for name in names if "_split_" not in name]

    def shape(self, blob: str) -> tuple[int, ...]:
        """A blob's shape. Raises InputError where it is not there, or is none."""
        shape = tuple(int(size) for size in np.ravel(self._array(f"shape/{blob}", "iu")))
        if min(shape, default=0) < 0 or prod(shape) > _MOST:
            raise InputError(f"{self.path}: shape/{blob} is {sized(shape)}")
        return shape

    def inputs(self, blobs: Sequence[str]) -> dict[str, Array]:
        """The inputs ``blobs`` as they were fed. Raises InputError for one that is neither in the file nor
        drawn from its name, as the recordings beside the repository have it.
        """
        return {blob: self._input(blob) for blob in blobs}

    def _input(self, blob: str) -> Array:
        if blob not in self.feeds:
            raise InputError(f'{self.path}: has no input "{blob}": it was fed {", ".join(self.feeds)}')
        shape = self.shape(blob)
        if f"in/{blob}" in self.arrays:
            own = self._array(f"in/{blob}").astype(np.float32)
            if own.shape != shape:
                raise InputError(f"{self.path}: in/{blob} is {sized(own.shape)}, shape/{blob} {sized(shape)}")
            return own
        normal = np.random.default_rng(zlib.crc32(f"in/{blob}".encode())).standard_normal(shape)
        for times in _DRAWN:
            drawn = (times * normal).astype(np.float32)
            if np.array_equal(probes(drawn), self._array(f"probe/{blob}")):
                return drawn
        raise InputError(f"{self.path}: does not hold its input: no in/{blob}")

    def hold(self, net: Network, feeds: Feeds, ours: Mapping[Value, Array]) -> list[Held]:
        """Every recorded blob against the net's last value of that name; the scale is the whole blob's. Where
        one differs, rounding may do so much as :func:`eval.rounding.drift_of` says.
        """
        last = {value.blob: (value, node) for node in net.graph.nodes for value in node.outputs}
        held = [
            Held(value, node, self._difference(value, ours[value], node.layer.name))
            for blob, (value, node) in last.items()
            if not node.is_data and blob in self.blobs
        ]
        if not any(each.is_wrong for each in held):
            return held
        drift = drift_of(net, feeds)
        return [replace(each, so_far=replace(each.so_far, rounding=drift[each.value])) for each in held]

    def not_in(self, net: Network) -> list[str]:
        """The recorded blobs that the net has not."""
        known = {value.blob for node in net.graph.nodes for value in node.outputs}
        return [blob for blob in self.blobs if blob not in {*known, *net.inputs}]

    def _difference(self, value: Value, ours: Array, layer: str) -> Difference:
        blob = value.blob
        if ours.shape != self.shape(blob):
            return Difference(blob, np.inf, 0.0, 0, layer)
        probed = difference(blob, probes(ours), self._array(f"probe/{blob}").astype(np.float32), layer)
        by_them = np.ravel(self._array(f"absmean/{blob}")).astype(np.float32)
        mean = difference(blob, np.full_like(by_them, absmean(ours)), by_them, layer)
        return Difference(
            blob, max(probed.largest, mean.largest), largest_of(ours), probed.compared, layer, TOLERANCE
        )

    def _array(self, name: str, kinds: str = "iufb") -> NDArray[np.generic]:
        if name not in self.arrays or self.arrays[name].dtype.kind not in kinds:
            raise InputError(f"{self.path}: holds no numbers {name}")
        return self.arrays[name]


def probes(array: Array) -> Array:
    """Of a blob what a recording keeps."""
    return array.ravel()[np.linspace(0, array.size - 1, PROBES).astype(int)] if array.size else array.ravel()


def absmean(array: Array) -> float:
    """The mean of absolute values, in float64; 0 of none."""
    return float(np.abs(array.astype(np.float64)).mean()) if array.size else 0.0


def write_recording(path: Path, net: Network, feeds: Feeds, values: Mapping[Value, Array]) -> None:
    """Write a recording of the net's ``values``, whole or not at all."""
    blobs = {value.blob: array for value, array in values.items()}
    arrays: dict[str, NDArray[np.generic]] = {"feeds": np.array(list(feeds)), "build": np.array(MARK)}
    arrays |= {"net": np.array(net.graph.name), "phase": np.array("TEST")}
    for blob, array in feeds.items():
        arrays[f"in/{blob}"] = array
    for blob, array in blobs.items():
        arrays[f"shape/{blob}"] = np.array(array.shape, np.int64)
        arrays[f"probe/{blob}"] = probes(array)
        arrays[f"absmean/{blob}"] = np.asarray(absmean(array))
    with whole(path) as beside, beside.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


MARK = "zoo record"  # as its files say who computed them


def is_marked(path: Path) -> bool:
    """Whether ``zoo record`` wrote the file."""
    return str(Recording.read(path).arrays.get("build", "")) == MARK
