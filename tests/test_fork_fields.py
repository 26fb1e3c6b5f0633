"""Fields of forks: honoured by a layer whose record says so, harmless, without effect, or refused by name."""

import pytest
from one_layer import one_layer, run

from converters.layers import registry
from converters.layers.registry import records
from prototxt import caffe_pb2
from prototxt.caffe_pb2 import LayerParameter, NetParameter
from prototxt.errors import InputError
from prototxt.forks import HARMLESS, fields_of_forks, harmless_fields
from prototxt.text import parse


def test_fields_named_by_records_are_in_the_schema() -> None:
    for record in records():
        for path in record.fields:
            kind = LayerParameter.DESCRIPTOR
            for name in path.split("."):
                assert kind is not None and name in kind.fields_by_name, f"{record.rule_name}: {path}"
                kind = kind.fields_by_name[name].message_type


def test_harmless_fields_are_in_the_schema() -> None:
    for name in HARMLESS:
        kind, _, field = name.partition(".")
        assert field in getattr(caffe_pb2, kind).DESCRIPTOR.fields_by_name, name


def test_a_harmless_field_is_said_once_and_passed_over() -> None:
    lines: list[str] = []
    bn = 'layer {{ name: "{}" type: "BN" bottom: "x" top: "{}" bn_param {{ engine: CUDNN momentum: 0.8 }} }} '
    net = parse(bn.format("a", "a") + bn.format("b", "b"), NetParameter, "net.prototxt", lines.append)
    assert lines == ["net.prototxt: engine: of forks of Caffe, and without effect on results: passed over"]
    assert harmless_fields(net) == ["engine"]
    assert list(fields_of_forks(net)) == ["layer.bn_param.momentum"] * 2


def test_the_message_of_another_type_has_no_effect() -> None:
    net = one_layer('type: "ReLU" top: "y" bn_param { momentum: 0.8 }', x=(1, 2))
    assert run(net, x=[[-1, 2]])["y"].tolist() == [[0, 2]]


def test_a_field_that_nothing_honours_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(registry._RECORDS, "BN")
    with pytest.raises(InputError, match=r'layer "it": bn_param\.momentum is a field of forks of Caffe'):
        one_layer('type: "ReLU" top: "y" bn_param { momentum: 0.8 }', x=(1, 2))
