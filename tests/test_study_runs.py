"""zoo study: its runs as processes, resumed to the bit, and what becomes of one that fails."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from socket import gethostname
from typing import Any

import pytest
from train_runs import ROOT, edit, lines, logged, same, wait_for, weights

from converters.host.files import alone_in
from prototxt.errors import InputError
from zoo.cli import main
from zoo.study.expand import arguments, expand
from zoo.study.file import read_study
from zoo.study.local import slots, threads
from zoo.study.on_ray import shares

STUDY = (
    'title = "tiny"\nsolver = "data/solver.prototxt"\n[[runs]]\nvariants = ["baseline", "bn+dropout0.9"]\n'
)
NAMES = ["baseline-seed0", "bn+dropout0.9-seed0"]


@pytest.fixture(autouse=True)
def without_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    """A study that this process carries out does not measure first, which takes longer than its runs."""
    monkeypatch.setattr("zoo.study.command.say_how_long", lambda *_: None)


@pytest.fixture
def study(solver: Path) -> Path:
    path = solver.parents[1] / "tiny.toml"
    path.write_text(STUDY)
    return path


def begin(*options: str) -> subprocess.Popen[bytes]:
    """The study in a process group of its own."""
    command = [sys.executable, "-m", "zoo", "study", "tiny.toml", "--device", "cpu", *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with Path("study.log").open("ab") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)


def record(folder: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(folder, "study.json").read_text())
    return found


def states(folder: str) -> dict[str, str]:
    return {run["name"]: run["state"] for run in record(folder)["runs"]}


def assert_same_runs(one: str, other: str) -> None:
    for name in NAMES:
        assert same(weights(f"{one}/{name}"), weights(f"{other}/{name}"))
        assert lines(f"{one}/{name}") == lines(f"{other}/{name}")


def test_two_runs_at_once_of_which_one_diverges(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study.write_text(STUDY.replace('"baseline", ', "") + "[[runs]]\nchanges.wild = 'base_lr: 1e30'\n")
    command = ["study", "tiny.toml", "--jobs", "2", "--device", "cpu"]
    assert main(command) == 1
    out, err = capsys.readouterr()
    assert out == "runs/tiny\n"
    tame, wild = NAMES[1], "baseline-wild-seed0"
    assert f"{wild} did not reach its end: the loss is nan at iteration 1; try a smaller base_lr" in err
    assert f"{tame}: finished" in err
    assert states("runs/tiny") == {tame: "finished", wild: "diverged"}
    assert record("runs/tiny")["runs"][1]["reason"].startswith("the loss is nan")
    options = record("runs/tiny")["runs"][0]["options"]
    assert options == json.loads(Path("runs/tiny", tame, "run.json").read_text())["options"]
    logs = {path: path.stat().st_mtime_ns for path in Path("runs").rglob("log.txt")}
    assert len(logs) == 2
    assert main(command) == 1  # nothing is left to do: what is finished stays, what diverged would again
    assert f"{wild}: not tried again (--retry does)" in capsys.readouterr().err
    assert logs == {path: path.stat().st_mtime_ns for path in Path("runs").rglob("log.txt")}
    study.write_text(study.read_text().replace("1e30", "1e-3"))
    notes = Path("runs/tiny", wild, "notes.txt")
    notes.write_text("the user's")
    assert main(command) == 0
    assert notes.is_file()
    assert f"{wild}: diverged with other settings, beginning afresh" in capsys.readouterr().err
    assert states("runs/tiny")[wild] == "finished"
    study.write_text(study.read_text().replace("1e-3", "1e-4"))
    assert main(command) == 2
    assert f"{wild}: was begun with --set base_lr: 0.001, not base_lr: 0.0001" in capsys.readouterr().err


def long_study(study: Path) -> None:
    edit(study.parent / "data" / "solver.prototxt", ("stepsize: 7", "stepsize: 1000"))
    study.write_text(STUDY.replace("[[runs]]", "max_iter = 400\n[[runs]]"))


def kill_study(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait(300) == -signal.SIGKILL


def is_free(folder: str) -> bool:
    try:
        with alone_in(Path(folder)):
            return True
    except InputError:
        return False


def test_a_killed_study_goes_on_and_ends_in_the_same_bits(
    study: Path, without_export: None, capsys: pytest.CaptureFixture[str]
) -> None:
    long_study(study)
    cut = begin("--jobs", "2", "--output", "cut")
    wait_for(lambda: logged(f"cut/{NAMES[1]}") > 30, 600)
    cut.kill()
    cut.wait(300)
    command = ["study", "tiny.toml", "--jobs", "2", "--device", "cpu", "--output", "cut"]
    assert main(command) == 2  # its runs live on
    assert f"cut: process {cut.pid} on {gethostname()}, since " in capsys.readouterr().err
    os.killpg(cut.pid, signal.SIGKILL)
    wait_for(lambda: is_free("cut"))
    assert "finished" not in states("cut").values()
    assert main(command) == 0
    for run in expand(read_study(study), "tiny.toml"):  # what its runs are by themselves
        options = [*arguments(run.options), "--device", "cpu", "--output", f"whole/{run.name}"]
        assert main(["train", *options]) == 0
    assert "going on from" in Path("cut", NAMES[1], "log.txt").read_text()
    assert_same_runs("whole", "cut")
    assert set(states("cut").values()) == {"finished"}


@pytest.mark.slow
def test_killed_at_random_moments_a_study_ends_in_the_same_bits(study: Path) -> None:
    long_study(study)
    moments = random.Random(5)
    start = time.monotonic()
    assert begin("--output", "whole").wait(900) == 0
    life = time.monotonic() - start
    kills = 0
    while kills < 8:
        cut = begin("--output", "cut")
        try:
            cut.wait(moments.uniform(0.1, 0.7) * life)
        except subprocess.TimeoutExpired:
            kill_study(cut)
            kills += 1
        else:
            assert cut.returncode == 0
            Path("cut").rename(f"cut{kills}")
    assert begin("--output", "cut").wait(900) == 0, Path("study.log").read_text()
    for folder in Path().glob("cut*"):
        assert_same_runs("whole", str(folder))


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_an_interrupted_study_ends_its_runs_with_snapshots(study: Path, number: int) -> None:
    study.write_text(STUDY.replace("[[runs]]", "max_iter = 100000\n[[runs]]"))
    process = begin("--jobs", "2")
    wait_for(lambda: all(logged(f"runs/tiny/{name}") > 3 for name in NAMES), 600)
    process.send_signal(number)
    assert process.wait(300) == 130
    assert "stopping: the runs write snapshots" in Path("study.log").read_text()
    for name in NAMES:
        assert "snapshot written, --resume goes on" in Path("runs/tiny", name, "log.txt").read_text()
    assert set(states("runs/tiny").values()) == {"begun"}


def test_two_studies_in_one_folder(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with alone_in(Path("runs/tiny")):
        assert main(["study", "tiny.toml"]) == 2
    assert f"runs/tiny: process {os.getpid()} on {gethostname()}, since " in capsys.readouterr().err


def test_class_folders_get_lists_and_a_failing_run_is_named(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = study.parent / "data"
    edit(data / "tiny.prototxt", ("train.txt", "list_train_shuffle.txt"), ("val.txt", "list_val_shuffle.txt"))
    for path in data.glob("*.png"):
        folder = study.parent / "photos" / path.stem[:7]
        folder.mkdir(parents=True, exist_ok=True)
        path.rename(folder / path.name)
    next((study.parent / "photos").rglob("*.png")).write_bytes(b"no image")
    study.write_text(STUDY.replace(', "bn+dropout0.9"', ""))
    assert main(["study", "tiny.toml", "--data", "photos", "--device", "cpu"]) == 1
    err = capsys.readouterr().err
    assert "has no list files, making them as zoo data import does" in err
    assert len((study.parent / "photos" / "classes.txt").read_text().splitlines()) == 3
    assert "baseline-seed0 did not reach its end: " in err and "cannot be decoded" in err.splitlines()[-1]
    assert states("runs/tiny") == {"baseline-seed0": "failed"}
    skipping = ["study", "tiny.toml", "--data", "photos", "--device", "cpu", "--skip-bad"]
    assert main(skipping) == 0 and states("runs/tiny") == {"baseline-seed0": "finished"}
    assert main(["study", "tiny.toml", "--data", "nowhere"]) == 2
    assert "--data nowhere: no such folder" in capsys.readouterr().err


def test_runs_at_a_time_share_threads_and_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.study.local.cores", lambda: 8)
    for name in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    assert slots(None, 0) == [{}] and slots(3, 0) == [{"OMP_NUM_THREADS": "2"}] * 3
    four = {"OMP_NUM_THREADS": "2"}
    assert slots(4, 2) == [{"CUDA_VISIBLE_DEVICES": card} | four for card in "0101"]
    assert [slot["CUDA_VISIBLE_DEVICES"] for slot in slots(None, 3)] == ["0", "1", "2"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,GPU-7")
    assert [slot["CUDA_VISIBLE_DEVICES"] for slot in slots(2, 2)] == ["5", "GPU-7"]
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads(4) == {}


def test_what_a_run_asks_of_ray() -> None:
    machines = [{"CPU": 16.0, "GPU": 2.0}, {"CPU": 8.0, "GPU": 2.0}, {"memory": 1.0}]
    assert shares(machines, None, use_gpus=True) == {"num_cpus": 4, "num_gpus": 1}
    assert shares(machines, 8, use_gpus=True) == {"num_cpus": 1, "num_gpus": 0.25}
    assert shares(machines, 2, use_gpus=False) == {"num_cpus": 4, "num_gpus": 0}


@pytest.mark.parametrize(
    ("package", "options", "says"),
    [
        ("ray", ["--engine", "ray"], "--engine ray needs the package ray: pip install 'caffe-zoo[ray]'"),
        (
            "torch.utils.tensorboard",
            ["--tensorboard", "events"],
            "--tensorboard needs the package tensorboard: pip install 'caffe-zoo[tensorboard]'",
        ),
    ],
)
def test_a_missing_package_is_named(
    package: str, options: list[str], says: str, study: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setitem(sys.modules, package, None)
    assert main(["study", "tiny.toml", *options]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"zoo: {says}"


@pytest.mark.slow
def test_a_local_ray_runs_a_study_and_stops_it(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    for name, value in {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}.items():
        monkeypatch.setenv(name, value)
    assert begin("--output", "local").wait(900) == 0
    ray = ["--engine", "ray", "--jobs", "99", "--output", "ray"]
    assert begin(*ray).wait(900) == 0, Path("study.log").read_text()
    assert_same_runs("local", "ray")
    study.write_text(STUDY.replace("[[runs]]", "max_iter = 100000\n[[runs]]"))
    before = {name: logged(f"ray/{name}") for name in NAMES}  # lines of the study that has just ended
    process = begin(*ray)
    wait_for(lambda: all(logged(f"ray/{name}") > before[name] + 5 for name in NAMES), 600)
    process.send_signal(signal.SIGINT)
    assert process.wait(300) == 130
    for name in NAMES:
        assert "snapshot written, --resume goes on" in Path("ray", name, "log.txt").read_text()
