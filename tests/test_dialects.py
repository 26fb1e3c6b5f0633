"""One type name, several rules: which is chosen, that it is said once, and that it stays with the net."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from golden_cases import GOLDEN, arrays

from converters import Network, load_net
from converters.dialects import settled
from converters.layers.choice import Dialect, Stored
from converters.layers.choosing import choose
from converters.layers.registry import Record, rules_of
from converters.solver.nets import solver_nets
from converters.weights.stored import stored_blobs
from eval.parity import write_onnx
from prototxt.caffe_pb2 import LayerParameter, SolverParameter
from prototxt.errors import InputError
from prototxt.net_file import NetFile
from prototxt.text import parse_net, to_text
from zoo.cli import main
from zoo.train.planning.options import Options
from zoo.train.planning.plan import make_plan

NET = """name: "n"
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: %d dim: 3 dim: 3 } } }
layer { name: "bn" type: "BN" bottom: "x" top: "y" %s }
"""
SLOPE = "slope_filler { value: 1 }"
SCALE = "scale_filler { value: 1 }"


def bn(param: str = "", name: str = "bn") -> LayerParameter:
    layer = parse_net(NET % (2, f"bn_param {{ {param} }}" if param else "")).layer[1]
    layer.name = name
    return layer


def stored(*shapes: tuple[int, ...], names: tuple[str, ...] = ()) -> list[Stored]:
    named = names or (None,) * len(shapes)
    return [
        Stored(shape, lambda shape=shape: np.ones(shape, np.float32), name)
        for shape, name in zip(shapes, named, strict=True)
    ]


def chosen(param: str = "", **given: list[Stored]) -> tuple[str, bool]:
    choice = choose([bn(param)], rules_of("BN"), stored=given)
    return choice.rules[0].dialect_name, bool(choice.notices)


FIELDS = [
    ("", "pspnet", True),
    (SLOPE, "pspnet", True),
    ("frozen: true", "pspnet", True),
    (SCALE, "segnet", True),
    ("bn_mode: INFERENCE", "segnet", False),
    ("decay: 0.1", "ducha-aiki", False),
    (f"{SCALE} moving_average: false", "ducha-aiki", False),
]


@pytest.mark.parametrize(("param", "dialect", "is_said"), FIELDS)
def test_fields_give_the_rule_away(param: str, dialect: str, is_said: bool) -> None:
    assert chosen(param) == (dialect, is_said)


BLOBS = [
    ("", [(1, 2, 1, 1)] * 2, "segnet", False),
    ("", [(1, 2)] * 4, "yjxiong", True),
    (SLOPE, [(1, 2, 1, 1)] * 4, "pspnet", False),
    (SCALE, [(1, 2, 1, 1)] * 4, "ducha-aiki", False),
    (SCALE, [(1, 2, 1, 1)] * 2, "segnet", False),
    (SLOPE, [(7,)], "pspnet", True),  # nobody's; what is wrong with the file is said where it is loaded
]


@pytest.mark.parametrize(("param", "shapes", "dialect", "is_said"), BLOBS)
def test_blobs_tell_what_fields_do_not(
    param: str, shapes: list[tuple[int, ...]], dialect: str, is_said: bool
) -> None:
    assert chosen(param, bn=stored(*shapes)) == (dialect, is_said)


def test_names_of_blobs_tell_too() -> None:
    blobs = stored(*[(1, 2)] * 4, names=("slope", "bias", "mean", "inverse"))
    assert chosen("", bn=blobs) == ("happynear", False)


def statistics(power: int, scale: float = 1) -> list[Stored]:
    """Blobs of a layer whose channels differ in scale; the last is their deviation to a power."""
    random = np.random.Generator(np.random.PCG64(0))
    deviation = scale * np.exp(random.standard_normal(64)).astype(np.float32)
    mean = deviation * random.standard_normal(64).astype(np.float32)
    values = [np.ones(64), np.zeros(64), mean, deviation**power]
    return [Stored((1, 64), lambda x=x: x.reshape(1, 64).astype(np.float32)) for x in values]


@pytest.mark.parametrize(("power", "dialect"), [(2, "yjxiong"), (-1, "happynear")])
def test_values_that_look_like_a_rule_choose_it_and_that_is_said(power: int, dialect: str) -> None:
    choice = choose([bn()], rules_of("BN"), stored={"bn": statistics(power)})
    assert choice.rules[0].dialect_name == dialect
    assert [", as the values in the weight file suggest" in line for line in choice.notices] == [True]


def test_a_value_that_no_inverse_of_a_deviation_has_proves_a_variance() -> None:
    assert chosen("", bn=statistics(2, scale=30)) == ("yjxiong", False)
    assert chosen("", bn=statistics(-1, scale=1 / 100)) == ("yjxiong", False)  # whatever it looks like
    assert chosen("eps: 1e-12", bn=statistics(-1, scale=1 / 100)) == ("happynear", True)


def test_values_that_are_no_numbers_tell_nothing() -> None:
    blobs = [Stored((1, 4), lambda: np.full((1, 4), np.nan, np.float32))] * 4
    assert chosen("", bn=blobs) == ("yjxiong", True)


def test_the_layers_of_a_net_follow_one_rule() -> None:
    layers = [bn(name="a"), bn("bn_mode: LEARN", "b"), bn(SCALE, "c")]
    choice = choose(layers, rules_of("BN"))
    assert [rule.dialect_name for rule in choice.rules] == ["segnet"] * 3 and not choice.notices


def test_what_is_asked_for_beats_everything() -> None:
    layer = bn("bn_mode: INFERENCE")
    layer.dialect = "segnet"
    assert choose([layer], rules_of("BN"), ["icnet"]).rules[0].dialect_name == "pspnet"


def test_what_cannot_be_told_is_an_error_only_without_a_default() -> None:
    def build(message: LayerParameter, bottoms: object) -> None:
        raise AssertionError

    rules = [Record("BN", build, dialect=Dialect(name)) for name in ("one", "two", "three")]  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"several rules.*one, two or three"):
        choose([bn()], rules)
    with pytest.raises(
        InputError, match=r"no rule of BN has bn_param.bn_mode and bn_param.momentum together"
    ):
        choose([bn("bn_mode: LEARN momentum: 0.5")], rules_of("BN"))


def test_a_dialect_that_nobody_has_is_named() -> None:
    file = NetFile.parse(NET % (2, 'dialect: "pspnt"'))
    with pytest.raises(InputError, match=r'<text>:3: layer "bn": BN has no dialect "pspnt": it is pspnet'):
        settled(file)
    with pytest.raises(InputError, match='no layer has the dialect "pspnt"; did you mean "pspnet"'):
        load_net(NET % (2, ""), dialect="pspnt")


def test_the_default_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    text = NET % (2, "") + 'layer { name: "b2" type: "BN" bottom: "y" top: "z" }'
    net = load_net(text)
    assert [node.layer.dialect for node in net.graph.nodes] == ["", "pspnet", "pspnet"]
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and "taken as pspnet's (hszhao/PSPNet: bn_layer.cpp)" in lines[0]


def test_text_keeps_a_dialect_where_the_fork_reads_a_comment() -> None:
    net = parse_net(NET % (2, 'dialect: "happynear"'))
    text = to_text(net)
    assert "\n  # dialect: happynear\n" in text and "dialect:" not in text.replace("# dialect:", "")
    assert parse_net(text) == net
    whole = "# dialect: ducha-aiki\n" + NET % (2, "")
    layer = settled(NetFile.parse(whole)).message.layer[1]
    assert layer.dialect == "ducha-aiki"
    with pytest.raises(InputError, match=r"<text>:4:.*nonsense"):
        parse_net("# dialect: ducha-aiki\n" + NET % (2, "nonsense: 1"))


def test_a_weight_file_chooses_and_fits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for case in ("bn_ducha_test", "bn_psp_test"):
        data = arrays(GOLDEN / "forks" / f"{case}.npz")
        path = GOLDEN / "forks" / f"{case}.prototxt"
        net = load_net(
            path, dialect=case.split("_")[1].replace("psp", "pspnet").replace("ducha", "ducha-aiki")
        )
        for index, blob in enumerate(net.params["bn"]):
            with torch.no_grad():
                blob.copy_(torch.from_numpy(data[f"param/bn/{index}"]))
        net.save_caffemodel(tmp_path / "w.caffemodel")
        net.save_hdf5(tmp_path / "w.h5")
        capsys.readouterr()
        for weights in ("w.caffemodel", "w.h5"):
            again = load_net(path, tmp_path / weights)
            assert again.graph.nodes[1].layer.dialect == net.graph.nodes[1].layer.dialect
            assert torch.equal(output(again, data), output(net, data))
        assert "dialect" not in capsys.readouterr().err


def output(net: Network, data: dict[str, np.ndarray]) -> torch.Tensor:
    y = net(torch.from_numpy(data["in/x0"]))
    assert isinstance(y, torch.Tensor)
    return y.detach()


def test_convert_takes_a_dialect_and_its_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(NET % (4, ""))
    assert main(["convert", str(path), "--dialect", "happynear", "--output", str(tmp_path), "--verify"]) == 0
    model = onnx.load(tmp_path / "n.onnx")
    entries = {item.key: item.value for item in model.metadata_props}
    assert json.loads(entries["dialects"]) == {"BN": "happynear"}
    assert main(["convert", str(path), "--dialect", "hapynear", "--output", str(tmp_path)]) == 2


@pytest.mark.parametrize("dialect", ["segnet", "pspnet", "yjxiong", "happynear", "ducha-aiki"])
def test_every_rule_of_bn_goes_into_a_file(dialect: str, tmp_path: Path) -> None:
    net = load_net(NET % (4, ""), dialect=dialect)
    with torch.no_grad():
        for blob in net.params["bn"]:
            blob.copy_(torch.rand(blob.shape) + 0.5)
    assert write_onnx(net, tmp_path / "n.onnx")


def test_a_solvers_nets_carry_theirs(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(NET % (4, "bn_param { decay: 0.2 }"))
    solver = SolverParameter(net="net.prototxt", test_iter=[1], test_interval=1)
    nets = solver_nets(solver, tmp_path / "solver.prototxt", [tmp_path])
    assert [net.message.layer[1].dialect for net in nets] == ["ducha-aiki"] * 2
    assert "# dialect: ducha-aiki" in to_text(nets[0].message)


def test_a_solvers_weights_choose_its_nets_rules(tmp_path: Path) -> None:
    load_net(NET % (4, ""), dialect="segnet").save_caffemodel(tmp_path / "w.caffemodel")
    (tmp_path / "net.prototxt").write_text(NET % (4, ""))
    solver = SolverParameter(net="net.prototxt", weights=["w.caffemodel"])
    nets = solver_nets(solver, tmp_path / "solver.prototxt", [tmp_path])
    assert nets[0].message.layer[1].dialect == "segnet"


def test_a_weight_file_is_opened_once_for_a_net_that_is_trained_and_tested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_net(NET % (4, ""), dialect="segnet").save_caffemodel(tmp_path / "w.caffemodel")
    (tmp_path / "net.prototxt").write_text(NET % (4, ""))
    opened: list[Path] = []

    def noting(path: Path) -> dict[str, list[Stored]]:
        opened.append(path)
        return stored_blobs(path)

    monkeypatch.setattr("converters.dialects.stored_blobs", noting)
    solver = SolverParameter(net="net.prototxt", weights=["w.caffemodel"], test_iter=[1], test_interval=1)
    nets = solver_nets(solver, tmp_path / "solver.prototxt", [tmp_path])
    assert [net.message.layer[1].dialect for net in nets] == ["segnet"] * 2
    assert opened == [tmp_path / "w.caffemodel"]
    text = (tmp_path / "net.prototxt").read_text()
    (tmp_path / "net.prototxt").write_text(text.replace('type: "BN"', 'type: "SoftmaxWithLoss"'))
    solver_nets(solver, tmp_path / "solver.prototxt", [tmp_path])  # several rules, and no blob to tell them
    assert len(opened) == 1


def test_the_weights_of_zoo_train_choose_them_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    load_net(NET % (4, ""), dialect="segnet").save_caffemodel("w.caffemodel")
    Path("net.prototxt").write_text(
        NET.replace('type: "Input"', 'type: "DummyData"').replace("input_param", "dummy_data_param") % (4, "")
    )
    Path("s.prototxt").write_text(
        'net: "net.prototxt" base_lr: 1 lr_policy: "fixed" weights: "gone.caffemodel"'
    )
    plan = make_plan(Options(solver="s.prototxt", weights="w.caffemodel"))
    assert plan.nets["TRAIN"].message.layer[1].dialect == "segnet" and plan.weights == ["w.caffemodel"]
