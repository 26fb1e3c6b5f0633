"""``zoo verify`` and ``zoo record``: what they compare, find, say and refuse."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from golden_cases import GOLDEN
from test_models import MODELS, folder_of

from converters import Network
from eval.runtime import Feeds
from eval.verdict import engines, recording
from eval.verdict.held import hold, net_values
from eval.verdict.recording import PROBES, Recording
from prototxt.errors import InputError
from zoo.api import load
from zoo.cli import main

NET = """
name: "small"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 4 dim: 3 dim: 9 dim: 9 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param { num_output: 4 kernel_size: 3
  weight_filler { type: "xavier" } bias_filler { type: "gaussian" std: 0.5 } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool" pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 } }
layer { name: "drop" type: "Dropout" bottom: "pool" top: "pool" }
layer { name: "ip" type: "InnerProduct" bottom: "pool" top: "ip" inner_product_param { num_output: 5
  weight_filler { type: "xavier" } } }
layer { name: "prob" type: "Softmax" bottom: "ip" top: "prob" }
"""  # fmt: skip


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """A net and its weights."""
    (tmp_path / "net.prototxt").write_text(NET)
    load(tmp_path / "net.prototxt", seed=1).save_caffemodel(tmp_path / "w.caffemodel")
    return str(tmp_path / "net.prototxt"), str(tmp_path / "w.caffemodel")


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def line(found: list[str], start: str) -> str:
    return next(each for each in found if each.strip().startswith(start))


def test_engines_that_agree_are_named(files: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", *files]) == 0
    said = lines(capsys)
    assert said[-1] == "verdict: the same: our module, source, onnxruntime, OpenCV"
    rows = [re.split(r"\s*│\s*", each)[1:3] for each in said if each.startswith("│")]
    assert rows == [
        ["conv", "Convolution"],
        ["relu", "ReLU"],
        ["pool", "Pooling"],
        ["drop", "Dropout"],
        ["ip", "InnerProduct"],
        ["prob", "Softmax"],
    ]
    assert line(said, "OpenCV: 6 of 6 blobs")
    # The blob as Dropout leaves it has its name in the file, and Dropout is gone.
    assert "it lacks: 1 Pooling" in line(said, "onnxruntime: 5 of 6 blobs")


Faulty = Callable[..., engines.Values]


def spoiled(engine: Faulty) -> Faulty:
    """The engine with a pooling that is wrong at its lower right corner."""

    def run(net: object, feeds: object, *files: bytes) -> engines.Values:
        values = engine(net, feeds, *files)
        pool = next(value for value in values if value.layer == "pool")
        off = values[pool].copy()
        off[:, :, -1, -1] += 1
        return values | {pool: off}

    return run


def test_the_first_wrong_blob_is_named_with_its_place(
    files: tuple[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo.verify.command.by_opencv", spoiled(engines.by_opencv))
    assert main(["verify", *files]) == 1
    said = lines(capsys)
    blob = 'blob "pool" of layer "pool" (Pooling)'
    assert (
        said[-1] == f"verdict: DIFFERENT: OpenCV first at {blob}; with our module agree: source, onnxruntime"
    )
    assert line(said, "first wrong: ").startswith(f"  first wrong: {blob}, {files[0]}:7: ")
    assert line(said, "8 of 128 values, at [all, all, 3, 3]; the worst at")
    assert line(said, "pooling_param { pool: AVE")
    rows = {row[1]: row[-2] for each in said if each.startswith("│") for row in [re.split(r"\s*│\s*", each)]}
    assert [layer for layer, cell in rows.items() if cell.endswith("WRONG")] == [
        "pool",
        "drop",
    ]  # right values from wrong


def test_a_blob_of_another_shape_is_said(
    files: tuple[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(net: Network, feeds: Feeds, *_: bytes) -> engines.Values:
        values = engines.by_source(net, feeds)
        return {value: array[:, :2] if value.blob == "prob" else array for value, array in values.items()}

    monkeypatch.setattr("zoo.verify.command.by_opencv", cut)
    assert main(["verify", *files]) == 1
    said = lines(capsys)
    assert line(said, "its shape is 2×2, and the net's 2×5")
    assert "inf" not in "".join(said)


def test_an_engine_of_no_numbers_does_not_agree(
    files: tuple[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def empty(net: Network, feeds: Feeds, *_: bytes) -> engines.Values:
        return {value: array * np.float32(np.nan) for value, array in engines.by_source(net, feeds).items()}

    monkeypatch.setattr("zoo.verify.command.by_opencv", empty)
    assert main(["verify", *files]) == 1
    assert "the same" not in lines(capsys)[-1]


def test_what_only_adds_up_is_no_fault(files: tuple[str, str]) -> None:
    """A wrong layer is found by what it makes of its own bottoms, and those behind it are not blamed."""
    net = load(files[0], weights=files[1])
    feeds = {"data": np.random.default_rng(0).standard_normal((4, 3, 9, 9)).astype(np.float32)}
    ours = net_values(net, feeds)
    conv = next(value for value in ours if value.layer == "conv")
    theirs = engines.by_source(net, feeds) | {conv: ours[conv] * 1.01}
    later = {value: ours[value] for value in ours if value.layer in ("ip", "prob")}
    found = hold(net, feeds, ours, theirs)
    assert [each.value.layer for each in found if each.is_wrong] == ["conv", "relu"]
    alone = [each for each in hold(net, feeds, ours, later) if each.is_wrong]
    assert alone == []


def test_an_engine_that_does_not_take_the_net_is_no_agreement(
    files: tuple[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    h5 = Path(files[1]).with_suffix(".h5")
    load(files[0], weights=files[1]).save_hdf5(h5)
    assert main(["verify", files[0], str(h5)]) == 0
    said = lines(capsys)
    assert line(said, "OpenCV: not compared: it reads one .caffemodel alone")
    assert "none reads the net by itself" in said[-1] and "OpenCV," not in said[-1]

    def absent(*_: object) -> engines.Values:
        raise InputError("not here")

    for name in ("by_source", "by_onnxruntime"):
        monkeypatch.setattr(f"zoo.verify.command.{name}", absent)
    assert main(["verify", files[0], str(h5)]) == 1
    assert lines(capsys)[-1] == "verdict: NOTHING COMPARED: none but our module ran"


def test_opencv_5_has_no_importer(files: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(cv2.dnn, "readNetFromCaffe")
    net = load(files[0], weights=files[1])
    with pytest.raises(InputError, match="has no Caffe importer"):
        engines.by_opencv(net, {}, b"", b"")


def test_a_recording_is_of_caffes_format_and_is_held_to(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "blobs.npz"
    for _ in range(2):  # one of ours is written over
        assert main(["record", *files, "-o", str(path)]) == 0
    with np.load(path, allow_pickle=False) as file:
        data = {name: file[name] for name in file.files}
    blobs = load(files[0], weights=files[1]).all_blobs(data=torch.from_numpy(data["in/data"]))
    assert [str(name) for name in data["feeds"]] == ["data"] and str(data["phase"]) == "TEST"
    for blob, tensor in blobs.items():
        array = tensor.detach().numpy()
        assert tuple(data[f"shape/{blob}"]) == array.shape
        places = np.linspace(0, array.size - 1, PROBES).astype(int)
        assert np.allclose(data[f"probe/{blob}"], array.ravel()[places], rtol=0, atol=1e-6), blob
        assert data[f"absmean/{blob}"] == pytest.approx(np.abs(array).mean(), rel=1e-5)
    assert main(["verify", *files, "--reference", str(path)]) == 0
    said = lines(capsys)
    assert line(said, "recording: 4 of 4 blobs") and said[-1].endswith("OpenCV, recording")
    data["probe/ip"][7] += 1
    np.savez(tmp_path / "other.npz", **data)
    assert main(["verify", *files, "--reference", str(tmp_path / "other.npz")]) == 1
    assert 'recording first at blob "ip" of layer "ip"' in lines(capsys)[-1]
    assert main(["record", *files, "-o", files[0]]) == 2 and Path(files[0]).read_text() == NET


class Blob:
    """As pycaffe's, over our own values."""

    def __init__(self, data: np.ndarray) -> None:
        self.data = data


class FakeNet:
    """What the page's script asks of pycaffe's Net."""

    def __init__(self, net: str, weights: str, phase: int) -> None:
        self.net, self.inputs = load(net, weights=weights), ["data"]
        self.blobs = {
            value.blob: Blob(np.zeros(shape, np.float32)) for value, shape in self.net.shapes.items()
        }

    def forward(self) -> None:
        values = self.net.all_blobs(data=torch.from_numpy(self.blobs["data"].data))
        for blob, tensor in values.items():
            self.blobs[blob].data[...] = tensor.detach().numpy()


@pytest.mark.parametrize("page", ["verify.md", "verify.zh-CN.md"])
def test_the_pages_script_records_what_is_read_here(
    page: str,
    files: tuple[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = (Path(__file__).parents[1] / "docs" / page).read_text(encoding="utf-8")
    (script,) = re.findall(r"^```\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    monkeypatch.setitem(sys.modules, "caffe", SimpleNamespace(Net=FakeNet, TEST=1))
    path = str(tmp_path / "blobs.npz")
    monkeypatch.setattr(sys, "argv", ["record.py", *files, path])
    exec(script, {})
    assert main(["verify", *files, "--reference", path]) == 0
    assert lines(capsys)[-1].endswith("OpenCV, recording")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda path: path.write_text("no zip"), "is no .npz of blobs"),
        (lambda path: np.savez(path, feeds=np.array([{}], object)), "is no .npz of blobs"),
        (lambda path: np.savez(path, a=np.zeros(3)), "holds no blobs"),
        (lambda path: np.savez(path, feeds=["data"], **{"probe/ip": np.zeros(64)}), "holds no numbers shape/data"),
        (lambda path: np.savez(path, feeds=["x"], **{"probe/ip": np.zeros(64)}), 'has no input "data"'),
        (lambda path: np.savez(path, feeds=["data"], **{"probe/ip": np.zeros(64), "shape/data": [-1, 3]}), "shape/data is -1×3"),
        (lambda path: np.savez(path, feeds=["data"], **{"probe/ip": np.zeros(64), "shape/data": [2**40]}), "shape/data is 1099511627776"),
    ],
)  # fmt: skip
def test_what_is_no_recording_is_said(
    change: Callable[[Path], None],
    why: str,
    files: tuple[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "bad.npz"
    change(path)
    assert main(["verify", *files, "--reference", str(path)]) == 2
    error = capsys.readouterr().err
    assert why in error and str(path) in error and error.count("\n") == 1


def test_a_picture_is_fed_as_classify_feeds_it(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), pixels)
    said = ["--image", str(tmp_path / "a.png"), "--mean", "1,2,3", "--scale", "0.5", "--channel-order", "RGB"]
    assert main(["record", *files, "-o", str(tmp_path / "b.npz"), *said]) == 0
    by_hand = (
        pixels[..., ::-1].transpose(2, 0, 1).astype(np.float32) - np.array([1, 2, 3])[:, None, None]
    ) / 2
    fed = Recording.read(tmp_path / "b.npz").inputs(["data"])["data"]
    assert fed.shape == (2, 3, 9, 9) and np.array_equal(fed[0], by_hand) and np.array_equal(fed[1], by_hand)
    assert main(["verify", *files, *said]) == 0
    capsys.readouterr()
    assert main(["verify", *files, "--image", files[0]]) == 2
    assert files[0] in capsys.readouterr().err


def test_weights_of_another_net_are_refused(
    files: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    other = GOLDEN / "legacy" / "v1_weights.caffemodel"
    Path(files[0]).write_text(NET.replace('"conv"', '"c"').replace('name: "ip"', 'name: "i"'))
    assert main(["verify", files[0], files[1].replace("w.", "none.")]) == 2
    assert main(["verify", files[0], str(other)]) in (0, 2)
    assert "Traceback" not in capsys.readouterr().err


def test_a_models_recording_finds_a_layer_that_is_wrong(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Another alpha of an LRN: Caffe's own recording of the net names the layer."""
    folder = folder_of("cifar10-full")
    text = (folder / "deploy.prototxt").read_text()
    assert recording.PROBES == PROBES and MODELS in folder.parents
    wrong = tmp_path / "wrong.prototxt"
    wrong.write_text(re.sub(r"alpha: 5e-0?5", "alpha: 0.00006", text, count=1))
    assert wrong.read_text() != text
    weights = str(folder / "weights.caffemodel")
    assert main(["verify", str(wrong), weights, "--reference", str(folder / "blobs.npz")]) == 1
    assert 'recording first at blob "norm1"' in lines(capsys)[-1]
