"""Nets as PyTorch source: each recorded layer's, run, beside what Caffe computed and what the net does."""

import pytest
import torch
from golden_cases import error, named
from recordings import CASES, OF_FORKS, is_net, load

from converters.export.deploy import deploy
from converters.export.onnx_file import deploy_net
from converters.export.source import load_source
from prototxt.errors import InputError

LAYER, NET = 3e-6, 1e-5


def is_deployed(case: str) -> bool:
    """Whether something is left of a case's net without what judges it."""
    try:
        return bool(deploy(load(case)[0].graph))
    except InputError:
        return False


@pytest.mark.parametrize("case", CASES + OF_FORKS)
def test_the_source_computes_what_caffe_did(case: str) -> None:
    if not is_deployed(case):
        pytest.skip("nothing to deploy: it is a loss, or its inputs are labels")
    net, inputs, data = load(case)
    try:
        source = load_source(net)
    except InputError as refused:
        assert str(refused).endswith("by which PyTorch source is written")
        pytest.skip(str(refused))
    feeds = {name: x.detach() for name, x in inputs.items()}
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
