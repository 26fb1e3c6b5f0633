"""The nets that a solver names, one a key: TRAIN, TEST, TEST1, …"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from converters.layers.registry import record_of
from converters.solver.nets import NetSource, solver_nets
from prototxt.caffe_pb2 import LayerParameter, SolverParameter
from zoo.variants.edits import apply_variant
from zoo.variants.sizing import resize_input


def test_key(index: int) -> str:
    """The key of a solver's test net: TEST, TEST1, TEST2, …"""
    return f"TEST{index or ''}"


def read_nets(
    solver: SolverParameter, path: Path, places: Sequence[Path], dialect: str | None = None
) -> dict[str, NetSource]:
    """The train net and the test nets, as Caffe chooses them, by the rules of ``dialect``. InputError."""
    train, *tests = solver_nets(solver, path, places, dialect)
    return {"TRAIN": train} | {test_key(index): net for index, net in enumerate(tests)}


def batch_size(layer: LayerParameter) -> int:
    """The batch_size of a data layer; 0 for one that has no such field."""
    tops = record_of(layer).data_tops
    return int(getattr(layer, tops.param).batch_size) if tops and tops.has_field("batch_size") else 0


def edited(source: NetSource, variant: str, batch_size: int | None, size: int | None) -> NetSource:
    """The net with its variant, batch size and input size."""
    with source.located():
        message = apply_variant(source.message, variant)
        if size is not None:
            resize_input(message, size)
    for layer in message.layer:
        tops = record_of(layer).data_tops
        if tops and tops.has_field("batch_size") and batch_size is not None:
            getattr(layer, tops.param).batch_size = batch_size
    return replace(source, message=message)
