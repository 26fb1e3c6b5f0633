"""``zoo verify``: what it compares, finds, says and refuses."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from golden_cases import GOLDEN
from verified import NET, Faulty, line, lines, small_files

from converters import Network
from eval.runtime import Feeds
from eval.verdict import engines
from eval.verdict.held import hold, net_values
from eval.verdict.recording import Recording
from prototxt.errors import InputError
from zoo.api import load
from zoo.cli import main


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """A net and its weights."""
    return small_files(tmp_path)


def test_engines_that_agree_are_named(files: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", *files]) == 0
    said = lines(capsys)
    assert said[-1] == "verdict: the same: our module, source, onnxruntime, OpenCV"
    rows = [re.split(r"\s*│\s*", each)[1:3] for each in said if each.startswith("│")]
    assert rows == [
        ["conv", "Convolution"],
        ["relu", "ReLU"],
        ["pool", "Pooling"],
        ["drop", "Dropout"],
        ["ip", "InnerProduct"],
        ["prob", "Softmax"],
    ]
    assert line(said, "OpenCV: 6 of 6 blobs")
    # The blob as Dropout leaves it has its name in the file, and Dropout is gone.
    assert "it lacks: 1 Pooling" in line(said, "onnxruntime: 5 of 6 blobs")


def spoiled(engine: Faulty) -> Faulty:
    """The engine with a pooling that is wrong at its lower right corner."""

    def run(net: object, feeds: object, *files: Path) -> engines.Values:
        values = engine(net, feeds, *files)
        pool = next(value for value in values if value.layer == "pool")
        off = values[pool].copy()
        off[:, :, -1, -1] += 1
        return values | {pool: off}

    return run


def test_the_first_wrong_blob_is_named_with_its_place(
    files: tuple[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo.verify.command.by_opencv", spoiled(engines.by_opencv))
    assert main(["verify", *files]) == 1
    said = lines(capsys)
    blob = 'blob "pool" of layer "pool" (Pooling)'
    assert (
        said[-1] == f"verdict: DIFFERENT: OpenCV first at {blob}; with our module agree: source, onnxruntime"
    )
    assert line(said, "first wrong: ").startswith(f"  first wrong: {blob}, {files[0]}:7: ")
    assert line(said, "8 of 128 values, at [all, all, 3, 3]; the worst at")
    assert line(said, "pooling_param { pool: AVE")
    rows = {row[1]: row[-2] for each in said if each.startswith("│") for row in [re.split(r"\s*│\s*", each)]}
    assert [layer for layer, cell in rows.items() if cell.endswith("WRONG")] == [
        "pool",
        "drop",
    ]  # right values from wrong


def test_a_blob_of_another_shape_is_said(
    files: tuple[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(net: Network, feeds: Feeds, *_: Path) -> engines.Values:
        values = engines.by_source(net, feeds)
        return {value: array[:, :2] if value.blob == "prob" else array for value, array in values.items()}

    monkeypatch.setattr("zoo.verify.command.by_opencv", cut)
    assert main(["verify", *files]) == 1
    said = lines(capsys)
    assert line(said, "its shape is 2×2, and the net's 2×5")
    assert "inf" not in "".join(said)


def test_an_engine_of_no_numbers_does_not_agree(
    files: tuple[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def empty(net: Network, feeds: Feeds, *_: Path) -> engines.Values:
        return {value: array * np.float32(np.nan) for value, array in engines.by_source(net, feeds).items()}

    monkeypatch.setattr("zoo.verify.command.by_opencv", empty)
    assert main(["verify", *files]) == 1
    assert "the same" not in lines(capsys)[-1]


def test_what_only_adds_up_is_no_fault(files: tuple[str, str]) -> None:
    """A wrong layer is found by what it makes of its own bottoms, and those behind it are not blamed."""
    net = load(files[0], weights=files[1])
    feeds = {"data": np.random.default_rng(0).standard_normal((4, 3, 9, 9)).astype(np.float32)}
    ours = net_values(net, feeds)
    conv = next(value for value in ours if value.layer == "conv")
    theirs = engines.by_source(net, feeds) | {conv: ours[conv] * 1.01}
    later = {value: ours[value] for value in ours if value.layer in ("ip", "prob")}
    found = hold(net, feeds, ours, theirs)
    assert [each.value.layer for each in found if each.is_wrong] == ["conv", "relu"]
    alone = [each for each in hold(net, feeds, ours, later) if each.is_wrong]
    assert alone == []


def test_an_engine_that_does_not_take_the_net_is_no_agreement(
    files: tuple[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    h5 = Path(files[1]).with_suffix(".h5")
    load(files[0], weights=files[1]).save_hdf5(h5)
    assert main(["verify", files[0], str(h5)]) == 0
    said = lines(capsys)
    assert line(said, "OpenCV: not compared: it reads one .caffemodel alone")
    assert "none reads the net by itself" in said[-1] and "OpenCV," not in said[-1]

    def absent(*_: object) -> engines.Values:
        raise InputError("not here")

    for name in ("by_source", "by_onnxruntime"):
        monkeypatch.setattr(f"zoo.verify.command.{name}", absent)
    assert main(["verify", files[0], str(h5)]) == 1
    assert lines(capsys)[-1] == "verdict: NOTHING COMPARED: none but our module ran"


def test_a_picture_is_fed_as_classify_feeds_it(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), pixels)
    said = ["--image", str(tmp_path / "a.png"), "--mean", "1,2,3", "--scale", "0.5", "--channel-order", "RGB"]
    assert main(["record", *files, "-o", str(tmp_path / "b.npz"), *said]) == 0
    by_hand = (
        pixels[..., ::-1].transpose(2, 0, 1).astype(np.float32) - np.array([1, 2, 3])[:, None, None]
    ) / 2
    fed = Recording.read(tmp_path / "b.npz").inputs(["data"])["data"]
    assert fed.shape == (2, 3, 9, 9) and np.array_equal(fed[0], by_hand) and np.array_equal(fed[1], by_hand)
    assert main(["verify", *files, *said]) == 0
    capsys.readouterr()
    assert main(["verify", *files, "--image", files[0]]) == 2
    assert files[0] in capsys.readouterr().err


def test_weights_of_another_net_are_refused(
    files: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    other = GOLDEN / "legacy" / "v1_weights.caffemodel"
    Path(files[0]).write_text(NET.replace('"conv"', '"c"').replace('name: "ip"', 'name: "i"'))
    assert main(["verify", files[0], files[1].replace("w.", "none.")]) == 2
    assert main(["verify", files[0], str(other)]) in (0, 2)
    assert "Traceback" not in capsys.readouterr().err
