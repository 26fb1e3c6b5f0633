"""zoo train on nets of the series author's fork: images are decoded once and varied after it, in threads beside
the step, as load_data serves them; and the run is the same to the bit whoever makes its batches when."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from golden_cases import GOLDEN, arrays
from tiny import NET
from train_runs import lines, same, start, train, weights

from converters import load_data
from converters.data.opening import open_data
from converters.weights.mean_image import write_mean
from prototxt.caffe_pb2 import LayerParameter, NetParameter
from prototxt.errors import InputError
from prototxt.text import parse, read_net
from zoo.train.images.dataset import open_images
from zoo.train.images.feed import ImageFeed
from zoo.train.images.places import cache_folder
from zoo.train.images.ragged import Ragged

DATA = GOLDEN / "series" / "data"
LISTS = sorted(
    path.stem
    for path in DATA.glob("image_*.prototxt")
    if not path.stem.startswith(("image_seg", "image_prob"))
)
SIZES = [(30, 41), (37, 33), (52, 52), (33, 70), (44, 31), (30, 41)]
ALL = """min_side_min: 24 min_side_max: 31 max_color_shift: 20 contrast_brightness_adjustment: true min_contrast: 0.5
  max_contrast: 1.5 max_rotation_angle: 15 smooth_filtering: true mirror: true"""


@pytest.mark.parametrize("case", LISTS)
def test_the_cache_serves_his_recordings_to_the_bit(case: str) -> None:
    layer = his(read_net(DATA / f"{case}.prototxt").layer[0])
    images = open_images(layer, DATA / layer.image_data_param.source, [DATA], lambda *_: None)
    feed = ImageFeed(images, layer.HasField("phase"), 0, torch.device("cpu"))
    recorded = arrays(DATA / f"{case}.npz")
    for index in range(len({name.split("/")[0] for name in recorded})):
        for top, ours in feed.batch(index).items():
            theirs = recorded[f"batch{index}/{top}"]
            assert ours.shape == theirs.shape and np.array_equal(ours, theirs), (index, top)
            assert index or feed.shapes[top] == theirs.shape
    feed.close()


def his(message: LayerParameter) -> LayerParameter:
    message.dialect = "caffe-long"
    return message


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with pictures of several sizes in two folders, and lists of them."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    entries = []
    for number, size in enumerate(SIZES):
        path = Path("图片") / ("猫" if number % 2 else "狗") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".png", random.integers(0, 256, (*size, 3), np.uint8))[1].tobytes())
        entries.append(f"{'猫' if number % 2 else '狗'}/{number}.png {number % 2}")
    Path("train.txt").write_text("\n".join(entries) + "\n")
    return tmp_path


def layer(transform: str, more: str = "") -> LayerParameter:
    param = (
        f'image_data_param {{ source: "train.txt" root_folder: "图片/" batch_size: 5 shuffle: true {more} }}'
    )
    text = f'layer {{ name: "data" type: "ImageData" top: "data" top: "label" transform_param {{ {transform} }} {param} }}'
    return his(parse(text, NetParameter, warn=lambda line: None).layer[0])


LAYERS = {
    "all steps": layer(f"crop_size: 22 {ALL} mean_value: 104.008 mean_value: 116.669 mean_value: 122.675 scale: 0.017"),
    "squeezed": layer("crop_size: 22 use_deformed_resize: true deformed_resize_th: 0.3 min_side_min: 23 min_side_max: 30 mirror: true"),
    "grey": layer(f"crop_size: 22 {ALL} mean_value: 9", more="is_color: false"),
    "no crop": layer("max_color_shift: 9 mirror: true", more="new_height: 25 new_width: 28"),
    "a mean image": layer('crop_size: 22 contrast_brightness_adjustment: true mean_file: "mean" mirror: true', more="new_height: 25 new_width: 28"),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
def test_the_cache_serves_what_the_data_layer_does(name: str, phase: str, folder: Path) -> None:
    write_mean(folder / "mean", np.random.default_rng(1).normal(99, 9, (1, 3, 25, 28)).astype(np.float32))
    message = LAYERS[name]
    images = open_images(message, folder / "train.txt", [folder], lambda *_: None)
    feed = ImageFeed(images, phase == "TRAIN", 3, torch.device("cpu"))
    with open_data(message, phase, 3, [folder]) as source:
        assert feed.shapes == source.shapes
        for index in (0, 1, 7):
            batch, ours = source.batch(index), feed.batch(index)
            assert all(torch.equal(values, ours[top]) for top, values in batch.items())
    feed.close()


def test_images_are_varied_after_the_cache(folder: Path) -> None:
    """One file serves every way to vary them, and the BVLC net that crops."""
    plain = layer("crop_size: 22")
    plain.ClearField("dialect")
    for message in (LAYERS["all steps"], LAYERS["squeezed"], plain):
        images = open_images(message, folder / "train.txt", [folder], lambda *_: None)
        assert isinstance(images.pixels, Ragged)
    assert len(list((cache_folder() / "images").glob("*.npy"))) == 2  # pixels and sizes


def test_the_ranks_shares_are_the_batch_of_one_process(folder: Path) -> None:
    def feed(size: int, rank: int, world: int) -> ImageFeed:
        message = NetParameter(layer=[LAYERS["all steps"]]).layer[0]
        message.image_data_param.batch_size = size
        images = open_images(message, folder / "train.txt", [folder], lambda *_: None)
        return ImageFeed(images, True, 5, torch.device("cpu"), rank, world)

    whole, shares = feed(6, 0, 1), [feed(3, rank, 2) for rank in range(2)]
    for index in (0, 1, 7):
        parts = [share.batch(index) for share in shares]
        for top, tensor in whole.batch(index).items():
            assert torch.equal(tensor, torch.cat([part[top] for part in parts]))


@pytest.mark.parametrize(
    ("transform", "says"),
    [
        ("crop_size: 31 max_color_shift: 9", r"image (狗|猫)/\d\.png: crop_size 31 is larger than the image, 3"),
        ("max_rotation_angle: 9 mirror: true", r"image .*\.png: is \d+×\d+, the first of its batch \d+×\d+"),
        ("crop_size: 20 min_side_min: 19 min_side_max: 30", "min_side_min 19 is less than crop_size 20"),
    ],
)  # fmt: skip
def test_what_cannot_be_served_names_its_line(transform: str, says: str, folder: Path) -> None:
    images = open_images(layer(transform), folder / "train.txt", [folder], lambda *_: None)
    feed = ImageFeed(images, True, 0, torch.device("cpu"))
    with pytest.raises(InputError, match=rf"train\.txt:\d: .*{says}"):
        for index in range(9):
            feed.batch(index)
    feed.close()


# Whole runs.

HIS = """transform_param { crop_size: 24 min_side_min: 26 min_side_max: 32 max_color_shift: 20 mirror: true
    contrast_brightness_adjustment: true min_contrast: 0.8 max_contrast: 1.2 max_brightness_shift: 5
    apply_probability: 0.5 mean_value: 104.008 mean_value: 116.669 mean_value: 122.675 }
  image_data_param { source: "train.txt" root_folder: "图片/" batch_size: %d shuffle: true %s }"""
SOLVER = """net: "net.prototxt" test_iter: 2 test_interval: 4 base_lr: 0.001 lr_policy: "fixed" display: 2
max_iter: 8 snapshot: 3 momentum: 0.9 snapshot_prefix: "models/his" solver_mode: GPU random_seed: 3"""


@pytest.fixture
def solver(folder: Path) -> Path:
    """In the author's manner: a list that counts from where one stands, folders in Chinese, solver_mode: GPU."""
    net = parse(NET.format(outputs=20, filler="xavier"), NetParameter)
    texts = [
        f'layer {{ name: "data" type: "ImageData" top: "data" top: "label" {HIS % (size, "")} }}'
        for size in (4, 3)
    ]
    for index, text in enumerate(texts):
        message = parse(text, NetParameter, warn=lambda line: None).layer[0]
        message.include.add(phase=index)
        net.layer[index].CopyFrom(message)
    Path("net.prototxt").write_text(str(net))
    Path("solver.prototxt").write_text(SOLVER)
    return Path("solver.prototxt")


def test_a_run_in_the_authors_manner_sees_what_load_data_serves(
    solver: Path, monkeypatch: pytest.MonkeyPatch, without_export: None
) -> None:
    served: dict[str, list[dict[str, torch.Tensor]]] = {"TRAIN": [], "TEST": []}

    def next_batch(net: Any) -> dict[str, torch.Tensor]:
        batch: dict[str, torch.Tensor] = net.feed.batch(net.position)
        served["TRAIN" if net.training else "TEST"].append(batch)
        net.position += 1
        return batch

    monkeypatch.setattr("converters.solver.net.SolverNet.next_batch", next_batch)
    assert train(solver, "--output", "run") == 0
    assert len(served["TRAIN"]) == 8 and len(served["TEST"]) == 6
    for phase, batches in served.items():
        with load_data("net.prototxt", phase=phase, seed=3) as expected:
            for ours, theirs in zip(batches, expected, strict=False):
                assert all(torch.equal(ours[top], values) for top, values in theirs.items())
                assert ours["label"].shape[1:] == (1, 1, 1)


def test_resumed_or_made_when_asked_for_it_is_the_same_run(
    solver: Path, monkeypatch: pytest.MonkeyPatch, without_export: None
) -> None:
    assert train(solver, "--output", "whole") == 0
    assert train(solver, "--output", "cut", "--max-iter", "5") == 0
    assert train(solver, "--output", "cut", "--max-iter", "8", "--resume") == 0
    monkeypatch.setattr("zoo.train.command.made_ahead", nullcontext)
    assert train(solver, "--output", "asked") == 0
    assert same(weights("whole"), weights("cut")) and same(weights("whole"), weights("asked"))
    assert lines("whole") == lines("asked")


@pytest.mark.slow
def test_two_ranks_resume_to_the_bit(solver: Path) -> None:
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "zoo", "train"]
    command += ["--solver", str(solver), "--device", "cpu"]
    for options in (["whole"], ["cut", "--max-iter", "5"], ["cut", "--max-iter", "8", "--resume"]):
        assert start([*command, "--output", *options]).wait(300) == 0, Path("log.txt").read_text()
    assert same(weights("whole"), weights("cut"))
