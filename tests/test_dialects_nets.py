"""A net follows the rules chosen for it however it is built, copied, shown and recorded."""

import json
import pickle
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from test_dialects import NET, SCALE, SLOPE, bn

from converters import Network, load_net
from converters.export.metadata import metadata
from converters.graph import build_graph
from converters.layers.choosing import choose
from converters.layers.registry import rules_of
from converters.net_state import net_state
from eval.parity import write_onnx
from prototxt.errors import InputError
from prototxt.text import parse_net
from zoo.cli import main


def test_a_net_built_from_a_graph_follows_the_same_rules(capsys: pytest.CaptureFixture[str]) -> None:
    net = Network(build_graph(parse_net(NET % (4, "")), net_state("TEST")))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith('net "n": BN may be that of pspnet, yjxiong, segnet or') and "--dialect" in line
    assert json.loads(metadata(net, ())["dialects"]) == {"BN": "pspnet"}
    whole = parse_net("# dialect: happynear\n" + NET % (4, ""))
    net = Network(build_graph(whole, net_state("TEST")))
    assert net.graph.nodes[1].layer.dialect == "happynear" and not whole.layer[1].dialect
    assert not capsys.readouterr().err


def test_a_dialect_of_the_net_that_nobody_has_is_named() -> None:
    with pytest.raises(InputError, match=r'^<text>: no layer has the dialect "pspnt"; did you mean "pspnet"'):
        load_net("# dialect: pspnt\n" + NET % (4, ""))


def test_of_several_dialects_asked_for_each_layer_follows_the_one_it_can() -> None:
    layers = [bn(SLOPE, "a"), bn(SCALE, "b"), bn("", "c")]
    choice = choose(layers, rules_of("BN"), ["yjxiong", "segnet"])
    assert [rule.dialect_name for rule in choice.rules] == ["yjxiong", "segnet", "yjxiong"]
    with pytest.raises(InputError, match=r"pspnet or yjxiong has bn_param\.scale_filler"):
        choose(layers, rules_of("BN"), ["yjxiong", "pspnet"])


def test_a_field_that_the_dialect_asked_for_does_not_know_is_said() -> None:
    (line,) = choose([bn(), bn(SCALE, "b")], rules_of("BN"), ["pspnet"]).notices
    assert line.startswith('layer "b" sets bn_param.scale_filler, without effect: pspnet\'s BN')
    assert not choose([bn(SLOPE)], rules_of("BN"), ["pspnet"]).notices


def test_two_rules_of_one_type_are_both_recorded(tmp_path: Path) -> None:
    more = 'layer { name: "b2" type: "BN" bottom: "y" top: "z" bn_param { decay: 0.5 } }'
    net = load_net(NET % (4, "bn_param { momentum: 0.5 }") + more)
    assert json.loads(metadata(net, ())["dialects"]) == {"BN": "pspnet,ducha-aiki"}
    assert write_onnx(net, tmp_path / "n.onnx")


def test_zoo_show_prints_the_rules_of_a_dialect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.prototxt").write_text(NET % (4, ""))
    assert main(["show", str(tmp_path / "net.prototxt"), "--dialect", "enet"]) == 0
    assert "\n  # dialect: segnet\n" in capsys.readouterr().out
    assert main(["show", str(tmp_path / "net.prototxt"), "--dialect", "enett"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == 'zoo: no layer has the dialect "enett"; did you mean "enet"?'


def test_copies_of_a_net_follow_its_rules() -> None:
    net = load_net(NET % (4, ""), dialect="happynear")
    for copy in (deepcopy(net), pickle.loads(pickle.dumps(net))):
        (module,) = copy.layers.values()
        assert module.record.dialect_name == "happynear"
        x = torch.randn(2, 4, 3, 3)
        assert torch.equal(copy(x), net(x)) and copy.state_dict().keys() == net.state_dict().keys()
