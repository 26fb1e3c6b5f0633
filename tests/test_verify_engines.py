"""What ``zoo verify`` makes of engines that crash, that refuse a net, and that round otherwise."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from verified import NET, Faulty, line, lines, small_files

from converters import Network
from eval.difference import Difference
from eval.runtime import Feeds
from eval.verdict import engines
from eval.verdict.held import hold, net_values
from prototxt.errors import InputError
from zoo.api import load
from zoo.cli import main
from zoo.convert import print_differences


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """A net and its weights."""
    return small_files(tmp_path)


def test_an_importer_that_crashes_ends_alone(
    files: tuple[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    dies = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    monkeypatch.setattr(engines, "_OPENCV", (sys.executable, "-c", dies))
    assert main(["verify", *files]) == 0
    assert "OpenCV: not compared: it crashed: its process ended by SIGSEGV" in lines(capsys)


def test_an_importer_says_what_it_does_not_take(
    files: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path(files[0]).write_text(NET.replace('type: "Dropout"', 'type: "SELU"').replace('"SELU"', '"Cosine"'))
    assert main(["verify", *files]) == 0
    said = line(lines(capsys), "OpenCV: not compared: ")
    assert "crashed" not in said and "Cosine" in said


CANCELS = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "same" type: "Power" bottom: "data" top: "same" power_param { scale: 1.0 } }
layer { name: "none" type: "Eltwise" bottom: "data" bottom: "same" top: "none" eltwise_param { coeff: 1 coeff: -1 } }
layer { name: "few" type: "Power" bottom: "data" top: "few" power_param { scale: 1e-7 } }
layer { name: "ip" type: "InnerProduct" bottom: "few" top: "ip" inner_product_param { num_output: 2
  weight_filler { type: "xavier" } } }
"""


def noisy(scale: float) -> Faulty:
    """An engine that rounds otherwise where two equal numbers are subtracted."""

    def run(net: Network, feeds: Feeds, *_: Path) -> engines.Values:
        values = engines.by_source(net, feeds)
        (none,) = (value for value in values if value.blob == "none")
        noise = np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)
        return values | {none: scale * noise}

    return run


@pytest.mark.parametrize(("scale", "code"), [(1e-7, 0), (1e-5, 1)])
def test_what_is_rounding_of_what_was_read_is_no_fault(
    scale: float,
    code: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Numbers of size 1 are subtracted: 1e-7 is what a last place of them makes, and 1e-5 is not."""
    files = str(tmp_path / "net.prototxt"), str(tmp_path / "w.caffemodel")
    Path(files[0]).write_text(CANCELS)
    load(files[0], seed=1).save_caffemodel(files[1])
    monkeypatch.setattr("zoo.verify.command.by_opencv", noisy(scale))
    assert main(["verify", *files]) == code
    said = lines(capsys)
    assert ("apart by what last places" in "".join(said)) == (not code)
    assert any(("  rounding" if not code else "  WRONG") in each for each in said if "│ none" in each)
    path = tmp_path / "blobs.npz"
    assert main(["record", *files, "-o", str(path)]) == 0
    with np.load(path) as file:
        data = {name: file[name] for name in file.files}
    data["probe/none"] = data["probe/none"] + np.float32(scale)
    np.savez(path, **data)
    assert main(["verify", *files, "--reference", str(path)]) == code


def test_a_conversion_says_where_rounding_is_all(capsys: pytest.CaptureFixture[str]) -> None:
    """A blob as far off as its layer's own values move is named, and not counted among the rest."""
    print_differences(
        [
            Difference("mvn", 2.0, 1.0, layer="mvn", rounding=3.0),
            Difference("far", 2.0, 1.0, layer="far", rounding=1.0),
            Difference("conv", 3e-7, 1.0, layer="conv"),
        ],
        [],
    )
    assert lines(capsys) == [
        "verify mvn: largest difference 2, 2 of its scale (at most 0.0001): rounding of what its layer reads",
        "verify far: largest difference 2, 2 of its scale (at most 0.0001): DIFFERENT",
        "verify 1 weights and blobs before: at most 3e-07 of their scale: ok",
    ]


def test_small_numbers_of_small_ones_are_no_rounding(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(CANCELS)
    net = load(path, seed=1)
    feeds = {"data": np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)}
    ours = net_values(net, feeds)
    for blob in ("few", "ip"):
        (value,) = (value for value in ours if value.blob == blob)
        wrong = [
            each.value for each in hold(net, feeds, ours, {value: ours[value] * 1.00003}) if each.is_wrong
        ]
        assert wrong == [value]


def test_opencv_5_has_no_importer(files: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(cv2.dnn, "readNetFromCaffe")
    net = load(files[0], weights=files[1])
    with pytest.raises(InputError, match="has no Caffe importer"):
        engines.by_opencv(net, {}, Path(), Path())


SSD = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 32 dim: 32 } } }
layer { name: "map" type: "Convolution" bottom: "data" top: "map" convolution_param { num_output: 4 kernel_size: 8 stride: 8
  weight_filler { type: "xavier" } } }
%s
layer { name: "priors" type: "PriorBox" bottom: "map" bottom: "data" top: "priors" prior_box_param {
  min_size: 12 aspect_ratio: 2 clip: false variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2 } }
layer { name: "reshape" type: "Reshape" bottom: "conf_flat" top: "by_class" reshape_param { shape { dim: 0 dim: -1 dim: 4 } } }
layer { name: "softmax" type: "Softmax" bottom: "by_class" top: "softmax" softmax_param { axis: 2 } }
layer { name: "scores" type: "Flatten" bottom: "softmax" top: "scores" }
layer { name: "found" type: "DetectionOutput" bottom: "loc_flat" bottom: "scores" bottom: "priors" top: "found"
  detection_output_param { num_classes: 4 share_location: true background_label_id: 0 nms_param { nms_threshold: 0.45 top_k: 20 } code_type: CENTER_SIZE
    keep_top_k: 90 confidence_threshold: %g } }
"""
HEAD = """
layer { name: "X" type: "Convolution" bottom: "map" top: "X" convolution_param { num_output: N kernel_size: 1 weight_filler { type: "xavier" } } }
layer { name: "X_perm" type: "Permute" bottom: "X" top: "X_perm" permute_param { order: 0 order: 2 order: 3 order: 1 } }
layer { name: "X_flat" type: "Flatten" bottom: "X_perm" top: "X_flat" flatten_param { axis: 1 } }"""


@pytest.mark.parametrize(("least", "some"), [(0.6, True), (2, False)])
def test_opencvs_rows_of_detections_are_put_in_caffes_order_without_its_zeros(
    least: float, some: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    heads = HEAD.replace("X", "loc").replace("N ", "12 ") + HEAD.replace("X", "conf").replace("N ", "12 ")
    files = str(tmp_path / "net.prototxt"), str(tmp_path / "w.caffemodel")
    Path(files[0]).write_text(SSD % (heads, least))
    net = load(files[0], seed=1)
    net.save_caffemodel(files[1])
    feeds = {"data": np.random.default_rng(0).standard_normal((2, 3, 32, 32)).astype(np.float32)}
    values = {value.blob: x for value, x in net_values(net, feeds).items()}
    theirs = {value.blob: x for value, x in engines.by_opencv(net, feeds, *map(Path, files)).items()}
    assert (values["found"][0, 0, 0, 1] > 0) == some and values["found"].shape[2] not in (1, 180)
    np.testing.assert_allclose(theirs["found"], values["found"], atol=1e-5)
    assert main(["verify", *files]) == 0
    assert lines(capsys)[-1].endswith("OpenCV")
