"""Layers that read regions of a feature map."""

from converters.export.nodes.rules import Tops, to_onnx
from converters.export.nodes.writer import Tensor, Writer
from converters.layers.forks.rcnn.roi_pooling import ROIPooling


@to_onnx.register
def _(layer: ROIPooling, g: Writer, x: Tensor, rois: Tensor) -> Tops:
    """ONNX's MaxRoiPool has Fast R-CNN's rule; MS-CNN's margin it has not."""
    spec = layer.spec
    if spec.pad_ratio or len(rois.shape) != 2:
        return None
    pooled = [spec.pooled_h, spec.pooled_w]
    return [g.add("MaxRoiPool", x.name, rois.name, pooled_shape=pooled, spatial_scale=spec.spatial_scale)]
