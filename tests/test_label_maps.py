"""Segmentation from end to end: drawn masks, a run on them, its bench, and masks that zoo classify writes."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mask_runs import rows
from PIL import Image
from train_runs import train

from converters import load_net
from converters.export.onnx_file import deploy_message, deploy_net
from eval.runtime import open_session
from prototxt.errors import InputError
from prototxt.text import to_text
from zoo.bench.command import trained
from zoo.bench.files import measure_accuracy, model_columns
from zoo.bench.label_maps import listed_pairs
from zoo.bench.models import Elsewhere
from zoo.bench.nets import given_nets
from zoo.cli import main
from zoo.cli.commands import _parser
from zoo.data.masks import CLASSES, draw_pair, make_masks
from zoo.tasks.masks import palette

MEAN, SCALE = 80, 0.0078125  # of the shipped net


def record() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path("runs/masks/run.json").read_text())
    return found


def told(image: np.ndarray) -> np.ndarray:
    """The classes that the run's net in PyTorch names for a BGR picture, by the net's own text."""
    inputs = torch.from_numpy((image.astype(np.float32) - MEAN) * SCALE).permute(2, 0, 1)[None]
    shapes = {"data": tuple(inputs.shape), "label": (1, 1, *inputs.shape[2:])}
    net = load_net(
        Path("runs/masks/net.prototxt"), Path("runs/masks/weights.safetensors"), input_shapes=shapes
    )
    values = net.values({"data": inputs, "label": torch.zeros(shapes["label"])})
    (scores,) = (tensor for value, tensor in values.items() if value.blob == "score")
    return scores[0].detach().numpy().argmax(0)


def validation() -> list[tuple[np.ndarray, np.ndarray]]:
    lines = [line.split() for line in Path("data/masks_val.txt").read_text().splitlines()]
    return [
        (cv2.imread(f"data/{image}"), cv2.imread(f"data/{mask}", cv2.IMREAD_GRAYSCALE))
        for image, mask in lines
    ]


def iou(pairs: Sequence[tuple[np.ndarray, np.ndarray]], label: int) -> float | None:
    both = sum(int(((named == label) & (true == label)).sum()) for named, true in pairs)
    either = sum(int(((named == label) | (true == label)).sum()) for named, true in pairs)
    return both / either if either else None


def test_pairs_are_drawn_alike_and_shapes_hide_nothing() -> None:
    image, mask = draw_pair(0, "train", 3)
    assert (image.shape, mask.shape, image.dtype, mask.dtype) == ((64, 64, 3), (64, 64), np.uint8, np.uint8)
    assert all(np.array_equal(*each) for each in zip((image, mask), draw_pair(0, "train", 3), strict=True))
    assert not np.array_equal(mask, draw_pair(0, "val", 3)[1])
    seen = np.bincount(np.concatenate([draw_pair(0, "train", n)[1].ravel() for n in range(40)]), minlength=5)
    assert len(seen) == len(CLASSES) and (seen > 1000).all() and seen[0] > seen[1:].sum()


def test_the_set_is_whole_and_known_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = make_masks(tmp_path / "set", train=2, val=1)
    assert made and not make_masks(tmp_path / "set", train=2, val=1)
    lines = (tmp_path / "set" / "masks_train.txt").read_text().splitlines()
    assert lines == [f"images/train_000{n}.png masks/train_000{n}.png" for n in (1, 2)]
    assert np.array_equal(
        cv2.imread(str(tmp_path / "set/masks/val_0001.png"), cv2.IMREAD_UNCHANGED), draw_pair(0, "val", 0)[1]
    )
    with pytest.raises(InputError, match="holds other demo data"):
        make_masks(tmp_path / "set", seed=1, train=2, val=1)
    assert main(["data", "demo", "--kind", "masks", str(tmp_path / "set")]) == 2
    assert "wanted kind masks, seed 0, train 320" in capsys.readouterr().err


def test_the_record_knows_list_and_files(masks: Path) -> None:
    about = record()
    assert about["class_names"] == list(CLASSES)
    assert about["data"]["TEST"]["images"] == 6 and about["data"]["synthetic"]
    assert Path(about["data"]["TEST"]["list"]) == masks / "data" / "masks_val.txt"
    assert about["departures"] == []


def test_bench_counts_as_numpy_does(masks: Path) -> None:
    (row,) = rows()
    pairs = [(told(image), mask) for image, mask in validation()]
    right = sum(int((named == true).sum()) for named, true in pairs)
    assert row["pixel_accuracy"] == pytest.approx(right / (6 * 64 * 64), abs=1e-4)
    each = [iou(pairs, label) for label in range(len(CLASSES))]
    assert row["class_iou"] == [pytest.approx(value, abs=1e-3) for value in each]
    known = [value for value in each if value is not None]
    assert row["mean_iou"] == pytest.approx(np.mean(known), abs=1e-3)
    assert row["mean_iou_low"] <= row["mean_iou"] <= row["mean_iou_high"]
    assert (row["task"], row["images"], row["class_names"]) == ("maps", 6, list(CLASSES))
    assert row["top1"] is None and row["failed"] is None and row["unjudged"] is None


def test_bench_shows_figures_and_every_class(masks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows("--precisions", "fp32", "int8", "--plot", "figures", "--csv", "rows.csv")
    said = capsys.readouterr().out
    assert "label maps and size" in said and "mean IoU" in said and "IoU of each class" in said
    assert "triangle" in said and "top-1" not in said
    assert {path.name for path in Path("figures").iterdir()} == {"latency.svg", "accuracy.svg"}
    assert "background;disc" in Path("rows.csv").read_text()


def test_other_masks_are_no_data_of_the_run(
    masks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mask that was changed is named with its line; --list judges by other pictures."""
    make_masks(tmp_path / "moved", train=9, val=6)
    assert rows("--root", str(tmp_path / "moved"))[0]["mean_iou"] is not None
    cv2.imwrite(str(tmp_path / "moved/masks/val_0002.png"), np.zeros((64, 64), np.uint8))
    assert rows("--root", str(tmp_path / "moved"))[0].get("mean_iou") is None
    said = capsys.readouterr().err
    assert "its pictures are not what runs/masks was tested on" in said
    assert "masks_val.txt:2: images/val_0002.png is another picture" in said
    make_masks(tmp_path / "other", seed=5, train=1, val=3)
    other = rows("--list", str(tmp_path / "other" / "masks_val.txt"))[0]
    assert (other["images"], other["list"]) == (3, str(tmp_path / "other" / "masks_val.txt"))


def test_a_run_does_not_go_on_with_other_masks(masks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path("data/masks/train_0004.png")
    whole = path.read_bytes()
    options = ("--root", "data", "--batch-size", "3", "--output", "runs/masks", "--resume", "--max-iter", "4")
    try:
        cv2.imwrite(str(path), np.zeros((64, 64), np.uint8))
        assert train(Path("masknet_solver"), *options) == 2
    finally:
        path.write_bytes(whole)
    assert "masks_train.txt:4: images/train_0004.png is another picture" in capsys.readouterr().err


def test_pictures_of_several_sizes_are_judged_as_they_are(masks: Path, tmp_path: Path) -> None:
    sizes = [(64, 64), (40, 72), (53, 61)]
    for number, (height, width) in enumerate(sizes):
        image, mask = draw_pair(0, "val", number)
        cv2.imwrite(str(tmp_path / f"{number}.png"), cv2.resize(image, (width, height)))
        nearest = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST)
        cv2.imwrite(str(tmp_path / f"{number}_mask.png"), nearest)
    path = tmp_path / "sizes.txt"
    path.write_text("".join(f"{n}.png {n}_mask.png\n" for n in range(3)))
    (model,) = trained(Path("runs"), Elsewhere(list=path))
    listed = listed_pairs(model, "TEST")
    assert listed is not None
    served = list(listed.batches())
    assert [tuple(data.shape[2:]) for data, _ in served] == sizes
    (row,) = rows("--list", str(path))
    assert row["images"] == 3 and row["mean_iou"] is not None


def given(net: str, *options: str) -> Mapping[str, Any]:
    """What a row says of a net that is named with the run's weights, but for its latency."""
    words = ["bench", f"{net}=runs/masks/weights.safetensors", *options]
    (model,) = given_nets(_parser().parse_args(words), Path("scratch"))
    return {**model_columns(model), **measure_accuracy(model)}


def same_figures(row: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    keys = ("task", "images", "class_names", "mean_iou", "pixel_accuracy", "class_iou")
    return [row[key] for key in keys] == [pytest.approx(other[key]) for key in keys]


def test_a_net_that_is_named_is_judged_as_its_run(masks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By its own TEST layer; and without one by a list, with the mean and scale that options say."""
    (run,) = rows()
    own = given("runs/masks/net.prototxt", "--root", "data", "--input-shape", "data=1,3,64,64")
    assert same_figures(own, run) and own["run"] is None
    shapes = {"data": (1, 3, 64, 64), "label": (1, 1, 64, 64)}
    net = deploy_net(load_net(Path("runs/masks/net.prototxt"), input_shapes=shapes))
    Path("deploy.prototxt").write_text(to_text(deploy_message(net)))
    how = ("--list", "data/masks_val.txt", "--mean", "80,80,80", "--scale", str(SCALE))
    assert same_figures(given("deploy.prototxt", *how), run)
    turned = given("deploy.prototxt", *how, "--channel-order", "RGB")
    assert turned["mean_iou"] != pytest.approx(run["mean_iou"])
    small = given("deploy.prototxt", *how, "--resize", "32x32")
    assert small["pixel_accuracy"] is not None and small["pixel_accuracy"] != run["pixel_accuracy"]
    assert "judged by 6 of data/masks_val.txt" in capsys.readouterr().err


def test_ten_crops_are_for_classes(masks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = "runs/masks/net.prototxt=runs/masks/weights.safetensors"
    shape = ("--input-shape", "data=1,3,64,64")
    assert main(["bench", net, *shape, "--list", "data/masks_val.txt", "--crops", "10"]) == 2
    assert "--crops: is for nets that tell one class" in capsys.readouterr().err


AUTHORS = """name: "authors"
layer { name: "data" type: "ImageSegData" top: "data" top: "label" include { phase: TRAIN }
  transform_param { crop_size: 32 min_side_min: 36 min_side_max: 44 mirror: true mean_value: 80 scale: 0.01
    contrast_brightness_adjustment: true apply_probability: 0.5 }
  image_data_param { source: "masks_train.txt" batch_size: 3 shuffle: true } }
layer { name: "data" type: "ImageSegData" top: "data" top: "label" include { phase: TEST }
  transform_param { crop_size: 32 min_side_min: 36 min_side_max: 36 mirror: true mean_value: 80 scale: 0.01 }
  image_data_param { source: "masks_val.txt" batch_size: 2 } }
layer { name: "score" type: "Convolution" bottom: "data" top: "score"
  convolution_param { num_output: 5 kernel_size: 3 pad: 1 weight_filler { type: "xavier" } } }
layer { name: "accuracy" type: "Accuracy" bottom: "score" bottom: "label" top: "accuracy" include { phase: TEST }
  accuracy_param { ignore_label: 255 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "loss"
  loss_param { ignore_label: 255 } }"""


@pytest.mark.parametrize("kind", ["ImageSegData", "ImageProbData"])
def test_a_set_up_in_the_series_authors_manner(
    masks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """His ImageSegData is judged by what his TEST layer serves; probabilities are no classes, and are timed."""
    monkeypatch.chdir(tmp_path)
    text = AUTHORS.replace("ImageSegData", kind)
    if kind == "ImageProbData":
        text = text.split('layer { name: "accuracy"')[0].replace("num_output: 5", "num_output: 1") + (
            'layer { name: "loss" type: "SigmoidCrossEntropyLoss" bottom: "score" bottom: "label" top: "loss" }'
        )
    Path("net.prototxt").write_text(text)
    Path("solver.prototxt").write_text(
        'net: "net.prototxt" base_lr: 0.01 lr_policy: "fixed" max_iter: 2 test_iter: 1 test_interval: 1 '
        'snapshot_prefix: "s" solver_mode: GPU'
    )
    assert train(Path("solver.prototxt"), "--root", str(masks / "data"), "--output", "runs/his") == 0
    (row, small) = rows("--precisions", "fp32", "int8")
    assert small["calibration"] == "training images"
    if kind == "ImageSegData":
        assert (row["task"], row["images"]) == ("maps", 6) and row["mean_iou"] is not None
    else:
        assert row["images"] is None and row["failed"] is None


def test_classify_writes_the_mask_that_the_net_tells(masks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = "data/images/val_0001.png"
    for net, folder in (("runs/masks", "by-run"), ("runs/masks/model.onnx", "by-file")):
        assert main(["classify", picture, "--net", net, "--output", folder]) == 0
        said = capsys.readouterr()
        with Image.open(f"{folder}/val_0001.png") as mask:
            assert (mask.mode, mask.size) == ("P", (64, 64))
            indices, colours = np.asarray(mask), np.array(mask.getpalette()).reshape(-1, 3)
        expected = told(cv2.imread(picture))
        assert np.mean(indices != expected) < 1e-3
        assert colours[:5].tolist() == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128]]
        lines = said.out.splitlines()
        assert lines[0] == f"---------- Mask of {picture}: {folder}/val_0001.png ----------"
        label = int(np.bincount(indices.ravel()).argmax())
        assert lines[1] == f'{np.mean(indices == label):.4f} - "{CLASSES[label]}"'
        assert "less 80, 80, 80, times 0.0078125" in said.err


def test_a_mask_is_of_its_pictures_own_size(masks: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "odd.jpg"), cv2.resize(draw_pair(0, "val", 1)[0], (75, 50)))
    pixels = cv2.imread(str(tmp_path / "odd.jpg"))
    for options in ([], ["--resize", "64x64"]):
        output = ["--output", str(tmp_path / "odd")]
        assert main(["classify", str(tmp_path / "odd.jpg"), "--net", "runs/masks", *output, *options]) == 0
        with Image.open(tmp_path / "odd" / "odd.png") as mask:
            indices = np.asarray(mask)
        small = told(cv2.resize(pixels, (64, 64)) if options else pixels).astype(np.uint8)
        expected = cv2.resize(small, (75, 50), interpolation=cv2.INTER_NEAREST)
        assert np.mean(indices != expected) < 1e-3


def test_names_of_other_classes_are_not_taken(masks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A classes.txt of another length names nothing: masks have the classes' numbers."""
    path, whole = Path("runs/masks/run.json"), Path("runs/masks/run.json").read_text()
    path.write_text(json.dumps(json.loads(whole) | {"class_names": ["ground"]}))
    try:
        assert main(["classify", "data/images/val_0001.png", "--net", "runs/masks", "--output", "few"]) == 0
    finally:
        path.write_text(whole)
    assert ' - "0"' in capsys.readouterr().out


def test_masks_are_written_over_masks_alone(masks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine").mkdir()
    Path("mine/val_0001.png").write_bytes(Path("data/masks/val_0001.png").read_bytes())
    command = ["classify", "data/images/val_0001.png", "--net", "runs/masks", "--output", "mine"]
    assert main(command) == 2
    assert "is no mask's of ours" in capsys.readouterr().err
    Path("mine/val_0001.png").unlink()
    assert main(command) == 0 and main(command) == 0
    assert main(["classify", "data/images/val_0001.png", *command[1:]]) == 2
    assert "would be the mask of several pictures" in capsys.readouterr().err
    assert main([*command, "--crops", "10"]) == 2


def test_the_palette_is_that_of_pascal_voc() -> None:
    """Colours that VOC's own list of classes has: person is 15, tv/monitor 20, void 255."""
    assert palette()[[15, 20, 255]].tolist() == [[192, 128, 128], [0, 64, 128], [224, 224, 192]]


@pytest.mark.slow
def test_two_minutes_make_a_net_whose_file_tells_the_same_masks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert train(Path("masknet_solver"), "--output", "runs/masks") == 0
    (row,) = rows()
    assert row["mean_iou_low"] > 0.8
    (model,) = trained(Path("runs"))
    listed = listed_pairs(model, "TEST")
    assert listed is not None
    session = open_session(Path("runs/masks/model.onnx"))
    for number in range(12):
        ((data, _),) = listed.batches([number])
        image = np.round(data[0].permute(1, 2, 0).numpy() / SCALE + MEAN).astype(np.uint8)
        (scores,) = session.run(None, {session.get_inputs()[0].name: data.numpy()})
        assert np.mean(scores[0].argmax(0) != told(image)) < 1e-3
