"""``zoo check``: how far every net of a folder comes, and why no further."""

import json
import os
import signal
import subprocess
import sys
import time
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import pytest

from prototxt.text import parse_net
from zoo.check import children
from zoo.check.states import states_of
from zoo.cli import main

INPUT = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 64 dim: 4 } } }'
NET = (
    INPUT
    + 'layer { name: "fc" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 3 } }'
)
DATA = """
layer { name: "d" type: "Data" top: "x" top: "l" include { phase: TRAIN } data_param { batch_size: 64 } }
layer { name: "e" type: "Data" top: "x" top: "l" include { phase: TEST } data_param { batch_size: 50 } }
"""
LOSS = """
layer { name: "fc" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 3 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "y" bottom: "l" top: "loss" }
"""
PYTHON = (
    'layer {{ name: "p" type: "Python" bottom: "x" top: "y" python_param {{ module: "slow" layer: "{0}" }} }}'
)
MODULE = """
import os, signal, time
class Sleeps:
    def setup(self, bottom, top): pass
    def reshape(self, bottom, top): top[0].reshape(*bottom[0].data.shape)
    def forward(self, bottom, top): time.sleep(600)
class Dies(Sleeps):
    def forward(self, bottom, top): os.kill(os.getpid(), signal.SIGSEGV)
"""


def check(folder: Path, *options: str) -> tuple[int, dict[str, dict[str, Any]]]:
    file = folder / "rows.json"
    code = main(["check", str(folder), "--json", str(file), *options])
    rows = json.loads(file.read_text(encoding="utf-8"))["files"]
    return code, {row["file"]: row for row in rows}


def steps(row: dict[str, Any]) -> tuple[bool, bool, bool]:
    return row["parsed"], row["built"], row["ran"]


def test_each_file_says_how_far_it_came(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    inner = tmp_path / "deep" / "er"
    inner.mkdir(parents=True)
    (inner / "good.prototxt").write_text(NET)
    (tmp_path / "text.prototxt").write_text(NET + "}")
    (tmp_path / "type.prototxt").write_text(NET.replace("InnerProduct", "Nobodys"))
    (tmp_path / "solver.prototxt").write_text('net: "x.prototxt" base_lr: 1 lr_policy: "fixed"')
    (tmp_path / "both.pt").write_text(f"train_net_param {{ {NET} }} base_lr: 1")
    (tmp_path / "weights.pt").write_bytes(b"PK\0\0")
    (tmp_path / "README.md").write_text(NET)
    code, rows = check(tmp_path)
    assert code == 1
    assert list(rows) == [
        "both.pt",
        "deep/er/good.prototxt",
        "solver.prototxt",
        "text.prototxt",
        "type.prototxt",
    ]
    assert steps(rows["deep/er/good.prototxt"]) == (True, True, True)
    assert steps(rows["both.pt"]) == (True, True, True)
    assert rows["both.pt"]["kind"] == "solver with net"
    assert steps(rows["text.prototxt"]) == (False, False, False)
    assert steps(rows["type.prototxt"]) == (True, False, False)
    assert 'line 1: layer "fc": type "Nobodys" is not supported' in rows["type.prototxt"]["reason"]
    assert steps(rows["solver.prototxt"]) == (True, False, False)
    assert "a solver" in rows["solver.prototxt"]["reason"]
    out, err = capfd.readouterr()
    assert "4 files of nets: 3 parsed, 2 built, 2 ran, 1 solvers" in out
    assert "checking: 5/5" in err and "Traceback" not in err


def test_a_net_of_two_phases_is_run_in_each(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(DATA + LOSS)
    code, rows = check(tmp_path)
    assert code == 0 and rows["net.prototxt"]["phases"] == ["TRAIN", "TEST"]
    bad = 'layer { name: "odd" type: "Concat" bottom: "x" bottom: "l" top: "o" include { phase: TEST } }'
    (tmp_path / "net.prototxt").write_text(DATA + LOSS + bad)
    code, rows = check(tmp_path)
    assert code == 1 and "TEST: " in rows["net.prototxt"]["reason"]
    assert 'layer "odd"' in rows["net.prototxt"]["reason"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (NET, ["TEST"]),
        (INPUT + 'layer { name: "l" type: "Input" top: "l" }' + LOSS, ["TRAIN"]),
        (DATA + LOSS, ["TRAIN", "TEST"]),
        (DATA.replace("TEST", "TRAIN").replace('name: "d"', 'name: "d" exclude { phase: TRAIN }').replace("include { phase: TRAIN } data_param { batch_size: 64 }", "") + LOSS, ["TRAIN", "TEST"]),
        (DATA.splitlines()[1] + LOSS, ["TRAIN"]),
        (DATA.replace("phase: TEST", 'phase: TEST stage: "val"') + LOSS, ["TRAIN", "TEST val"]),
    ],
)  # fmt: skip
def test_the_phases_of_a_net(text: str, expected: list[str]) -> None:
    states = states_of(parse_net(text))
    said = [" ".join([("TRAIN", "TEST")[state.phase], *state.stage]) for state in states]
    assert said == expected


def test_the_shape_asked_for_beats_all(tmp_path: Path) -> None:
    shape = 'layer { name: "r" type: "Reshape" bottom: "x" top: "y" reshape_param { shape { dim: 0 dim: 5 dim: 7 } } }'
    (tmp_path / "net.prototxt").write_text(INPUT + shape)
    assert check(tmp_path)[0] == 1
    assert check(tmp_path, "--input-shape", "x=2,35")[0] == 0


def test_limits_of_time_and_memory_and_a_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "slow.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "python.prototxt").write_text(INPUT + PYTHON.format("Sleeps"))
    assert "--allow-python" in check(tmp_path)[1]["python.prototxt"]["reason"]
    (tmp_path / "dies.prototxt").write_text(INPUT + PYTHON.format("Dies"))
    large = NET.replace("num_output: 3", "num_output: 33000000").replace("dim: 4", "dim: 20")
    (tmp_path / "large.prototxt").write_text(large)
    code, rows = check(tmp_path, "--allow-python", "--seconds", "5", "--memory", "2")
    assert code == 1
    assert rows["python.prototxt"]["reason"] == "takes longer than 5 s"
    assert steps(rows["python.prototxt"]) == (True, True, False)
    assert rows["large.prototxt"]["reason"] == "needs more than 2 GiB of memory"
    assert rows["dies.prototxt"]["reason"] == "its process ended by SIGSEGV"


@pytest.mark.parametrize("processes", [3, 4])
def test_interrupted_it_leaves_no_process(tmp_path: Path, processes: int) -> None:
    """While the server loads torch, and while a net runs."""
    process = _started(tmp_path, processes)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and err == "zoo: interrupted\n"
    assert _ends(process.pid)


def test_killed_it_leaves_no_process(tmp_path: Path) -> None:
    process = _started(tmp_path, 4)
    process.kill()
    assert process.communicate(timeout=60)[1] == ""
    assert _ends(process.pid)


def _started(folder: Path, processes: int) -> subprocess.Popen[str]:
    """A check of a net that sleeps, in a session of its own that has so many processes: the check itself, the
    server's tracker, the server, and the net's.
    """
    (folder / "slow.py").write_text(MODULE)
    (folder / "net.prototxt").write_text(INPUT + PYTHON.format("Sleeps"))
    path = os.pathsep.join([str(folder), str(Path(__file__).parents[1])])
    process = subprocess.Popen(
        [sys.executable, "-m", "zoo", "check", str(folder), "--allow-python"],
        env={**os.environ, "PYTHONPATH": path},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while len(_members(process.pid)) < processes:
        assert process.poll() is None
        time.sleep(0.1)
    return process


def _members(session: int) -> list[int]:
    """The processes of a session."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def _ends(session: int) -> bool:
    end = time.monotonic() + 60
    while _members(session) and time.monotonic() < end:
        time.sleep(0.1)
    return not _members(session)


def test_half_a_row_is_the_end_of_a_process() -> None:
    child = children._Child.__new__(children._Child)
    child.reader, writer = Pipe(duplex=False)
    os.write(writer.fileno(), b"\0\0")
    writer.close()
    assert child.has_ended()


def test_a_folder_without_a_prototxt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path)]) == 2
    assert "holds no prototxt" in capsys.readouterr().err
    assert main(["check", str(tmp_path / "none")]) == 2
    assert "no such folder" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["{}", '{"files": [1]}'])
def test_what_is_no_check_of_ours_stays(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.prototxt").write_text(NET)
    (tmp_path / "mine.json").write_text(text)
    assert main(["check", str(tmp_path), "--json", str(tmp_path / "mine.json")]) == 2
    assert (tmp_path / "mine.json").read_text() == text
