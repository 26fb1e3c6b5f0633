"""A folder with the files that the pages' commands name: small nets, weights, pictures and finished runs."""

import shutil
from functools import partialmethod
from pathlib import Path

import cv2
import numpy as np
import pytest
from docs_pages import ROOT, text_of
from report_runs import write_bench
from test_data_grocery import CSV
from tiny import NET, SOLVER

from converters import load_net, load_solver
from converters.export.onnx_file import deploy_message, deploy_net
from converters.weights.mean_image import write_mean
from eval.probe import probe_inputs
from eval.verdict.held import net_values
from eval.verdict.recording import write_recording
from prototxt.text import to_text
from zoo.catalogue import find_prototxt
from zoo.cli import main
from zoo.data.masks import make_masks
from zoo.data.measured_sets import MeasuredSet

DEPLOY = """name: "small"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 224 dim: 224 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 4 kernel_size: 3 stride: 32 weight_filler { type: "xavier" } } }
layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1" pooling_param { pool: AVE global_pooling: true } }
layer { name: "fc" type: "InnerProduct" bottom: "pool1" top: "fc"
  inner_product_param { num_output: 6 weight_filler { type: "xavier" } } }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
"""
BN = 'layer { name: "bn" type: "BN" bottom: "pool1" top: "pool1" }\nlayer { name: "fc"'
BENCH_ONCE = ["--batch-sizes", "1", "--runs", "1", "--precisions", "fp32"]
CLASSES, EACH = 6, 6  # as many classes as the top 5 of an Accuracy need


def write_folder(folder: Path) -> None:
    """Fill the current folder, which is ``folder``. The lists of photos and of the grocery clone are written."""
    _write_nets(folder)
    for place in ("photos", "GroceryStoreDataset/dataset"):
        _write_pictures(folder / place)
    _write_grocery_lists(folder / "GroceryStoreDataset" / "dataset")
    for name in ("cat", "dog"):
        shutil.copy(folder / "photos" / "class 0" / "0.png", folder / f"{name}.jpg")
    (folder / "synset_words.txt").write_text("".join(f"n{label} kind {label}\n" for label in range(CLASSES)))
    write_mean(folder / "mean.binaryproto", np.full((1, 3, 256, 256), 110, np.float32))
    for place in ("photos", "GroceryStoreDataset"):
        assert main(["data", "import", place]) == 0
    for name in ("train", "val"):  # the current folder is one to train in, too
        text = (folder / "photos" / f"list_{name}_shuffle.txt").read_text()
        (folder / f"list_{name}_shuffle.txt").write_text(text.replace("class ", "photos/class "))
    (folder / "demo-data").symlink_to("photos")
    _write_weights(folder)
    _write_runs(folder)


def _write_nets(folder: Path) -> None:
    net = NET.format(outputs=CLASSES, filler="xavier")
    for name in ("train", "val"):
        net = net.replace(f'"{name}.txt"', f'"list_{name}_shuffle.txt"')
    (folder / "nets").mkdir()
    texts = {
        "train_val": net,
        "deploy": DEPLOY,
        "nets/one": DEPLOY,
        "segnet": DEPLOY.replace('layer { name: "fc"', BN),
        "odd": DEPLOY.replace("pool: AVE", "pool: AVE nobody_knows: 3"),
        "old": text_of(ROOT / "tests" / "golden" / "legacy" / "v0.prototxt"),
        "article_pasted": text_of(ROOT / "tests" / "data" / "article_pasted.prototxt"),
        "solver": SOLVER.format(rate=0.001, max_iter=3).replace("tiny.prototxt", "train_val.prototxt"),
    }
    for name, text in texts.items():
        (folder / f"{name}.prototxt").write_text(text, encoding="utf-8")
    study = text_of(ROOT / "docs" / "studies.md").split("```toml\n")[1].split("```")[0]
    (folder / "clipping.toml").write_text(study, encoding="utf-8")
    (folder / "tests").symlink_to(ROOT / "tests")
    (folder / "models").mkdir()  # where the solver's snapshots go


def _write_pictures(folder: Path) -> None:
    random = np.random.default_rng(0)
    for label in range(CLASSES):
        (folder / f"class {label}").mkdir(parents=True)
        for index in range(EACH):
            picture = random.integers(0, 255, (36, 36, 3), np.uint8)
            cv2.imwrite(str(folder / f"class {label}" / f"{index}.png"), picture)


def _write_grocery_lists(folder: Path) -> None:
    """The lists of a clone: of each class four pictures to train on, one of val and one of test."""
    parts = {"train": range(4), "val": range(4, 5), "test": range(5, 6)}
    for name, indices in parts.items():
        lines = [
            f"class {label}/{index}.png, {label}, {label}\n" for label in range(CLASSES) for index in indices
        ]
        (folder / f"{name}.txt").write_text("".join(lines))
    head, *_ = CSV.splitlines()
    rows = [f"kind {label},{label},Kind {label},{label},/a.jpg,/a.txt" for label in range(CLASSES)]
    (folder / "classes.csv").write_text("\n".join([head, *rows, ""]))


def _write_weights(folder: Path) -> None:
    net = load_net(folder / "deploy.prototxt")
    net.save_caffemodel(folder / "weights.caffemodel")
    feeds = probe_inputs(net, None)
    write_recording(folder / "blobs.npz", net, feeds, net_values(net, feeds))
    solver = load_solver(folder / "solver.prototxt", log=lambda line: None)
    solver.step(2)
    solver.snapshot()
    solver.net.save_caffemodel(folder / "snap_iter_15.caffemodel")
    shutil.copy(folder / "snap_iter_15.caffemodel", folder / "a.caffemodel")
    solver.net.save_hdf5(folder / "b.caffemodel.h5")
    (state,) = folder.glob("models/*.solverstate*")
    shutil.copy(state, folder / "snapshot_iter_5000.solverstate")


def _write_runs(folder: Path) -> None:
    """Finished runs of the article's study and of the grocery's, with a bench's rows, and one by itself."""
    solver = ["train", "--solver", "solver.prototxt", "--device", "cpu"]
    for variant in ("baseline", "fc"):
        place = folder / "runs" / "article" / f"{variant}-seed0"
        assert main([*solver, "--variant", variant, "--output", str(place)]) == 0
    write_bench(folder / "runs" / "article")
    shutil.copytree(folder / "runs" / "article", folder / "runs" / "grocery")
    shutil.copytree(folder / "runs" / "article" / "baseline-seed0", folder / "runs" / "tiny-baseline")
    with pytest.MonkeyPatch.context() as patch:
        few_pictures(patch)
        _write_runs_of_numbers(folder)
    _write_run_of_masks(folder)


def few_pictures(patch: pytest.MonkeyPatch) -> None:
    """Draw few of the pictures that numbers are told of."""
    patch.setattr(MeasuredSet, "make", partialmethod(MeasuredSet.make, train=6, val=4))


def _write_runs_of_numbers(folder: Path) -> None:
    """A run of each shipped net that tells numbers, with a bench's rows, and a picture for each."""
    for kind, net, picture in (("angle", "anglenet", "needle"), ("votes", "votesnet", "tank")):
        data = folder / f"{picture}s"
        assert main(["data", "demo", str(data), "--kind", kind]) == 0
        shutil.copy(data / "val" / f"{kind}_0001.png", folder / f"{picture}.png")
        own = ["--root", str(data), "--device", "cpu", "--max-iter", "1", "--batch-size", "2"]
        assert main(["train", "--solver", f"{net}_solver", *own]) == 0
        assert main(["bench", f"runs/{net}-baseline", *BENCH_ONCE]) == 0


def _write_run_of_masks(folder: Path) -> None:
    """A run of the shipped net that tells label maps, a picture, and the net as a deploy one with weights."""
    make_masks(folder / "shapes", train=4, val=3)
    shutil.copy(folder / "shapes" / "images" / "val_0001.png", folder / "shapes.png")
    own = ["--root", "shapes", "--device", "cpu", "--max-iter", "1", "--batch-size", "2"]
    assert main(["train", "--solver", "masknet_solver", *own]) == 0
    assert main(["bench", "runs/masknet-baseline", *BENCH_ONCE]) == 0
    shapes = {"data": (1, 3, 64, 64), "label": (1, 1, 64, 64)}
    net = deploy_net(load_net(find_prototxt("masknet")[0], input_shapes=shapes))
    (folder / "fcn.prototxt").write_text(to_text(deploy_message(net)))
    net.save_caffemodel(folder / "fcn.caffemodel")
