"""Every test has a cache folder of its own and leaves the user's alone."""

from pathlib import Path

import pytest
from tiny import write_images, write_run


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


@pytest.fixture
def without_export(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs end without an ONNX file, which takes time, and which test_train.py looks at."""
    monkeypatch.setattr("zoo.record.export_onnx", lambda *_: True)
