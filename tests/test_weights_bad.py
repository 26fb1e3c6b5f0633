"""Files that are no weights, or broken ones: one line and exit code 2, never a traceback or a hang."""

import struct
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_weights import IP, SMALL, decode, one_blob, same, save, shaken

from converters import load_net
from prototxt.binary.caffemodel import find_layers
from prototxt.binary.wire import Source, WireError, encode_varint
from prototxt.caffe_pb2 import BlobProto, NetParameter, SolverState
from prototxt.errors import InputError
from zoo.cli import main

Bytes = Callable[[Path], bytes]


def whole(folder: Path) -> bytes:
    return save(load_net(IP), folder / "whole.caffemodel").read_bytes()


def claims(folder: Path, *dims: int, count: int = 6) -> bytes:
    net = NetParameter.FromString(one_blob("2 3", count))
    net.layer[0].blobs[0].shape.CopyFrom(BlobProto().shape)
    net.layer[0].blobs[0].shape.dim.extend(dims)
    return net.SerializeToString()


def edited(edit: Callable[[NetParameter], object]) -> Bytes:
    def make(folder: Path) -> bytes:
        net = NetParameter.FromString(whole(folder))
        edit(net)
        return net.SerializeToString()

    return make


def zeros(folder: Path) -> bytes:
    """A layer that says it has more bytes than any file."""
    return b"\n\x01n" + b"\xa2\x06" + encode_varint(2**40) + b"\0" * 64


BAD: dict[str, tuple[Bytes, str]] = {
    "empty": (lambda _: b"", "is empty"),
    "zeros": (lambda _: bytes(64), "no field can begin with what stands at byte 0"),
    "cut in a blob": (lambda folder: whole(folder)[:-9], "pass the end"),
    "cut after the first tag": (lambda folder: whole(folder)[:1], "text"),
    "longer than any file": (zeros, "1099511627776 bytes from byte"),
    "no layers": (lambda _: b"\n\x04name", "no layer in it has a blob"),
    "random": (lambda _: np.random.default_rng(5).bytes(4096), "no whole .caffemodel: "),
    "a web page": (lambda _: b"\n<!DOCTYPE html><html>moved</html>", "is a web page"),
    "a prototxt": (lambda _: IP.encode(), "is text, as a prototxt is"),
    "a git-lfs pointer": (
        lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
        "is a git-lfs pointer",
    ),
    "a .pth": (lambda _: b"PK\x03\x04" + bytes(99), "is a zip archive"),
    "a .solverstate": (
        lambda _: SolverState(iter=3, learned_net="x").SerializeToString(),
        "is a .solverstate",
    ),
    "a .binaryproto": (lambda _: BlobProto(num=1, data=[1]).SerializeToString(), "or a .binaryproto"),
    "2^40 elements": (lambda f: claims(f, 2**20, 2**20), 'layer "ip": blob 0 has shape (1048576, 1048576)'),
    "2^40 elements, and none stored": (lambda f: claims(f, 2**40, count=0), "but 0 are stored"),
    "negative": (lambda f: claims(f, -2, -3), "blob 0 has shape (-2, -3), with a negative size"),
    "many axes": (lambda f: claims(f, *([1] * 40)), "blob 0 has 40 axes; Caffe takes up to 32"),
    "too few values": (
        lambda f: claims(f, 2, 3, count=5),
        "has shape (2, 3), 6 values, but 5 are stored",
    ),
    "another shape": (lambda f: claims(f, 3, 2), "blob 0 has shape (3, 2), in the net (2, 3)"),
    "a blob too few": (edited(lambda net: net.layer[1].blobs.pop()), 'layer "ip": 1 blobs in the file, 2 in'),
    "a blob too many": (edited(lambda net: net.layer[1].blobs.add(data=[1])), "3 blobs in the file, 2 in"),
    "another net": (edited(lambda net: setattr(net.layer[1], "name", "q")), "none of its layers with blobs"),
    "half a float": (lambda _: b"\xa2\x06\x0b\n\x02ip:\x05\x2a\x03abc", 'layer "ip": blob 0: 3 bytes'),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_one_line_and_exit_code_2(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, words = BAD[case]
    weights, text = tmp_path / "w.caffemodel", tmp_path / "net.prototxt"
    weights.write_bytes(make(tmp_path))
    text.write_text(IP)
    assert main(["convert", str(text), "--weights", str(weights), "--output", str(tmp_path / "out")]) == 2
    said = capsys.readouterr()
    assert said.err.startswith(f"zoo: {weights}: ") and said.err.count("\n") == 1
    assert words in said.err and not said.out
    assert not (tmp_path / "out").exists()


def hdf5(change: Callable[[h5py.File], object]) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        save(load_net(IP), path)
        with h5py.File(path, "r+") as file:
            change(file)

    return make


def cut(path: Path) -> None:
    save(load_net(IP), path)
    path.write_bytes(path.read_bytes()[:-99])


def of(name: str, **kwargs: object) -> Callable[[h5py.File], object]:
    """Another data set in a blob's place."""

    def change(file: h5py.File) -> None:
        del file[name]
        file.create_dataset(name, **kwargs)

    return change


BAD_HDF5: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut": (cut, "no whole .h5 file"),
    "only the signature": (
        lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(99)),
        "no whole .h5 file",
    ),
    "not HDF5": (lambda path: path.write_bytes(bytes(99)), "no whole .h5 file"),
    "no data": (hdf5(lambda file: file.move("data", "other")), 'it has no group "data"'),
    "another net": (hdf5(lambda file: file.move("data/ip", "data/q")), "none of its 1 layers"),
    "a blob too few": (hdf5(lambda file: file.pop("data/ip/1")), 'layer "ip": blob 1 is not in the file'),
    "a blob too many": (
        hdf5(lambda file: file.copy("data/ip/1", "data/ip/2")),
        "blob 2 in the file, 2 blobs in",
    ),
    "another shape": (
        hdf5(of("data/ip/0", shape=(3, 2), dtype="f4")),
        "blob 0 has shape (3, 2), in the net (2, 3)",
    ),
    "2^40 elements": (
        hdf5(of("data/ip/0", shape=(2**20, 2**20), dtype="f4", chunks=(1, 9))),
        "(1048576, 1048576)",
    ),
    "text": (hdf5(of("data/ip/1", data=["a", "b"])), 'layer "ip": blob 1 holds'),
}


@pytest.mark.parametrize("case", BAD_HDF5)
def test_bad_hdf5_is_one_line_and_exit_code_2(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make, words = BAD_HDF5[case]
    weights, text = tmp_path / "w.h5", tmp_path / "net.prototxt"
    make(weights)
    text.write_text(IP)
    assert main(["convert", str(text), "--weights", str(weights), "--output", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"zoo: {weights}: ") and said.count("\n") == 1
    assert words in said


TEXTS = {
    "a bottom nobody writes": (
        IP.replace('bottom: "x"', 'bottom: "z"').encode(),
        ':2: layer "ip": bottom "z" is written by no layer before it',
    ),
    "two writers of one blob": (
        (IP + '\nlayer { name: "again" type: "ReLU" bottom: "x" top: "ip" }').encode(),
        ':3: layer "again": top "ip" is written by layer "ip" too',
    ),
    "a wrong enum": (
        b'layer { name: "p" type: "Pooling"\n pooling_param { pool: AVG } }',
        ':2:24: NetParameter layer[0] "p" pooling_param: pool cannot be "AVG"; did you mean "AVE"?',
    ),
    "10,000 deep": (b"layer { " * 10_000, ":1:807: blocks are nested deeper than 100 levels"),
    "not UTF-8": (b"name: caf\xe9", ":1:10: the byte 0xe9, outside strings and comments, is not UTF-8"),
    "a web page": (b"<!DOCTYPE html>\n<html></html>", ": is a web page, not a prototxt"),
    "weights": (b"\n\x04name\xa2\x06\x00", ": is binary, and not a prototxt"),
    "more parameters than memory": (
        IP.replace("num_output: 2", "num_output: 2000000000").replace("dim: 3", "dim: 2000000").encode(),
        ':2: layer "ip": ',
    ),
}


@pytest.mark.parametrize("case", TEXTS)
def test_bad_texts_are_one_line_and_exit_code_2(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, words = TEXTS[case]
    text = tmp_path / "net.prototxt"
    text.write_bytes(data)
    assert main(["convert", str(text), "--output", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"zoo: {text}{words}") and said.count("\n") == 1


def find(path: Path, data: bytes) -> list[tuple[str, list[tuple[tuple[int, ...], list[float]]]]]:
    """What the reader makes of a file's bytes: names, shapes and values."""
    path.write_bytes(data)
    found = []
    with path.open("rb") as file:
        source = Source(file)
        for layer in find_layers(source):
            blobs = []
            for blob in layer.blobs:
                values = np.empty(blob.count, np.float32)
                blob.read_into(source, values)
                blobs.append((blob.shape, values.tolist()))
            found.append((layer.name, blobs))
    return found


QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@QUICK
@given(data=st.binary(max_size=300))
def test_random_bytes_are_read_or_refused(data: bytes, tmp_path: Path) -> None:
    try:
        find(tmp_path / "f", data)
    except WireError as error:
        assert "\n" not in str(error)
    try:
        load_net(IP, tmp_path / "f")
    except InputError as error:
        assert "\n" not in str(error)


@QUICK
@given(data=st.data())
def test_a_file_cut_or_changed_anywhere_is_read_or_refused(data: st.DataObject, tmp_path: Path) -> None:
    good = bytearray((tmp_path / "good").read_bytes() if (tmp_path / "good").exists() else b"")
    if not good:
        good = bytearray(save(shaken(SMALL), tmp_path / "good").read_bytes())
    end = data.draw(st.integers(1, len(good)))
    for place in data.draw(st.lists(st.integers(0, len(good) - 1), max_size=3)):
        good[place] = data.draw(st.integers(0, 255))
    (tmp_path / "f").write_bytes(good[:end])
    net = load_net(SMALL)
    try:
        net.load_weights(tmp_path / "f")
    except InputError as error:
        assert str(error).startswith(str(tmp_path / "f")) and "\n" not in str(error)


FLOATS = st.floats(width=32, allow_nan=False)
DIMS = st.lists(st.integers(0, 3), max_size=4)


@st.composite
def blobs(draw: st.DrawFn) -> BlobProto:
    dims = draw(DIMS)
    blob = BlobProto()
    values = draw(st.lists(FLOATS, min_size=int(np.prod(dims)), max_size=int(np.prod(dims))))
    if draw(st.booleans()) and len(dims) == 4:
        blob.num, blob.channels, blob.height, blob.width = dims
    elif dims:
        blob.shape.dim.extend(dims)
    getattr(blob, draw(st.sampled_from(["data", "double_data"]))).extend(values)
    blob.diff.extend(draw(st.lists(FLOATS, max_size=3)))
    return blob


@st.composite
def nets(draw: st.DrawFn) -> tuple[NetParameter, str]:
    """A net with its weights in any of the three syntaxes."""
    net, syntax = NetParameter(name=draw(st.text(max_size=5))), draw(st.sampled_from(["v0", "v1", "today"]))
    for name in draw(st.lists(st.text(max_size=5), max_size=4)):
        layer = net.layer.add() if syntax == "today" else net.layers.add()
        inner = layer.layer if syntax == "v0" else layer
        inner.name = name
        inner.blobs.extend(draw(st.lists(blobs(), max_size=3)))
        layer.bottom.extend(draw(st.lists(st.text(max_size=3), max_size=2)))
    return net, syntax


def expected(net: NetParameter, syntax: str) -> list[tuple[str, list[tuple[tuple[int, ...], list[float]]]]]:
    """The same by protobuf's own decoder."""
    layers = net.layer if syntax == "today" else [x.layer if syntax == "v0" else x for x in net.layers]
    return [
        (
            layer.name,
            [
                (
                    tuple(b.shape.dim)
                    or ((b.num, b.channels, b.height, b.width) if b.HasField("num") else ()),
                    list(b.double_data or b.data),
                )
                for b in layer.blobs
            ],
        )
        for layer in layers
    ]


@QUICK
@given(made=nets())
def test_valid_messages_read_as_protobuf_reads_them(made: tuple[NetParameter, str], tmp_path: Path) -> None:
    net, syntax = made
    assert find(tmp_path / "f", net.SerializeToString()) == expected(net, syntax)


def field(number: int, wire: int, payload: bytes) -> bytes:
    count = encode_varint(len(payload)) if wire == 2 else b""
    return encode_varint(number << 3 | wire) + count + payload


@QUICK
@given(
    pieces=st.lists(st.tuples(st.lists(FLOATS, max_size=400), st.booleans(), st.booleans()), max_size=4),
    is_double=st.booleans(),
    split=st.booleans(),
)
def test_values_in_chunks_and_one_by_one(
    pieces: list[tuple[list[float], bool, bool]], is_double: bool, split: bool, tmp_path: Path
) -> None:
    number, wire, letter = (8, 1, "d") if is_double else (5, 5, "f")
    values = [value for piece, _, _ in pieces for value in piece]
    body = b""
    for piece, packed, strange in pieces:
        if packed:
            body += field(number, 2, struct.pack(f"<{len(piece)}{letter}", *piece))
        else:
            body += b"".join(field(number, wire, struct.pack(f"<{letter}", value)) for value in piece)
        body += field(999, 2, b"another fork's") if strange else b""
    dims = encode_varint(len(values))
    body += field(7, 2, field(1, 2, dims) if split else field(1, 0, dims))
    # A fork's fields with numbers of Caffe's and values of other kinds come before and between.
    layer = field(106, 0, b"\x05") + field(1, 2, b"ip") + field(117, 2, b"\xff\xff\xff") + field(7, 2, body)
    data = field(100, 2, layer)
    assert find(tmp_path / "f", data) == [("ip", [((len(values),), values)])]
    # Two files one after the other are one message.
    assert find(tmp_path / "f", data + data) == [("ip", [((len(values),), values)])] * 2


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bits=st.lists(st.integers(-(2**31), 2**31 - 1), min_size=8, max_size=8))
def test_any_bits_survive_every_format(bits: list[int], tmp_path: Path) -> None:
    net = load_net(IP)
    with torch.no_grad():
        values = torch.tensor(bits, dtype=torch.int32).view(torch.float32)
        net.params["ip"][0].copy_(values[:6].view(2, 3))
        net.params["ip"][1].copy_(values[6:])
    for suffix in ("caffemodel", "h5", "safetensors"):
        assert same(load_net(IP, save(net, tmp_path / f"w.{suffix}")), net)


def test_the_message_that_is_written_is_cut_at_every_byte(tmp_path: Path) -> None:
    data = whole(tmp_path)
    (tmp_path / "w.caffemodel").write_bytes(data)
    assert decode(tmp_path / "w.caffemodel").layer[1].name == "ip"
    taken = []
    for end in range(len(data)):
        (tmp_path / "w.caffemodel").write_bytes(data[:end])
        try:
            load_net(IP, tmp_path / "w.caffemodel")
        except InputError as error:
            assert str(error).startswith(f"{tmp_path / 'w.caffemodel'}: ")
        else:
            taken.append([layer.name for layer in decode(tmp_path / "w.caffemodel").layer])
    assert taken == [["x"]]  # behind its first layer, which has no blobs, a file is whole again


def test_a_net_that_exceeds_the_memory_is_refused_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("converters.host.memory.physical_memory", lambda: 31)
    with pytest.raises(InputError, match=r'<text>:2: layer "ip": the net\'s parameters take 0.0 GiB'):
        load_net(IP)
    monkeypatch.setattr("converters.host.memory.physical_memory", lambda: 32)
    load_net(IP)
