"""``import zoo``: light, typed, frozen, and one with the commands; docs/python.md, whose blocks are run."""

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import get_type_hints

import numpy as np
import onnx
import pytest
import torch

import zoo
from converters import Network, load_net
from eval.runtime import open_session
from zoo.cli import main

ROOT = Path(__file__).parents[1]
FROZEN = ROOT / "tests" / "data" / "python_face.txt"
PAGE = ROOT / "docs" / "python.md"
NET = """name: "small"
layer { name: "d" type: "Data" top: "data" top: "label" data_param { batch_size: 2 } transform_param { crop_size: 8 } }
layer { name: "c" type: "Convolution" bottom: "data" top: "c" convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "r" type: "ReLU" bottom: "c" top: "c" }
layer { name: "drop" type: "Dropout" bottom: "c" top: "c" include { phase: TRAIN } }
layer { name: "fc" type: "InnerProduct" bottom: "c" top: "fc" inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "acc" type: "Accuracy" bottom: "fc" bottom: "label" top: "acc" include { phase: TEST } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }
"""  # fmt: skip
SHAPES = {"data": (2, 3, 8, 8)}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the net."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.prototxt").write_text(NET)
    return tmp_path


def run(code: str, cwd: Path) -> str:
    """What a fresh process prints."""
    path = [str(ROOT), *filter(None, sys.path)]
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = {path!r}\n{code}"]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_it_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "before = set(sys.modules)\n"
        "import zoo; dir(zoo), zoo.__version__, hasattr(zoo, 'nothing')\n"
        "heavy = {'torch', 'numpy', 'onnx', 'onnxruntime', 'google.protobuf', 'cv2', 'rich'}\n"
        "print(heavy & set(sys.modules) - before)"
    )
    assert run(code, tmp_path) == "set()\n"


def test_every_name_is_there_for_python_and_for_type_checkers() -> None:
    assert set(zoo.__all__) <= set(dir(zoo)) and all(hasattr(zoo, name) for name in zoo.__all__)
    tree = ast.parse((ROOT / "zoo" / "__init__.py").read_text(encoding="utf-8"))
    (block,) = (
        node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    imported = {alias.name for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert imported | {"__version__"} == set(zoo.__all__)
    assert get_type_hints(zoo.load)["return"] is Network is zoo.Network
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        zoo.lode  # noqa: B018


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert zoo.__version__ == version("caffe-zoo")
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"zoo {zoo.__version__}\n"


def signature(item: object) -> str:
    """Parameters and defaults; mypy holds the types, which Python's versions spell differently."""
    if not (inspect.isfunction(item) or inspect.isclass(item)):
        return ""
    said = inspect.signature(item)
    bare = [each.replace(annotation=each.empty) for each in said.parameters.values()]
    return re.sub(r"<function (\w+) at \w+>", r"\1", str(inspect.Signature(bare)))


def face(package: str) -> Iterator[str]:
    """A line for every public name of a package, and for the public members of a class."""
    module = import_module(package)
    for name in getattr(module, "__all__", ()):
        item = getattr(module, name)
        yield f"{package}.{name}{signature(item)}"
        for member, value in vars(item).items() if inspect.isclass(item) else ():
            if not member.startswith("_"):
                yield f"{package}.{name}.{member}{signature(value)}"


def test_the_public_names_are_as_they_were() -> None:
    packages = ("zoo", "converters", "converters.layers", "eval", "prototxt")
    lines = [line for package in packages for line in face(package)]
    assert lines == FROZEN.read_text(encoding="utf-8").splitlines()


def test_the_page_says_what_happens(tmp_path: Path) -> None:
    """The python blocks are run, one after the other; a block without a language is what the one before prints."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    mark = "# ---\n"
    printed = run(f"print({mark!r}, end='')\n".join(text for kind, text in blocks if kind), tmp_path)
    said = []
    for kind, text in blocks:
        said += [""] if kind == "python" else []
        said[-1] += "" if kind == "python" else text
    assert printed.split(mark) == said


def test_load_and_convert_are_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", "net.prototxt", "--variant", "bn+gap", "--output", "out"]) == 0
    net = zoo.load(Path("net.prototxt"), variant="bn+gap")
    ours = onnx.load(zoo.export_onnx(net, "ours.onnx"))
    theirs = onnx.load(Path("out") / "small-bn+gap.onnx")
    theirs.doc_string = ""  # by which zoo convert knows what it may write over
    assert ours == theirs
    x = torch.randn(5, 3, 8, 8)
    (found,) = open_session(Path("ours.onnx")).run(None, {"data": x.numpy()})
    with torch.no_grad():
        computed = net(x).numpy()
    np.testing.assert_allclose(found, computed, rtol=0, atol=1e-4 * np.abs(computed).max())


def test_a_shipped_net_needs_its_name_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = {"anglenet": "angle", "masknet": "score", "votesnet": "votes"}
    any_size = {"masknet": {"data": (1, 3, 64, 64)}}  # whose prototxt says none
    for name in zoo.list_nets():
        net = zoo.load(name, input_shapes=any_size.get(name))
        assert net.inputs == ["data"] and net.outputs == [told.get(name, "fc")]
    assert capsys.readouterr() == ("", "")


def test_the_phase_the_losses_and_the_seed(folder: Path) -> None:
    net = zoo.load("net.prototxt", phase="TRAIN", losses=True)
    assert net.training and (net.inputs, net.outputs) == (["data", "label"], ["loss"])
    assert net.graph.nodes[3].layer.name == "drop"
    tested = zoo.load("net.prototxt")
    assert not tested.training and (tested.inputs, tested.outputs) == (["data"], ["fc"])
    assert torch.equal(tested.params["fc"][0], net.params["fc"][0])
    other = zoo.load("net.prototxt", seed=1)
    assert not torch.equal(tested.params["fc"][0], other.params["fc"][0])


def test_shapes_may_be_of_inputs_that_are_left_out(folder: Path) -> None:
    text = NET.replace("transform_param { crop_size: 8 }", "")
    (folder / "open.prototxt").write_text(text)
    with pytest.raises(zoo.InputError, match='cannot tell the shape of top "data"'):
        zoo.load("open.prototxt")
    shapes = {"data": (4, 3, 9, 9), "label": (4,)}
    assert zoo.load("open.prototxt", input_shapes=shapes).outputs == ["fc"]


def test_the_later_of_several_weights_count(folder: Path) -> None:
    names = []
    for seed in (1, 2):
        names.append(f"{seed}.caffemodel")
        zoo.load("net.prototxt", seed=seed).save_caffemodel(names[-1])
    last = zoo.load("net.prototxt", weights=Path(names[1]))
    both = zoo.load("net.prototxt", weights=names)
    assert torch.equal(both.params["c"][0], last.params["c"][0])
    assert torch.equal(last.params["c"][0], zoo.load("net.prototxt", seed=2).params["c"][0])


def test_softmax_and_blobs_of_a_file(folder: Path) -> None:
    def outputs(path: Path) -> list[str]:
        return [item.name for item in onnx.load(path).graph.output]

    assert outputs(zoo.export_onnx("net.prototxt", "a.onnx", softmax=True)) == ["prob"]
    net = zoo.load("net.prototxt")
    assert outputs(zoo.export_onnx(net, "a.onnx", output_blobs=["c"])) == ["c"]
    with pytest.raises(zoo.InputError, match='net "small" has no SoftmaxWithLoss'):
        zoo.export_onnx(net, "b.onnx", softmax=True)
    with pytest.raises(zoo.InputError, match='no layer of the deploy net makes the blob "cc"'):
        zoo.export_onnx(net, "b.onnx", output_blobs=["cc"])
    assert not Path("b.onnx").exists()


def test_no_file_is_written_that_draws_at_random(folder: Path) -> None:
    dropout = 'layer { name: "own" type: "Dropout" bottom: "c" top: "e" phase: TRAIN }'
    (folder / "draws.prototxt").write_text(NET.replace('bottom: "c" top: "fc"', 'bottom: "e" top: "fc"', 1).replace('layer { name: "fc"', dropout + '\nlayer { name: "fc"'))  # fmt: skip
    with pytest.raises(zoo.InputError, match=r'draws.prototxt:6: layer "own": draws at random'):
        zoo.export_onnx("draws.prototxt", "a.onnx")
    assert not Path("a.onnx").exists()


def test_a_python_layer_is_refused_where_it_would_run(folder: Path) -> None:
    python = 'type: "Python" loss_weight: 1 python_param { module: "not_there" layer: "Loss" }'
    (folder / "python.prototxt").write_text(NET.replace('type: "SoftmaxWithLoss"', python))
    assert zoo.load("python.prototxt").outputs == ["fc"]
    with pytest.raises(zoo.InputError, match=r'python.prototxt:8: layer "loss": is a Python layer'):
        zoo.load("python.prototxt", losses=True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"net": "alconv6"}, r'alconv6: no such file, .*\(allconv5, .*; did you mean "allconv6"\?'),
        ({"net": "."}, r"\.: is a folder, not a prototxt file"),
        ({"net": "x" * 300}, "File name too long"),
        ({"variant": "gpa"}, 'no variant "gpa"; did you mean "gap"'),
        ({"variant": "width8-8"}, 'variant "width8-8" on net "small": 2 numbers for 1 convolutions'),
        ({"phase": "test"}, "no phase 'test': TRAIN or TEST"),
        ({"dialect": "segnt"}, 'did you mean "segnet"'),
        ({"input_shapes": {"dta": (1, 3, 8, 8)}}, 'no input "dta".*did you mean "data"'),
        ({"weights": "nix.h5"}, "nix.h5: cannot be read: No such file or directory"),
        ({"weights": "net.prototxt"}, "net.prototxt: is text, as a prototxt is, and not weights"),
        ({"weights": "other.caffemodel"}, 'other.caffemodel: layer "c": blob 0 has shape'),
    ],
)
def test_what_is_wrong_is_one_line(arguments: dict[str, object], says: str, folder: Path) -> None:
    load_net(NET.replace("kernel_size: 3", "kernel_size: 5")).save_caffemodel("other.caffemodel")
    with pytest.raises(zoo.InputError, match=says) as caught:
        zoo.load(**{"net": "net.prototxt", **arguments})  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
