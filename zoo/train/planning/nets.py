"""The nets that a solver names, one a key: TRAIN, TEST, TEST1, …"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from converters.layers.registry import record_of
from converters.solver.nets import NetSource, solver_nets
from prototxt.caffe_pb2 import LayerParameter, SolverParameter
from zoo.variants.edits import apply_variant
from zoo.variants.sizing import resize_input


def read_nets(
    solver: SolverParameter,
    path: Path,
    places: Sequence[Path],
    dialect: str | None = None,
    recorded: Mapping[str, str] | None = None,
) -> dict[str, NetSource]:
    """The train net and the test nets, as Caffe chooses them, by the rules of ``dialect``, else of the
    ``recorded`` ones (:func:`converters.solver.nets.solver_nets`, which raises InputError).
    """
    train, *tests = solver_nets(solver, path, places, dialect, recorded)
    return {"TRAIN": train} | {f"TEST{index or ''}": net for index, net in enumerate(tests)}


def batch_size(layer: LayerParameter) -> int:
    """The batch_size of a data layer; 0 for one that has no such field."""
    batched = _batched(layer)
    return batched.batch_size if batched else 0


def _batched(layer: LayerParameter) -> Any:
    """The message of a data layer that says batch_size; None where its type has no such field."""
    tops = record_of(layer).data_tops
    return getattr(layer, tops.param) if tops and tops.has_field("batch_size") else None


def edited(source: NetSource, variant: str, batch_size: int | None, size: int | None) -> NetSource:
    """The net with its variant, batch size and input size."""
    with source.located():
        message = apply_variant(source.message, variant)
        if size is not None:
            resize_input(message, size)
    if batch_size is not None:
        for batched in filter(None, map(_batched, message.layer)):
            batched.batch_size = batch_size
    return replace(source, message=message)
