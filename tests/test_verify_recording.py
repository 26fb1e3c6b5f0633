"""``zoo record``, and ``zoo verify`` beside blobs that were recorded."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from test_models import MODELS, folder_of
from verified import NET, line, lines, small_files

from eval.verdict import recording
from eval.verdict.recording import PROBES
from zoo.api import load
from zoo.cli import main


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """A net and its weights."""
    return small_files(tmp_path)


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
    data |= {f"{kind}/old": data[f"{kind}/ip"] for kind in ("shape", "probe", "absmean")}
    np.savez(tmp_path / "more.npz", **data)
    assert main(["verify", *files, "--reference", str(tmp_path / "more.npz")]) == 0
    assert "  blobs that the net has not: old" in lines(capsys)
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
