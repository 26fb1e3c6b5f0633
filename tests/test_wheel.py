"""The wheel, installed elsewhere, has all that it needs: an editable install would hide what is missing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*command: str, cwd: Path, site: Path) -> str:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(site), "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    tracked = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if tracked.returncode:
        pytest.skip("the wheel is built from git's files, and this is no checkout")
    for name in tracked.stdout.splitlines():
        if not name.startswith("tests/") and (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    build = [*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder), str(source)]
    subprocess.run(build, check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run(
        [*pip, "install", "-q", "--no-deps", "--target", str(folder / "site"), str(wheel)], check=True
    )
    return folder / "site"


def test_convert_from_the_wheel(site: Path, tmp_path: Path) -> None:
    code = "import zoo.cli, prototxt; print(zoo.cli.__file__); raise SystemExit(zoo.cli.main(['convert', 'allconv6']))"
    out = run("-c", code, cwd=tmp_path, site=site)
    assert out.startswith(str(site)) and "560,468" in out
    assert (tmp_path / "converted" / "allconv6" / "allconv6.onnx").is_file()


def test_python_m_zoo_from_the_wheel(site: Path, tmp_path: Path) -> None:
    out = run("-m", "zoo", "list", cwd=tmp_path, site=site)
    assert "allconv6_solver" in out and "dropoutR" in out and "learning-rate" in out


def test_the_wheel_has_its_data(site: Path) -> None:
    for name in (
        "prototxt/caffe.proto",
        "prototxt/caffe_pb2.pyi",
        "prototxt/nets/allconv6.prototxt",
        "zoo/studies/article.toml",
        "zoo/py.typed",
        "zoo/report/write/style.css",
        "zoo/report/say/texts_zh.toml",
    ):
        assert (site / name).is_file(), name
    assert (site / "bin" / "zoo").is_file()
