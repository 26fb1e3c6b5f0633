"""Nets as PyTorch source: each recorded layer's, run, beside what Caffe computed and what the net does."""

import re
from typing import Any

import pytest
import torch
from golden_cases import error, named
from recordings import CASES, OF_FORKS, is_net, load
from torch import Tensor

from converters import Network
from converters.export.deploy import deploy
from converters.export.onnx_file import deploy_net
from converters.export.source import load_source
from prototxt.errors import InputError

LAYER, NET = 3e-6, 1e-5
# What no rule writes: types that no deployed net of the corpus has but one or two, and odd windows.
REFUSED = {
    *("BoxAnnotatorOHEM", "ContinuationIndicator", "DummyData", "LabelSpecificAdd", "LabelSpecificRescale"),
    *("BN (segnet)", "InnerDistance", "MarginInnerProduct", "MultiStageMeanfield", "Pooling3D"),
}


def deployed(case: str) -> tuple[Network, dict[str, Tensor], dict[str, Any]] | None:
    """A case's net, inputs and recording; None where nothing is left without what judges it."""
    net, inputs, data = load(case)
    try:
        deploy(net.graph)
    except InputError:
        return None
    return net, {name: x.detach() for name, x in inputs.items()}, data


@pytest.mark.parametrize("case", CASES + OF_FORKS)
def test_the_source_computes_what_caffe_did(case: str) -> None:
    if (of_case := deployed(case)) is None:
        return
    net, feeds, data = of_case
    try:
        source = load_source(net)
    except InputError as refused:
        assert re.match("type (.*) has no rule", str(refused))[1] in REFUSED
        return
    with torch.no_grad():
        ours, theirs = source.values(feeds), deploy_net(net).values(feeds)
    outputs = source.graph.outputs
    assert set(outputs) <= ours.keys() <= theirs.keys()
    bound = NET if is_net(case) else LAYER
    for value, x in ours.items():
        assert error(x, theirs[value]) <= bound, value
    recorded = named(data, "out") if data["phase"] == "TEST" else {}
    for value in outputs:
        if value.blob in recorded:
            assert error(ours[value], recorded[value.blob]) <= bound, value
