"""What ``@layer`` may say of a type; what each means stands at :class:`converters.layers.registry.Record`."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict

from converters.layers.choice import Dialect
from converters.layers.data_tops import DataTops

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from converters.layers.base import Layer
    from converters.layers.parts.grid import Grid
    from converters.layers.registry import Count, Reads, Role, Shapes
    from prototxt.caffe_pb2 import LayerParameter


class Facts(TypedDict, total=False):
    """Each under its name in the record."""

    source: str
    role: "Role"
    bottoms: "Count"
    tops: "Count"
    labels: tuple[int, ...]
    fatal: tuple[int, ...]
    default_loss_weight: float
    scores_classes: bool
    ignore_in: str
    probabilities: str
    runs_code: bool
    blobs: tuple[str, ...]
    learns: bool
    macs: "Callable[[Layer, Shapes, Shapes], int]"
    pointwise: bool
    routes: bool
    indices: "Mapping[int, Callable[[Layer, Shapes], int]]"
    probes: "Mapping[int, Callable[[Layer, Shapes, np.random.Generator], NDArray[Any]]]"
    backward_reads: "Reads"
    mixes: bool
    most: "Callable[[Layer, Shapes], Shapes]"
    refuses_export: "Callable[[Layer, Shapes], str]"
    export_limit: str
    deployed: "Callable[[LayerParameter], LayerParameter | None]"
    untraceable: bool
    rows: int
    data_tops: DataTops
    dialect: Dialect
    fields: tuple[str, ...]
    grid: "Callable[[LayerParameter], Grid | None]"
    aligns: bool
