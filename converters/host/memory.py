"""Refusing what this machine cannot hold, before it tries."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from converters.host.machine import physical_memory
from prototxt.errors import InputError


def refuse_excess(layers: Mapping[str, Sequence[Tensor]]) -> None:
    """Raise InputError, naming the largest layer, where the blobs exceed the machine's memory."""
    sizes = {name: sum(blob.nbytes for blob in blobs) for name, blobs in layers.items()}
    memory = physical_memory()
    if memory is not None and sum(sizes.values()) > memory:
        largest = max(sizes, key=sizes.__getitem__)
        raise InputError(
            f"the net's parameters take {_gib(sum(sizes.values()))}, {_gib(sizes[largest])} of them in this "
            f"layer; this machine has {_gib(memory)} of memory",
            largest,
        )


def _gib(size: int) -> str:
    return f"{size / 2**30:,.1f} GiB"
