"""A run folder's files as a crash, a full disk or another program may have left them."""

import json
from pathlib import Path

import pytest

from prototxt.errors import InputError
from zoo.runs.run_folder import RunFolder, read_metrics, read_record
from zoo.study.job import Job
from zoo.study.record import still_to_do
from zoo.train.planning.options import Options


def metrics(folder: Path, *broken: bytes) -> Path:
    """Lines of iterations 0 to 3, the broken ones after that of iteration 1."""
    whole = [json.dumps({"iteration": number}).encode() + b"\n" for number in range(4)]
    path = folder / "metrics.jsonl"
    path.write_bytes(b"".join([*whole[:2], *broken, *whole[2:]]))
    return path


@pytest.mark.parametrize(
    "line", [b'{"iteration": 1, "lo\n', b"\0" * 40 + b"\n", b"\xff\xfe\n", b"\n", b'{"loss": 1}\n', b"[1]\n"]
)
def test_what_follows_a_broken_line_stands(
    line: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = metrics(tmp_path, line)
    for _ in range(2):  # a study reads again and again
        assert [entry["iteration"] for entry in read_metrics(path)] == [0, 1, 2, 3]
    assert capsys.readouterr().err == f"{path}:3: a broken line, passed over\n"
    RunFolder(tmp_path, "").forget_from(3)
    assert [entry["iteration"] for entry in read_metrics(path)] == [0, 1, 2]


def test_a_last_line_that_was_cut_short_is_nothing_to_speak_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = metrics(tmp_path)
    path.write_bytes(path.read_bytes() + b'{"iteration": 4, "lo')
    assert [entry["iteration"] for entry in read_metrics(path)] == [0, 1, 2, 3]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "content", ["[1]", "{", '{"finished": true}', '{"options": 5}', '{"options": {"colour": "red"}}']
)
def test_another_programs_record_is_one_line(content: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(content)
    said = r"run\.json: is (no record of a run|not JSON)|begun with options that are not known here: colour"
    with pytest.raises(InputError, match=said):
        still_to_do([Job("a", Options(), tmp_path, 5, tmp_path)], retry=False)
    assert read_record(tmp_path / "none") is None
