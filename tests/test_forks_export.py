"""Layers of forks that slide, resize, scale and normalise go into ONNX files, or say why they cannot."""

from pathlib import Path

import pytest
from layer_cases import recorded
from recordings import load

from converters.layers.registry import records
from eval.parity import write_onnx
from prototxt.errors import InputError

FAMILIES = ("elementwise", "spatial", "connected", "normalising")
RULES = [record for record in records() if record.family.startswith(tuple(f"forks/{x}/" for x in FAMILIES))]
CASES = {record.rule_name: cases[0] for record in RULES if (cases := recorded()[0].get(record.rule_name))}


@pytest.mark.parametrize("rule", CASES)
def test_a_recorded_layer_goes_into_a_file(rule: str, tmp_path: Path) -> None:
    net, _, _ = load(CASES[rule])
    layers = [node for node in net.graph.nodes if not node.is_data]
    refusals = [net.module_of(node).record.refuses_export for node in layers]
    why = [refuses(net.module_of(node), [net.shapes[value] for value in node.inputs]) for node, refuses in
           zip(layers, refusals, strict=True) if refuses]  # fmt: skip
    if any(why):
        with pytest.raises(InputError, match=max(why)):
            write_onnx(net, tmp_path / "n.onnx")
    else:
        write_onnx(net, tmp_path / "n.onnx")
        assert (tmp_path / "n.onnx").exists()


def test_a_convolution_of_three_axes_without_bias_goes_into_a_file(tmp_path: Path) -> None:
    net, _, _ = load("convolution3d_depth1_nobias")
    assert write_onnx(net, tmp_path / "n.onnx")
