"""Whole nets against the forks that they were written for. Their recordings lie beside the repository."""

import re
from dataclasses import replace

import numpy as np
import pytest
from golden_cases import arrays
from test_nets import SHARED, TOLERANCE, build_file, cases, check

from converters.dialects import settled
from converters.layers.registry import record_of, records
from converters.net_state import filtered, net_state
from prototxt.caffe_pb2 import LayerParameter, NetParameter
from prototxt.net_file import NetFile

FORKS = SHARED / "golden" / "nets_forks"

# Where rounding grows from layer to layer in the fork itself: its float32 is as far from float64 as from ours.
LOOSER = {
    "chuanqi305__MobileNet-SSD__train@TRAIN": 2e-3,  # statistics of a batch of 2; float64 is 1.3e-3 from it
    "hujie-frank__SENet__models__SE-ResNet-50@TEST": 2e-3,  # float64 is 1.8e-3 from it
    "hujie-frank__SENet__models__SE-ResNeXt-50@TEST": 2e-3,  # float64 is 5.5e-4 from it
}


def dialects_of(data: dict[str, np.ndarray]) -> str:
    """The dialects of the repositories whose code ran, but for those that ran layers of R-CNN's line alone."""
    text = str(data["fork"]).partition("rest ")[2] or str(data["fork"])
    named = {rule.source.partition(":")[0]: rule.dialect_name for rule in records() if rule.dialect_name}
    repositories = re.findall(r"([\w.-]+/[\w.-]+)@", text)
    return ",".join(dict.fromkeys(named[name] for name in repositories if name in named))


def prepared(data: dict[str, np.ndarray]) -> NetFile:
    """The net as it was run: without the layers left out and those that need their tops, and with the file's
    first data layer where its phase has none.
    """
    file = NetFile.read(SHARED / "corpus" / str(data["net"]))
    net = NetParameter()
    net.CopyFrom(file.message)
    left_out, gone = {str(name) for name in data["left_out"]}, set[str]()
    layers = list[LayerParameter]()
    for layer in net.layer:
        if layer.name in left_out or gone & set(layer.bottom):
            gone |= set(layer.top) - set(layer.bottom)
        else:
            layers.append(layer)
    return settled(replace(file, message=with_data(net, layers, str(data["phase"]))), dialects_of(data))


def with_data(net: NetParameter, layers: list[LayerParameter], phase: str) -> NetParameter:
    """The net of the layers of its phase, and of the first data layer where none is among them."""
    del net.layer[:]
    net.layer.extend(layers)
    fed = [layer for layer in net.layer if record_of(layer).role == "data"]
    if not any(record_of(layer).role == "data" for layer in filtered(net, net_state(phase)).layer):
        for layer in fed[:1]:
            del layer.include[:]
    return net


@pytest.mark.slow
@pytest.mark.parametrize("case", cases(FORKS))
def test_whole_nets_are_their_forks(case: str) -> None:
    data = arrays(FORKS / f"{case}.npz")
    check(build_file(prepared(data), data), data, LOOSER.get(case, TOLERANCE))
