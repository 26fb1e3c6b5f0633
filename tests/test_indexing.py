"""Values that index: in range by Caffe's rules, else one line that names layer, value, range and record."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from one_layer import one_layer, random
from test_data_layers import raw, write_lmdb
from tiny import write_images
from train_runs import train

from converters import load_net, load_solver
from converters.layers.parts.indexing import OutOfRangeError, deferring, raise_first
from prototxt.errors import InputError

JUDGES = ("SoftmaxWithLoss", "MultinomialLogisticLoss", "HingeLoss", "Accuracy", "InfogainLoss")
NAN, INF = float("nan"), float("inf")


def judged(kind: str, labels: list[float], extra: str = "") -> torch.Tensor:
    """What a judge of three classes says; InfogainLoss reads the unit matrix from a third bottom."""
    inputs = {"x": (len(labels), 3), "label": (len(labels),)}
    bottoms = [torch.from_numpy(np.abs(random(len(labels), 3))), torch.tensor(labels)]
    if kind == "InfogainLoss":
        inputs, bottoms = inputs | {"matrix": (3, 3)}, [*bottoms, torch.eye(3)]
    return one_layer(f'type: "{kind}" top: "y" {extra}', **inputs)(*bottoms)


@pytest.mark.parametrize("wrong", [-1.0, 3.0, 1456.0, NAN, INF, -INF])
@pytest.mark.parametrize("kind", JUDGES)
def test_a_label_out_of_range_is_one_line(kind: str, wrong: float) -> None:
    shown = int(wrong) if np.isfinite(wrong) else wrong
    with pytest.raises(InputError) as caught:
        judged(kind, [0.0, 1.0, wrong, 2.0])
    assert str(caught.value) == f'layer "it": label {shown} of sample 2 is out of range, 0 to 2'


@pytest.mark.parametrize("kind", JUDGES)
def test_labels_are_cut_to_whole_numbers_as_c_does(kind: str) -> None:
    assert torch.equal(judged(kind, [-0.5, 2.9, 1.5]), judged(kind, [0.0, 2.0, 1.0]))


@pytest.mark.parametrize("ignored", [-1, 255])
@pytest.mark.parametrize("kind", ["SoftmaxWithLoss", "InfogainLoss", "Accuracy"])
def test_an_ignored_label_may_lie_anywhere(kind: str, ignored: int) -> None:
    param = "accuracy_param" if kind == "Accuracy" else "loss_param"
    extra = f"{param} {{ ignore_label: {ignored} }}"
    assert torch.isfinite(judged(kind, [0.0, ignored, 2.0], extra))
    with pytest.raises(OutOfRangeError, match=r"label -2 of sample 0 is out of range, 0 to 2"):
        judged(kind, [-2.0, ignored, 2.0], extra)
    with pytest.raises(OutOfRangeError, match=r"label nan of sample 2 "):
        judged(kind, [1.0, ignored, NAN], extra)


def test_the_sample_is_that_of_a_map_of_labels() -> None:
    net = one_layer('type: "SoftmaxWithLoss" top: "y"', x=(3, 4, 2, 2), label=(3, 1, 2, 2))
    labels = torch.zeros(3, 1, 2, 2)
    labels[1, 0, 1, 0] = 4
    with pytest.raises(OutOfRangeError, match=r'layer "it": label 4 of sample 1 is out of range, 0 to 3'):
        net(torch.zeros(3, 4, 2, 2), labels)


@pytest.mark.parametrize("wrong", [-1.0, 5.0, NAN])
def test_a_row_that_embed_lacks(wrong: float) -> None:
    net = one_layer('type: "Embed" top: "y" embed_param { num_output: 2 input_dim: 5 }', x=(2, 3))
    assert net(torch.tensor([[0.0, 4.9, 1.0], [-0.9, 2.0, 3.0]])).shape == (2, 3, 2)
    with pytest.raises(OutOfRangeError, match=r'layer "it": index \S+ of sample 1 is out of range, 0 to 4'):
        net(torch.tensor([[0.0, 1.0, 2.0], [0.0, wrong, 2.0]]))


@pytest.mark.parametrize("wrong", [-1.0, -0.5, 4.0, NAN])
def test_a_sample_that_the_batch_lacks(wrong: float) -> None:
    """batch_reindex_layer.cpp checks the value itself: -0.5 is below 0 there."""
    net = one_layer('type: "BatchReindex" top: "y"', x=(4, 2), index=(3,))
    with pytest.raises(OutOfRangeError, match=r'layer "it": index \S+ of sample 1 is out of range, 0 to 3'):
        net(torch.zeros(4, 2), torch.tensor([3.9, wrong, 0.0]))


@pytest.mark.parametrize("kind", JUDGES)
def test_deferred_checks_are_read_at_the_end(kind: str) -> None:
    with deferring() as checks:
        judged(kind, [0.0, 1.0])
        judged(kind, [0.0, 7.0])
        judged(kind, [9.0, 0.0])
    with pytest.raises(OutOfRangeError, match="label 7 of sample 1"):
        raise_first(checks)


def test_a_traced_layer_is_not_checked() -> None:
    net = one_layer('type: "SoftmaxWithLoss" top: "y"', x=(2, 3), label=(2,))
    module, x, label = net.module_of(net.graph.nodes[-1]), torch.randn(2, 3), torch.tensor([1.0, 2.0])
    compiled = torch.compile(module, fullgraph=True, backend="eager")
    assert torch.equal(compiled(x, label), module(x, label))
    assert torch.export.export(module, (x, label)).module()(x, label) == module(x, label)


NET = """
layer {{ name: "data" type: "{kind}" top: "data" top: "label" {source} }}
layer {{ name: "flat" type: "Reshape" bottom: "label" top: "flat" reshape_param {{ shape {{ dim: 0 dim: 1 }} }} }}
layer {{ name: "ip" type: "InnerProduct" bottom: "data" top: "y" inner_product_param {{ num_output: 3 }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "y" bottom: "flat" top: "loss" {loss} }}
"""
SOLVER = 'net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 3'
PIXELS = np.zeros((1, 2, 2), np.uint8)


def write_net(folder: Path, kind: str, source: str, loss: str = "") -> Path:
    (folder / "net.prototxt").write_text(NET.format(kind=kind, source=source, loss=loss))
    (folder / "solver.prototxt").write_text(SOLVER)
    return folder / "solver.prototxt"


def lmdb_run(folder: Path, label: int) -> Path:
    records = {f"key{place}": raw(PIXELS, label if place == 3 else 0) for place in range(4)}
    write_lmdb(folder / "db", records)
    return write_net(folder, "Data", f'data_param {{ source: "{folder}/db" batch_size: 2 backend: LMDB }}')


@pytest.mark.parametrize("label", [1456, -1])
def test_a_run_names_the_record_of_a_database(
    tmp_path: Path, label: int, capsys: pytest.CaptureFixture[str]
) -> None:
    solver = lmdb_run(tmp_path, label)
    told = f'net.prototxt:5: layer "loss": label {label} of sample 1 is out of range, 0 to 2 '
    told += f"({tmp_path}/db: record key3)"
    with pytest.raises(InputError) as caught:
        load_solver(solver).step(2)
    assert str(caught.value).endswith(told)
    assert train(solver, "--output", str(tmp_path / "run")) == 2
    assert told in capsys.readouterr().err


def test_a_run_names_the_row_of_an_hdf5_file(tmp_path: Path) -> None:
    labels = np.array([0, 1, 2, 3, 0], np.float32)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"], file["label"] = random(5, 4), labels
    (tmp_path / "files.txt").write_text(f"{tmp_path}/a.h5\n")
    solver = write_net(
        tmp_path, "HDF5Data", f'hdf5_data_param {{ source: "{tmp_path}/files.txt" batch_size: 3 }}'
    )
    with pytest.raises(InputError, match=r"label 3 of sample 0 .*\(.*\.h5: row 3\)$"):
        load_solver(solver).step(2)


def test_a_run_names_the_row_of_arrays(tmp_path: Path) -> None:
    source = "memory_data_param { batch_size: 2 channels: 1 height: 2 width: 2 }"
    solver = load_solver(write_net(tmp_path, "MemoryData", source))
    solver.net.set_input_arrays(np.zeros((4, 1, 2, 2)), np.array([0, 1, 2, -7]))
    with pytest.raises(InputError, match=r"label -7 of sample 1 .*\(row 3 of the arrays\)$"):
        solver.step(2)


@pytest.mark.parametrize("shuffle", ["true", "false"])
def test_a_run_names_the_line_of_a_list(tmp_path: Path, shuffle: str) -> None:
    write_images(tmp_path)
    lines = [f"{path.name} 1\n" for path in sorted(tmp_path.glob("*.png"))]
    lines[4] = lines[4].replace(" 1\n", " 3\n")
    (tmp_path / "l.txt").write_text("".join(lines))
    source = f'image_data_param {{ source: "{tmp_path}/l.txt" root_folder: "{tmp_path}/" batch_size: 7 shuffle: {shuffle} }}'
    solver = write_net(tmp_path, "ImageData", source)
    with pytest.raises(InputError, match=r"label 3 .*\(.*l\.txt:5: image .*class 0_4\.png\)$"):
        load_solver(solver).step(3)


def test_plain_calls_are_checked_too() -> None:
    net = load_net(
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }'
        'layer { name: "l" type: "Input" top: "l" input_param { shape { dim: 2 } } }'
        'layer { name: "acc" type: "Accuracy" bottom: "x" bottom: "l" top: "a" }',
        phase="TRAIN",
    )
    wrong = {"x": torch.zeros(2, 3), "l": torch.tensor([0.0, 3.0])}
    for call in (lambda: net(*wrong.values()), lambda: net.all_blobs(**wrong)):
        with pytest.raises(InputError, match=r'^layer "acc": label 3 of sample 1 is out of range, 0 to 2$'):
            call()
