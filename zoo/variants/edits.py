"""Variants: named edits of a NetParameter, joined by ``+`` (bn+dropout0.5+fc)."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from converters.trained import is_trained, read_trained
from prototxt.caffe_pb2 import NetParameter
from prototxt.errors import InputError, nearest
from prototxt.net_file import NetFile
from prototxt.text import Warn, to_stderr
from zoo import catalogue
from zoo.variants import augmentation, fields, heads, in_place, structure

_NUMBER = r"[1-9]\d{0,8}"
_LIST = rf"({_NUMBER}(?:-{_NUMBER})*)"
_EXAMPLES = ("dropout0.5", "dropout0.5@4", "bn@1-2", "stride2-2", "width64-64", "nin1-1", "bottleneck4-4")


@dataclass(frozen=True)
class Edit:
    """What a name of a variant does to a net. Those of a variant are made by ``turn``: first what counts the
    convolutions of the prototxt, then what adds layers, last what acts on all that are there by then.
    """

    act: Callable[[NetParameter], None]
    turn: int


@dataclass(frozen=True)
class Family:
    """Edits whose names hold numbers: how such a name is shown, how it looks, and what its ``groups`` are to
    ``act``.
    """

    shown: str
    pattern: str
    act: Callable[..., None]
    groups: Callable[..., tuple[object, ...]]
    turn: int


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
    """A copy of ``net`` with every edit of ``variant`` made, whatever the order in which they are named.

    Raises InputError for an unknown name and where an edit finds nothing to act on.
    """
    edited = NetParameter()
    edited.CopyFrom(net)
    named = [(name, find_edit(name)) for name in variant.split("+")]
    for name, edit in sorted(named, key=lambda pair: pair[1].turn):
        try:
            edit.act(edited)
        except InputError as error:
            raise InputError(f'variant "{name}" on net "{net.name}": {error}', error.layer) from None
    return edited


def find_edit(name: str) -> Edit:
    """The edit of that name. Raises InputError naming the nearest one."""
    for family in FAMILIES:
        if match := re.fullmatch(family.pattern, name):
            try:
                arguments = family.groups(*match.groups())
            except InputError as error:
                raise InputError(f'variant "{name}": {error}') from None
            return Edit(partial(_act, family, arguments), family.turn)
    if name not in EDITS:
        hint = nearest(name, [*EDITS, *_EXAMPLES])
        raise InputError(f'no variant "{name}"{hint} (known: {", ".join(descriptions())}, joined by +)')
    return EDITS[name]


def _act(family: Family, arguments: tuple[object, ...], net: NetParameter) -> None:
    family.act(net, *arguments)


def descriptions() -> dict[str, str]:
    """Every variant's name with what it does, for ``zoo list``."""
    named = [(name, edit.act) for name, edit in EDITS.items()]
    named += [(family.shown, family.act) for family in FAMILIES]
    return {name: (act.__doc__ or "").split("\n")[0] for name, act in named}


def _numbers(text: str | None) -> tuple[list[int]]:
    return ([int(number) for number in text.split("-")] if text else [],)


def _ratio(text: str, places: str | None) -> tuple[float, list[int]]:
    if float(text) > 1:
        raise InputError("the ratio must be from 0 to 1")
    return float(text), *_numbers(places)


def _fraction(text: str | None, places: str) -> tuple[float | None, list[int]]:
    return float(text) if text else None, *_numbers(places)


def _whole(*texts: str) -> tuple[int, ...]:
    return tuple(map(int, texts))


_COUNTED, _POOLED, _ONE_BY_ONE, _BY_NUMBER, _SKIP, _BOTTLENECK, _SEPARABLE, _LAST = range(8)

EDITS = {
    "baseline": Edit(fields.set_baseline, _LAST),
    "bn": Edit(in_place.set_bn, _LAST),
    "fc": Edit(heads.set_fc, _LAST),
    "gap": Edit(heads.set_gap, _LAST),
    "msra": Edit(fields.set_msra, _LAST),
    "xavier": Edit(fields.set_xavier, _LAST),
    "gaussian": Edit(fields.set_gaussian, _LAST),
    "maxpool": Edit(structure.set_max_pooling, _POOLED),
    "avepool": Edit(structure.set_ave_pooling, _POOLED),
    "nin": Edit(structure.set_nin, _ONE_BY_ONE),
    "skip": Edit(structure.set_skip, _SKIP),
    "depthwise": Edit(structure.set_depthwise, _SEPARABLE),
    "noaugment": Edit(augmentation.set_none, _COUNTED),
    "crop": Edit(augmentation.set_crop, _POOLED),  # some turn behind that of noaugment
    "mirror": Edit(augmentation.set_mirror, _LAST),
    "colour": Edit(augmentation.set_colour, _LAST),
    "rotation": Edit(augmentation.set_rotation, _LAST),
}
FAMILIES = (
    Family(
        "dropoutR, dropoutR@A-B-…",
        rf"dropout(\d*\.?\d+)(?:@{_LIST})?",
        in_place.set_dropout,
        _ratio,
        _BY_NUMBER,
    ),
    Family("bnF", r"bn(0?\.\d*[1-9])", in_place.set_bn_fraction, lambda text: (float(text),), _LAST),
    Family("bn@A-B-…, bnF@A-B-…", rf"bn(0?\.\d*[1-9])?@{_LIST}", in_place.set_bn_at, _fraction, _BY_NUMBER),
    Family("strideA-B-…", rf"stride{_LIST}", fields.set_strides, _numbers, _COUNTED),
    Family("widthA-B-…", rf"width{_LIST}", fields.set_widths, _numbers, _COUNTED),
    Family("ninA-B-…", r"nin(\d(?:-\d)*)", structure.set_nin, _numbers, _ONE_BY_ONE),
    Family(
        "bottleneckA-B", rf"bottleneck({_NUMBER})-({_NUMBER})", structure.set_bottleneck, _whole, _BOTTLENECK
    ),
)
