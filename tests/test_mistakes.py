"""What people mistype: a name, a folder's level, an option; the one line says what was meant."""

from pathlib import Path

import pytest

from tests.test_data_folders import classes
from zoo.cli import main

NET = """name: "n" layer { name: "in" type: "Input" top: "in" input_param { shape { dim: 1 dim: 2 } } }
layer { name: "ip" type: "InnerProduct" bottom: "in" top: "ip" inner_product_param { num_output: 2 } }"""


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The last line on stderr of a command that refuses its input."""
    try:
        code = main(arguments)
    except SystemExit as error:
        code = int(error.code or 0)
    assert code == 2
    return capsys.readouterr().err.splitlines()[-1]


@pytest.fixture(autouse=True)
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("nets").mkdir()
    Path("nets/deploy.prototxt").write_text(NET)
    Path("nets/weights.caffemodel").write_bytes(b"")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["show", "nets/deply.prototxt"],
            'nets/deply.prototxt: no such file; did you mean "deploy.prototxt"?',
        ),
        (["show", "nets"], "nets: is a folder, not a prototxt file; in it: deploy.prototxt"),
        (["train", "--solver", "nets/none.prototxt"], "nets/none.prototxt: no such file"),
        (
            ["convert", "nets/deploy.prototxt", "--weights", "nets/weight.caffemodel"],
            'weight.caffemodel: cannot be read: No such file or directory; did you mean "weights.caffemodel"?',
        ),
        (
            ["convert", "nets/deploy.prototxt", "nets/weights.caffemodel"],
            "did you mean --weights nets/weights.caffemodel?",
        ),
        (["train", "nets/solver.prototxt"], "did you mean --solver nets/solver.prototxt?"),
        (["convert", "nets/deploy.prototxt", "odd.txt"], "unrecognized arguments: odd.txt"),
        (
            ["convert", "nets/deploy.prototxt", "--input-shape", "1,3,8,8"],
            "'1,3,8,8' is not BLOB=N,C,H,W, such as data=1,3,224,224",
        ),
    ],
)
def test_what_was_meant(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, *arguments).endswith(says)


def test_a_dialect_like_no_other_is_answered_with_all(capsys: pytest.CaptureFixture[str]) -> None:
    line = said(capsys, "show", "nets/deploy.prototxt", "--dialect", "qqq")
    assert 'no layer has the dialect "qqq" (known: caffe, ' in line and "segnet, " in line


def test_a_folder_of_another_level(capsys: pytest.CaptureFixture[str]) -> None:
    photos = classes(Path("up/photos"))
    line = said(capsys, "data", "import", "up")
    assert line == "zoo: up: holds 1 class folder, at least 2 are needed; up/photos holds 2"
    one = sorted(path for path in photos.iterdir() if path.is_dir())[0]
    assert "it holds pictures itself; give the folder above" in said(capsys, "data", "import", str(one))
    line = said(capsys, "train", "--root", str(photos), "--max-iter", "1")
    assert f"`zoo data import {photos.absolute()}` makes it of a folder a class" in line


def test_a_solver_that_was_written_for_the_folder_above(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("nets/solver.prototxt").write_text(
        'net: "nets/deploy.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 1'
    )
    above = Path.cwd()
    monkeypatch.chdir("nets")
    line = said(capsys, "train", "--solver", "solver.prototxt")
    assert line.endswith(
        f"is in none of {above}/nets; it is in {above}: run this from there, or write the "
        "path as it is from here"
    )
