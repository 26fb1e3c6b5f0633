"""zoo train under signals, kills, full disks and broken images: the last whole snapshot always resumes."""

import errno
import json
import os
import random
import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest
from train_runs import edit, lines, logged, same, start, train, wait_for, weights

from converters import CaffeSolver
from converters.host.files import whole
from prototxt.errors import InputError
from zoo.cli import main
from zoo.runs.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("without_export")

LONG = ["--device", "cpu", "--max-iter", "300", "--variant", "bn+dropout0.9"]


@pytest.fixture
def long_solver(solver: Path) -> Path:
    """A solver that goes on learning through all of LONG's iterations."""
    edit(solver, ("stepsize: 7", "stepsize: 1000"))
    return solver


def signal_at(monkeypatch: pytest.MonkeyPatch, iteration: int, number: int) -> None:
    """Send this process a signal in the middle of an iteration."""
    step = CaffeSolver.iterate

    def stepping(self: CaffeSolver) -> None:
        if self.iter == iteration:
            os.kill(os.getpid(), number)
        step(self)

    monkeypatch.setattr(CaffeSolver, "iterate", stepping)


def test_hangup_snapshots_and_goes_on(solver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert train(solver, "--output", "whole") == 0
    signal_at(monkeypatch, 4, signal.SIGHUP)
    assert train(solver, "--output", "hung") == 0
    assert same(weights("whole"), weights("hung")) and lines("whole") == lines("hung")
    snapshot = Path("hung/models/tiny__iter_5.safetensors")
    assert snapshot.is_file() and not Path("whole/models", snapshot.name).exists()
    assert train(solver, "--output", "from", "--resume", str(snapshot)) == 0
    assert same(weights("whole"), weights("from"))


def test_interrupt_snapshots_and_stops(solver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signal_at(monkeypatch, 4, signal.SIGINT)
    assert train(solver, "--output", "run") == 130
    assert RunFolder(Path("run"), "models/tiny_").newest_whole()[0] == Path(
        "run/models/tiny__iter_5.safetensors"
    )
    assert json.loads(Path("run/run.json").read_text())["iteration"] == 5


def kill_and_resume(solver: Path, kills: int, moments: random.Random) -> None:
    """kill -9 real runs at random moments of their life; each that ends is the uninterrupted one."""
    command = ["-m", "zoo", "train", "--solver", str(solver), *LONG]
    begun = time.monotonic()
    assert start([*command, "--output", "whole"]).wait(300) == 0
    life = time.monotonic() - begun
    killed = ended = 0
    while killed < kills or not ended:
        folder = f"run{ended}"
        run = start([*command, "--output", folder, "--resume"])
        try:
            code = run.wait(moments.uniform(0.3, 1.1) * life if killed < kills else 300)
        except subprocess.TimeoutExpired:
            run.kill()
            assert run.wait(300) == -signal.SIGKILL
            killed += 1
            continue
        assert code == 0, Path("log.txt").read_text()
        assert same(weights("whole"), weights(folder)) and lines("whole") == lines(folder)
        assert not [path for path in Path(folder).rglob(".*") if path.is_file()]
        ended += 1


def test_killed_twice_a_run_ends_in_the_same_bits(long_solver: Path) -> None:
    solver = long_solver
    command = ["-m", "zoo", "train", "--solver", str(solver), *LONG]
    assert main([*command[2:], "--output", "whole"]) == 0
    for kill in range(2):
        run = start([*command, "--output", "cut", "--resume"])
        wait_for(lambda least=20 + 40 * kill: logged("cut") > least)
        run.kill()
        assert run.wait(300) == -signal.SIGKILL
        with Path("cut/metrics.jsonl").open("a") as file:
            file.write('{"iteration": 2, "lr": 0.0')  # as a kill in the midst of a line leaves it
    run = json.loads(Path("cut/run.json").read_text())["id"]
    Path(f"cut/models/.tiny__iter_9.safetensors.zoo-{run}.x1y2.safetensors").write_bytes(b"half")
    assert start([*command, "--output", "cut", "--resume"]).wait(300) == 0
    assert same(weights("whole"), weights("cut")) and lines("whole") == lines("cut")
    assert not list(Path("cut/models").glob(".*"))


def test_what_no_process_of_this_run_wrote_stays(solver: Path) -> None:
    """The user's files, old versions' temporary files, and those of another run with the same prefix."""
    home = Path("home")
    home.mkdir()
    others = [
        home / name
        for name in (".settings.json", ".keep.prototxt", ".a.onnx", ".snap_iter_3.safetensors.x1.safetensors")
    ]
    prefix = ["--set", f'snapshot_prefix: "{home.absolute()}/snap"']
    assert train(solver, *prefix, "--output", "run", "--max-iter", "3") == 0
    run = json.loads(Path("run/run.json").read_text())["id"]
    others.append(home / ".snap_iter_3.safetensors.zoo-0123abcd.x1.safetensors")
    others.append(Path("run/.notes.json"))
    ours = [
        home / f".snap_iter_4.safetensors.zoo-{run}.x1.safetensors",
        Path(f"run/.a.json.zoo-{run}.b.json"),
    ]
    for path in (*others, *ours):
        path.write_text("x")
    assert train(solver, "--output", "run", "--max-iter", "5", "--resume") == 0
    assert all(path.is_file() for path in others)
    assert not any(path.exists() for path in ours)


def test_a_live_process_of_the_run_keeps_its_half_written_files(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run", "snap")
    with folder.writing() as run, whole(folder.net) as beside:
        folder.write_record({"id": run})
        assert f".zoo-{run}." in beside.name
        with pytest.raises(InputError, match=f"process {os.getpid()} on "), folder.writing():
            pass
        assert beside.is_file()
        beside.write_text("whole")
    assert folder.net.read_text() == "whole"
    leftover = tmp_path / "run" / beside.name
    leftover.touch()
    with folder.writing():
        assert not leftover.exists()


@pytest.mark.slow
def test_killed_twenty_times_at_random_runs_end_in_the_same_bits(long_solver: Path) -> None:
    kill_and_resume(long_solver, 20, random.Random(11))


def test_a_kill_between_the_last_snapshot_and_the_weights(
    solver: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train(solver, "--output", "whole") == 0
    with monkeypatch.context() as patch:
        patch.setattr(
            "zoo.runs.record.write_safetensors", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        assert train(solver, "--output", "cut") == 130
    assert train(solver, "--output", "cut", "--resume") == 0
    assert same(weights("whole"), weights("cut")) and lines("whole") == lines("cut")


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("zoo: ")
    return last


def test_a_full_disk_keeps_the_snapshot_before(solver: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(solver.parent / "tiny.prototxt", ("num_output: 8", "num_output: 256"))
    assert train(solver, "--output", "whole") == 0
    assert train(solver, "--output", "run", "--max-iter", "3") == 0
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        assert train(solver, "--output", "run", "--max-iter", "10", "--resume") == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "tiny__iter_6.safetensors" in one_line(capsys)
    assert [path.name for path in Path("run/models").iterdir()] == ["tiny__iter_3.safetensors"]
    assert train(solver, "--output", "run", "--max-iter", "10", "--resume") == 0
    assert same(weights("whole"), weights("run"))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_takes_no_more_lines(
    solver: Path, number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(self: RunFolder, entry: dict[str, object]) -> None:
        if entry["iteration"] == 8:
            with self.metrics.open("a") as file:
                file.write('{"iteration": 8, "l')
            raise OSError(number, os.strerror(number), str(self.metrics))
        append(self, entry)

    append = RunFolder.append
    assert train(solver, "--output", "whole") == 0
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "append", refuse)
        assert train(solver, "--output", "run") == 2
    assert os.strerror(number) in one_line(capsys)
    assert train(solver, "--output", "run", "--resume") == 0
    assert same(weights("whole"), weights("run")) and lines("whole") == lines("run")


def test_a_folder_that_turns_read_only_keeps_the_snapshot_before(
    solver: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tempfile import mkstemp

    def refuse(prefix: str, **options: str) -> tuple[int, str]:
        if "iter_6" in prefix:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(options["dir"]))
        return mkstemp(prefix=prefix, **options)

    assert train(solver, "--output", "whole") == 0
    with monkeypatch.context() as patch:
        patch.setattr("converters.host.files.tempfile.mkstemp", refuse)
        assert train(solver, "--output", "run") == 2
    assert "Read-only file system" in one_line(capsys)
    assert train(solver, "--output", "run", "--resume") == 0
    assert same(weights("whole"), weights("run"))


def test_a_folder_that_cannot_be_made(solver: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(solver, "--output", "/proc/zoo-run") == 2
    assert "/proc/zoo-run" in one_line(capsys)


def test_broken_images_are_skipped_and_counted_where_asked(
    solver: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (solver.parent / "class 1_0.png").write_bytes(b"no image")
    (solver.parent / "class 2_1.png").unlink()
    assert train(solver, "--output", "run") == 2
    said = one_line(capsys)
    assert "train.txt:6: image" in said and "--skip-bad passes over" in said
    for name in ("a", "b"):  # decoded, then from the cache
        assert train(solver, "--output", name, "--skip-bad") == 0
        assert "train.txt: 2 broken entries skipped (lines 6, 12)\n" in capsys.readouterr().err
    data = json.loads(Path("a/run.json").read_text())["data"]
    assert (data["TRAIN"]["images"], data["TRAIN"]["skipped"], data["TEST"]["skipped"]) == (13, 2, 0)
    assert same(weights("a"), weights("b"))
