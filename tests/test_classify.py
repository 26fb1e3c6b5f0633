"""zoo classify, against classification.cpp's steps written by hand with numpy and OpenCV."""

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from pycaffe_crops import oversample
from test_nets import SHARED
from tiny import write_run
from train_runs import train

from converters import load_net
from converters.data.images import crops
from converters.weights.mean_image import write_mean
from prototxt.errors import InputError
from zoo.cli import main

Array = np.ndarray[Any, np.dtype[Any]]
DEPLOY = """name: "small"
layer {{ name: "data" type: "Input" top: "data" input_param {{ shape {{ dim: 4 dim: {channels} dim: 12 dim: 14 }} }} }}
layer {{ name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param {{ num_output: 5 kernel_size: 3 weight_filler {{ type: "gaussian" std: 0.02 }} }} }}
layer {{ name: "fc" type: "InnerProduct" bottom: "conv" top: "fc"
  inner_product_param {{ num_output: 6 weight_filler {{ type: "gaussian" std: 0.02 }} }} }}
layer {{ name: "prob" type: "Softmax" bottom: "fc" top: "prob" }}
"""
NUMBERS = list("012345")
NAMES = ["tench", "goldfish, Carassius", "shark", "ray", "cock", "hen"]


def classify(capsys: pytest.CaptureFixture[str], *words: object) -> list[list[tuple[str, str]]]:
    """(probability, class) as printed, a list for each picture."""
    assert main(["classify", *map(str, words)]) == 0
    parts = capsys.readouterr().out.split("---------- Prediction for ")[1:]
    return [re.findall(r'^(-?[\d.]+) - "(.*)"$', part, re.MULTILINE) for part in parts]


def check(said: list[tuple[str, str]], scores: Array, names: list[str], top: int = 5) -> None:
    """The ``top`` best of the scores, in their order; four digits are printed."""
    order = sorted(range(len(scores)), key=lambda index: -scores[index])[:top]
    assert [name for _, name in said] == [names[index] for index in order]
    assert [float(number) for number, _ in said] == pytest.approx(scores[order].tolist(), abs=1.5e-4)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with nets of three channels and of one, weights, pictures of several kinds and a mean image."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for name, channels in (("colour", 3), ("grey", 1)):
        Path(f"{name}.prototxt").write_text(DEPLOY.format(channels=channels))
        load_net(tmp_path / f"{name}.prototxt").save_caffemodel(tmp_path / f"{name}.caffemodel")
    whole = 'layer { name: "all" type: "Reduction" bottom: "conv" top: "all" reduction_param { axis: 1 } }'
    Path("one.prototxt").write_text(DEPLOY.format(channels=3).split('layer { name: "fc"')[0] + whole)
    pictures = {
        "colour": random.integers(0, 256, (30, 40, 3), np.uint8),
        "fits": random.integers(0, 256, (12, 14, 3), np.uint8),
        "one": random.integers(0, 256, (30, 40), np.uint8),
        "clear": random.integers(0, 256, (30, 40, 4), np.uint8),
        "deep": random.integers(0, 65536, (30, 40, 3), np.uint16),
    }
    for name, pixels in pictures.items():
        cv2.imwrite(f"{name}.png", pixels)
    write_mean(tmp_path / "mean.binaryproto", random.uniform(90, 130, (1, 3, 16, 16)).astype(np.float32))
    write_mean(tmp_path / "grey.binaryproto", random.uniform(90, 130, (1, 1, 9, 9)).astype(np.float32))
    Path("labels.txt").write_text("".join(f"{name}\n" for name in NAMES))
    return tmp_path


def by_hand(net: str, picture: str, mean: Array | float = 0.0, size: tuple[int, int] = (14, 12)) -> Array:
    """The input blob that classification.cpp makes: (channels, height, width)."""
    channels = 3 if net == "colour" else 1
    image = cv2.imread(f"{picture}.png", -1)
    has = 1 if image.ndim == 2 else image.shape[2]
    if has == 4:
        image = cv2.cvtColor(image, cv2.COLOR_BGRA2BGR if channels == 3 else cv2.COLOR_BGRA2GRAY)
    elif has != channels:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR if channels == 3 else cv2.COLOR_BGR2GRAY)
    image = cv2.resize(image, size).astype(np.float32).reshape(size[1], size[0], channels)
    return (image - mean).astype(np.float32).transpose(2, 0, 1)


def run_by_opencv(net: str, batch: Array) -> Array:
    """The scores of (N, channels, height, width) in OpenCV's own importer of Caffe."""
    theirs = cv2.dnn.readNetFromCaffe(f"{net}.prototxt", f"{net}.caffemodel")
    theirs.setInput(batch)
    return np.asarray(theirs.forward())


@pytest.mark.parametrize("net", ["colour", "grey"])
@pytest.mark.parametrize("picture", ["colour", "fits", "one", "clear", "deep"])
def test_pictures_of_every_kind(
    net: str, picture: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mean = 110.5
    scores = run_by_opencv(net, by_hand(net, picture, mean)[None])[0]
    words = ("--net", f"{net}.prototxt", "--weights", f"{net}.caffemodel", "--mean", mean)
    check(classify(capsys, f"{picture}.png", *words)[0], scores, NUMBERS)


@pytest.mark.parametrize("net", ["colour", "grey"])
def test_a_mean_file_is_its_mean_a_channel(net: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = "mean.binaryproto" if net == "colour" else "grey.binaryproto"
    blob = cv2_mean(file, 3 if net == "colour" else 1)
    batch = np.stack([by_hand(net, picture, blob) for picture in ("colour", "one")])
    words = ("--net", f"{net}.prototxt", "--weights", f"{net}.caffemodel", "--mean", file)
    options = ("--labels", "labels.txt", "--top", "3", "--scale", "0.5")
    said = classify(capsys, "colour.png", "one.png", *words, *options)
    for ours, scores in zip(said, run_by_opencv(net, batch * np.float32(0.5)), strict=True):
        check(ours, scores, NAMES, 3)


def cv2_mean(file: str, channels: int) -> Array:
    """cv::mean of a .binaryproto's blob, which is read here by protobuf alone."""
    from prototxt.caffe_pb2 import BlobProto

    blob = BlobProto.FromString(Path(file).read_bytes())
    image = np.array(blob.data, np.float32).reshape(channels, blob.height, blob.width)
    return np.array(cv2.mean(image.transpose(1, 2, 0).copy())[:channels])


def test_ten_crops_in_rgb(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """pycaffe's Classifier: whole picture resized, ten crops, the mean of their scores."""
    whole = by_hand("colour", "colour", size=(25, 19)).transpose(1, 2, 0)[:, :, ::-1] - np.float32(
        [1, 20, 40]
    )
    batch = oversample([whole], (12, 14)).transpose(0, 3, 1, 2)
    scores = run_by_opencv("colour", np.ascontiguousarray(batch)).mean(0)
    options = ("--crops", "10", "--resize", "19x25", "--channel-order", "RGB", "--mean", "1,20,40")
    said = classify(
        capsys, "colour.png", "--net", "colour.prototxt", "--weights", "colour.caffemodel", *options
    )
    check(said[0], scores, NUMBERS)


@pytest.mark.parametrize("sides", [((9, 8), (4, 3)), ((8, 9), (8, 9)), ((7, 12), (4, 5))])
def test_the_ten_crops_are_pycaffes(sides: tuple[tuple[int, int], tuple[int, int]]) -> None:
    whole, size = sides
    images = np.random.default_rng(0).random((2, *whole, 3)).astype(np.float32)
    ours = crops.oversample(torch.from_numpy(images.transpose(0, 3, 1, 2)), size)
    assert np.array_equal(ours.numpy().transpose(0, 2, 3, 1), oversample(list(images), size))
    with pytest.raises(InputError, match="are larger than the picture"):
        crops.oversample(torch.zeros(1, 3, *whole), (whole[0] + 1, 1))


def test_cifar10_full_on_groceries(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its own README: RGB minus the mean image; which does not come with it, so that another stands for it."""
    folder = SHARED / "models" / "cifar10-full"
    photographs = sorted((SHARED / "data" / "grocery-20").glob("*/*.jpg"))[::97]
    if not folder.is_dir() or not photographs:
        pytest.skip(f"no {folder}, or no photographs beside it: other people's, and not in the repository")
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    (tmp_path / "labels.txt").write_text("\n".join(names))
    random = np.random.default_rng(0)
    mean = (np.array([125, 123, 114])[:, None, None] + random.normal(0, 9, (3, 32, 32))).astype(np.float32)
    write_mean(tmp_path / "mean.binaryproto", mean[None])
    theirs = cv2.dnn.readNetFromCaffe(str(folder / "deploy.prototxt"), str(folder / "weights.caffemodel"))
    by_opencv = []
    for photograph in photographs:
        small = cv2.resize(cv2.imread(str(photograph), cv2.IMREAD_UNCHANGED), (32, 32)).astype(np.float32)
        theirs.setInput((small[:, :, ::-1] - mean.mean((1, 2))).transpose(2, 0, 1)[None].astype(np.float32))
        by_opencv.append(theirs.forward()[0])
    net = ["--net", folder / "deploy.prototxt", "--weights", folder / "weights.caffemodel"]
    options = ["--labels", tmp_path / "labels.txt", "--mean", tmp_path / "mean.binaryproto"]
    said = classify(capsys, *photographs, *net, *options, "--channel-order", "RGB")
    assert len(said) == len(photographs) > 10
    for ours, scores in zip(said, by_opencv, strict=True):
        check(ours, scores, names)
    assert len({ours[0][1] for ours in said}) > 3  # the net tells photographs apart
    alone = ["--net", folder / "weights.caffemodel", "--input-shape", "data=1,3,32,32"]
    assert classify(capsys, *photographs, *alone, *options, "--channel-order", "RGB") == said


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny run of three named classes, its pictures in data/."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "data").mkdir()
    solver = write_run(folder / "data", rate=0.002, max_iter=40, outputs=3)
    (folder / "data" / "classes.txt").write_text("red\ngreen\nblue\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_CACHE", str(folder / "cache"))
        assert train(solver, "--root", str(folder / "data"), "--output", str(folder / "run")) == 0
    return folder


def test_a_run_its_net_and_its_onnx_file_say_the_same(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the data layer's own transform: 24×24, less 104, 117, 124; a run's ONNX file puts out the scores, and
    another is one that does all that itself, of RGB.
    """
    picture = trained / "data" / "class 1_2.png"
    pixels = cv2.resize(cv2.imread(str(picture)), (24, 24)).astype(np.float32) - np.float32([104, 117, 124])
    net = load_net(trained / "run" / "net.prototxt", trained / "run" / "weights.safetensors")
    blob = torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy())
    with torch.no_grad():
        raw = net.all_blobs(data=blob, label=torch.zeros(1))["fc"][0]
    options = (
        "--weights",
        trained / "run" / "weights.safetensors",
        "--labels",
        trained / "data" / "classes.txt",
    )
    convert = ["convert", str(trained / "run" / "net.prototxt"), "--output", str(trained / "out")]
    assert main([*convert, *map(str, options[:2]), "--softmax", "--with-preprocess"]) == 0
    labels = options[2:]  # which a conversion does not know
    for words in (
        ("run",),
        ("run/net.prototxt", *options),
        ("run/model.onnx",),
        ("out/tiny.onnx", *labels),
    ):
        scores = raw if words == ("run/model.onnx",) else raw.double().softmax(0)
        said = classify(capsys, picture, "--net", trained / words[0], *words[1:])
        check(said[0], scores.numpy(), ["red", "green", "blue"])


HEAD = """
layer { name: "other" type: "InnerProduct" bottom: "pool1" top: "other"
  inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "other_loss" type: "SoftmaxWithLoss" bottom: "other" bottom: "label" top: "other_loss" }
"""


def test_of_a_run_with_two_ends_until_names_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the scores' blob, and by the probabilities' name that the refusal says."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    solver, run = write_run(tmp_path, rate=0.002, max_iter=2, outputs=3), tmp_path / "run"
    with (tmp_path / "tiny.prototxt").open("a") as file:
        file.write(HEAD)
    assert train(solver, "--root", str(tmp_path), "--classes", "4", "--output", str(run)) == 0
    picture = str(tmp_path / "class 1_2.png")
    assert main(["classify", picture, "--net", str(run)]) == 2
    assert "2 outputs (prob_fc, prob_other)" in capsys.readouterr().err
    pixels = cv2.resize(cv2.imread(picture), (24, 24)).astype(np.float32) - np.float32([104, 117, 124])
    net = load_net(run / "net.prototxt", run / "weights.safetensors")
    with torch.no_grad():
        blobs = net.all_blobs(
            data=torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy()), label=torch.zeros(1)
        )
    for head in ("fc", "other"):
        for until in (head, f"prob_{head}"):
            (said,) = classify(capsys, picture, "--net", run, "--until", until, "--top", "4")
            check(said, blobs[head][0].softmax(0).numpy(), list("0123"))
    model = ["classify", picture, "--net", str(run / "model.onnx"), "--until", "fc"]
    assert main(model) == 2
    assert "model.onnx ends where it was written to end" in capsys.readouterr().err


def test_what_is_used_is_said(trained: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = str(trained / "data" / "class 1_2.png")
    assert main(["classify", picture, "--net", str(trained / "run")]) == 0
    assert 'whole pictures at 24×24, BGR, less 104, 117, 124 (layer "data")' in capsys.readouterr().err
    net = ["--net", "colour.prototxt", "--weights", "colour.caffemodel"]
    assert main(["classify", picture, *net, "--mean", "1,2,3", "--resize", "20x30"]) == 0
    said = capsys.readouterr().err
    assert (
        "whole pictures at 20×30, the centre of 12×14, BGR, less 1, 2, 3 (classification.bin, --mean, --resize)"
        in said
    )


NET = ["--net", "colour.prototxt", "--weights", "colour.caffemodel"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["labels.txt", *NET], "image labels.txt cannot be decoded"),
        (["nowhere.png", *NET], "image nowhere.png is missing"),
        (
            ["fits.png", *NET, "--labels", "few.txt"],
            "few.txt: has 2 labels, colour.prototxt scores 6 classes",
        ),
        (["fits.png", *NET, "--mean", "1,2"], "2 mean_value entries for 3 channels"),
        (["fits.png", *NET, "--mean", "grey.binaryproto"], "has 1 channels, the net's input 3"),
        (["fits.png", *NET, "--mean", "labels.txt"], "labels.txt: no whole .binaryproto"),
        (["fits.png", *NET, "--crops", "10"], "--crops 10 takes crops of pictures that are larger"),
        (["fits.png", *NET, "--resize", "5x50"], "--resize 5x50 is smaller than the input, 12×14"),
        (["fits.png", *NET[:2]], "colour.prototxt: give its --weights"),
        (["fits.png", *NET[:2], "--weights", "other.caffemodel"], "holds no blob for any layer of colour"),
        (["fits.png", *NET[:2], "--weights", "grey.caffemodel"], "in the net (5, 3, 3, 3)"),
        (["fits.png", "--net", "one.prototxt", *NET[2:]], 'its output "all", 1, is no score a class'),
        (["fits.png", "--net", "no.onnx"], "no.onnx: no such file"),
        (["fits.png", "--net", "no.onnx", "--weights", "a"], "--weights: no.onnx has its own"),
        (["fits.png", "--net", "."], "holds no finished run"),
    ],
)
def test_bad_input_is_one_line(
    words: list[str], says: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("few.txt").write_text("one\ntwo\n")
    other = DEPLOY.format(channels=3).replace('"conv"', '"a"').replace('"fc"', '"b"')
    Path("other.prototxt").write_text(other)
    load_net(here / "other.prototxt").save_caffemodel(here / "other.caffemodel")
    assert main(["classify", *words]) == 2
    assert says in capsys.readouterr().err.splitlines()[-1]
