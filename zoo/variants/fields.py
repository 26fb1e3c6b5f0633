"""Edits that set fields of the convolutions, and add no layer: strides, outputs, fillers."""

from collections.abc import Iterator, Sequence

from prototxt.caffe_pb2 import ConvolutionParameter, FillerParameter, NetParameter
from prototxt.errors import InputError
from zoo.variants.heads import pool_whatever_size
from zoo.variants.layout import convolutions


def set_baseline(net: NetParameter) -> None:
    """The net as it stands."""


def set_strides(net: NetParameter, strides: Sequence[int]) -> None:
    """Strides of the convolutions, in order, one number each; a GAP head pools the whole map."""
    pool_whatever_size(net)
    for param, stride in _numbered(net, strides):
        param.ClearField("stride_h")
        param.ClearField("stride_w")
        param.stride[:] = [stride]


def set_widths(net: NetParameter, widths: Sequence[int]) -> None:
    """Outputs of the convolutions, in order, one number each."""
    for param, width in _numbered(net, widths):
        param.num_output = width


def _numbered(net: NetParameter, numbers: Sequence[int]) -> Iterator[tuple[ConvolutionParameter, int]]:
    """Each convolution's parameters with its number. Raises InputError where the counts differ."""
    indices = convolutions(net)
    if len(indices) != len(numbers):
        raise InputError(f"{len(numbers)} numbers for {len(indices)} convolutions")
    for index, number in zip(indices, numbers, strict=True):
        yield net.layer[index].convolution_param, number


def set_msra(net: NetParameter) -> None:
    """Convolution weights filled by msra."""
    _set_filler(net, FillerParameter(type="msra"))


def set_xavier(net: NetParameter) -> None:
    """Convolution weights filled by xavier."""
    _set_filler(net, FillerParameter(type="xavier"))


def set_gaussian(net: NetParameter) -> None:
    """Convolution weights filled by a gaussian of std 0.01."""
    _set_filler(net, FillerParameter(type="gaussian", std=0.01))


def _set_filler(net: NetParameter, filler: FillerParameter) -> None:
    for index in convolutions(net):
        net.layer[index].convolution_param.weight_filler.CopyFrom(filler)
