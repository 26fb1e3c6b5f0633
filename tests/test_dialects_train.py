"""A run by the rules of a dialect: its folder says which, and what goes on from it follows the same."""

import json
from pathlib import Path

import pytest
from tiny import write_run
from train_runs import train

from converters.layers.choosing import choose
from converters.layers.dialects import dialects_of
from converters.layers.registry import rules_of
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError
from prototxt.text import parse_net, parse_solver, to_text
from zoo.bench.models import find_runs, run_graph
from zoo.cli import main
from zoo.study.expand import arguments, expand
from zoo.study.file import read_study

BN = 'layer { name: "bn1" type: "BN" bottom: "conv1" top: "conv1" bn_param { slope_filler { value: 1 } } }\n'


@pytest.fixture
def solver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The solver of a net with a BN of several possible rules, in the current folder."""
    monkeypatch.chdir(tmp_path)
    path = write_run(Path(), max_iter=2)
    net = Path("tiny.prototxt")
    net.write_text(net.read_text().replace('layer { name: "relu1"', f'{BN}layer {{ name: "relu1"'))
    return path


def test_a_run_keeps_the_dialect_asked_for(solver: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(solver, "--dialect", "happynear", "--output", "run") == 0
    record = json.loads(Path("run/run.json").read_text())
    assert record["dialects"]["BN"] == "happynear" and record["options"]["dialect"] == "happynear"
    assert "\n  # dialect: happynear\n" in Path("run/net.prototxt").read_text()
    assert main(["train", "--output", "run", "--resume", "--max-iter", "4", "--device", "cpu"]) == 0
    assert json.loads(Path("run/run.json").read_text())["dialects"]["BN"] == "happynear"
    (model,) = find_runs(Path("run"))[0]
    assert model.folder is not None
    graph = run_graph(model.folder, "TEST")
    assert graph is not None and "happynear" in [node.layer.dialect for node in graph.nodes]
    assert main(["convert", "run/net.prototxt", "--weights", "run/weights.safetensors", "--output", "o"]) == 0
    assert "may be that of" not in capsys.readouterr().err


def test_a_run_by_default_says_so_once_and_is_no_run_of_another(
    solver: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(solver, "--output", "run") == 0
    assert capsys.readouterr().err.count("BN may be that of") == 1
    assert main(["train", "--output", "run", "--resume", "--dialect", "happynear", "--device", "cpu"]) == 2
    assert "was begun with --dialect None, not happynear" in capsys.readouterr().err
    assert train(solver, "--dialect", "hapynear", "--output", "other") == 2
    assert 'no layer has the dialect "hapynear"; did you mean "happynear"?' in capsys.readouterr().err


def test_a_run_that_goes_on_takes_the_rule_that_it_recorded(
    solver: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever chose it then: here nothing is left that would, and the default is another."""
    assert train(solver, "--dialect", "happynear", "--output", "run") == 0
    path = Path("run/run.json")
    record = json.loads(path.read_text())
    record["options"]["dialect"] = None
    path.write_text(json.dumps(record))
    capsys.readouterr()
    assert main(["train", "--output", "run", "--resume", "--max-iter", "4", "--device", "cpu"]) == 0
    assert "may be that of" not in capsys.readouterr().err
    assert json.loads(path.read_text())["dialects"]["BN"] == "happynear"
    (model,) = find_runs(Path("run"))[0]
    assert model.folder is not None and run_graph(model.folder, "TRAIN")


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('name: "bn1"', '\n# dialect: segnet\nname: "bn1"', "its text names segnet's now"),
        ("bn_param {", "bn_param { decay: 0.2", "does not know bn_param.decay, and its text sets it now"),
    ],
)
def test_a_text_that_contradicts_the_record_is_refused(
    solver: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, why: str
) -> None:
    assert train(solver, "--output", "run") == 0
    net = Path("tiny.prototxt")
    net.write_text(net.read_text().replace(old, new))
    capsys.readouterr()
    assert main(["train", "--output", "run", "--resume", "--max-iter", "4", "--device", "cpu"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "tiny.prototxt:" in line and 'layer "bn1": the run was begun by pspnet\'s rule of BN' in line
    assert why in line


def test_a_rule_that_is_gone_is_named(solver: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(solver, "--output", "run") == 0
    path = Path("run/run.json")
    path.write_text(path.read_text().replace('"BN": "pspnet"', '"BN": "elsewhere"'))
    assert main(["train", "--output", "run", "--resume", "--max-iter", "4", "--device", "cpu"]) == 2
    assert "begun by elsewhere's rule of BN, which nobody knows here" in capsys.readouterr().err


def test_a_study_names_a_dialect(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text('title = "t"\ndialect = "segnet"\n[[runs]]\nvariants = ["bn"]\n')
    (run,) = expand(read_study(path), str(path))
    assert run.options.dialect == "segnet" and "--dialect=segnet" in arguments(run.options)


def test_a_net_in_a_solver_and_an_old_layer_say_their_dialect() -> None:
    layers = 'layers {\n  # dialect: segnet  \n  name: "bn" type: SPLIT bottom: "x" top: "y" }\n'
    assert parse_net("# dialect: enet\n" + layers).layer[0].dialect == "segnet"
    solver = parse_solver(f"# dialect: of no net\nnet_param {{\n# dialect: enet\n{layers}}}\n# dialect: x\n")
    assert solver.net_param.dialect == "enet" and solver.net_param.layer[0].dialect == "segnet"
    assert parse_solver(to_text(solver)) == solver
    with pytest.raises(InputError, match=r"^<text>:5:.*nonsense"):
        parse_solver("net_param {\n# dialect: enet\nlayer {\n# dialect: segnet\nnonsense: 1 } }")


def test_a_net_tells_of_several_rules_of_a_type() -> None:
    layers = [LayerParameter(type="BN", dialect=name) for name in ("segnet", "pspnet", "segnet")]
    assert dialects_of(layers) == {"BN": "segnet,pspnet"}
    plain = [LayerParameter(type="Pooling"), LayerParameter(type="ReLU")]
    assert dialects_of(plain) == {}
    layer = LayerParameter(type="BN", name="b", dialect="segnet", bottom=["x"], top=["y"])
    assert choose([layer], rules_of("BN"), ("segnet", "pspnet")).rules[0].dialect_name == "segnet"
