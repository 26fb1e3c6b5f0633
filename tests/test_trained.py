"""The net that a .caffemodel holds: files of real Caffe and of ours, what forks number otherwise, damaged files."""

import json
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch

import zoo
from converters import load_net
from converters.net_state import filtered, net_state
from converters.network import Network
from converters.trained import read_trained, without_splits
from prototxt import caffe_pb2
from prototxt.binary import fork_numbers
from prototxt.binary.wire import VARINT, counted, encode_varint
from prototxt.caffe_pb2 import LayerParameter, NetParameter, PoolingParameter
from prototxt.lenient import lenient
from prototxt.net_file import NetFile
from prototxt.text import parse, parse_net, to_text
from tests.mutations import mutated_bytes
from zoo.cli import main

GOLDEN = Path(__file__).parent / "golden"
RECORDED = sorted(path.parent for path in (GOLDEN / "solver").glob("*/snap_iter_15.caffemodel"))
MODELS = Path(__file__).parents[2] / "shared" / "models"
NET = """name: "n"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 9 dim: 9 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "msra" } } }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool" pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "sum" type: "Eltwise" bottom: "pool" bottom: "pool" top: "sum" }
layer { name: "ip" type: "InnerProduct" bottom: "sum" top: "ip"
        inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
"""


def text(net: NetParameter) -> str:
    """As prototxt, without the loss weight of 1 that LossLayer::LayerSetUp writes into its layer."""
    return to_text(net).replace("  loss_weight: 1.0\n", "")


def stored(tmp_path: Path, net: NetParameter, extra: bytes = b"") -> Path:
    path = tmp_path / "net.caffemodel"
    path.write_bytes(net.SerializeToString() + extra)
    return path


def layer_with(kind: str, field: bytes) -> bytes:
    """A layer "odd" of a net, of that type, with the bytes of one more field."""
    inner = LayerParameter(name="odd", type=kind, bottom=["ip"], top=["odd"]).SerializeToString() + field
    return counted(100, len(inner)) + inner


def blobs_of(net: Network, data: torch.Tensor) -> dict[str, torch.Tensor]:
    return net.all_blobs(**{net.inputs[0]: data})


def refusal(path: Path, dialect: str | None = None) -> str:
    with pytest.raises(zoo.InputError) as caught:
        read_trained(path, dialect)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("folder", RECORDED, ids=lambda folder: folder.name)
def test_what_caffe_saved_is_what_its_prototxt_says(folder: Path) -> None:
    """Written by real Caffe, with its Splits, phases and rules: what is left is the TRAIN net's prototxt."""
    said = NetFile.read(folder / "net.prototxt").message
    got = read_trained(folder / "snap_iter_15.caffemodel").message
    assert text(got) == text(filtered(said, net_state("TRAIN")))


def test_a_file_of_2014_is_todays_net() -> None:
    path = GOLDEN / "legacy" / "v1_weights.caffemodel"
    said, net = load_net(GOLDEN / "legacy" / "v1_input.prototxt", path), zoo.load(path)
    draw = torch.Generator().manual_seed(3)
    data = {value.blob: torch.randn(*said.shapes[value], generator=draw) for value in said.graph.inputs}
    ours, theirs = net.all_blobs(**data), said.all_blobs(**data)
    assert [*ours] == [*theirs] and all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("name", ["v0", "v1"])
def test_old_syntax_in_binary_is_upgraded_as_caffe_does(name: str, tmp_path: Path) -> None:
    """The recordings of upgrade_net_proto_text, rules of phases apart."""
    old = parse((GOLDEN / "legacy" / f"{name}.prototxt").read_text(), NetParameter)
    wanted = parse_net((GOLDEN / "legacy" / f"{name}.upgraded.prototxt").read_text())
    got = read_trained(stored(tmp_path, old), "caffe").message
    for net in (got, wanted):
        for layer in net.layer:
            layer.ClearField("include")
            layer.ClearField("exclude")
            layer.ClearField("blobs")
    assert to_text(got) == to_text(wanted)


def test_what_we_save_is_the_net_again(tmp_path: Path) -> None:
    net = load_net(NET)
    net.save_caffemodel(tmp_path / "ours.caffemodel")
    again = zoo.load(tmp_path / "ours.caffemodel")
    data = torch.randn(2, 3, 9, 9, generator=torch.Generator().manual_seed(1))
    assert torch.equal(again(data), net(data))
    assert read_trained(tmp_path / "ours.caffemodel").message == parse_net(NET)


def test_weights_beside_a_caffemodel_count_and_not_its_own(tmp_path: Path) -> None:
    for seed in (1, 2):
        net = load_net(NET)
        net.fill(seed)
        net.save_caffemodel(tmp_path / f"{seed}.caffemodel")
    mixed = zoo.load(tmp_path / "1.caffemodel", weights=tmp_path / "2.caffemodel")
    second = zoo.load(tmp_path / "2.caffemodel")
    assert torch.equal(mixed.params["ip"][0], second.params["ip"][0])


def test_splits_of_insert_splits_are_undone_and_others_stay() -> None:
    net = parse_net("""
        layer { name: "a" type: "SoftmaxWithLoss" bottom: "x" top: "l" top: "p" }
        layer { name: "p_a_1_split" type: "Split" bottom: "p" top: "p_a_1_split_0" top: "p_a_1_split_1"
                loss_weight: 0.5 loss_weight: 0 }
        layer { name: "b" type: "ReLU" bottom: "p_a_1_split_0" top: "b" }
        layer { name: "own" type: "Split" bottom: "p_a_1_split_1" top: "q" top: "r" }
    """)
    first, second, own = without_splits(net.layer)
    assert (first.loss_weight, second.bottom, own.bottom) == ([0, 0.5], ["p"], ["p"])


def test_a_net_that_no_caffe_has_chosen_layers_of_keeps_its_rules(tmp_path: Path) -> None:
    both = parse_net("""
        layer { name: "d" type: "Input" top: "x" include { phase: TRAIN } }
        layer { name: "d" type: "Input" top: "x" include { phase: TEST } }
    """)
    assert [len(layer.include) for layer in read_trained(stored(tmp_path, both)).message.layer] == [1, 1]
    del both.layer[1]
    assert not read_trained(stored(tmp_path, both)).message.layer[0].include


def test_a_layers_own_phase_stays(tmp_path: Path) -> None:
    net = parse_net(NET)
    for layer, phase in zip(net.layer, (0, 0, 1, 0, 0), strict=True):
        layer.phase = phase  # type: ignore[assignment]
    kept = [layer.HasField("phase") for layer in read_trained(stored(tmp_path, net)).message.layer]
    assert kept == [False, False, True, False, False]


SCALE_2 = counted(149, 2) + bytes([8, 2])  # a message whose field 1 is 2


def test_a_number_nobody_knows_names_layer_and_number(tmp_path: Path) -> None:
    path = stored(tmp_path, parse_net(NET), layer_with("Convolution", SCALE_2))
    said = refusal(path)
    assert 'layer "odd": field 149 of LayerParameter is known to nothing here' in said and "--lenient" in said
    lines: list[str] = []
    with lenient():
        net = read_trained(path, warn=lines.append).message
    assert lines == [f'{path}: layer "odd": field 149 of LayerParameter is left out']
    assert net.layer[-1] == LayerParameter(name="odd", type="Convolution", bottom=["ip"], top=["odd"])


def test_the_type_of_a_layer_tells_whose_number_it_is(tmp_path: Path) -> None:
    lines: list[str] = []
    path = stored(tmp_path, parse_net(NET), layer_with("Upsample", SCALE_2))
    assert read_trained(path, warn=lines.append).message.layer[-1].upsample_param.scale == 2
    assert lines == [
        f"{path}: fields of forks, told by their numbers and types of layers: darknet's upsample_param (149)"
    ]
    path = stored(
        tmp_path, parse_net(NET), layer_with("ROIPooling", counted(8266711, 4) + bytes([8, 7, 16, 6]))
    )
    pooled = read_trained(path).message.layer[-1].roi_pooling_param
    assert (pooled.pooled_h, pooled.pooled_w) == (7, 6)


def test_a_number_that_a_fork_uses_otherwise_needs_a_dialect(tmp_path: Path) -> None:
    """PoolingParameter's 13 is Caffe's round_mode and the ceil_mode of pull request 3057, the other way round."""
    net = parse_net(NET)
    net.layer[2].pooling_param.round_mode = PoolingParameter.FLOOR
    path = stored(tmp_path, net)
    said = refusal(path)
    assert 'layer "pool": field 13 of PoolingParameter is used differently' in said
    assert "round_mode (caffe)" in said and "ceil_mode" in said and "--dialect" in said
    assert read_trained(path, "caffe").message == net


def test_caffes_number_in_a_type_that_does_not_read_it_is_a_forks(tmp_path: Path) -> None:
    path = stored(tmp_path, parse_net(NET), layer_with("ReLU", counted(139, 2) + bytes([8, 1])))
    assert 'layer "odd": field 139 of LayerParameter is Caffe 1.0\'s batch_norm_param' in refusal(path)
    assert not read_trained(path, "caffe").message.layer[-1].HasField("batch_norm_param")


def test_nvidias_types_are_told_from_caffes_messages(tmp_path: Path) -> None:
    field = encode_varint(145 << 3 | VARINT) + bytes([1])
    layer = read_trained(stored(tmp_path, parse_net(NET), layer_with("ReLU", field))).message.layer[-1]
    assert layer.forward_type == caffe_pb2.FLOAT and not layer.HasField("parameter_param")


OF_THE_SERIES = {  # type: its message's number, the bytes in it, and what they say
    "LargeMarginInnerProduct": (1402, bytes([8, 7, 16, 2]), "largemargin_inner_product_param.type", 2),
    "MarginInnerProduct": (1400, bytes([64, 9]), "margin_inner_product_param.iteration", 9),
    "ReLU6": (1403, bytes([13, 0, 0, 0, 63]), "relu6_param.negative_slope", 0.5),
    "LabelSpecificAdd": (1408, bytes([64, 3]), "label_specific_add_param.iteration", 3),
    "LabelSpecificRescale": (1404, bytes([104, 1]), "label_specific_rescale_param.bias_fix", True),
    "ChannelShuffle": (1409, bytes([8, 0]), "channel_shuffle_param.shuffle_pattern", 0),
    "CompactBilinear": (1410, bytes([8, 7, 16, 0]), "compact_bilinear_param.sum_pool", False),
}


@pytest.mark.parametrize("kind", OF_THE_SERIES)
def test_the_numbers_of_the_series_authors_fork_are_read(kind: str, tmp_path: Path) -> None:
    number, said, path, value = OF_THE_SERIES[kind]
    odd = layer_with(kind, counted(number, len(said)) + said)
    layer = read_trained(stored(tmp_path, parse_net(NET), odd)).message.layer[-1]
    block, _, field = path.partition(".")
    assert layer.HasField(block) and getattr(getattr(layer, block), field) == value


def test_how_his_fork_varies_images_is_told_by_type_or_where_it_is_asked_for(tmp_path: Path) -> None:
    """Other forks' ImageData and Data have other fields under these numbers, which are not read for his."""
    varied = bytes([13 << 3, 30, *encode_varint(21 << 3), 36])  # min_side_min, min_side_max
    several = bytes([13 << 3, 2])  # label_size
    fields = counted(100, len(varied)) + varied + counted(115, len(several)) + several
    for kind, dialect, is_read in [
        ("ImageRegressionData", None, True),
        ("ImageData", "caffe-long", True),
        ("ImageData", None, False),
        ("ImageData", "nvidia", False),
    ]:
        path = stored(tmp_path, parse_net(NET), layer_with(kind, fields))
        layer = read_trained(path, dialect).message.layer[-1]
        param = layer.transform_param
        found = (param.min_side_min, param.min_side_max, layer.image_data_param.label_size)
        assert found == ((30, 36, 2) if is_read else (0, 0, 1))


def test_what_only_feeds_or_judges_may_have_any_field(tmp_path: Path) -> None:
    path = stored(tmp_path, parse_net(NET), layer_with("SoftmaxWithLoss", SCALE_2))
    assert read_trained(path).message.layer[-1].type == "SoftmaxWithLoss"


def test_a_value_that_caffes_enum_lacks_is_named(tmp_path: Path) -> None:
    field = counted(121, 2) + bytes([8, 9])
    assert 'layer "odd": pool has the value 9' in refusal(
        stored(tmp_path, parse_net(NET), layer_with("Pooling", field))
    )


def test_names_that_are_no_utf8_stay(tmp_path: Path) -> None:
    data = parse_net(NET).SerializeToString().replace(b"\x04conv", b"\x04c\xb0nv")
    (tmp_path / "n.caffemodel").write_bytes(data)
    assert read_trained(tmp_path / "n.caffemodel").message.layer[1].name == "c\U0010ffb0nv"


@pytest.mark.parametrize("message", [*fork_numbers._TABLE])
def test_the_table_of_forks_numbers_names_fields_of_ours(message: str) -> None:
    ours = getattr(caffe_pb2, message).DESCRIPTOR.fields_by_name
    for number, found in fork_numbers._TABLE[message].items():
        assert number > 0 and {meaning.field for meaning in found} <= set(ours)


@pytest.mark.parametrize("seed", range(6))
def test_damaged_definitions_are_one_line(
    seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Random changes of the bytes of the definitions: a net comes of it, or an InputError of one line."""
    draw = Random(seed)
    files = [parse_net(NET).SerializeToString(), (GOLDEN / "legacy" / "v1_weights.caffemodel").read_bytes()]
    path = tmp_path / "damaged.caffemodel"
    refused = 0
    for _ in range(150):
        own = files[seed % 2]
        data = (
            mutated_bytes(own, files[1 - seed % 2], draw.randint(1, 4), draw)
            if seed < 4
            else draw.randbytes(60)
        )
        path.write_bytes(b"\n\x01n" + data if seed >= 4 else data)
        try:
            read_trained(path, warn=lambda line: None)
        except zoo.InputError as error:
            refused += 1
            assert "\n" not in str(error) and str(path) in str(error)
    assert refused > 20


def test_convert_and_show_take_the_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    load_net(NET).save_caffemodel("n.caffemodel")
    assert main(["show", "n.caffemodel"]) == 0
    assert parse_net(capsys.readouterr().out) == parse_net(NET)
    assert main(["upgrade", "n.caffemodel"]) == 2
    assert capsys.readouterr().err.endswith("is binary, and not a prototxt; zoo show prints the net in it\n")
    assert main(["convert", "n.caffemodel", "--output", "out"]) == 0
    assert "no --weights" not in capsys.readouterr().err
    import onnxruntime

    session = onnxruntime.InferenceSession("out/n.onnx")
    data = np.random.default_rng(0).standard_normal((2, 3, 9, 9)).astype(np.float32)
    ours = zoo.load("n.caffemodel")(torch.from_numpy(data)).detach().numpy()
    assert np.allclose(session.run(None, {"data": data})[0], ours, atol=1e-5)
    assert main(["convert", "n.caffemodel", "--output", "out", "--weights", "n.caffemodel"]) == 0


def test_a_trained_nets_image_size_comes_from_input_shape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A Data layer does not say how large an image is; the labels follow the images' batch."""
    monkeypatch.chdir(tmp_path)
    data = (
        'layer { name: "d" type: "Data" top: "data" top: "label" data_param { source: "x" batch_size: 64 } }'
    )
    body = NET.partition("\n")[2].partition("\n")[2]
    loss = 'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" }'
    net = load_net(f"{data}\n{body}\n{loss}", phase="TRAIN", input_shapes={"data": (1, 3, 9, 9)})
    net.save_caffemodel("t.caffemodel")
    assert main(["convert", "t.caffemodel", "--output", "out"]) == 2
    assert "--input-shape" in capsys.readouterr().err
    shape = ["--input-shape", "data=1,3,9,9"]
    assert main(["convert", "t.caffemodel", "--output", "out", "--softmax", *shape]) == 0


def test_files_that_hold_no_net(tmp_path: Path) -> None:
    for name, data in {"empty": b"", "named": b"\n\x04name", "text": NET.encode(), "torn": b"\n\x7f"}.items():
        path = tmp_path / f"{name}.caffemodel"
        path.write_bytes(data)
        refusal(path)
    assert "cannot be read" in refusal(tmp_path / "none.caffemodel")


# What a real project's file takes beside itself. The others hold: fields of a ternary fork (cifar10-full-ternary,
# with --lenient), a data layer of MobileNet-YOLO's (mobilenet-yolov3-lite-tusimple), four lists (mtcnn-fast-det3).
IMAGES = {
    "cifar10-full": "data",
    "mnist-deeplearningtoolbox": "data",
    "v1-lenet": "data",
    "yufacedetectnet-v1": "data",
}
WHOLE = [
    "hyperlpr-finemapping",
    "landmark106",
    "mobilenetv2-yolov3-nano-voc",
    "mtcnn-fast-det1",
    "yoloface-100k",
]
LARGE = ["hyperlpr-mininet-ssd", "ultralight-face-rfb320", "waifu2x-upresnet10-noise0-2x"]


@pytest.mark.skipif(not MODELS.is_dir(), reason="the trained models of ../shared are not here")
@pytest.mark.parametrize(
    "name",
    [
        *("cifar10-full", "hyperlpr-finemapping", "v1-lenet"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in [*WHOLE[1:], *LARGE, *list(IMAGES)[1::2]]),
    ],
)
def test_real_files_compute_as_with_their_prototxt(name: str) -> None:
    folder = MODELS / name
    weights = folder / "weights.caffemodel"
    said = zoo.load(folder / "deploy.prototxt", weights=weights)
    (value,) = said.graph.inputs
    shape = tuple(said.shapes[value])
    net = zoo.load(weights, input_shapes={"data": shape} if name in IMAGES else None)
    data = 50 * torch.randn(*shape, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        ours, theirs = blobs_of(net, data), blobs_of(said, data)
    assert {v.blob for v in net.graph.outputs} <= set(theirs)
    assert len(set(ours) & set(theirs)) >= len(theirs) - (9 if name == "yufacedetectnet-v1" else 1)
    assert all(torch.equal(ours[blob], theirs[blob]) for blob in set(ours) & set(theirs))


@pytest.mark.slow
@pytest.mark.skipif(not MODELS.is_dir(), reason="the trained models of ../shared are not here")
def test_a_detector_is_converted_without_its_loss(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of MultiBoxLoss and AnnotatedData nothing need be known: what of them is a fork's is not read."""
    weights = MODELS / "yufacedetectnet-v1" / "weights.caffemodel"
    arguments = ["--input-shape", "data=1,3,64,64", "--output", str(tmp_path)]
    assert main(["convert", str(weights), *arguments]) == 0
    said = capsys.readouterr()
    assert "MultiBoxLoss" not in said.out and "nvidia's forward_type (145)" in said.err
    assert [path.suffix for path in tmp_path.glob("*.onnx")] == [".onnx"]


def test_load_net_and_check_take_the_file_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.prototxt").write_text(NET)
    net = load_net(tmp_path / "net.prototxt")
    path = tmp_path / "w.caffemodel"
    net.save_caffemodel(path)
    data = torch.randn(2, 3, 9, 9)
    with torch.no_grad():
        assert torch.equal(load_net(path)(data), net(data))
    assert main(["check", str(path)]) == 0
    assert "1 files of nets: 1 parsed, 1 built, 1 ran" in capsys.readouterr().out
    path.write_bytes(b"none")
    assert main(["check", str(path), "--json", str(tmp_path / "rows.json")]) == 1
    (row,) = json.loads((tmp_path / "rows.json").read_text())["files"]
    assert row["reason"] == "is text, as a prototxt is, and not weights"
