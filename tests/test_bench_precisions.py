"""fp16 and int8: scores beside fp32's, calibration on the training list, and runs tested in a special way."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from one_layer import random
from tiny import write_run

from converters import load_net
from converters.export.onnx_file import export_onnx
from eval.choices import PRECISIONS
from eval.precision import to_fp16, to_int8
from eval.runtime import input_shapes, open_session
from prototxt.errors import InputError
from zoo.bench.calibration import calibration
from zoo.bench.command import trained
from zoo.bench.files import converted, measure_accuracy
from zoo.bench.images import listed_images, validation
from zoo.bench.measure import measure_models
from zoo.bench.timing import Settings
from zoo.cli import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the tiny net that has learned its three classes."""
    folder = tmp_path_factory.mktemp("precisions")
    solver = write_run(folder, rate=0.002, max_iter=150)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_CACHE", str(folder / "cache"))
        assert (
            main(["train", "--solver", str(solver), "--device", "cpu", "--output", str(folder / "run")]) == 0
        )
    return folder / "run"


@pytest.fixture(scope="module")
def files(folder: Path) -> dict[str, Path]:
    """The run's file in each precision, converted as a bench converts it."""
    model = trained(folder)[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_CACHE", str(folder.parent / "cache"))
        return {name: converted(model, name, folder.parent)[0] for name in PRECISIONS}


def scores(path: Path, batches: list[torch.Tensor]) -> np.ndarray:  # type: ignore[type-arg]
    session = open_session(path)
    return np.concatenate([session.run(None, {"data": x.contiguous().numpy()})[0] for x in batches])


def test_fp16_and_int8_score_as_fp32_does(folder: Path, files: dict[str, Path]) -> None:
    images = [data for data, _ in validation(trained(folder)[0])]
    exact = scores(files["fp32"], images)
    for name, allowed in (("fp16", 0.005), ("int8", 0.1)):
        found = scores(files[name], images)
        assert np.abs(found - exact).mean() <= allowed * np.abs(exact).max(), name
        assert np.abs(found - exact).max() > 0, name


def test_the_files_are_what_they_say(files: dict[str, Path]) -> None:
    kinds = {}
    for name, path in files.items():
        held = onnx.load(path)
        kinds[name] = {tensor.data_type for tensor in held.graph.initializer if len(tensor.dims) == 4}
        assert {item.key for item in held.metadata_props} >= {"channel_order", "mean", "input_size"}
        assert input_shapes(path) == ({"data": [3, 24, 24]}, None)
    types = onnx.TensorProto
    assert kinds == {"fp32": {types.FLOAT}, "fp16": {types.FLOAT16}, "int8": {types.INT8}}
    held = onnx.load(files["int8"]).graph
    assert any(
        len(tensor.dims) == 1 and tensor.dims[0] == 8 for tensor in held.initializer if "scale" in tensor.name
    )


def test_rows_of_three_precisions(folder: Path, files: dict[str, Path]) -> None:
    """Their accuracy is that of their own file; how near its scores are to fp32's is the test above."""
    rows = measure_models(trained(folder), Settings([2], ["fp32", "fp16", "int8"], runs=2, threads=1))
    held = {row["precision"]: row for row in rows}
    assert list(held) == ["fp32", "fp16", "int8"] and held["int8"]["calibration"] == "training images"
    assert {row["images"] for row in rows} == {6} and {row["batch"] for row in rows} == {2}
    assert len({row["model_bytes"] for row in rows}) == 3 and len({row["onnx_bytes"] for row in rows}) == 1
    assert held["fp32"]["to_fp32"] is None and held["int8"]["to_fp32"] > 0
    model = trained(folder)[0]
    for name, path in files.items():
        assert held[name]["top1"] == measure_accuracy(model, path)["top1"], name


def test_calibration_takes_training_images_under_the_test_transform(folder: Path) -> None:
    """The TEST layer resizes to 24 and crops nothing; TRAIN would resize to 28, crop and mirror."""
    model = trained(folder)[0]
    images = listed_images(model, "TRAIN")
    assert (
        images is not None and images.list_path.name == "train.txt" and images.pixels.shape[1:3] == (24, 24)
    )
    batches = [batch["data"] for batch in calibration(model, 4)]
    held = np.concatenate(batches)
    assert held.shape == (4, 3, 24, 24)
    first = (
        images.pixels[0].transpose(2, 0, 1).astype(np.float32) - np.float32([104, 117, 124])[:, None, None]
    )
    assert np.array_equal(held[0], first)
    last = (
        images.pixels[-1].transpose(2, 0, 1).astype(np.float32) - np.float32([104, 117, 124])[:, None, None]
    )
    assert np.array_equal(held[-1], last)


def test_what_cannot_be_converted_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"a\.onnx: onnxruntime cannot make it fp16"):
        to_fp16(tmp_path / "a.onnx", tmp_path / "b.onnx")
    with pytest.raises(InputError, match=r"a\.onnx: onnxruntime cannot make it int8"):
        to_int8(tmp_path / "a.onnx", tmp_path / "b.onnx", [])
    assert not (tmp_path / "b.onnx").exists()


def test_a_precision_that_cannot_be_had_is_left_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(model: Path, target: Path) -> None:
        raise InputError("no such kernel")

    monkeypatch.setattr("zoo.bench.files.to_fp16", refused)
    rows = measure_models(trained(folder), Settings([1], ["fp32", "fp16"], runs=1, threads=1))
    assert [row["precision"] for row in rows] == ["fp32"]
    assert f"{folder}: fp16 left out: no such kernel" in capsys.readouterr().err


def test_validation_is_what_training_tested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its stages (here: another list under stage "own") and what --skip-bad passed over."""
    solver = write_run(tmp_path)
    net = (tmp_path / "tiny.prototxt").read_text()
    at = net.index('layer { name: "data"', net.index('layer { name: "data"') + 1)
    end = net.index('layer { name: "conv1"')
    own = net[at:end].replace("phase: TEST", 'phase: TEST stage: "own"').replace("val.txt", "own.txt")
    other = net[at:end].replace("phase: TEST", 'phase: TEST not_stage: "own"')
    (tmp_path / "tiny.prototxt").write_text(net[:at] + own + other + net[end:])
    lines = (tmp_path / "val.txt").read_text().splitlines()
    (tmp_path / "broken.png").write_bytes(b"no picture")
    (tmp_path / "own.txt").write_text("\n".join([*lines[:2], "broken.png 0", *lines[2:4]]) + "\n")
    solver.write_text(solver.read_text() + 'test_state { stage: "own" }')
    options = ["--skip-bad", "--device", "cpu", "--output", str(tmp_path / "run")]
    assert main(["train", "--solver", str(solver), *options]) == 0
    model = trained(tmp_path / "run")[0]
    labels = torch.cat([labels for _, labels in validation(model)])
    assert labels.tolist() == [float(line.rsplit(" ", 1)[1]) for line in lines[:4]]
    assert measure_models([model], Settings([1], ["fp32"], runs=1, threads=1))[0]["images"] == 4


def test_eight_bits_leave_lrn_alone(tmp_path: Path) -> None:
    """Its squares reach 1e6 times alpha, beside ones of nearly nothing."""
    net = load_net(
        'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 8 dim: 6 dim: 6 } } }'
        'layer { name: "a/n" type: "LRN" bottom: "data" top: "n" lrn_param { alpha: 1e-2 } }'
        'layer { name: "a" type: "Convolution" bottom: "n" top: "c" convolution_param { num_output: 3'
        ' kernel_size: 3 weight_filler { type: "xavier" } } }'
    )
    assert export_onnx(net, tmp_path / "net.onnx")
    x = torch.from_numpy(random(2, 8, 6, 6)) * torch.logspace(-2, 3, 8)[:, None, None]
    to_int8(tmp_path / "net.onnx", tmp_path / "int8.onnx", [{"data": x.numpy()}])
    held = onnx.load(tmp_path / "int8.onnx").graph
    quantised = {node.output[0] for node in held.node if node.op_type == "DequantizeLinear"}
    convolutions = {node.name: node.input[0] in quantised for node in held.node if node.op_type == "Conv"}
    assert convolutions == {"a/n/Conv": False, "a": True}
