"""What SSD's heads are made of: Permute and its Normalize."""

from converters.export.nodes.rules import Tops, to_onnx
from converters.export.nodes.writer import Tensor, Writer
from converters.layers.forks.normalising.normalize import SsdNormalize
from converters.layers.forks.ssd.prior_box import Permute


@to_onnx.register
def _(layer: Permute, g: Writer, x: Tensor) -> Tops:
    order = layer.spec.order
    is_same = list(order) == sorted(order)
    return [x.name if is_same else g.add("Transpose", x.name, perm=order)]


@to_onnx.register
def _(layer: SsdNormalize, g: Writer, x: Tensor) -> Tops:
    """No LpNormalization: eps stands under the root."""
    axes = list(range(1, len(x.shape))) if layer.spec.across_spatial else [1]
    squares = g.reduced("ReduceSumSquare", x.name, axes, keepdims=True)
    unit = g.add("Div", x.name, g.add("Sqrt", g.shifted(squares, layer.spec.eps)))
    shape = [] if layer.spec.channel_shared else [layer.scale.numel(), *(1,) * (len(x.shape) - 2)]
    return [g.add("Mul", unit, g.weight(layer, "scale", shape))]
