"""Which fork's rule each layer of a net follows, where its type has several."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from converters.layers.choice import Stored, choose
from converters.layers.registry import dialects, rules_of
from converters.weights.stored import stored_blobs
from prototxt.caffe_pb2 import LayerParameter, NetParameter
from prototxt.errors import InputError, nearest
from prototxt.net_file import NetFile
from prototxt.text import Warn, to_stderr

F = TypeVar("F", bound=NetFile)


def settled(file: F, asked: str | None = None, weights: Sequence[Path] = (), warn: Warn = to_stderr) -> F:
    """The net with the dialect of each layer whose type has several rules written in its message, where
    prototxts, run folders and ONNX files keep it.

    ``asked``: names of forks, with commas. ``weights``: the files, of which the later count first; none is
    opened for a net whose types have one rule each. ``warn`` takes a line for each type that nothing tells.
    Raises InputError for a fork that nobody knows, and where :func:`converters.layers.choice.choose` does.
    """
    wanted = _names(asked or "")
    kinds = dict.fromkeys(layer.type for layer in file.message.layer if _has_rules(layer))
    if not kinds:
        return file
    message = NetParameter()
    message.CopyFrom(file.message)
    stored: dict[str, list[Stored]] = {}
    for path in weights:
        stored |= stored_blobs(path)
    with file.located():
        for kind in kinds:
            layers = [layer for layer in message.layer if layer.type == kind]
            if notice := _settle(layers, message.dialect, wanted, stored):
                warn(f"{file.name}: {notice}")
    return replace(file, message=message)


def _settle(
    layers: Sequence[LayerParameter], of_net: str, wanted: Sequence[str], stored: dict[str, list[Stored]]
) -> str | None:
    """Give the layers, all of one type, their dialects; what the user should be told of it. ``of_net``, what
    the net's text says of all its layers, counts for a type that has it.
    """
    rules = rules_of(layers[0].type)
    if any(rule.dialect and of_net in rule.dialect.names for rule in rules):
        for layer in layers:
            layer.dialect = layer.dialect or of_net
    choice = choose(layers, rules, wanted, stored)
    for layer, rule in zip(layers, choice.rules, strict=True):
        layer.dialect = rule.dialect_name
    return choice.notice


def dialects_of(layers: Iterable[LayerParameter]) -> dict[str, str]:
    """Type to dialect, of the types of ``layers`` that have several rules."""
    return {layer.type: layer.dialect for layer in layers if _has_rules(layer) and layer.dialect}


def _has_rules(layer: LayerParameter) -> bool:
    return len(rules_of(layer.type)) > 1


def _names(asked: str) -> list[str]:
    """The forks in a list with commas. Raises InputError for one that nobody knows."""
    names = [name.strip() for name in asked.split(",") if name.strip()]
    for name in names:
        if name not in dialects():
            raise InputError(f'no layer has the dialect "{name}"{nearest(name, dialects())}')
    return names
