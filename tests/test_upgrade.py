"""Old syntax becomes what Caffe's own upgrade made of it."""

from pathlib import Path

import pytest
from golden_cases import GOLDEN

from converters.graph import build_graph
from converters.net_state import net_state
from prototxt.caffe_pb2 import NetParameter, SolverParameter
from prototxt.errors import InputError
from prototxt.forks import PASSED_OVER, fields_of_forks
from prototxt.text import is_solver, parse, parse_net, parse_solver, read_net, read_solver, to_text
from prototxt.upgrade import V1_TYPES, upgrade_net, upgrade_solver
from prototxt.upgrade_v0 import TYPES
from zoo.cli import main

LEGACY = GOLDEN / "legacy"
NETS = ["v0", "v1", "v1_input", "input_shape_and_rules"]


def plain(name: str, kind: type) -> object:
    path = LEGACY / f"{name}.prototxt"
    return parse(path.read_text(), kind, str(path))


@pytest.mark.parametrize("case", NETS)
def test_nets_become_what_caffe_made_of_them(case: str) -> None:
    assert read_net(LEGACY / f"{case}.prototxt") == plain(f"{case}.upgraded", NetParameter)


@pytest.mark.parametrize("case", NETS)
def test_todays_syntax_stays(case: str) -> None:
    today = plain(f"{case}.upgraded", NetParameter)
    assert upgrade_net(today) == today
    assert parse_net(to_text(today)) == today


def test_solver_types_become_strings() -> None:
    upgraded = plain("solver_enum.upgraded", SolverParameter)
    assert read_solver(LEGACY / "solver_enum.prototxt") == upgraded
    assert upgrade_solver(upgraded) == upgraded


def test_rules_keep_the_layers_that_caffe_kept() -> None:
    net = read_net(LEGACY / "input_shape_and_rules.prototxt")
    graph = build_graph(net, net_state("TEST", level=2, stages=["deploy"]))
    kept = (LEGACY / "input_shape_and_rules.kept.txt").read_text().split()
    assert [node.layer.name for node in graph.nodes] == kept


def test_the_message_itself_is_left_alone() -> None:
    old = plain("v0", NetParameter)
    upgrade_net(old)
    assert old == plain("v0", NetParameter)


def test_a_net_written_out_in_a_solver_is_upgraded_too() -> None:
    solver = parse_solver('solver_type: ADAM net_param { layers { name: "r" type: RELU } }')
    assert solver.type == "Adam" and not solver.HasField("solver_type")
    assert solver.net_param.layer[0].type == "ReLU"


def test_every_old_type_has_a_name_today() -> None:
    import prototxt.caffe_pb2 as pb

    assert set(V1_TYPES) == set(pb.V1LayerParameter.LayerType.keys())
    assert set(TYPES.values()) <= set(pb.V1LayerParameter.LayerType.values())


def test_v0_fields_that_the_type_does_not_have_are_dropped_with_a_warning() -> None:
    said: list[str] = []
    text = """input: "x" input_dim: [1, 1, 1, 1]
        layers { layer { name: "r" type: "relu" num_output: 3 } bottom: "x" top: "y" }"""
    net = parse_net(text, "old.prototxt", said.append)
    assert net.layer[1].type == "ReLU" and len(net.layer[1].ListFields()) == 4
    assert said == [
        'old.prototxt: layer "r": num_output means nothing in type "relu" and is dropped, as Caffe does'
    ]


def test_v0_layers_of_every_kind() -> None:
    text = """
        input: "x" input_dim: 1 input_dim: 1 input_dim: 8 input_dim: 8
        layers { layer { name: "pad" type: "padding" pad: 3 } bottom: "x" top: "q" }
        layers { layer { name: "p" type: "pool" pool: AVE kernelsize: 5 stride: 2 } bottom: "q" top: "p" }
        layers { layer { name: "i" type: "images" source: "l" batchsize: 2 shuffle_images: true new_height: 9
                         rand_skip: 4 scale: 2 } top: "i" }
        layers { layer { name: "w" type: "window_data" det_fg_threshold: 0.4 det_crop_mode: "s" } top: "w" }
        layers { layer { name: "n" type: "lrn" k: 2 } bottom: "p" top: "n" }
        layers { layer { name: "c" type: "concat" concat_dim: 0 } bottom: "n" bottom: "n" top: "c" }
        layers { layer { name: "h" type: "hdf5_output" hdf5_output_param { file_name: "f" } } bottom: "c" }
        layers { layer { name: "g" type: "infogain_loss" source: "m" } bottom: "c" bottom: "i" }
    """
    layers = {layer.name: layer for layer in parse_net(text).layer}
    pool = layers["p"].pooling_param
    assert (pool.pool, pool.kernel_size, pool.stride, pool.pad) == (1, 5, 2, 3)
    assert list(layers["p"].bottom) == ["x"] and "pad" not in layers
    images = layers["i"].image_data_param
    assert (images.source, images.batch_size, images.shuffle, images.new_height) == ("l", 2, True, 9)
    assert layers["i"].transform_param.scale == 2 and images.rand_skip == 4
    assert layers["w"].window_data_param.crop_mode == "s"
    assert layers["n"].lrn_param.k == 2 and layers["c"].concat_param.concat_dim == 0
    assert layers["h"].hdf5_output_param.file_name == "f"
    assert layers["g"].infogain_loss_param.source == "m"


BAD = {
    'layers { layer { name: "a" type: "convolve" } }': 'n:1: layer "a": type "convolve" is none of V0\'s',
    'layers { layer { name: "a" type: "relu" } bottom: "x" }': 'n:1: layer "a": bottom "x" is written by no',
    'input: "x" layer { name: "r" } input_dim: [1, 2, 3]': "n: 3 input_dim for 1 input: four each",
    'input: "x" input: "y" input_shape { dim: 1 }': "n: 1 input_shape for 2 input: one each",
    """layers { layer { name: "p" type: "padding" pad: 1 } top: "p" bottom: "d" }
       layers { layer { name: "a" type: "relu" } bottom: "p" }""": "bottom",
}


@pytest.mark.parametrize("text", BAD)
def test_what_caffe_refuses_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_net(text, "n")
    assert BAD[text] in str(caught.value)


def test_padding_that_feeds_something_else_is_refused() -> None:
    text = """layers { layer { name: "d" type: "data" } top: "d" }
        layers { layer { name: "p" type: "padding" pad: 1 } bottom: "d" top: "p" }
        layers { layer { name: "a" type: "relu" } bottom: "p" }"""
    with pytest.raises(InputError, match=r'n:3: layer "a": a padding layer feeds a "relu", not a conv'):
        parse_net(text, "n")


def test_both_solver_types_are_refused() -> None:
    with pytest.raises(InputError, match=r"^s: solver_type \(old\) and type \(new\)"):
        parse_solver('solver_type: SGD type: "Adam"', "s")


@pytest.mark.parametrize("case", [*NETS, "solver_enum"])
def test_zoo_upgrade_prints_the_result(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["upgrade", str(LEGACY / f"{case}.prototxt")]) == 0
    printed = capsys.readouterr()
    kind = SolverParameter if case == "solver_enum" else NetParameter
    assert parse(printed.out, kind) == plain(f"{case}.upgraded", kind)
    assert not printed.err


def test_zoo_upgrade_refuses_what_is_no_prototxt(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    page = tmp_path / "page.prototxt"
    page.write_text("<!DOCTYPE html><html></html>")
    for path in (page, tmp_path / "none", LEGACY / "v1_weights.caffemodel"):
        assert main(["upgrade", str(path)]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_a_net_is_told_from_a_solver() -> None:
    assert is_solver('net: "x" base_lr: 1 debug_info: true')
    assert not is_solver('name: "x" layer { }')


BN = 'layer {{ name: "{0}" type: "BatchNorm" bottom: "x" top: "{0}" {1} }}\n'


def test_three_rates_of_statistics_are_0() -> None:
    """UpgradeNetBatchNorm (upgrade_proto.cpp); of one or two the layer judges."""
    for given, rates in (("param { } param { } param { }", [0, 0, 0]), ("param { } param { }", [1, 1])):
        net = parse_net(BN.format("a", given))
        assert [spec.lr_mult for spec in net.layer[0].param] == rates


def test_v1_names_of_forks() -> None:
    text = """input: "x" input_dim: [1, 3, 16, 112]
        layers { name: "c" type: CONVOLUTION3D bottom: "x" top: "c" blobs_lr: 1 blobs_lr: 2
                 convolution_param { num_output: 2 kernel_size: 3 kernel_depth: 3 temporal_pad: 1 } }
        layers { name: "v" type: VIDEO_DATA top: "v" image_data_param { crop_size: 112 new_length: 16 } }
        layers { name: "m" type: MULTI_STAGE_MEANFIELD top: "m" multi_stage_meanfield_param { theta_beta: 3 } }
        layers { name: "r" type: ROI_POOLING top: "r" roi_pooling_param { pooled_h: 6 } }
        layers { name: "k" type: CROP bottom: "c" bottom: "v" top: "k" }
        layers { name: "p" type: PYTHON top: "p" python_param { module: "a" layer: "b" } }"""
    layers = parse_net(text).layer[1:]
    types = ["Convolution3D", "VideoData", "MultiStageMeanfield", "ROIPooling", "Crop", "Python"]
    assert [layer.type for layer in layers] == types
    assert layers[0].convolution_param.temporal_pad == 1
    assert [spec.lr_mult for spec in layers[0].param] == [1, 2]
    assert (layers[1].image_data_param.new_length, layers[1].transform_param.crop_size) == (16, 112)
    assert not layers[1].image_data_param.HasField("crop_size")
    assert layers[2].multi_stage_meanfield_param.theta_beta == 3
    assert layers[3].roi_pooling_param.pooled_h == 6
    assert layers[5].python_param.module == "a"


def test_fields_of_caffe_before_its_first_release() -> None:
    text = """version: 1
        layers { name: "d" type: DATA top: "d" data_param { batch_size: 4 transform_param { scale: 0.5 } } }
        layers { name: "e" type: DATA top: "e" data_param { mean_file: "m" transform_param { crop_size: 9 } } }"""
    said: list[str] = []
    data, both = parse_net(text, "n", said.append).layer
    assert data.transform_param.scale == 0.5 and not data.data_param.HasField("transform_param")
    assert (both.transform_param.mean_file, both.transform_param.crop_size) == ("m", 9)
    assert said == [f"n: version: {PASSED_OVER}"]


@pytest.mark.parametrize(
    ("written", "dilation"),
    [
        ("hole: 2", [2]),
        ("hole_h: 2 hole_w: 3", [2, 3]),
        ("hole: 4 hole_w: 3", [4, 3]),
        ("dilation_w: 2", [1, 2]),
        ("dilation: 3 dilation_h: 2", [2, 3]),
        ("dilation: 3", [3]),
        ("", []),
    ],
)
def test_a_dilation_of_forks_is_caffes(written: str, dilation: list[int]) -> None:
    text = f'layer {{ name: "c" type: "Convolution" convolution_param {{ num_output: 1 {written} }} }}'
    param = parse_net(text).layer[0].convolution_param
    assert list(param.dilation) == dilation
    assert not list(fields_of_forks(param))
