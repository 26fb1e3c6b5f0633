"""The shapes that data layers put on their tops, as far as the prototxt says."""

from collections.abc import Collection, Mapping, Sequence

from converters.layers.registry import checked_size
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

Shape = Sequence[int]


def top_shapes(
    layer: LayerParameter, given: Mapping[str, Shape], wanted: Collection[str] | None = None
) -> list[tuple[int, ...]]:
    """The shape of every top, or of those ``wanted``; ``given`` (by blob name) overrides what the prototxt
    says.

    Raises InputError where neither says it.
    """
    tops = set(layer.top if wanted is None else wanted)
    stated = _SHAPES.get(layer.type, _unknown)(layer) if not tops <= given.keys() else []
    return [
        checked_size(layer, f'top "{top}"', given[top]) if top in given else _one(layer, top, stated, index)
        for index, top in enumerate(layer.top)
        if top in tops
    ]


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


def _input(layer: LayerParameter) -> list[Shape | None]:
    shapes: list[Shape | None] = [list(shape.dim) for shape in layer.input_param.shape]
    if len(shapes) not in (0, 1, len(layer.top)):
        raise InputError(f"{len(shapes)} shapes for {len(layer.top)} tops", layer.name)
    return shapes * len(layer.top) if len(shapes) == 1 else shapes


def _image_data(layer: LayerParameter) -> list[Shape | None]:
    """(batch, 3 or 1, crop or new size), (batch,) (image_data_layer.cpp)."""
    param = layer.image_data_param
    crop = layer.transform_param.crop_size
    height, width = (crop, crop) if crop else (param.new_height, param.new_width)
    channels = 3 if param.is_color else 1
    data = (param.batch_size, channels, height, width) if height and width else None
    return [data, (param.batch_size,)]


def _data(layer: LayerParameter) -> list[Shape | None]:
    """(batch, channels, crop, crop), (batch,); without a crop only the records know (data_layer.cpp)."""
    crop = layer.transform_param.crop_size
    channels = 1 if layer.transform_param.force_gray else 3
    batch = layer.data_param.batch_size
    return [(batch, channels, crop, crop) if crop else None, (batch,)]


def _memory_data(layer: LayerParameter) -> list[Shape | None]:
    """(batch, channels, height, width), (batch,), with a crop too (memory_data_layer.cpp)."""
    param = layer.memory_data_param
    return [(param.batch_size, param.channels, param.height, param.width), (param.batch_size,)]


def _window_data(layer: LayerParameter) -> list[Shape | None]:
    """(batch, 3, crop, crop), (batch,) (window_data_layer.cpp)."""
    param = layer.window_data_param
    crop = layer.transform_param.crop_size or param.crop_size
    return [(param.batch_size, 3, crop, crop), (param.batch_size,)]


def _unknown(layer: LayerParameter) -> list[Shape | None]:
    return [None] * len(layer.top)


_SHAPES = {
    "Input": _input,
    "ImageData": _image_data,
    "Data": _data,
    "MemoryData": _memory_data,
    "WindowData": _window_data,
}
