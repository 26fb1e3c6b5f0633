"""A run has its folder for itself, outlives its terminal, and writes over nothing that no run wrote."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from socket import gethostname

import pytest
from train_runs import ROOT, edit, lines, logged, same, start, train, wait_for, weights

from converters.host.files import LOCK, alone_in
from prototxt.errors import InputError
from zoo.cli import main
from zoo.runs.run_folder import RunFolder
from zoo.train.sources import open_feeds

COMMAND = ["-m", "zoo", "train", "--device", "cpu", "--solver"]


def test_a_second_process_is_told_who_holds_the_folder(
    solver: Path, without_export: None, capsys: pytest.CaptureFixture[str]
) -> None:
    first = start([*COMMAND, str(solver), "--output", "run", "--max-iter", "1000000"])
    wait_for(lambda: logged("run") > 0)
    for options in ([], ["--resume"]):
        assert train(solver, "--output", "run", *options) == 2
        assert f"zoo: run: process {first.pid} on {gethostname()}, since 20" in capsys.readouterr().err
    first.kill()  # and its claim dies with it
    first.wait(300)
    kept = lines("run")[-1]["iteration"]
    assert train(solver, "--output", "run", "--resume", "--max-iter", str(kept + 3)) == 0
    assert not Path("run", LOCK).exists()


def test_a_folder_is_free_again_whatever_ends_the_run(
    solver: Path, without_export: None, capsys: pytest.CaptureFixture[str]
) -> None:
    (solver.parent / "class 1_0.png").write_bytes(b"no image")
    assert train(solver, "--output", "run") == 2
    assert "train.txt:" in capsys.readouterr().err
    assert not Path("run").exists()  # nothing came to be in it
    assert train(solver, "--output", "run", "--skip-bad") == 0
    assert not Path("run", LOCK).exists()


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file tells of a process of this machine that lives; of no other can be told."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    for pid, host, is_alone in ((os.getppid(), gethostname(), False), (os.getppid(), "far", True)):
        (tmp_path / LOCK).write_text(json.dumps({"pid": pid, "host": host, "since": "noon"}))
        try:
            with alone_in(tmp_path):
                assert is_alone
        except InputError as error:
            assert not is_alone and f"process {pid} on {host}, since noon, is at work" in str(error)


def test_two_that_begin_at_once_have_one_lock(tmp_path: Path) -> None:
    """A holder that removes its lock file leaves no second one to those that had it open."""
    folder, at_once, inside = RunFolder(tmp_path / "run", ""), threading.Barrier(4), []
    (tmp_path / "run").mkdir()

    def work() -> None:
        at_once.wait()
        for _ in range(50):
            try:
                with folder.writing():
                    inside.append(1)
                    assert len(inside) == 1
                    inside.pop()
            except InputError:
                continue

    errors: list[BaseException | None] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading, "excepthook", lambda found: errors.append(found.exc_value))
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not errors


def test_a_run_outlives_its_terminal(solver: Path) -> None:
    """stdout into a pipe whose reader has gone, and the terminal that stderr was is closed."""
    reader, writer = os.pipe()
    os.close(reader)
    terminal, theirs = os.openpty()
    command = [sys.executable, *COMMAND, str(solver), "--output", "run", "--max-iter", "60"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TERM": "xterm"}
    run = subprocess.Popen(command, env=environment, stdin=theirs, stdout=writer, stderr=theirs)
    os.close(theirs)
    os.close(writer)
    wait_for(lambda: logged("run") > 0)
    assert b"tiny" in os.read(terminal, 10_000)
    os.close(terminal)
    run.send_signal(signal.SIGHUP)
    assert run.wait(300) == 0
    assert lines("run")[-1]["iteration"] == 60
    assert all(Path("run", name).is_file() for name in ("weights.safetensors", "model.onnx"))


def test_a_hangup_before_the_first_iteration_ends_nothing(
    solver: Path, without_export: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(*given: object) -> object:
        os.kill(os.getpid(), signal.SIGHUP)
        return open_feeds(*given)  # type: ignore[arg-type]

    before = signal.signal(signal.SIGHUP, signal.default_int_handler)
    monkeypatch.setattr("zoo.train.command.open_feeds", opened)
    try:
        assert train(solver, "--output", "run", "--max-iter", "2") == 0
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    "name",
    ["net.prototxt", "solver.prototxt", "run.json", "metrics.jsonl", "weights.safetensors", "model.onnx"],
)
def test_a_file_that_no_run_wrote_stays(
    name: str, solver: Path, without_export: None, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(name).write_text("{}")
    for options in ([], ["--resume"]):
        assert train(solver, "--output", ".", *options) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"zoo: {name}: is no run") or "run.json: is no record of a run" in said
    assert Path(name).read_text() == "{}"
    assert sorted(path.name for path in Path().iterdir()) == sorted(["data", name])


def test_a_text_changed_since_stays_and_ones_own_may_go(
    solver: Path, without_export: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(solver, "--output", "run", "--max-iter", "3") == 0
    assert train(solver, "--output", "run", "--max-iter", "5", "--resume") == 0  # another solver.prototxt
    net = Path("run/net.prototxt")
    changed = net.read_text() + "# mine\n"  # another net would not be gone on with anyway
    net.write_text(changed)
    capsys.readouterr()
    assert train(solver, "--output", "run", "--max-iter", "7", "--resume") == 2
    assert "run/net.prototxt: " in capsys.readouterr().err and net.read_text() == changed
    folder = RunFolder(Path("run"), "models/tiny_")
    folder.clear()
    assert net.is_file() and not folder.solver.exists()


NET = """name: "r" layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 2 } } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 2 } }"""


def test_a_conversion_goes_over_its_own_files_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("r.prototxt").write_text(NET)
    command = ["convert", "r.prototxt", "--output", "."]
    assert [main(command), main(command)] == [0, 0]
    given = [*command, "--weights", "w.safetensors"]
    from converters.export.onnx_file import export_onnx
    from converters.load import load_net
    from converters.weights.formats import write_safetensors

    net = load_net("r.prototxt")
    write_safetensors(Path("w.safetensors"), net.state_dict(), {"net": "r", "iteration": "9"})
    assert [main(given), main(given)] == [0, 0]
    Path("w.safetensors").replace("r.safetensors")  # a run's
    assert main([*command, "--weights", "r.safetensors"]) == 2
    export_onnx(net, Path("r.onnx"), ["a", "b"])  # a run's as well
    for content in (Path("r.onnx").read_bytes(), b"mine"):
        Path("r.onnx").write_bytes(content)
        assert main(command) == 2
        assert "r.onnx: is no conversion's of ours" in capsys.readouterr().err
        assert Path("r.onnx").read_bytes() == content


def test_a_resume_takes_its_own_runs_snapshots(
    solver: Path, without_export: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two runs of one absolute snapshot_prefix: b goes on from its own 3, never from a's newer 6."""
    prefix = Path("shared").absolute() / "x"
    edit(solver, ('snapshot_prefix: "models/tiny_"', f'snapshot_prefix: "{prefix}"'))
    assert train(solver, "--output", "b", "--seed", "1", "--max-iter", "3") == 0
    assert (
        train(solver, "--output", "whole", "--set", 'snapshot_prefix: "x"', "--seed", "1", "--max-iter", "5")
        == 0
    )
    own = Path("shared").rename("aside")
    assert train(solver, "--output", "a", "--max-iter", "6") == 0
    (own / "x_iter_3.safetensors").rename(prefix.with_name("x_iter_3.safetensors"))
    capsys.readouterr()
    assert train(solver, "--output", "c") == train(solver, "--output", "c", "--resume") == 2
    assert capsys.readouterr().err.count("another prefix leaves it alone") == 2
    assert train(solver, "--output", "b", "--resume", "--max-iter", "5") == 0
    said = capsys.readouterr().err
    assert "x_iter_6.safetensors: is another run's, which has the same snapshot_prefix; passed over" in said
    assert f"going on from {prefix}_iter_3.safetensors" in said
    assert same(weights("b"), weights("whole"))
