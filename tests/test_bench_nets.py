"""zoo bench NET=WEIGHTS: the figures of a run's own bench, and accuracies computed by hand."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycaffe_crops import oversample
from tiny import write_run
from train_runs import train

from converters import load_net
from converters.network import Network
from converters.weights.mean_image import write_mean
from eval.accuracy import wilson
from eval.parity import write_onnx
from prototxt.errors import InputError
from zoo.bench.files import measure_accuracy, model_columns
from zoo.bench.nets import given_nets
from zoo.cli import main
from zoo.cli.commands import _parser

FAST = ["--runs", "1", "--batch-sizes", "1", "--threads", "1"]
# The tiny net as a deploy prototxt, which says nothing of pictures, and ends in a softmax.
DEPLOY = """name: "deploy"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 24 dim: 24 } } }
layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param { num_output: 8 kernel_size: 3 stride: 2 pad: 1 } }
layer { name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }
layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1" pooling_param { pool: AVE kernel_size: 12 } }
layer { name: "fc" type: "InnerProduct" bottom: "pool1" top: "fc" inner_product_param { num_output: 3 } }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
"""
DATA_LAYER = """layer { name: "data" type: "Data" top: "data" top: "label"
  transform_param { mean_value: 104 mean_value: 117 mean_value: 124 }
  data_param { source: "val_lmdb" backend: LMDB batch_size: 4 } }"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny run of three classes that learned something, its pictures in data/, and its bench's rows."""
    folder = tmp_path_factory.mktemp("nets")
    (folder / "data").mkdir()
    solver = write_run(folder / "data", rate=0.002, max_iter=60, outputs=3)
    (folder / "data" / "classes.txt").write_text("red\ngreen\nblue\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("ZOO_CACHE", str(folder / "cache"))
        assert train(solver, "--root", "data", "--output", "runs/a") == 0
        assert main(["bench", "runs", *FAST]) == 0
        net = load_net(Path("runs/a/net.prototxt"), Path("runs/a/weights.safetensors"))
        net.save_caffemodel(Path("a.caffemodel"))
    (folder / "deploy.prototxt").write_text(DEPLOY)
    return folder


@pytest.fixture
def here(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, the current folder."""
    copy = tmp_path / "nets"
    shutil.copytree(trained, copy, ignore=shutil.ignore_patterns("cache"))
    monkeypatch.chdir(copy)
    monkeypatch.setenv("ZOO_CACHE", str(trained / "cache"))
    return copy


def bench(*words: str) -> list[dict[str, Any]]:
    assert main(["bench", *words, *FAST, "--json", "rows.json"]) == 0
    rows: list[dict[str, Any]] = json.loads(Path("rows.json").read_text())
    return rows


def judged(*words: str) -> Mapping[str, Any]:
    """The accuracy of one net, without the time that its timing takes."""
    Path("scratch").mkdir(exist_ok=True)
    (model,) = given_nets(_parser().parse_args(["bench", *words]), Path("scratch"))
    return {**measure_accuracy(model), **model_columns(model)}


RUN_NET = "runs/a/net.prototxt=runs/a/weights.safetensors"


@pytest.mark.parametrize(
    "options",
    [["--list", "data/val.txt"], ["--root", "data"]],
    ids=["a list", "its own TEST layer"],
)
def test_a_runs_net_by_itself_gives_what_its_folder_gives(options: list[str], here: Path) -> None:
    (theirs,) = json.loads(Path("runs/bench.json").read_text())
    (ours,) = bench(RUN_NET, *options)
    same = ("top1", "top1_low", "top1_high", "top5", "images", "content", "failed", "unjudged")
    same += ("parameters", "macs", "macs_unknown", "head", "precision", "runtime", "batch")
    assert {key: ours[key] for key in same} == {key: theirs[key] for key in same}
    assert 0.3 < ours["top1"] < 1 and ours["images"] == 6  # a figure that another net would not have
    assert (ours["name"], ours["run"]) == ("tiny", None) and ours["list"].endswith("data/val.txt")
    # The run's file has its classes' names, which stand beside the list.
    assert ours["model_bytes"] == theirs["model_bytes"] == Path("runs/a/model.onnx").stat().st_size


def pictures() -> list[tuple[np.ndarray[Any, Any], int]]:
    """(picture, label) of every line of the training list, by which more can be told than by six."""
    lines = Path("data/train.txt").read_text().splitlines()
    return [(cv2.imread(f"data/{line[:-2]}"), int(line[-1])) for line in lines]


def share_right(batches: list[np.ndarray[Any, Any]]) -> tuple[float, list[np.ndarray[Any, Any]]]:
    """Top 1 of the deploy net in OpenCV's importer: of each picture's crops, (N, H, W, C), the mean score."""
    net = cv2.dnn.readNetFromCaffe("deploy.prototxt", "a.caffemodel")
    scores = []
    for crops in batches:
        net.setInput(np.ascontiguousarray(crops.transpose(0, 3, 1, 2)))
        scores.append(net.forward().mean(0))
    hits = [int(score.argmax()) == label for score, (_, label) in zip(scores, pictures(), strict=True)]
    return sum(hits) / len(hits), scores


def resized(size: tuple[int, int]) -> list[np.ndarray[Any, Any]]:
    return [cv2.resize(picture, size[::-1]).astype(np.float32) for picture, _ in pictures()]


ARGUMENTS = ["deploy.prototxt", "--weights", "a.caffemodel", "--list", "data/train.txt"]


def test_options_say_what_a_deploy_prototxt_does_not(here: Path) -> None:
    """Whole pictures, then the centre of larger ones in RGB, then their ten crops; each against OpenCV."""
    mean = np.float32([30, 60, 90])
    expected = []
    row = judged(*ARGUMENTS, "--mean", "30,60,90", "--scale", "0.5")
    expected.append(share_right([(whole[None] - mean) * np.float32(0.5) for whole in resized((24, 24))])[0])
    assert row["top1"] == pytest.approx(expected[0])
    assert (row["top1_low"], row["top1_high"]) == pytest.approx(wilson(expected[0], row["images"]))
    larger = ["--mean", "30,60,90", "--resize", "31x36", "--channel-order", "RGB"]
    wholes = [whole[:, :, ::-1] - mean for whole in resized((31, 36))]
    row = judged(*ARGUMENTS, *larger)
    expected.append(share_right([whole[None, 3:27, 6:30] for whole in wholes])[0])
    assert row["top1"] == pytest.approx(expected[1])
    row = judged(*ARGUMENTS, *larger, "--crops", "10")
    expected.append(share_right([oversample([whole], (24, 24)) for whole in wholes])[0])
    assert row["top1"] == pytest.approx(expected[2]) and row["images"] == len(pictures())
    assert len(set(expected)) > 1, expected  # else the options would not show


def test_a_mean_image_is_subtracted_pixel_by_pixel(here: Path) -> None:
    """Pictures take its size, and the centre is cropped of both, as of a database in Caffe."""
    mean = np.random.default_rng(0).uniform(0, 255, (3, 28, 30)).astype(np.float32)
    write_mean(here / "mean.binaryproto", mean[None])
    row = judged(*ARGUMENTS, "--mean", "mean.binaryproto")
    wholes = [whole - mean.transpose(1, 2, 0) for whole in resized((28, 30))]
    assert row["top1"] == pytest.approx(share_right([whole[None, 2:26, 3:27] for whole in wholes])[0])


def test_scores_of_crops_are_averaged_behind_the_softmax_of_the_loss(here: Path) -> None:
    """The run's net puts out scores, the deploy net probabilities: of ten crops both name the same classes."""
    net = Path("runs/a/net.prototxt").read_text()
    words = ["--list", "data/train.txt", "--resize", "30x30", "--crops", "10", "--mean", "9,9,9"]
    ours, theirs = judged(RUN_NET, *words), judged("deploy.prototxt=a.caffemodel", *words)
    assert ours["top1"] == theirs["top1"] and "SoftmaxWithLoss" in net


def test_the_database_of_a_nets_own_test_layer(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["data/val.txt", "--output", "val_lmdb", "--resize", "24x24", "--encoded", "--encode-type", "png"]
    assert main(["data", "lmdb", *words]) == 0
    Path("own.prototxt").write_text("\n".join(['name: "own"', DATA_LAYER, *DEPLOY.splitlines()[2:]]))
    shape = ["--input-shape", "data=2,3,24,24"]
    row = judged("own.prototxt", "--weights", "a.caffemodel", *shape)
    (theirs,) = json.loads(Path("runs/bench.json").read_text())
    assert (row["top1"], row["images"], row["list"]) == (theirs["top1"], 6, "val_lmdb")
    assert "judged by 6 of val_lmdb, whole pictures at their own size" in capsys.readouterr().err
    shutil.rmtree("val_lmdb")
    first, *_ = Path("data/val.txt").read_text().splitlines()
    Path("data/high.txt").write_text(f"{first[:-2]} 3\n")
    assert main(["data", "lmdb", "data/high.txt", "--output", "val_lmdb", *words[3:]]) == 0
    with pytest.raises(InputError, match=r"val_lmdb: record .*: label 3 is out of range for 3 classes"):
        judged("own.prototxt", "--weights", "a.caffemodel", *shape)
    shutil.rmtree("val_lmdb")
    row = judged("own.prototxt", "--weights", "a.caffemodel", *shape)
    assert row["top1"] is None and "val_lmdb: no such database" in row["unjudged"]


def test_a_folder_of_class_folders(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for line in Path("data/val.txt").read_text().splitlines():
        target = Path("photos") / f"class{line[-1]}" / line[:-2]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path("data") / line[:-2], target)
    row = judged(RUN_NET, "--data", "photos")
    (theirs,) = json.loads(Path("runs/bench.json").read_text())
    assert (row["top1"], row["images"], row["list"]) == (theirs["top1"], 6, "photos")
    (Path("photos") / "class3").mkdir()
    assert main(["bench", RUN_NET, "--data", "photos", *FAST]) == 2
    assert "has 4 class folders, and tiny scores 3 classes" in capsys.readouterr().err.splitlines()[-1]


def test_nets_side_by_side(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One net with two weight files: two names, two accuracies, one latency."""
    net = load_net(here / "deploy.prototxt")
    net.save_caffemodel(here / "b.caffemodel")
    words = [f"deploy.prototxt={name}.caffemodel" for name in "ab"]
    rows = bench(*words, "--list", "data/val.txt", "--against", "opencv", "--plot", "plots")
    assert [(row["name"], row["runtime"]) for row in rows] == [
        (f"deploy ({name}.caffemodel)", runtime) for name in "ab" for runtime in ("onnxruntime", "opencv")
    ]
    assert rows[0]["latency_p50_ms"] == rows[2]["latency_p50_ms"]
    out = capsys.readouterr().out
    assert "accuracy and size, on data/val.txt" in out and "not the runs' own list" not in out
    assert "weight files of one net (×n) share its latency" in out and "deploy (a.caffemodel) ×2" in out
    assert "no partner" not in out and "<svg" in Path("plots/accuracy.svg").read_text()


def test_nets_that_are_no_classifiers_are_timed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    two = DEPLOY + 'layer { name: "box" type: "InnerProduct" bottom: "pool1" top: "box"\n'
    two += "  inner_product_param { num_output: 4 } }"
    Path("two.prototxt").write_text(two.replace('"deploy"', '"two"'))
    load_net(here / "two.prototxt").save_caffemodel(here / "two.caffemodel")
    (row,) = bench("two.prototxt=two.caffemodel", "--list", "data/val.txt")
    assert row["top1"] is None and row["latency_p50_ms"] > 0 and row["parameters"] == 8 * 28 + 3 * 9 + 4 * 9
    assert (
        row["unjudged"]
        == "it has 2 outputs (box, prob), where a classifier has one; --until ends it at one of them"
    )
    out, err = capsys.readouterr()
    assert "not judged" in out and "two: no accuracy: it has 2 outputs" in err
    row = judged("two.prototxt=two.caffemodel", "--list", "data/val.txt", "--until", "prob")
    assert row["top1"] is not None and row["parameters"] == 8 * 28 + 3 * 9
    assert judged("deploy.prototxt=a.caffemodel")["unjudged"].startswith("no --list, no --data")
    assert judged("deploy.prototxt", "--list", "data/val.txt")["unjudged"] == "no weights were given"


def test_an_engine_that_cannot_have_a_net_is_left_out(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """OpenCV's importer knows few of the forks' layers."""
    fork = DEPLOY.replace('bottom: "data"', 'bottom: "cut"').splitlines()
    layer = 'layer { name: "cut" type: "DepthwiseConvolution" bottom: "data" top: "cut" convolution_param'
    fork.insert(2, f'{layer} {{ num_output: 3 kernel_size: 1 weight_filler {{ type: "xavier" }} }} }}')
    Path("fork.prototxt").write_text("\n".join(fork))
    (row,) = bench("fork.prototxt=a.caffemodel", "--against", "opencv")
    assert row["runtime"] == "onnxruntime"
    assert "opencv left out of deploy: " in capsys.readouterr().err


def test_of_several_nets_one_that_onnx_cannot_have_is_left_out(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(net: Network, *rest: Any, **about: Any) -> bool:
        if net.graph.name == "deploy":
            raise InputError("cannot be written", "fc")
        return write_onnx(net, *rest, **about)

    monkeypatch.setattr("zoo.bench.nets.write_onnx", refusing)
    words = ["bench", RUN_NET, "deploy.prototxt=a.caffemodel"]
    Path("scratch").mkdir()
    models = given_nets(_parser().parse_args(words), Path("scratch"))
    assert [model.name for model in models] == ["tiny"]
    assert 'deploy: left out: layer "fc": cannot be written' in capsys.readouterr().err
    assert main(["bench", words[-1], *FAST]) == 2
    assert 'deploy: left out: layer "fc": cannot be written' in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["runs", RUN_NET], "runs: is a folder: zoo bench measures one folder of runs, or nets"),
        (["runs", "--weights", "a.caffemodel"], "--weights: is for nets; a run's own files say it"),
        (["runs", "--crops", "10"], "--crops: is for nets"),
        (["--untrained", "fc", "--data", "data"], "--data: is for nets"),
        ([RUN_NET, "--weights", "a.caffemodel"], "--weights is for one NET; write several as NET=WEIGHTS"),
        ([RUN_NET, "--list", "data/val.txt", "--data", "data"], "give one of them"),
        ([RUN_NET, "--list", "none.txt"], "--list none.txt: no such file"),
        ([RUN_NET, "--data", "none"], "--data none: no such folder"),
        ([RUN_NET, "--list", "high.txt"], "high.txt:2: label 3 is out of range for 3 classes"),
        ([RUN_NET, "--list", "words.txt"], "words.txt:1: image"),
        ([RUN_NET, "--list", "data/val.txt", "--mean", "1,2"], "2 mean_value entries for 3 channels"),
        ([RUN_NET, "--list", "data/val.txt", "--crops", "10"], "--crops 10 takes crops of pictures"),
        ([RUN_NET.replace("runs/a/weights.safetensors", "other.caffemodel")], "weights of another net"),
        ([RUN_NET.replace("weights.safetensors", "run.json")], "run.json"),
        (["none.prototxt=a.caffemodel"], "none.prototxt: no such folder of runs, no such prototxt"),
        (["nowhere"], "nowhere: no such folder of runs, no such prototxt, and no shipped net of that name"),
    ],
)
def test_bad_input_is_one_line(
    words: list[str], says: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = Path("data/val.txt").read_text().splitlines()[0]
    Path("high.txt").write_text(f"data/{first}\ndata/{first[:-2]} 3\n")
    Path("words.txt").write_text("deploy.prototxt 0\n")
    Path("other.prototxt").write_text(DEPLOY.replace('"conv1"', '"a"').replace('"fc"', '"b"'))
    load_net(here / "other.prototxt").save_caffemodel(here / "other.caffemodel")
    assert main(["bench", *words, *FAST]) == 2
    assert says in capsys.readouterr().err.splitlines()[-1]
