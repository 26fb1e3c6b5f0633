"""Weights in and out of a net, in every format, told apart by what the file holds."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import safetensors
import torch
from safetensors.torch import save_file
from torch import Tensor

from converters.blobs import memory
from converters.host.files import whole
from converters.state_names import todays_names
from converters.weights.caffemodel import load_caffemodel
from converters.weights.hdf5 import SIGNATURE, load_hdf5
from prototxt.errors import InputError, nearest_file
from prototxt.rawbytes import is_utf8, readable

if TYPE_CHECKING:
    from converters.network import Network

_HEAD = 4096
_BLANKS = b"\t\n\r\f"
_BINARIES = {
    b"PK\x03\x04": "a zip archive, as PyTorch's .pth and NumPy's .npz are, and no weights read here",
    b"\x80\x02": "a pickle, as older .pth files are, and no weights read here",
    b"\x08": "a .solverstate or a .binaryproto, and not a net's weights",
}
_TEXTS = {
    b"version https://git-lfs": "a git-lfs pointer and not the file itself, which git lfs pull fetches",
    b"<": "a web page, and not weights; save the file itself",
}


class Report(NamedTuple):
    """What of the net the file lacks (kept as it was), and what of the file the net lacks (ignored)."""

    lacking: list[str]
    unknown: list[str]


def load_weights(net: "Network", path: Path) -> tuple[Report, list[Tensor]]:
    """Load a .caffemodel, .h5 or .safetensors file: the report, and the blobs that the file gave.

    Caffe's files go by layer name, .safetensors by the names of ``net.state_dict()``. Raises InputError, with
    file, layer and blob, before any blob has changed where the file does not fit.
    """
    kind = weights_format(path)
    if kind == "safetensors":
        return load_safetensors(net, path)
    loaders: dict[str, Callable[..., tuple[list[str], list[Tensor]]]]
    loaders = {"caffemodel": load_caffemodel, "hdf5": load_hdf5}
    layers = net.layer_blobs()
    unknown, loaded = loaders[kind](path, layers)
    loaded_memory = {memory(blob) for blob in loaded}
    lacking = [x.label for x in layers if any(memory(blob) not in loaded_memory for blob in x.blobs)]
    return Report(lacking, unknown), loaded


def weights_format(path: Path) -> str:
    """ "caffemodel", "hdf5" or "safetensors". Raises InputError for a file that is clearly something else."""
    try:
        with path.open("rb") as file:
            head, size = file.read(_HEAD), file.seek(0, 2)
    except OSError as error:
        hint = nearest_file(path) if isinstance(error, FileNotFoundError) else ""
        raise InputError(f"{path}: cannot be read: {error.strerror}{hint}") from None
    if any(head[at : at + len(SIGNATURE)] == SIGNATURE for at in (0, 512, 1024, 2048)):
        return "hdf5"
    if begins_as_safetensors(head, size):
        return "safetensors"
    named = {".safetensors": "safetensors", ".h5": "hdf5"}.get(path.suffix)
    if what := _foreign(head, named):
        raise InputError(f"{path}: is {what}")
    return named or "caffemodel"


def begins_as_safetensors(head: bytes, size: int) -> bool:
    """Whether a file of ``size`` bytes that begins with ``head`` has a .safetensors' length and header."""
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= size - 8


def _foreign(head: bytes, named: str | None) -> str | None:
    """What a file is that begins so and is no weights, if that is clear."""
    # A net's field tags are control characters; a text has none.
    is_text = not any(byte < 0x20 and byte not in _BLANKS for byte in head)
    known, start = (_TEXTS, head.lstrip(_BLANKS + b" ")) if is_text else (_BINARIES, head)
    what = next((what for begin, what in known.items() if start.startswith(begin)), None)
    if what is None and named is None and is_text:
        return "text, as a prototxt is, and not weights" if head else "empty"
    return what


def load_safetensors(net: "Network", path: Path) -> tuple[Report, list[Tensor]]:
    """Copy the tensors of ``path`` into the blobs of the same name, such as ``conv1.weight``.

    Raises InputError for a file that is not whole, a shape that differs, or one with no name in common.
    """
    state: dict[str, Tensor] = net.state_dict(keep_vars=True)
    with _opened(path) as file:
        names = {today: name for name, today in todays_names(net, file.keys()).items()}
        common = sorted(state.keys() & names.keys())
        if state and not common:
            raise InputError(f"{path}: none of its {len(names)} tensors has a name of this net")
        for name in common:
            shape = tuple(file.get_slice(names[name]).get_shape())
            if state[name].shape != shape:
                shapes = f"{shape}, in the net {tuple(state[name].shape)}"
                raise InputError(f'{path}: blob "{name}" has shape {shapes}')
        with torch.no_grad():
            for name in common:
                state[name].copy_(file.get_tensor(names[name]))
    report = Report(sorted(state.keys() - names.keys()), sorted(names.keys() - state.keys()))
    return report, [state[name] for name in common]


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """(tensors, metadata) of a file. Raises InputError where it is missing or not whole."""
    with _opened(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor of a .safetensors file, none of which is read. Raises InputError where it is
    missing or not whole.
    """
    with _opened(path) as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


def read_tensor(path: Path, name: str) -> Tensor:
    """One tensor of a .safetensors file. Raises InputError where the file is missing or not whole."""
    with _opened(path) as file:
        tensor: Tensor = file.get_tensor(name)
    return tensor


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata of a .safetensors file. Raises InputError where it is missing or not whole."""
    with _opened(path) as file:
        return dict(file.metadata() or {})


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """An open .safetensors file; what is wrong with it as an InputError."""
    try:
        with path.open("rb") as handle:
            # safetensors opens no path that is not UTF-8.
            name = str(path) if is_utf8(path) else f"/dev/fd/{handle.fileno()}"
            with safetensors.safe_open(name, framework="pt") as file:
                yield file
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(f"{path}: not a readable .safetensors file ({str(error).splitlines()[0]})") from None


def write_safetensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write ``tensors`` (made contiguous, on the CPU) to ``path``, whole or not at all.

    Equal content makes equal bytes.
    """
    ready = _apart({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    named = {key: readable(value) for key, value in metadata.items()}
    with whole(path) as beside:
        try:
            save_file(ready, beside, metadata=named or None)  # of {} it makes no JSON
        except safetensors.SafetensorError as error:  # a full disk comes as this, and not as an OSError
            raise InputError(f"{path}: cannot be written ({str(error).splitlines()[0]})") from None
        _order_metadata(beside)


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, copied where they share memory with others or are a part of some: safetensors takes none
    such.
    """
    apart: dict[str, Tensor] = {}
    taken: set[int] = set()
    for name, tensor in tensors.items():
        memory = tensor.untyped_storage()
        is_own = memory.nbytes() == tensor.nbytes and memory.data_ptr() not in taken
        taken.add(memory.data_ptr())
        apart[name] = tensor if is_own else tensor.clone()
    return apart


def _order_metadata(path: Path) -> None:
    """Put the metadata of a .safetensors file in the order of its names: safetensors writes it in that of
    a hash map, which differs from process to process.
    """
    with path.open("r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        if "__metadata__" in header:
            header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
        if len(text) <= size:  # blanks fill it up to the tensors' alignment, as safetensors does
            file.seek(8)
            file.write(text.ljust(size))
