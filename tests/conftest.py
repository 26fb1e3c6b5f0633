"""Every test has a cache folder of its own and leaves the user's alone.

Tests compute in one thread, and so do the processes that they start: side by side (`make test` has one test
process a core) more threads would only wait for each other, and a sum's last digits depend on their number.
"""

import os
import signal
from collections.abc import Iterator
from functools import cache
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # read once, when torch is loaded

import pytest
from hypothesis import settings
from mask_runs import write_mask_run
from tiny import write_images, write_run

from eval.parity import write_onnx

# What a shell starts with & ignores Ctrl-C, and so do its children: tests that press it would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("untimed", deadline=None)  # other work on the machine may slow any example down
settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def operators_once() -> Iterator[None]:
    """torch.onnx.export makes its table of operators anew at every call, which takes two thirds of a small
    net's export; here one table serves all exports of a process.
    """
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(cache(ONNXRegistry.from_torchlib)))
        yield


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("ZOO_CACHE", str(folder))
    return folder


@pytest.fixture
def solver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The solver of a tiny net, in the folder data of the current folder."""
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    return write_run(data)


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with the article's lists, of 20 classes."""
    folder = tmp_path_factory.mktemp("photos")
    write_images(folder, classes=20, each=3)
    (folder / "train.txt").rename(folder / "list_train_shuffle.txt")
    (folder / "val.txt").rename(folder / "list_val_shuffle.txt")
    return str(folder)


@pytest.fixture(scope="session")
def photos(root: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The pictures of ``root`` under names without a blank, which lists of the series author's fork ask for."""
    folder = tmp_path_factory.mktemp("unblanked")
    for path in Path(root).iterdir():
        content = path.read_bytes()
        text = content.replace(b"class ", b"class") if path.suffix == ".txt" else content
        (folder / path.name.replace(" ", "")).write_bytes(text)
    return str(folder)


@pytest.fixture(scope="session")
def mask_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with drawn masks and a run on them, made once."""
    folder = tmp_path_factory.mktemp("masks")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("ZOO_CACHE", str(tmp_path_factory.mktemp("masks-cache")))
        write_mask_run()
    return folder


@pytest.fixture
def masks(mask_run: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, the current folder."""
    monkeypatch.chdir(mask_run)
    return mask_run


@pytest.fixture
def without_export(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs end without an ONNX file, which takes longer than they do."""
    monkeypatch.setattr("zoo.runs.record.write_onnx", lambda *_, **__: True)


@pytest.fixture
def with_export(without_export: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the one test of a module without_export that looks at the file."""
    monkeypatch.setattr("zoo.runs.record.write_onnx", write_onnx)
