"""The shapes that data layers put on their tops, as far as the prototxt says."""

from collections.abc import Collection, Mapping, Sequence

from converters.layers.checks import checked_size
from converters.layers.registry import record_of
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

Shape = Sequence[int]


def top_shapes(
    layer: LayerParameter, overrides: Mapping[str, Shape], wanted: Collection[str] | None = None
) -> list[tuple[int, ...]]:
    """The shape of every top, or of those ``wanted``; ``overrides`` (by blob name) beat what the
    prototxt says.

    Raises InputError where neither says it.
    """
    tops = set(layer.top if wanted is None else wanted)
    stated = _stated(layer) if not tops <= overrides.keys() else []
    return [
        checked_size(layer, f'top "{top}"', overrides[top])
        if top in overrides
        else _one(layer, top, stated, index)
        for index, top in enumerate(layer.top)
        if top in tops
    ]


def _stated(layer: LayerParameter) -> Sequence[Shape | None]:
    tops = record_of(layer).data_tops
    return tops.shapes(layer) if tops and tops.shapes else []


def _one(layer: LayerParameter, top: str, stated: Sequence[Shape | None], index: int) -> tuple[int, ...]:
    shape = stated[index] if index < len(stated) else None
    if shape is not None:
        checked_size(layer, f'top "{top}"', shape)
    if shape is None or min(shape, default=1) < 1:
        raise InputError(
            f'cannot tell the shape of top "{top}" from the prototxt; give it '
            "as an input shape (--input-shape, input_shapes)",
            layer.name,
        )
    return tuple(shape)
