"""What goes wrong is said with the right file, line, layer and cause."""

from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import torch

from converters.graph import build_graph
from converters.load import load_net
from converters.net_state import net_state
from converters.solver.file import load_solver
from converters.solver.nets import NetSource
from converters.weights.mean_image import write_mean
from prototxt.caffe_pb2 import TEST, NetParameter, NetState, SolverParameter
from prototxt.errors import InputError
from prototxt.text import locate, parse, parse_net
from zoo.cli import main
from zoo.train.planning.nets import edited

HEAD = 'base_lr: 0.1 lr_policy: "fixed" max_iter: 1 '
LOSS = """layer { name: "ip" type: "InnerProduct" bottom: "data" top: "y" inner_product_param { num_output: 2 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "y" bottom: "label" top: "loss" }
"""
IMAGES = 'layer {{ name: "data" type: "ImageData" top: "data" top: "label" {} image_data_param {{ source: "list.txt" batch_size: 2 {} }} }}\n'


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with two images of 5×5 and their list."""
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        cv2.imwrite(f"{name}.png", np.full((5, 5, 3), 80, np.uint8))
    (tmp_path / "list.txt").write_text("a.png 0\nb.png 1\n")
    return tmp_path


def refusals(solver: str, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """What ``zoo train`` and ``load_solver`` say of a solver that neither takes."""
    Path("s.prototxt").write_text(solver)
    assert main(["train", "--solver", "s.prototxt", "--output", "run"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    with pytest.raises(InputError) as caught:
        load_solver("s.prototxt", log=lambda line: None)
    return said, str(caught.value)


@pytest.mark.parametrize(
    ("path", "column", "escape"),
    [
        (r"C:\data\my\net.prototxt", 9, r"\d"),
        (r"C:\Users\net.prototxt", 9, r"\U"),
        (r"a/b\xyz", 10, r"\x"),
        (r"models\models\net", 13, r"\m"),
    ],
)
def test_a_backslash_that_escapes_nothing_is_refused_as_caffe_does(
    path: str, column: int, escape: str
) -> None:
    with pytest.raises(InputError) as caught:
        parse(f'net: "{path}"', SolverParameter, "s")
    assert str(caught.value).startswith(f's:1:{column}: "{escape}" in the string "{path}" is no escape')
    assert '"/"' in str(caught.value)


@pytest.mark.parametrize("text", [r"a\\d", r"\344\270\255", r"\x41\n\t\"\'\?\a\b\f\v\r", r"\u4e2d\U0001F600"])
def test_escapes_that_caffe_takes_are_taken(text: str) -> None:
    assert parse(f'net: "{text}"', SolverParameter, "s").net


def test_a_windows_path_that_escapes_swallowed_names_the_backslash(
    images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for said in refusals(HEAD + r'net: "models\net.prototxt"', capsys):
        assert r's.prototxt: net "models\net.prototxt"' in said and r'"\n" in a string' in said


@pytest.mark.parametrize(
    ("transform", "source"),
    [("", r"x\train.txt"), (r'transform_param { mean_file: "x\new" crop_size: 4 }', "list.txt")],
)
def test_a_data_layers_windows_path_names_the_backslash(
    transform: str, source: str, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (images / "n.prototxt").write_text("\n" + IMAGES.format(transform, "").replace("list.txt", source) + LOSS)
    for said in refusals(HEAD + 'net: "n.prototxt"', capsys):
        assert 'n.prototxt:2: layer "data": ' in said and "write a path with" in said


def test_snapshot_prefix_with_an_escape(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (images / "n.prototxt").write_text(IMAGES.format("", "") + LOSS)
    for said in refusals(HEAD + r'net: "n.prototxt" snapshot_prefix: "d:\net"', capsys):
        assert r's.prototxt: snapshot_prefix "d:\net"' in said


def test_a_place_is_named_once(images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for said in refusals(HEAD + 'net: "nope.prototxt"', capsys):
        assert said.partition("is in none of")[2].count(str(images)) == 1
    (images / "n.prototxt").write_text(IMAGES.format("", "").replace("list.txt", "nope.txt") + LOSS)
    said, _ = refusals(HEAD + 'net: "n.prototxt"', capsys)
    assert said.count(f" {images}") == 1 + said.startswith(f"zoo: {images}")


@pytest.mark.parametrize(
    ("transform", "resize", "says"),
    [
        ("transform_param { crop_size: 9 }", "new_height: 4 new_width: 4", "crop_size 9 is larger"),
        ("transform_param { crop_size: 4 mean_value: 1 mean_value: 2 }", "", "2 mean_value entries"),
        ('transform_param { crop_size: 4 mean_file: "m8" }', "", "mean_file m8 is 3×8×8, the image 3×5×5"),
        (
            'transform_param { crop_size: 4 mean_file: "m8" mean_value: 1 }',
            "",
            "both mean_file and mean_value",
        ),
        ('transform_param { crop_size: 4 mean_file: "gone" }', "", "mean_file"),
        ("transform_param { crop_size: 4 }", "new_height: 4", "new_height and new_width"),
    ],
)
def test_of_two_layers_of_one_name_the_wrong_one_is_named(
    transform: str, resize: str, says: str, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_mean(images / "m8", np.zeros((1, 3, 8, 8), np.float32))
    train, test = (
        IMAGES.format("include { phase: TRAIN } transform_param { crop_size: 4 }", ""),
        IMAGES.format("include { phase: TEST } " + transform, resize),
    )
    (images / "n.prototxt").write_text(train + test + LOSS)
    for said in refusals(HEAD + 'net: "n.prototxt" test_iter: 1 test_interval: 1', capsys):
        assert 'n.prototxt:2: layer "data": ' in said and says in said


def test_a_variant_leaves_a_layer_its_line(images: Path) -> None:
    pair = "".join(
        IMAGES.format(f"include {{ phase: {phase} }} transform_param {{ crop_size: 4 }}", "")
        for phase in ("TRAIN", "TEST")
    )
    source = NetSource(parse_net(pair + LOSS), "n.prototxt", pair + LOSS, NetState(phase=TEST))
    test = edited(source, "baseline", 3, 2).graph().nodes[0].layer
    assert (test.transform_param.crop_size, test.image_data_param.batch_size) == (2, 3)
    assert locate(pair + LOSS, "data", test) == 2


def test_a_second_layer_of_one_name_in_one_phase_is_named() -> None:
    text = """layer { name: "d" type: "Input" top: "d" input_param { shape { dim: 1 dim: 2 } } }
layer { name: "p" type: "Power" bottom: "d" top: "a" }
layer { name: "p" type: "Softmax" bottom: "d" top: "b" softmax_param { axis: 7 } }
"""
    with pytest.raises(InputError, match=r'<text>:3: layer "p": axis 7'):
        load_net(text)


def test_a_layer_of_a_net_in_the_solver_has_its_line(
    images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test = IMAGES.format("transform_param { crop_size: 9 }", "")
    train = IMAGES.format("transform_param { crop_size: 4 }", "")
    text = f"{HEAD} test_iter: 1 test_interval: 1\ntrain_net_param {{ {train}{LOSS} }}\ntest_net_param {{ {test}{LOSS} }}"
    for said in refusals(text, capsys):
        assert 's.prototxt:6: layer "data": ' in said


ALL_IN_ONE = """
layer { name: "a" type: "Input" top: "data" include { phase: TRAIN } input_param { shape { dim: 1 dim: 3 } } }
layer { name: "b" type: "Input" top: "data" include { stage: "deploy" } input_param { shape { dim: 1 dim: 3 } } }
layer { name: "r" type: "ReLU" bottom: "data" top: "r" }
layer { name: "s" type: "Sigmoid" bottom: "later" top: "s" include { stage: "late" } }
layer { name: "late" type: "ReLU" bottom: "r" top: "later" }
layer { name: "v" type: "Sigmoid" bottom: "l2" top: "v" include { min_level: 1 } }
layer { name: "w" type: "TanH" bottom: "r" top: "l2" include { min_level: 1 max_level: 1 } }
"""


@pytest.mark.parametrize(
    ("level", "stages", "says"),
    [
        (0, [], 'layer "a", which writes it, is left out: it asks for phase TRAIN'),
        (0, ["deploy", "late"], 'layer "late", which writes it, comes later'),
        (2, ["deploy"], 'layer "w", which writes it, is left out: it asks for level 1 or less (--stage and'),
    ],
)
def test_a_bottom_whose_layer_is_left_out_says_why(level: int, stages: list[str], says: str) -> None:
    with pytest.raises(InputError) as caught:
        build_graph(parse_net(ALL_IN_ONE), net_state("TEST", level, stages))
    assert says in str(caught.value)


def test_a_stage_left_out_names_the_stage() -> None:
    text = ALL_IN_ONE.replace("include { phase: TRAIN }", 'include { stage: "fit" }')
    with pytest.raises(InputError, match=r'it asks for stage "fit" \(--stage'):
        load_net(text)
    excluded = text.replace('include { stage: "fit" }', "exclude { phase: TEST }")
    with pytest.raises(InputError, match="an exclude rule fits phase TEST, level 0"):
        load_net(excluded)


def test_a_python_layer_names_the_option() -> None:
    with pytest.raises(InputError, match="--allow-python"):
        load_net('layer { name: "p" type: "Python" top: "p" python_param { module: "m" layer: "L" } }')


NET = 'layer {{ name: "d" type: "Input" top: "d" input_param {{ shape {{ dim: 1 dim: 3 dim: 4 dim: 4 }} }} }} layer {{ name: "x" bottom: "d" top: "x" {} }}'
CONV = 'type: "Convolution" convolution_param {{ num_output: 2 kernel_size: 1 bias_term: {} }}'


def saved(path: Path, layer: str, shapes: list[tuple[int, ...]]) -> Path:
    """Weights of one layer as .caffemodel, or as .h5."""
    if path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            for index, shape in enumerate(shapes):
                file[f"data/{layer}/{index}"] = np.zeros(shape, np.float32)
        return path
    net = NetParameter()
    new = net.layer.add(name=layer)
    for shape in shapes:
        blob = new.blobs.add(data=torch.zeros(shape).flatten().tolist())
        blob.shape.dim.extend(shape)
    path.write_bytes(net.SerializeToString())
    return path


@pytest.mark.parametrize("ending", ["caffemodel", "h5"])
@pytest.mark.parametrize(
    ("layer", "shapes", "says"),
    [
        ('type: "BatchNorm"', [(3,), (3,), (1,), (3,), (3,)], "NVIDIA's BatchNorm"),
        (CONV.format("false"), [(2, 3, 1, 1), (2,)], "the file has a bias and the net has none; bias_term"),
        (CONV.format("true"), [(2, 3, 1, 1)], "the net has a bias and the file has none; bias_term"),
        ('type: "Scale"', [(3,), (3,)], "the file has a bias and the net has none; bias_term"),
    ],
)
def test_blobs_of_another_number_say_what_they_are(
    layer: str, shapes: list[tuple[int, ...]], says: str, ending: str, tmp_path: Path
) -> None:
    path = saved(tmp_path / f"w.{ending}", "x", shapes)
    with pytest.raises(InputError) as caught:
        load_net(NET.format(layer), path)
    assert says in str(caught.value) and 'layer "x"' in str(caught.value)
