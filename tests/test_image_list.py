"""List files as Caffe reads them, and with several numbers a line."""

import os
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import torch
from test_data_layers import layer
from tiny import write_images
from train_runs import train

from converters import load_data, load_solver
from converters.data.images.lists import read_list
from converters.data.opening import open_data
from converters.data.windows.file import read_windows
from prototxt.errors import InputError
from zoo.runs.run_folder import read_record

GBK = "图.png".encode("gbk")


def entries(folder: Path, content: bytes, label_size: int | None = None) -> list[tuple[str, object]]:
    (folder / "list.txt").write_bytes(content)
    found = read_list(folder / "list.txt", label_size)
    return [(entry.path, entry.label if label_size is None else entry.labels) for entry in found]


@pytest.mark.parametrize(
    ("line", "path", "label"),
    [
        ("a.png -1", "a.png", -1),
        ("a.png +3", "a.png", 3),
        ("a b.png 007\r", "a b.png", 7),
        (" a.png 1", " a.png", 1),
        ("a.png  1", "a.png ", 1),
        ("a.png \t1", "a.png", 1),
        ("a\x85b.png 4", "a\x85b.png", 4),
        ("a.png 4294967295", "a.png", -1),
    ],
)
def test_a_line_is_read_as_caffe_reads_it(tmp_path: Path, line: str, path: str, label: int) -> None:
    """image_data_layer.cpp: getline, find_last_of(' '), atoi of what follows."""
    assert entries(tmp_path, f"{line}\nz.png 0\n".encode()) == [(path, label), ("z.png", 0)]


@pytest.mark.parametrize(("text", "label"), [("1.9", 1), ("cat", 0), ("-2x", -2), ("-", 0)])
def test_what_is_no_whole_number_is_said(
    tmp_path: Path, text: str, label: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert entries(tmp_path, f"z.png 5\na.png {text}\n".encode())[1] == ("a.png", label)
    says = f'list.txt:2: "a.png {text}": no whole number, read as Caffe\'s atoi reads it (1 such lines)'
    assert says in capsys.readouterr().err


def test_a_path_keeps_its_bytes(tmp_path: Path) -> None:
    ((path, label),) = entries(tmp_path, b"\xef\xbb\xbf" + GBK + b" 2\n")
    assert (os.fsencode(path), label) == (GBK, 2)


def gbk_run(folder: Path, **more: str) -> Path:
    """Images in GBK names, one of them labelled -1, and a net of three classes that learns them."""
    lines = []
    for index in range(4):
        name = str(index).encode() + GBK
        pixels = np.full((4, 4, 3), 60 * index, np.uint8)
        (folder / os.fsdecode(name)).write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
        lines.append(name + f" {index - 1}\n".encode())
    (folder / "list.txt").write_bytes(b"".join(lines))
    (folder / "net.prototxt").write_text(NET.format(folder=folder, **{"loss": "", "classes": 3} | more))
    (folder / "solver.prototxt").write_text(SOLVER)
    return folder / "solver.prototxt"


NET = """
name: "net"
layer {{ name: "data" type: "ImageData" top: "data" top: "label"
  image_data_param {{ source: "{folder}/list.txt" root_folder: "{folder}/" batch_size: 2 new_height: 4 new_width: 4 }} }}
layer {{ name: "ip" type: "InnerProduct" bottom: "data" top: "y" inner_product_param {{ num_output: {classes} }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "y" bottom: "label" top: "loss" {loss} }}
"""
SOLVER = 'net: "net.prototxt" base_lr: 0.001 lr_policy: "fixed" max_iter: 2 test_iter: 2 test_interval: 2'
IGNORES = "loss_param { ignore_label: -1 }"


def test_an_ignored_label_of_minus_one_trains(tmp_path: Path) -> None:
    solver = gbk_run(tmp_path, loss=IGNORES)
    assert train(solver, "--output", str(tmp_path / "run")) == 0
    record = read_record(tmp_path / "run")
    assert record is not None and record["classes"] == 3
    assert np.isfinite(load_solver(solver).step(2))
    with load_data(tmp_path / "net.prototxt") as batches:
        assert next(batches)["label"].tolist() == [-1, 0]


def test_a_label_of_minus_one_is_refused_where_it_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    solver = gbk_run(tmp_path)
    assert train(solver, "--output", str(tmp_path / "run")) == 2
    assert "list.txt:1: label -1 is out of range for 3 classes" in capsys.readouterr().err
    with pytest.raises(
        InputError, match=r'layer "loss": label -1 of sample 0 is out of range.*list\.txt:1: '
    ):
        load_solver(solver).step(1)


def test_an_ignored_label_is_no_class(tmp_path: Path) -> None:
    solver = gbk_run(tmp_path, loss="loss_param { ignore_label: 255 }")
    lines = (tmp_path / "list.txt").read_bytes().replace(b" -1\n", b" 255\n")
    (tmp_path / "list.txt").write_bytes(lines)
    assert train(solver, "--output", str(tmp_path / "run")) == 0
    record = read_record(tmp_path / "run")
    assert record is not None and record["classes"] == 3


def test_several_numbers_a_line(tmp_path: Path) -> None:
    text = b"a b.png 0.5 -1e2 3\r\n\nc.png\t1 2  3 \n"
    assert entries(tmp_path, text, 3) == [("a b.png", (0.5, -100.0, 3.0)), ("c.png", (1.0, 2.0, 3.0))]
    assert entries(tmp_path, b"a.png 0.25\n", 1) == [("a.png", (0.25,))]
    for line in (b"a.png 1 2", b"1 2 3", b"a.png 1 2 x"):
        with pytest.raises(InputError, match=r'list\.txt:2: ".*" is not a path and 3 numbers'):
            entries(tmp_path, b"a.png 1 2 3\n" + line, 3)


@pytest.mark.parametrize("loss", ["EuclideanLoss", "SigmoidCrossEntropyLoss"])
def test_a_run_learns_several_numbers(tmp_path: Path, loss: str) -> None:
    write_images(tmp_path)
    paths = sorted(path.name for path in tmp_path.glob("*.png"))
    (tmp_path / "list.txt").write_text("".join(f"{name} 0.5 {n / 20}\n" for n, name in enumerate(paths)))
    text = NET.replace("SoftmaxWithLoss", loss).format(folder=tmp_path, loss="", classes=2)
    (tmp_path / "net.prototxt").write_text(text)
    (tmp_path / "solver.prototxt").write_text(SOLVER)
    with load_data(tmp_path / "net.prototxt", label_size=2) as batches:
        wanted = torch.tensor([[0.5, 0.0], [0.5, 0.05]])
        assert torch.equal(next(batches)["label"], wanted)
        assert batches.source.shapes["label"] == (2, 2)
    run = tmp_path / "run"
    assert train(tmp_path / "solver.prototxt", "--output", str(run), "--label-size", "2") == 0
    record = read_record(run)
    assert record is not None and record["options"]["label_size"] == 2 and record["classes"] is None
    again = ("--output", str(run), "--resume", "--max-iter", "3")
    assert train(tmp_path / "solver.prototxt", *again) == 0
    assert train(tmp_path / "solver.prototxt", *again, "--label-size", "1") == 2


def test_label_size_is_for_lists() -> None:
    with pytest.raises(InputError, match="label_size is for lists of images, not MemoryData"):
        open_data(layer("MemoryData", ""), "TEST", label_size=2)


def test_lists_of_other_layers_keep_their_bytes_too(tmp_path: Path) -> None:
    name = os.fsdecode(GBK)
    with h5py.File(os.fsencode(tmp_path / name), "w") as file:
        file["data"], file["label"] = np.ones((2, 3)), np.zeros(2)
    (tmp_path / "files.txt").write_bytes(GBK + b"\n")
    hdf5 = layer("HDF5Data", 'hdf5_data_param { source: "files.txt" batch_size: 2 }')
    with open_data(hdf5, "TEST", places=[tmp_path]) as source:
        assert source.batch(0)["data"].shape == (2, 3)
    (tmp_path / "w.txt").write_bytes(b"# 0\n" + GBK + b"\n3 9 9\n1\n2 0.9 0 0 4 4\n")
    (window,) = read_windows(tmp_path / "w.txt")
    assert (os.fsencode(window.image), window.label, window.line) == (GBK, 2, 5)
