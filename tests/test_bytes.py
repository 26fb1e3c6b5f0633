"""Names and paths of a prototxt that are no UTF-8: their bytes are kept, and they are shown readably."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.data.load import load_data
from converters.data.windows.file import Window, read_windows
from converters.load import load_net
from converters.solver.file import load_solver
from prototxt.caffe_pb2 import LayerParameter, NetParameter, SolverParameter, SolverState
from prototxt.encoding import decode_text
from prototxt.errors import InputError
from prototxt.rawbytes import bytes_of, readable, serialized, text_of, to_message
from prototxt.text import parse, parse_net, to_text
from zoo.cli import main

NET = """# 注释 {
name: "网络"
layer { name: "数据" type: "Input" top: "数" input_param { shape { dim: 1 dim: 3 } } }
layer { name: "全连接" type: "InnerProduct" bottom: "数" top: "全" inner_product_param { num_output: 2 } }
"""


@settings(max_examples=150, deadline=None)
@given(st.binary())
def test_any_bytes_of_a_string_survive(data: bytes) -> None:
    quoted = b'net: "%b" # \xd6' % b"".join(
        b"\\%03o" % b if b < 0x20 or b in b'"\\' else b"%c" % b for b in data
    )
    message = parse(decode_text(quoted, "f"), SolverParameter, "f", pytest.fail)
    assert bytes_of(message.net) == data
    assert serialized(message) == b"\xc2\x01" + serialized(SolverState(learned_net=message.net))[1:]
    assert parse(to_text(message), SolverParameter) == message


def test_the_characters_that_stand_for_bytes_survive_too() -> None:
    text = "a\U0010ff80\U0010ffff中"
    message = parse(decode_text(f'net: "{text}"'.encode(), "f"), SolverParameter)
    assert bytes_of(message.net) == text.encode()


@pytest.mark.parametrize(
    ("written", "data"),
    [
        (r"\326\320\t\"a", b'\xd6\xd0\t"a'),
        (r"\xe9t\xE9\\", b"\xe9t\xe9\\"),
        (r"\344\270\255\326", "中".encode() + b"\xd6"),
        (r"\\326\326", b"\\326\xd6"),
    ],
)
def test_escaped_bytes_are_read_as_protobuf_for_c_writes_them(written: str, data: bytes) -> None:
    assert bytes_of(parse(f'net: "{written}" max_iter: 3', SolverParameter).net) == data


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ("图像/网络.png".encode("gbk"), "图像/网络.png"),
        ("café, naïve".encode("latin-1"), "café, naïve"),
        ("中文".encode(), "中文"),
        (b"a\x81", "a\ufffd"),
    ],
)
def test_bytes_are_shown_readably(data: bytes, shown: str) -> None:
    for text in (text_of(data), to_message(text_of(data)), os.fsdecode(data)):
        assert readable(text) == shown
        assert str(InputError(text)) == shown


@pytest.mark.parametrize("encoding", ["gbk", "utf-8"])
def test_show_and_upgrade_print_the_same_bytes(
    encoding: str, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    path = tmp_path / "n.prototxt"
    path.write_bytes(NET.encode(encoding))
    printed = []
    for command in ("upgrade", "show"):
        assert main([command, str(path)]) == 0
        printed.append(capsysbinary.readouterr().out)
    assert printed[0] == printed[1] and 'name: "全连接"'.encode(encoding) in printed[0]
    path.write_bytes(printed[0])
    assert main(["upgrade", str(path)]) == 0
    assert capsysbinary.readouterr().out == printed[0]


@pytest.mark.parametrize("ending", ["caffemodel", "h5"])
def test_weights_of_layers_in_gbk(ending: str, tmp_path: Path) -> None:
    text = text_of(NET.encode("gbk"))
    path = tmp_path / f"w.{ending}"
    net = load_net(text)
    net.save_caffemodel(path) if ending == "caffemodel" else net.save_hdf5(path)
    data = path.read_bytes()
    assert "全连接".encode("gbk") in data and b"\xf4\x8f" not in data
    report = load_net(text).load_weights(path)
    assert (report.lacking, report.unknown) == ([], [])
    again = load_net(text, path)
    assert all(
        a.equal(b)
        for ours, theirs in zip(net.params.values(), again.params.values(), strict=True)
        for a, b in zip(ours, theirs, strict=True)
    )


def test_weights_of_unknown_layers_name_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "w.caffemodel"
    load_net(text_of(NET.encode("gbk"))).save_caffemodel(path)
    with pytest.raises(InputError, match="全连接"):
        load_net(NET.replace("全连接", "fc"), path)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: solver, net, list, image folder and snapshots of names in GBK."""
    monkeypatch.chdir(tmp_path)
    images = Path(os.fsdecode("图像".encode("gbk")))
    images.mkdir()
    for name in "ab":
        cv2.imwrite(f"{name}.png", np.full((5, 5, 3), 80, np.uint8))
        Path(f"{name}.png").rename(images / f"{name}.png")
    Path(os.fsdecode("列表.txt".encode("gbk"))).write_text("a.png 0\nb.png 1\n")
    net = 'name: "训练" layer { name: "d" type: "ImageData" top: "data" top: "label" transform_param { crop_size: 4 } image_data_param { source: "列表.txt" root_folder: "图像/" batch_size: 2 } }\n'
    net += NET[NET.rindex("layer") :].replace("数", "data").replace("dim: 2", "")
    net += 'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "全" bottom: "label" top: "loss" }'
    Path(os.fsdecode("网.prototxt".encode("gbk"))).write_bytes(net.encode("gbk"))
    text = (
        'net: "网.prototxt" base_lr: 0.01 lr_policy: "fixed" max_iter: 2 snapshot: 1 snapshot_prefix: "快照"'
    )
    Path("s.prototxt").write_bytes(text.encode("gbk"))
    return tmp_path


@pytest.mark.usefixtures("without_export")
def test_zoo_train_opens_paths_as_they_are_and_resumes(
    folder: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert main(["train", "--solver", "s.prototxt"]) == 0
    printed = capsysbinary.readouterr()
    assert printed.out == "runs/训练-baseline\n".encode("gbk")
    assert "训练-baseline: 2 iterations".encode() in printed.err
    run = folder / os.fsdecode(printed.out.strip())
    assert (run / os.fsdecode("快照_iter_1.safetensors".encode("gbk"))).is_file()
    assert 'source: "列表.txt"'.encode("gbk") in (run / "net.prototxt").read_bytes()
    (run / "weights.safetensors").unlink()
    assert main(["train", "--solver", "s.prototxt", "--resume", "--max-iter", "3"]) == 0


def test_load_solver_opens_paths_as_they_are_and_goes_on(folder: Path) -> None:
    solver = load_solver("s.prototxt", log=lambda line: None)
    solver.step(2)
    solver.snapshot()
    state = next(folder.glob("*_iter_2.solverstate"))
    assert os.fsencode(state.name) == "快照_iter_2.solverstate".encode("gbk")
    assert "快照_iter_2.caffemodel".encode("gbk") in state.read_bytes()
    again = load_solver("s.prototxt", log=lambda line: None)
    again.restore(state)
    assert again.iter == 2


def test_a_missing_path_is_shown_readably(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    next(folder.glob("*.txt")).unlink()
    assert main(["train", "--solver", "s.prototxt"]) == 2
    said = capsys.readouterr().err
    assert 'list "列表.txt" is in none of' in said and "网.prototxt:1: layer" in said


def test_convert_writes_names_in_gbk(folder: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    import onnx

    Path("n.prototxt").write_bytes(NET.encode("gbk"))
    assert main(["convert", "n.prototxt", "--verify"]) == 0
    out = capsysbinary.readouterr().out
    assert "全连接".encode() in out
    files = [Path(os.fsdecode(line)) for line in out.splitlines()[-3:]]
    names = ["网络.onnx", "网络.py", "网络.torch.safetensors"]
    assert [os.fsencode(file.name) for file in files] == [name.encode("gbk") for name in names]
    onnx.checker.check_model(onnx.load(files[0]))


def test_a_terminal_that_lacks_signs_gets_escapes() -> None:
    code = "from zoo.cli import main; main(['show', 'allconv6']); main(['list']); main(['layers'])"
    env = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True)
    assert b"allconv6" in done.stdout and done.stdout.count(b"Traceback") == 0


def test_hdf5_names_that_are_no_utf8_are_told(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file.create_group(b"data/\xd6\xd0").create_dataset("0", data=np.zeros(3))
    net = NetParameter(layer=[LayerParameter(name="d", type="DummyData", top=["d"])])
    net.layer[0].dummy_data_param.shape.add(dim=[2])
    assert load_net(to_text(net)).load_weights(tmp_path / "w.h5").unknown == [
        to_message(text_of(b"\xd6\xd0"))
    ]


def test_a_latin_1_comment_hides_nothing() -> None:
    net = parse_net(decode_text('# caf\xe9 "{\nname: "a" # \xa0'.encode("latin-1"), "f"))
    assert net.name == "a"


def test_lists_of_hdf5_files_and_windows_are_bytes(folder: Path) -> None:
    name = os.fsdecode("数据　一.h5".encode("gbk"))
    with h5py.File(name, "w") as file:
        file["data"], file["label"] = np.ones((2, 3), np.float32), np.zeros(2, np.float32)
    Path("h.txt").write_bytes(b"%s\n" % os.fsencode(name))
    layer = 'layer { name: "d" type: "HDF5Data" top: "data" top: "label" hdf5_data_param { source: "h.txt" batch_size: 2 } }'
    with load_data(layer) as batches:
        assert next(batches)["data"].sum() == 6
    image = os.fsdecode("图像/a.png".encode("gbk"))
    windows = read_windows_of(b"# 0\n%s\n3 5 5\n1\n1 0.9 0 0 3 3\n" % os.fsencode(image))
    assert windows[0].image == image and windows[0].line == 5


def read_windows_of(data: bytes) -> list[Window]:
    Path("w.txt").write_bytes(data)
    return read_windows(Path("w.txt"))
