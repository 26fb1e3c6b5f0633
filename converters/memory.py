"""Refusing what this machine cannot hold, before it tries."""

import os
from collections.abc import Mapping, Sequence

from torch import Tensor

from prototxt.errors import InputError


def physical_memory() -> int | None:
    """Bytes of memory in this machine, or None where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


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
