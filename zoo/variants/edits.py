"""Variants: named edits of a NetParameter, joined by ``+`` (bn+dropout0.5+fc)."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from converters.trained import is_trained, read_trained
from prototxt.caffe_pb2 import ConvolutionParameter, FillerParameter, LayerParameter, NetParameter, ParamSpec
from prototxt.errors import InputError, nearest
from prototxt.net_file import NetFile
from prototxt.text import Warn, to_stderr
from zoo import catalogue
from zoo.variants.heads import pool_whatever_size, set_fc, set_gap
from zoo.variants.layout import convolutions, insert, last_block, tail, trailing_number, unused_layer_name

Edit = Callable[[NetParameter], None]


def find_net(name: str, variant: str, warn: Warn = to_stderr, dialect: str | None = None) -> NetFile:
    """The net of a path, a prototxt's or a .caffemodel's, or a shipped name, with a variant's edits; ``warn``
    takes a line where it is shipped, and what reading has to say. ``dialect`` names the forks whose field
    numbers a .caffemodel has. Raises InputError, with file and line.
    """
    path, is_shipped = catalogue.find_prototxt(name)
    if is_shipped:
        warn(f"{name}: the shipped net {path.stem}")
    file = read_trained(path, dialect, warn) if is_trained(path) else NetFile.read(path, warn)
    with file.located():
        return replace(file, message=apply_variant(file.message, variant))


def apply_variant(net: NetParameter, variant: str) -> NetParameter:
    """A copy of ``net`` with every edit of ``variant`` made, in the order given.

    An edit that is there already is set, never doubled. Raises InputError for an unknown name and
    where an edit finds nothing to act on.
    """
    edited = NetParameter()
    edited.CopyFrom(net)
    for name, edit in [(name, find_edit(name)) for name in variant.split("+")]:
        try:
            edit(edited)
        except InputError as error:
            raise InputError(f'variant "{name}" on net "{net.name}": {error}', error.layer) from None
    return edited


def find_edit(name: str) -> Edit:
    """The edit of that name. Raises InputError naming the nearest one."""
    if match := re.fullmatch(r"dropout(\d*\.?\d+)", name):
        ratio = float(match[1])
        if ratio > 1:
            raise InputError(f'variant "{name}": the ratio must be from 0 to 1')
        return lambda net: set_dropout(net, ratio)
    if match := re.fullmatch(r"(stride|width)([1-9]\d{0,8}(?:-[1-9]\d{0,8})*)", name):
        numbers = [int(number) for number in match[2].split("-")]
        edit = set_strides if match[1] == "stride" else set_widths
        return lambda net: edit(net, numbers)
    if match := re.fullmatch(r"bn(0?\.\d*[1-9])", name):
        fraction = float(match[1])
        return lambda net: set_bn_fraction(net, fraction)
    if name not in EDITS:
        hint = nearest(name, [*EDITS, "dropout0.5", "stride2-2", "width64-64"])
        raise InputError(f'no variant "{name}"{hint} (known: {", ".join(descriptions())}, joined by +)')
    return EDITS[name]


def _numbered(net: NetParameter, numbers: Sequence[int]) -> Iterator[tuple[ConvolutionParameter, int]]:
    """Each convolution's parameters with its number. Raises InputError where the counts differ."""
    indices = convolutions(net)
    if len(indices) != len(numbers):
        raise InputError(f"{len(numbers)} numbers for {len(indices)} convolutions")
    for index, number in zip(indices, numbers, strict=True):
        yield net.layer[index].convolution_param, number


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


def descriptions() -> dict[str, str]:
    """Every variant's name with what it does, for ``zoo list``."""
    numbered = {
        "dropoutR": set_dropout,
        "bnF": set_bn_fraction,
        "strideA-B-…": set_strides,
        "widthA-B-…": set_widths,
    }
    return {name: (edit.__doc__ or "").split("\n")[0] for name, edit in [*EDITS.items(), *numbered.items()]}


def set_baseline(net: NetParameter) -> None:
    """The net as it stands."""


def set_dropout(net: NetParameter, ratio: float) -> None:
    """In-place Dropout of ratio R (0 ≤ R ≤ 1) after the last convolution's ReLU; present ones are set."""
    present = [layer for layer in net.layer if layer.type == "Dropout"]
    if not present:
        block = last_block(net)
        name = unused_layer_name(net, f"drop{trailing_number(net.layer[block[0]].name)}")
        blob = net.layer[block[-1]].top[0]
        layer = LayerParameter(name=name, type="Dropout", bottom=[blob], top=[blob])
        present = [insert(net, block[-1] + 1, layer)]
    for layer in present:
        layer.dropout_param.dropout_ratio = ratio


def set_bn(net: NetParameter) -> None:
    """BatchNorm and Scale, in place, between every convolution and its ReLU."""
    for index in reversed(convolutions(net)):
        block = tail(net, index)
        norms = [at for at in block if net.layer[at].type == "BatchNorm"]
        if not norms:
            _insert_like(net, index, index, _batch_norm(net, net.layer[index].name))
        at = norms[0] if norms else index + 1
        if not any(net.layer[i].type == "Scale" for i in tail(net, index)):
            _insert_like(net, at, index, _scale(net, net.layer[index].name))


def set_bn_fraction(net: NetParameter, fraction: float) -> None:
    """As bn, the stored statistics a moving average of fraction F (0 < F < 1), where Caffe's own is 0.999.

    Caffe's remembers some thousand iterations: in a run of a few thousand the weights have moved on.
    """
    set_bn(net)
    for layer in net.layer:
        if layer.type == "BatchNorm":
            layer.batch_norm_param.moving_average_fraction = fraction


def _insert_like(net: NetParameter, after: int, conv: int, layer: LayerParameter) -> None:
    """Insert an in-place layer on the top of layer ``after``, kept in the phases that keep ``conv``."""
    blob = net.layer[after].top[0]
    layer.bottom.append(blob)
    layer.top.append(blob)
    layer.include.extend(net.layer[conv].include)
    layer.exclude.extend(net.layer[conv].exclude)
    insert(net, after + 1, layer)


def _batch_norm(net: NetParameter, conv: str) -> LayerParameter:
    frozen = [ParamSpec(lr_mult=0, decay_mult=0) for _ in range(3)]
    return LayerParameter(name=unused_layer_name(net, f"bn_{conv}"), type="BatchNorm", param=frozen)


def _scale(net: NetParameter, conv: str) -> LayerParameter:
    layer = LayerParameter(name=unused_layer_name(net, f"scale_{conv}"), type="Scale")
    layer.scale_param.filler.value = 1
    layer.scale_param.bias_term = True
    layer.scale_param.bias_filler.value = 0
    return layer


def _set_filler(net: NetParameter, filler: FillerParameter) -> None:
    for index in convolutions(net):
        net.layer[index].convolution_param.weight_filler.CopyFrom(filler)


def set_msra(net: NetParameter) -> None:
    """Convolution weights filled by msra."""
    _set_filler(net, FillerParameter(type="msra"))


def set_xavier(net: NetParameter) -> None:
    """Convolution weights filled by xavier."""
    _set_filler(net, FillerParameter(type="xavier"))


def set_gaussian(net: NetParameter) -> None:
    """Convolution weights filled by a gaussian of std 0.01."""
    _set_filler(net, FillerParameter(type="gaussian", std=0.01))


EDITS: dict[str, Edit] = {
    "baseline": set_baseline,
    "bn": set_bn,
    "fc": set_fc,
    "gap": set_gap,
    "msra": set_msra,
    "xavier": set_xavier,
    "gaussian": set_gaussian,
}
