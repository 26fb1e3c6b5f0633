"""What forks write otherwise than Caffe 1.0 and mean the same by, in Caffe's words."""

from prototxt.caffe_pb2 import ConvolutionParameter, NetParameter


def rename_fields(net: NetParameter) -> None:
    """Change a net, which is in today's syntax, where Caffe has a field for what a fork's says."""
    for layer in net.layer:
        if layer.HasField("convolution_param"):
            _name_dilation(layer.convolution_param)


def _name_dilation(param: ConvolutionParameter) -> None:
    """DeepLab's ``hole`` and yjxiong's ``dilation_h`` and ``dilation_w`` are Caffe's ``dilation``."""
    if param.HasField("hole"):
        param.dilation[:] = [param.hole]
    both = param.dilation[0] if param.dilation else 1
    for sides in (("hole_h", "hole_w"), ("dilation_h", "dilation_w")):
        if any(param.HasField(side) for side in sides):
            param.dilation[:] = [getattr(param, side) if param.HasField(side) else both for side in sides]
    for field in ("hole", "hole_h", "hole_w", "dilation_h", "dilation_w"):
        param.ClearField(field)
