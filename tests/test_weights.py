"""Weights in every format: read by Caffe's rules, written so that others read them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import torch
from golden_cases import GOLDEN, arrays, error, named
from google.protobuf.message import Message
from test_nets import SHARED

from converters import Network, load_net
from converters.graph import Node
from converters.weights import hdf5
from converters.weights import stored as stored_module
from converters.weights.formats import read_safetensors, weights_format, write_safetensors
from converters.weights.mean_image import read_mean, write_mean
from converters.weights.stored import stored_blobs
from prototxt.binary.wire import Field, Source, counted
from prototxt.caffe_pb2 import BlobProto, FillerParameter, NetParameter
from prototxt.errors import InputError
from prototxt.text import to_text
from zoo import catalogue
from zoo.cli import main

SMALL = """name: "small"
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 2 dim: 6 dim: 6 } } }
layer { name: "c" type: "Convolution" bottom: "x" top: "c" convolution_param {
        num_output: 3 kernel_size: 3 weight_filler { type: "xavier" } bias_filler { value: 0.5 } } }
layer { name: "bn" type: "BatchNorm" bottom: "c" top: "c" }
layer { name: "s" type: "Scale" bottom: "c" top: "c" scale_param { bias_term: true } }
layer { name: "r" type: "ReLU" bottom: "c" top: "c" }
layer { name: "ip" type: "InnerProduct" bottom: "c" top: "ip" inner_product_param {
        num_output: 4 weight_filler { type: "xavier" } } }"""
SHARING = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 4 } } }
layer { name: "a" type: "InnerProduct" bottom: "x" top: "a" param { name: "w" } param { name: "b" }
        inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "b" type: "InnerProduct" bottom: "a" top: "b" param { name: "w" } param { name: "b" }
        inner_product_param { num_output: 4 } }"""
IP3 = """layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 3 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip"
        inner_product_param { num_output: 2 bias_term: false } }"""
FORMATS = ["caffemodel", "h5", "safetensors"]


def save(net: Network, path: Path) -> Path:
    if path.suffix == ".safetensors":
        write_safetensors(path, net.state_dict(), {})
    elif path.suffix == ".h5":
        net.save_hdf5(path)
    else:
        net.save_caffemodel(path)
    return path


def shaken(text: str | Path) -> Network:
    """A net with no blob at its filler's value, odd values among them."""
    net = load_net(text)
    generator = torch.Generator().manual_seed(1)
    odd = torch.tensor([float("inf"), -0.0, 1e-42, float("nan"), 3e38])
    with torch.no_grad():
        for blobs in net.params.values():
            for blob in blobs:
                blob.normal_(generator=generator)
                blob.view(-1)[:5] = odd[: blob.numel()]
    return net


def same(ours: Network, theirs: Network) -> bool:
    """Bit for bit, NaNs too."""
    return all(
        torch.equal(a.view(torch.int32), b.view(torch.int32))
        for layer in ours.params
        for a, b in zip(ours.params[layer], theirs.params[layer], strict=True)
    )


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("text", [SMALL, SHARING, "allconv6"])
def test_weights_come_back_bit_for_bit(text: str, suffix: str, tmp_path: Path) -> None:
    source = catalogue.find_prototxt(text)[0] if text == "allconv6" else text
    net = shaken(source)
    path = save(net, tmp_path / f"w.{suffix}")
    assert same(load_net(source, path), net)
    assert sorted(tmp_path.iterdir()) == [path]


def decode(path: Path) -> NetParameter:
    return NetParameter.FromString(path.read_bytes())


@pytest.mark.parametrize("text", [SMALL, SHARING])
def test_a_caffemodel_is_what_net_to_proto_writes(text: str, tmp_path: Path) -> None:
    net = shaken(text)
    path = save(net, tmp_path / "w.caffemodel")
    message = decode(path)
    assert message.SerializeToString() == path.read_bytes()
    assert message.name == net.graph.name
    assert [layer.name for layer in message.layer] == [node.layer.name for node in net.graph.nodes]
    for layer, node in zip(message.layer, net.graph.nodes, strict=True):
        ours = net.params.get(layer.name, [])
        assert [tuple(blob.shape.dim) for blob in layer.blobs] == [tuple(blob.shape) for blob in ours]
        for stored, blob in zip(layer.blobs, ours, strict=True):
            assert np.array_equal(stored.data, blob.detach().numpy().ravel(), equal_nan=True)
        assert layer.phase == 1
        layer.ClearField("blobs")
        layer.ClearField("phase")
        assert layer == node.layer


FORKS = """name: "forks" dialect: "segnet" layer { name: "x" type: "Input" top: "x"
                                               input_param { shape { dim: 1 dim: 2 dim: 5 dim: 5 } } }
layer { name: "c" type: "Convolution" bottom: "x" top: "c" quantization_param { bw_params: 8 } forward_type: FLOAT16
        convolution_param { num_output: 2 kernel_size: 1 engine: MKL2017 mem_group_size: 3
                            weight_filler { type: "xavier" variance_norm: FAN_OUT } } }
layer { name: "p" type: "Pooling" bottom: "c" top: "p" pooling_param { kernel_size: 2 ceil_mode: false } }
layer { name: "b" type: "BN" bottom: "p" top: "b" bn_param { scale_filler { type: "constant" value: 2 } } }"""


def numbers(message: Message) -> Iterator[int]:
    """The field and enum numbers that a message and those in it set."""
    for field, value in message.ListFields():
        yield field.number
        if field.message_type:
            yield from (n for item in (value if field.is_repeated else [value]) for n in numbers(item))
        elif field.enum_type:
            yield value


def test_a_caffemodel_has_no_field_that_a_fork_could_read_as_another(tmp_path: Path) -> None:
    """Our numbers of forks' fields are from 10000 on, where forks have fields of their own as well."""
    net = load_net(FORKS)
    net.save_caffemodel(tmp_path / "f.caffemodel")
    written = decode(tmp_path / "f.caffemodel")
    said = list(numbers(written))
    assert len(said) > 40 and max(said) < 10_000
    written.DiscardUnknownFields()
    assert list(numbers(written)) == said
    assert [len(layer.blobs) for layer in written.layer] == [0, 2, 0, 2]
    assert written.layer[1].convolution_param.num_output == 2
    assert written.layer[1].convolution_param.weight_filler.variance_norm == FillerParameter.FAN_OUT
    again = load_net(FORKS, tmp_path / "f.caffemodel")
    assert all(torch.equal(blob, again.state_dict()[name]) for name, blob in net.state_dict().items())


def test_hdf5_has_caffes_layout(tmp_path: Path) -> None:
    net = shaken(SMALL)
    with h5py.File(save(net, tmp_path / "w.h5")) as file:
        assert list(file) == ["data"]
        assert set(file["data"]) == {"x", "c", "bn", "s", "r", "ip"}
        assert {name: len(group) for name, group in file["data"].items()} == {
            "x": 0, "c": 2, "bn": 3, "s": 2, "r": 0, "ip": 2,
        }  # fmt: skip
        stored = file["data/c/0"]
        assert stored.dtype == np.float32 and stored.chunks is None
        assert np.array_equal(stored[()], net.params["c"][0].detach().numpy(), equal_nan=True)


def test_hdf5_has_shared_blobs_once_and_a_caffemodel_each_time(tmp_path: Path) -> None:
    net = shaken(SHARING)
    with h5py.File(save(net, tmp_path / "w.h5")) as file:
        assert len(file["data/a"]) == 2 and len(file["data/b"]) == 0
    assert [len(layer.blobs) for layer in decode(save(net, tmp_path / "w.caffemodel")).layer] == [0, 2, 2]


def test_slashes_in_names_make_groups_in_hdf5_with_a_warning(tmp_path: Path) -> None:
    text = SMALL.replace('name: "ip"', 'name: "c/ip"')
    net = shaken(text)
    with pytest.warns(UserWarning, match='Caffe finds no layer with "/" in its name'):
        path = save(net, tmp_path / "w.h5")
    assert same(load_net(text, path), net)


@pytest.mark.parametrize("suffix", FORMATS)
def test_half_channels_last_and_other_devices_are_read_too(suffix: str, tmp_path: Path) -> None:
    net = load_net(SMALL)
    path = save(net, tmp_path / f"w.{suffix}")
    half = load_net(SMALL.replace("xavier", "constant")).half().to(memory_format=torch.channels_last)
    half.load_weights(path)
    assert torch.equal(half.state_dict()["c.weight"], net.params["c"][0].detach().half())
    assert torch.equal(half.state_dict()["bn.mean"], net.params["bn"][0].half())
    again = load_net(SMALL, save(half, tmp_path / f"half.{suffix}"))
    assert torch.equal(again.params["ip"][0], net.params["ip"][0].half().float())


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_format_is_told_by_content(suffix: str, tmp_path: Path) -> None:
    net = shaken(SMALL)
    path = save(net, tmp_path / f"w.{suffix}").rename(tmp_path / "weights.bin")
    assert weights_format(path) == {"h5": "hdf5"}.get(suffix, suffix)
    assert same(load_net(SMALL, path), net)


def test_what_does_not_match_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for suffix in FORMATS:
        path = save(load_net(SMALL), tmp_path / f"w.{suffix}")
        other = SMALL.replace('"ip"', '"classes"')
        names = (["classes.bias", "classes.weight"], ["ip.bias", "ip.weight"])
        expected = names if suffix == "safetensors" else (["classes"], ["ip"])
        assert load_net(other).load_weights(path) == expected
        capsys.readouterr()
        net = load_net(other, path)
        said = capsys.readouterr().err.splitlines()
        assert said == [
            f"{path}: lacks {', '.join(expected[0])}: filled as the prototxt says",
            f"{path}: not in the net: {', '.join(expected[1])}",
        ]
        assert torch.equal(net.params["classes"][0], load_net(other).params["classes"][0])


def test_fillers_do_not_run_for_what_the_weights_give(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(load_net(SMALL), tmp_path / "w.caffemodel")
    monkeypatch.setattr("converters.layers.base.fill", lambda *_: pytest.fail("a filler ran"))
    load_net(SMALL, path)


def one_blob(shape: str, count: int, legacy: bool = False) -> bytes:
    net = NetParameter()
    blob = net.layer.add(name="ip", type="InnerProduct").blobs.add(data=[0.5] * count)
    dims = [int(dim) for dim in shape.split()]
    if legacy:
        blob.num, blob.channels, blob.height, blob.width = dims
    else:
        blob.shape.dim.extend(dims)
    net.layer[0].blobs.add(data=[1.0] * 2).shape.dim.append(2)
    return net.SerializeToString()


IP = """layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 3 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip" inner_product_param { num_output: 2 } }"""


def test_legacy_shapes_may_have_ones_in_front(tmp_path: Path) -> None:
    path = tmp_path / "w.caffemodel"
    path.write_bytes(one_blob("1 1 2 3", 6, legacy=True))
    assert load_net(IP, path).params["ip"][0].tolist() == [[0.5] * 3] * 2


@pytest.mark.parametrize(
    ("shape", "legacy"),
    [("3 2", False), ("1 1 2 3", False), ("6", False), ("2 3 1 1", True), ("1 1 3 2", True)],
)
def test_other_shapes_are_refused_as_caffe_refuses_them(shape: str, legacy: bool, tmp_path: Path) -> None:
    path = tmp_path / "w.caffemodel"
    path.write_bytes(one_blob(shape, 6, legacy))
    with pytest.raises(InputError, match=r'w.caffemodel: layer "ip": blob 0 has shape .*in the net \(2, 3\)'):
        load_net(IP, path)


def test_a_refused_file_changes_nothing(tmp_path: Path) -> None:
    net, path = load_net(SMALL), tmp_path / "w.caffemodel"
    message = decode(save(shaken(SMALL), path))
    message.layer[-1].blobs[1].data.pop()
    path.write_bytes(message.SerializeToString())
    before = {name: blob.clone() for name, blob in net.state_dict().items()}
    with pytest.raises(InputError, match=r'layer "ip": blob 1 has shape .*4 values, but 3 are stored'):
        net.load_weights(path)
    assert all(torch.equal(blob, before[name]) for name, blob in net.state_dict().items())


def test_v1_weights_of_caffe(tmp_path: Path) -> None:
    data = arrays(GOLDEN / "legacy" / "v1_weights.npz")
    stored = decode(GOLDEN / "legacy" / "v1_weights.caffemodel")
    # Only the layers with weights, so that this does not wait for every layer type.
    text = """input: "data" input_dim: [1, 3, 13, 13] input: "bn" input_dim: [1, 4, 6, 6]
        layers { name: "conv1" type: CONVOLUTION bottom: "data" top: "conv1"
                 convolution_param { num_output: 4 kernel_size: 3 stride: 2 } }
        layers { name: "ip" type: INNER_PRODUCT bottom: "bn" top: "ip"
                 inner_product_param { num_output: 4 } }"""
    net = load_net(text, GOLDEN / "legacy" / "v1_weights.caffemodel")
    for layer in stored.layers:
        for blob, ours in zip(layer.blobs, net.params.get(layer.name, []), strict=True):
            assert np.array_equal(blob.data, ours.detach().numpy().ravel())
    blobs = net.all_blobs(data=named(data, "in")["data"], bn=named(data, "out")["bn"])
    for name in ("conv1", "ip"):
        assert error(blobs[name].detach(), named(data, "out")[name]) <= 3e-6


def test_the_whole_v1_net_of_caffe() -> None:
    data = arrays(GOLDEN / "legacy" / "v1_weights.npz")
    net = load_net(GOLDEN / "legacy" / "v1_input.prototxt", GOLDEN / "legacy" / "v1_weights.caffemodel")
    with torch.no_grad():
        blobs = net.all_blobs(**named(data, "in"))
    for name, theirs in named(data, "out").items():
        assert error(blobs[name], theirs) <= 1e-5, name


def test_mean_images(tmp_path: Path) -> None:
    image = np.random.default_rng(0).normal(size=(1, 3, 4, 5)).astype(np.float32)
    for values in (image, image[0]):
        write_mean(tmp_path / "mean.binaryproto", values)
        assert np.array_equal(read_mean(tmp_path / "mean.binaryproto"), values)
    proto = BlobProto.FromString((tmp_path / "mean.binaryproto").read_bytes())
    assert list(proto.shape.dim) == [3, 4, 5]
    (tmp_path / "mean.binaryproto").write_bytes(BlobProto(num=1, channels=2, data=[1]).SerializeToString())
    with pytest.raises(InputError, match=r"mean.binaryproto: no whole .binaryproto: the blob has shape"):
        read_mean(tmp_path / "mean.binaryproto")


def shared(*parts: str) -> Path:
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"no {path}: models that may not be copied into the repository")
    return path


def test_mean_images_of_caffe() -> None:
    for path in (
        shared("golden", "weights", "sample_mean.binaryproto"),
        shared("golden", "data", "mean.binaryproto"),
    ):
        proto = BlobProto.FromString(path.read_bytes())
        ours = read_mean(path)
        assert ours.shape == (proto.num, proto.channels, proto.height, proto.width)
        assert np.array_equal(ours.ravel(), proto.data)


def test_caffes_own_caffemodel_and_h5() -> None:
    folder = shared("models", "cifar10-full")
    net = load_net(folder / "deploy.prototxt", folder / "weights.caffemodel")
    layers = {layer.name: layer for layer in decode(folder / "weights.caffemodel").layer}
    again = load_net(folder / "deploy.prototxt", folder / "weights.caffemodel.h5")
    with h5py.File(folder / "weights.caffemodel.h5") as file:
        for layer, blobs in net.params.items():
            for index, blob in enumerate(blobs):
                assert np.array_equal(layers[layer].blobs[index].data, blob.detach().numpy().ravel())
                assert np.array_equal(file[f"data/{layer}/{index}"][()], again.params[layer][index].detach())


JUDGED = ["allconv_fc_test", "allconv_gap_test", "cifar_full_like", "inception", "lenet_test", "resnet_test"]


@pytest.mark.parametrize("case", ["allconv6", *JUDGED])
def test_opencv_reads_what_is_written(case: str, tmp_path: Path) -> None:
    path = GOLDEN / "layers" / f"net_{case}.prototxt" if case in JUDGED else catalogue.find_prototxt(case)[0]
    net = load_net(path)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for blobs in net.params.values():
            for blob in blobs:
                blob.uniform_(-0.1, 0.2, generator=generator).abs_()
    model, text = tmp_path / "w.caffemodel", tmp_path / "net.prototxt"
    net.save_caffemodel(model)
    text.write_text(deploy_text(net))
    judge = cv2.dnn.readNetFromCaffe(str(text), str(model))
    x = torch.randn(tuple(net.shapes[net.graph.inputs[0]]), generator=generator)
    judge.setInput(x.numpy(), net.inputs[0])
    labels = {value.blob: torch.zeros(tuple(net.shapes[value])) for value in net.graph.inputs[1:]}
    with torch.no_grad():
        blobs = net.all_blobs(**{net.inputs[0]: x, **labels})
    last = unlabelled(net)[-1].layer
    theirs = torch.from_numpy(judge.forward(last.name))
    assert error(blobs[last.top[0]].reshape(theirs.shape), theirs) <= 1e-5


def unlabelled(net: Network) -> list[Node]:
    """The layers that compute without a label."""
    return [n for n in net.graph.nodes if not n.is_data and not {"label", "y"} & set(n.layer.bottom)]


def deploy_text(net: Network) -> str:
    """The net with an Input layer for its data and no labels, as OpenCV takes it."""
    message = NetParameter(name="judged")
    data = message.layer.add(name="data", type="Input", top=[net.inputs[0]])
    data.input_param.shape.add(dim=net.shapes[net.graph.inputs[0]])
    message.layer.extend(node.layer for node in unlabelled(net))
    return to_text(message)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the benchmark measures memory on Linux")
def test_a_big_file_takes_little_more_memory_than_its_size(tmp_path: Path) -> None:
    """The benchmark's other limit, on time, is not held here: other work on the machine disturbs it."""
    script, mib = Path(__file__).parents[1] / "benchmarks" / "load_caffemodel.py", 128
    code = f"import load_caffemodel, pathlib; load_caffemodel.make(pathlib.Path('big.caffemodel'), {mib})"
    folders = os.pathsep.join([str(script.parent), str(script.parents[1])])
    env = {**os.environ, "PYTHONPATH": folders}
    subprocess.check_call([sys.executable, "-c", code], cwd=tmp_path, env=env)
    command = [sys.executable, str(script), "--way", "ours", "--file", "big.caffemodel", "--mib", str(mib)]
    out = subprocess.check_output(command, cwd=tmp_path, env=env, text=True)
    assert float(out.split()[1]) <= 1.3 * mib * 2**20


@pytest.mark.parametrize("suffix", FORMATS)
def test_zoo_convert_takes_every_format(
    suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "small.prototxt"
    text.write_text(SMALL)
    net = load_net(SMALL)
    weights = save(net, tmp_path / f"w.{suffix}")
    assert main(["convert", str(text), "--weights", str(weights), "--output", str(tmp_path / "out")]) == 0
    written = load_net(SMALL, tmp_path / "out" / "small.safetensors")
    assert same(written, net)


INPUT = 'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 3 } } }'
BLOBLESS = INPUT + 'layer { name: "r" type: "ReLU" bottom: "x" top: "y" }'
OTHER = (
    INPUT
    + 'layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 2 } }'
)


@pytest.mark.parametrize("suffix", ["caffemodel", "h5", "safetensors"])
def test_a_file_whose_layers_hold_no_blobs_is_taken(
    suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save(load_net(BLOBLESS), tmp_path / f"w.{suffix}")
    load_net(BLOBLESS, path)
    assert capsys.readouterr().err == f"{path}: holds no blob for any layer of the net\n"
    if suffix != "safetensors":  # it knows of no layers, and one without a tensor of the net is refused
        assert load_net(OTHER, path).params["ip"][1].tolist() == [0, 0]
        lines = capsys.readouterr().err.splitlines()
        assert lines[0] == f"{path}: holds no blob for any layer of the net"
        assert lines[1] == f"{path}: lacks ip: filled as the prototxt says"


def test_params_lists_the_layers_that_hold_blobs() -> None:
    """As pycaffe's net.params does, so that its idiom works."""
    shapes = {name: blobs[0].data.shape for name, blobs in load_net(SMALL).params.items()}
    assert shapes == {"c": (3, 2, 3, 3), "bn": (3,), "s": (3,), "ip": (4, 48)}


def test_equal_weights_are_equal_files(tmp_path: Path) -> None:
    """safetensors puts metadata in the order of a hash map, a new one for each file."""
    metadata = {f"key {number}": 'value "é"\n' for number in range(8)}
    tensors = {"b": torch.arange(3.0), "a/é": torch.zeros(2, 2, dtype=torch.int64)}
    paths = [tmp_path / f"{number}.safetensors" for number in range(3)]
    for path in paths:
        write_safetensors(path, tensors, metadata)
    assert len({path.read_bytes() for path in paths}) == 1
    found, read = read_safetensors(paths[0])
    assert read == metadata and all(torch.equal(found[name], tensors[name]) for name in tensors)


@pytest.mark.filterwarnings("ignore:.*Caffe finds no layer with")
@pytest.mark.parametrize("suffix", FORMATS)
def test_a_files_blobs_are_told_by_layer_and_read_one_by_one(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = shaken(SMALL.replace('"ip" type', '"a/ip" type'))
    layers = stored_blobs(save(net, tmp_path / f"w.{suffix}"))
    monkeypatch.setattr(hdf5, "_datasets", None)  # no walk through the file for each blob
    for node in net.graph.nodes[1:]:
        module, stored = net.module_of(node), layers.get(node.layer.name, [])
        if suffix == "safetensors":
            stored.sort(key=lambda blob, slots=module.slots: slots.index(blob.name))  # type: ignore[misc]
        for blob, tensor in zip(stored, module.blobs(), strict=True):
            assert blob.shape == tensor.shape
            np.testing.assert_array_equal(blob.read().reshape(blob.shape), tensor.detach())


def test_no_tensor_is_read_for_its_shape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, reads = save(shaken(SMALL), tmp_path / "w.safetensors"), []
    monkeypatch.setattr(stored_module, "read_tensor", lambda *asked: reads.append(asked) or torch.zeros(1))
    layers = stored_blobs(path)
    assert not reads and {blob.shape for blob in layers["c"]} == {(3, 2, 3, 3), (3,)}
    layers["c"][0].read()
    assert len(reads) == 1


@pytest.mark.parametrize(
    ("kind", "item"), [(None, "<f8"), (0, "<f8"), (1, "<f4"), (2, "<f2"), (3, "<i4"), (4, "<u4")]
)
def test_nvidias_raw_data_of_every_type(kind: int | None, item: str, tmp_path: Path) -> None:
    values = np.array([[-3, 0.1, 7], [2, 65504, 1]]).clip(0 if item == "<u4" else None).astype(item)
    shape = b"\x3a\x04\x0a\x02\x02\x03"
    raw = counted(12, values.nbytes) + values.tobytes()
    blob = shape + (b"" if kind is None else bytes([10 << 3, kind])) + raw + counted(13, 2) + b"\0\0"
    layer = b"\x0a\x02ip" + counted(7, len(blob)) + blob
    path = tmp_path / "nvidia.caffemodel"
    path.write_bytes(counted(100, len(layer)) + layer)
    net = load_net(IP3, path)
    assert np.array_equal(net.params["ip"][0].detach().numpy(), values.astype(np.float32))


def test_fields_of_forks_are_read_past_whatever_their_numbers(tmp_path: Path) -> None:
    """154 and 8266711 are both roi_pooling_param, each in its fork, and 154 is other things in others."""
    net = load_net(SMALL)
    plain = save(net, tmp_path / "plain.caffemodel").read_bytes()
    strange = counted(154, 3) + b"abc" + counted(8266711, 2) + b"\x0a\x00" + b"\xc0\x0d\x07"
    message = NetParameter.FromString(plain)
    layers = b"".join(
        counted(100, len(body)) + body
        for layer in message.layer
        for body in [strange + layer.SerializeToString() + strange]
    )
    path = tmp_path / "fork.caffemodel"
    path.write_bytes(strange + layers)
    for name, blob in load_net(SMALL, path).state_dict().items():
        assert torch.equal(blob, net.state_dict()[name]), name


def test_a_caffemodel_has_no_field_that_a_fork_may_read_as_another(tmp_path: Path) -> None:
    text = SMALL + 'layer { name: "b" type: "BN" bottom: "ip" top: "b" bn_param { frozen: true } }'
    path = save(load_net(text, dialect="pspnet"), tmp_path / "bn.caffemodel")
    numbers = set()
    source = Source(path.open("rb"))
    for outer in fields(source, 0, source.size):
        numbers |= (
            {field.number for field in fields(source, outer.start, outer.end)}
            if outer.number == 100
            else set()
        )
    assert 2 in numbers and max(numbers) < 1000
    assert "b" in {layer.name for layer in NetParameter.FromString(path.read_bytes()).layer}


def fields(source: Source, start: int, end: int) -> Iterator[Field]:
    while start < end:
        field = source.field(start, end)
        yield field
        start = field.end
