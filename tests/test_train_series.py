"""zoo train on set-ups in the manner of the tuning series' author: his fields, lists of several numbers, images of
any size; decoded once and varied after, as his data layers have it."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from test_data_series import message
from train_runs import same, train, weights

from converters.data.opening import open_data
from zoo.cli import main
from zoo.preparation import Asked, Stated, prepare
from zoo.train.images.dataset import open_images
from zoo.train.images.feed import ImageFeed

VARIED = """crop_size: 20 min_side_min: 22 min_side_max: 30 max_rotation_angle: 9 max_color_shift: 9
    contrast_brightness_adjustment: true smooth_filtering: true mean_value: 90 mean_value: 100 mean_value: 110"""
NET = """name: "sorte"
layer { name: "data" type: "%(kind)s" top: "data" top: "label" include { phase: TRAIN }
  transform_param { mirror: true scale: 0.02 min_side: 30 %(varied)s }
  image_data_param { source: "列表/train.txt" root_folder: "图片/" batch_size: 8 shuffle: true %(own)s } }
layer { name: "data" type: "%(kind)s" top: "data" top: "label" include { phase: TEST }
  transform_param { mirror: true scale: 0.02 %(varied)s }
  image_data_param { source: "列表/train.txt" root_folder: "图片/" batch_size: 4 %(own)s } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 8 kernel_size: 3 stride: 2 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "ip" type: "InnerProduct" bottom: "conv" top: "ip"
  inner_product_param { num_output: %(outputs)d weight_filler { type: "xavier" } } }
%(loss)s
"""
CLASSES = """layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }
layer { name: "acc" type: "Accuracy" bottom: "ip" bottom: "label" top: "acc" include { phase: TEST } }"""
NUMBERS = 'layer { name: "loss" type: "EuclideanLoss" bottom: "ip" bottom: "flat" top: "loss" }'
FLAT = 'layer { name: "flat" type: "Flatten" bottom: "label" top: "flat" }\n'
SOLVER = """net: "net.prototxt" test_iter: 3 test_interval: 8 base_lr: 0.0003 lr_policy: "fixed" momentum: 0.9 max_iter: 16
  display: 4 snapshot: 8 snapshot_prefix: "s" random_seed: 3 solver_mode: GPU
"""
KINDS = {
    "classes": {"kind": "ImageData", "varied": VARIED, "own": "", "outputs": 2, "loss": CLASSES},
    "two numbers": {"kind": "ImageData", "varied": VARIED, "own": "label_size: 2", "outputs": 2, "loss": FLAT + NUMBERS},
    "regression": {"kind": "ImageRegressionData", "varied": VARIED, "own": "", "outputs": 1, "loss": FLAT + NUMBERS},
}  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with twelve images of several sizes, dark ones and light ones, and their lists."""
    monkeypatch.chdir(tmp_path)
    Path("图片").mkdir()
    Path("列表").mkdir()
    rng = np.random.default_rng(0)
    for number in range(12):
        size = (int(rng.integers(21, 40)), int(rng.integers(21, 40)), 3)
        pixels = (rng.integers(0, 90, size) + 140 * (number % 2)).astype(np.uint8)
        Path(f"图片/{number}.png").write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    Path("solver.prototxt").write_text(SOLVER)
    return tmp_path


def lists(kind: str) -> None:
    numbers = {"classes": "{0}", "two numbers": "{0}  {1}", "regression": "{0}.5"}[kind]
    lines = [f"{n}.png\t{numbers.format(n % 2, n % 3)}\r\n" for n in range(12)]
    Path("列表/train.txt").write_text("".join(lines), newline="")
    Path("net.prototxt").write_text(NET % KINDS[kind])


@pytest.mark.parametrize("kind", ["ImageData", "ImageRegressionData"])
@pytest.mark.parametrize("transform", [VARIED, "mirror: true min_side: 3", "crop_size: 21 mirror: true"])
@pytest.mark.parametrize("train", [True, False])
def test_what_is_decoded_once_is_served_as_the_data_layer_serves_it(
    train: bool, transform: str, kind: str
) -> None:
    lists("two numbers")
    if "crop_size" not in transform:  # the first is the smallest
        Path("图片/0.png").write_bytes(cv2.imencode(".png", np.zeros((21, 21, 3), np.uint8))[1].tobytes())
    layer = message(transform, "label_size: 2 batch_size: 5 root_folder: '图片/'", kind)
    layer.image_data_param.source = "列表/train.txt"
    if "crop_size" not in transform:
        layer.image_data_param.batch_size = 12  # whose first is the smallest each time
    images = open_images(layer, Path("列表/train.txt"), [Path.cwd()], lambda done, total: None)
    feed = ImageFeed(images, train, 3, torch.device("cpu"))
    with open_data(layer, "TRAIN" if train else "TEST", 3) as source:
        assert feed.shapes == source.shapes and feed.shapes["label"][1:] == (2, 1, 1)
        for index in (0, 1, 7):
            ours, theirs = feed.batch(index), source.batch(index)
            assert all(torch.equal(ours[top], theirs[top]) for top in theirs)
    feed.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_set_up_trains_and_goes_on_to_the_same_weights(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lists(kind)
    solver = Path("solver.prototxt")
    assert train(solver, "--output", "whole") == 0
    said = capsys.readouterr().err
    name = KINDS[kind]["kind"]
    assert said.count(f"{name}: min_side without effect: no code of caffe-long reads what it says") == 1
    record = json.loads(Path("whole/run.json").read_text())
    assert record["dialects"] == {name: "caffe-long"} and record["data"]["TRAIN"]["images"] == 12
    assert train(solver, "--output", "half", "--max-iter", "8") == 0
    assert train(solver, "--output", "half", "--resume", "--max-iter", "16") == 0
    assert same(weights("whole"), weights("half"))


def test_bench_measures_it() -> None:
    lists("classes")
    assert train(Path("solver.prototxt"), "--output", "whole", "--max-iter", "60") == 0
    assert (
        main(
            [
                "bench",
                "whole",
                "--precisions",
                "fp32",
                "--batch-sizes",
                "1",
                "--runs",
                "3",
                "--json",
                "rows.json",
            ]
        )
        == 0
    )
    (row,) = json.loads(Path("rows.json").read_text())
    assert row["top1"] > 0.8


def test_a_label_that_no_output_stands_for_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    lists("classes")
    text = Path("列表/train.txt").read_text()
    Path("列表/train.txt").write_text(text.replace("3.png\t1", "3.png\t-1"))
    assert train(Path("solver.prototxt"), "--output", "whole") == 2
    assert "列表/train.txt:4: label -1" in capsys.readouterr().err


@pytest.mark.parametrize("fields", ["", "use_deformed_resize: true deformed_resize_th: 0"])
def test_a_picture_to_classify_is_resized_as_in_test(fields: str) -> None:
    lists("classes")
    layer = message(f"{VARIED} {fields} scale: 0.02", "batch_size: 12 root_folder: '图片/'")
    layer.image_data_param.source = "列表/train.txt"
    preparation = prepare(Stated(layer), (3, 20, 20), Asked())
    paths = [Path(f"图片/{number}.png") for number in range(12)]
    pictures = [cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR) for path in paths]
    with open_data(layer, "TEST") as source:
        assert torch.equal(preparation.tensor(pictures), source.batch(0)["data"])
    assert "whole pictures at their own size, then resized to 20" in str(preparation)
    assert prepare(Stated(layer), (3, 20, 20), Asked(resize=(24, 24))).resizing is None
