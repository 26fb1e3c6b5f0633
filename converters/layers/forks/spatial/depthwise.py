"""One filter a channel, under the names that forks gave it before Convolution's groups were fast."""

from converters.layers.base import Layer
from converters.layers.checks import check_planes
from converters.layers.choice import Dialect
from converters.layers.registry import ONE_OR_MORE, Shapes, layer
from converters.layers.spatial.convolution import convolution, convolution_grid, per_output
from prototxt.caffe_pb2 import LayerParameter

_GROUP = ("convolution_param.group",)


@layer(
    "DepthwiseConvolution",
    source="yonghenglh6/DepthwiseConvolution: depthwise_conv_layer.cpp",
    bottoms=ONE_OR_MORE,
    tops=ONE_OR_MORE,
    blobs=("weight", "bias"),
    learns=True,
    macs=per_output,
    grid=convolution_grid,
)
def depthwise_convolution(message: LayerParameter, bottoms: Shapes) -> Layer:
    """Convolution, ``group`` and all, as the fork's CPU code has it. Its CUDA code is always one filter a
    channel, which is the same where group, num_output and the channels are one number, as in real nets.
    """
    return convolution(message, bottoms)


@layer(
    "ConvolutionDepthwise",
    source="sp2823/caffe: conv_dw_layer.cpp",
    blobs=("weight", "bias"),
    learns=True,
    macs=per_output,
    grid=convolution_grid,
    dialect=Dialect("sp2823", also=("farmingyard",), fields=_GROUP, is_default=True),
)
def convolution_depthwise(message: LayerParameter, bottoms: Shapes) -> Layer:
    """One filter (1, kh, kw) a channel, whatever ``num_output``, ``group`` and ``axis`` say. The fork reads
    stride and pad where the file has none from beyond an empty list; here they are Caffe's 1 and 0.
    """
    check_planes(message, bottoms[0])
    single = LayerParameter()
    single.CopyFrom(message)
    single.convolution_param.num_output = single.convolution_param.group = bottoms[0][1]
    single.convolution_param.ClearField("axis")
    return convolution(single, bottoms)


@layer(
    "ConvolutionDepthwise",
    source="foss-for-synopsys-dwc-arc-processors/synopsys-caffe: conv_dw_layer.cpp",
    blobs=("weight", "bias"),
    learns=True,
    macs=per_output,
    grid=convolution_grid,
    dialect=Dialect("synopsys", fields=_GROUP, needs_field=True),
)
def synopsys_convolution_depthwise(message: LayerParameter, bottoms: Shapes) -> Layer:
    """Convolution, with its ``num_output`` and ``group``."""
    return convolution(message, bottoms)
