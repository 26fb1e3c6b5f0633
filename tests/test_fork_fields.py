"""Fields of forks: honoured by a layer whose record says so, harmless, without effect, or refused by name."""

from pathlib import Path

import pytest
from one_layer import one_layer, run

from converters import load_net
from converters.layers import registry
from converters.layers.registry import records
from converters.solver.update.rules import check_solver
from prototxt import caffe_pb2
from prototxt.caffe_pb2 import LayerParameter, NetParameter, SolverParameter
from prototxt.errors import InputError
from prototxt.forks import HARMLESS, PASSED_OVER, clear, drop_fork_fields, fields_of_forks, harmless_fields
from prototxt.lenient import lenient
from prototxt.text import parse, parse_solver


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
    assert lines == [f"net.prototxt: engine: {PASSED_OVER}"]
    assert harmless_fields(net) == ["engine"]
    assert list(fields_of_forks(net)) == ["layer.bn_param.momentum"] * 2


def test_the_message_of_another_type_has_no_effect() -> None:
    net = one_layer('type: "ReLU" top: "y" bn_param { momentum: 0.8 }', x=(1, 2))
    assert run(net, x=[[-1, 2]])["y"].tolist() == [[0, 2]]


def test_a_field_that_nothing_honours_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(registry._RECORDS, "BN")
    with pytest.raises(InputError, match=r'layer "it": bn_param\.momentum is a field of forks of Caffe'):
        one_layer('type: "ReLU" top: "y" bn_param { momentum: 0.8 }', x=(1, 2))


def test_an_engine_of_forks_is_passed_over() -> None:
    said: list[str] = []
    text = """default_forward_type: FLOAT16 engine: "MKLDNN" layer { name: "c" type: "Convolution" forward_math: FLOAT16
        convolution_param { num_output: 1 engine: MKL2017 conv_algos_override: "1,1,-1" } }
        layer { name: "b" type: "Convolution" convolution_param { num_output: 1 engine: CUDNN } }"""
    net = parse(text, NetParameter, "n", said.append)
    names = "conv_algos_override, default_forward_type, engine, forward_math"
    assert said == [f"n: {names}: {PASSED_OVER}"]
    assert not list(fields_of_forks(net))


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("larc: false larc_eta: 0.001 momentum: 0.9", []),
        ("larc: true larc_eta: 0.002", ["larc", "larc_eta"]),
        ("stagelr: 0.1 stageiter: 3", ["stagelr", "stageiter"]),
        ('eval_type: "detection" ap_version: "11point"', []),
    ],
)
def test_what_a_fork_says_by_default_has_no_effect(text: str, paths: list[str]) -> None:
    solver = parse(text, SolverParameter, warn=lambda line: None)
    assert sorted(fields_of_forks(solver)) == sorted(paths)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("eltwise_param { operation: STOCHASTIC_SUM }", "eltwise_param.operation"),
        ("loss_param { normalization: PRE_FIXED }", "loss_param.normalization"),
    ],
)
def test_a_value_that_only_forks_have_is_a_field_of_forks(text: str, path: str) -> None:
    net = parse(f"layer {{ {text} }}", NetParameter)
    assert list(fields_of_forks(net.layer[0])) == [path]
    drop_fork_fields(net)
    assert not list(fields_of_forks(net)) and not net.layer[0].ListFields()[0][1].ListFields()
    with pytest.raises(InputError, match=rf'layer "it": {path} is a field of forks'):
        one_layer(f'type: "ReLU" top: "y" {text}', x=(1, 2))


UNHONOURED = """eltwise_mem_sharing: false bn_stats_batch_size: 4
layer { name: "d" type: "Input" top: "d" input_param { shape { dim: 1 dim: 2 dim: 4 dim: 4 } } }
layer { name: "c" type: "Convolution" bottom: "d" top: "c" convolution_param { num_output: 1 kernel_size: 1
        relu: true kernel_depth: 3 } }
layer { name: "e" type: "Eltwise" bottom: "c" bottom: "c" top: "e" eltwise_param { coeff_blob: true } }"""


def test_what_nothing_honours_is_left_out_where_that_is_asked_for(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "n.prototxt"
    path.write_text(UNHONOURED)
    with pytest.raises(InputError, match="is a field of forks of Caffe that nothing here honours"):
        load_net(path)
    capsys.readouterr()
    with lenient():
        assert load_net(path).shapes
    left = "of forks is honoured by nothing here and left out"
    assert capsys.readouterr().err.splitlines() == [
        f"{path}: eltwise_mem_sharing: {PASSED_OVER}",
        f"{path}: the field bn_stats_batch_size {left}",
        f'{path}:3: layer "c": the field convolution_param.kernel_depth {left}',
        f'{path}:3: layer "c": the field convolution_param.relu {left}',
        f'{path}:5: layer "e": the field eltwise_param.coeff_blob {left}',
    ]


def test_so_it_is_of_a_solver() -> None:
    text = 'net: "n"\nlarc_turbo: true\nbase_lr: 1 local_lr_auto: true type: "Adam"'
    said: list[str] = []
    with lenient():
        read = parse_solver(text, "s", said.append)
    assert read == SolverParameter(net="n", base_lr=1, type="Adam")
    fields = [("larc_turbo", 2), ("local_lr_auto", 3)]
    end = "of forks is honoured by nothing here and left out"
    assert sorted(said) == [f"s:{line}: the field {field} {end}" for field, line in fields]
    with pytest.raises(InputError, match="is a field of forks of Caffe that nothing"):
        check_solver(parse_solver(text, "s"))


def test_a_path_is_cleared_and_no_more() -> None:
    text = "transform_param { scale: 2 resize_param { prob: 0.5 } resize_param { } crop_h: 3 }"
    net = parse(f"layer {{ {text} }}", NetParameter)
    for path in list(fields_of_forks(net.layer[0])):
        clear(net.layer[0], path)
    assert net == parse("layer { transform_param { scale: 2 } }", NetParameter)
