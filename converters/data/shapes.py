"""The shapes that data layers put on their tops, as far as the prototxt says."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from converters.layers.checks import checked_size
from converters.layers.registry import record_of
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

Shape = Sequence[int]
Stated = Sequence[Sequence[int | None] | None]


def top_shapes(
    layer: LayerParameter,
    overrides: Mapping[str, Shape],
    wanted: Collection[str] | None = None,
    others: Iterable[LayerParameter] = (),
) -> list[tuple[int, ...]]:
    """The shape of every top, or of those ``wanted``; ``overrides`` (by blob name) beat what the prototxt
    says, and labels have as many rows as they give images. What it leaves open of images is assumed
    (:func:`assumptions`): a size that one of the net's ``others``, layers of another phase, says of the same
    top, and the channels.

    Raises InputError where nothing says it.
    """
    tops = set(layer.top if wanted is None else wanted)
    stated = _completed(layer, others) if not tops <= overrides.keys() else []
    if batch := _batch_given(layer, overrides):
        stated = [(batch,) if shape is not None and len(shape) == 1 else shape for shape in stated]
    return [
        checked_size(layer, f'top "{top}"', overrides[top])
        if top in overrides
        else _one(layer, top, stated, index)
        for index, top in enumerate(layer.top)
        if top in tops
    ]


def _batch_given(layer: LayerParameter, overrides: Mapping[str, Shape]) -> int:
    """How many images an override of a data layer's first top, its images, gives; 0 without one."""
    tops = record_of(layer).data_tops
    given = overrides.get(layer.top[0], ()) if tops and tops.is_images and layer.top else ()
    return given[0] if len(given) > 1 else 0


def assumptions(
    layer: LayerParameter,
    overrides: Mapping[str, Shape],
    wanted: Collection[str],
    others: Iterable[LayerParameter] = (),
) -> Iterator[str]:
    """A line for each top ``wanted`` whose shape the layer itself leaves open and no override gives."""
    own = _by_top(layer, _stated(layer))
    for top, whole in zip(layer.top, _completed(layer, others), strict=True):
        shape = own.get(top)
        if top in overrides or top not in wanted or whole is None or (shape and None not in shape):
            continue
        sizes = "×".join(str(dim or "?") for dim in whole)
        yield (
            f'layer "{layer.name}": not all of the shape of top "{top}" is said: {sizes} '
            "assumed (--input-shape, input_shapes beat it)"
        )


def channels_open(layer: LayerParameter) -> dict[str, tuple[int, int]]:
    """The tops that are images whose channels only the data know, with their height and width."""
    pairs = zip(layer.top, _stated(layer), strict=False)
    return {top: (shape[2] or 0, shape[3] or 0) for top, shape in pairs if shape and shape[1:2] == (None,)}


def _completed(layer: LayerParameter, others: Iterable[LayerParameter]) -> Stated:
    """What the layer says of each top, and where it leaves a size open, what another says of the same top, or
    what is usual for its type; the channels that are open then are 1 where one mean_value says so, else 3.
    """
    theirs: dict[str, Sequence[int | None]] = dict(_by_top(layer, _usual(layer)))
    for other in others:
        theirs |= _by_top(other, _stated(other))
    own = [*_stated(layer), *[None] * len(layer.top)][: len(layer.top)]
    batch = next((shape[0] for shape in own if shape), None)
    whole = [_sized_as(shape, theirs.get(top), batch) for top, shape in zip(layer.top, own, strict=True)]
    channels = 1 if len(layer.transform_param.mean_value) == 1 else 3
    return [shape and [channels if dim is None else dim for dim in shape] for shape in whole]


def _sized_as(
    own: Sequence[int | None] | None, other: Sequence[int | None] | None, batch: int | None
) -> Sequence[int | None] | None:
    """A top's own shape, or where that is open another's, with the batch of its own layer."""
    return own if own is not None or not other else (batch or other[0], *other[1:])


def _by_top(layer: LayerParameter, shapes: Stated) -> dict[str, Sequence[int | None]]:
    return {top: shape for top, shape in zip(layer.top, shapes, strict=False) if shape}


def _stated(layer: LayerParameter) -> Stated:
    tops = record_of(layer).data_tops
    return tops.shapes(layer) if tops and tops.shapes else []


def _usual(layer: LayerParameter) -> Stated:
    tops = record_of(layer).data_tops
    return tops.usual(layer) if tops and tops.usual else []


def _one(layer: LayerParameter, top: str, stated: Stated, index: int) -> tuple[int, ...]:
    shape = stated[index] if index < len(stated) else None
    dims = [0] if shape is None else [dim or 0 for dim in shape]
    if shape is not None:
        checked_size(layer, f'top "{top}"', dims)
    if min(dims, default=1) < 1:
        raise InputError(
            f'cannot tell the shape of top "{top}"; give it as an input shape (--input-shape, input_shapes)',
            layer.name,
        )
    return tuple(dims)
