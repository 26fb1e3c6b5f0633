"""Other runtimes beside onnxruntime, and the processes that hold them."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from converters.export.onnx_file import deploy_net, export_onnx
from converters.load import load_net
from eval.runtime import open_session
from eval.speed.engines import OnnxNet, TimingJob
from eval.speed.latency import Worker, check_agreement, workers
from prototxt.errors import InputError
from prototxt.text import parse_net
from zoo.bench.files import write_caffe
from zoo.bench.measure import measure_models
from zoo.bench.models import Model
from zoo.bench.timing import Settings
from zoo.cli import main

ROOT = Path(__file__).parents[1]
NET = """
name: "small" layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 12 dim: 12 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "norm" type: "BatchNorm" bottom: "conv" top: "conv" }
layer { name: "scale" type: "Scale" bottom: "conv" top: "conv" scale_param { bias_term: true } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "fc" type: "InnerProduct" bottom: "conv" top: "fc"
  inner_product_param { num_output: 5 weight_filler { type: "xavier" } } }
"""
SEVEN = """
name: "seven" layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 7 dim: 6 } } }
layer { name: "cut" type: "Reshape" bottom: "x" top: "r" reshape_param { shape { dim: 7 dim: 2 dim: 3 } } }
layer { name: "fc" type: "InnerProduct" bottom: "r" top: "y"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
"""


@cache
def exported(text: str) -> bytes:
    """A net's ONNX file, made once for all tests."""
    with TemporaryDirectory() as folder:
        export_onnx(load_net(text), Path(folder) / "a.onnx")
        return (Path(folder) / "a.onnx").read_bytes()


def model(folder: Path, text: str = NET) -> Model:
    message = parse_net(text, "small.prototxt")
    path = folder / f"{message.name}.onnx"
    path.write_bytes(exported(text))
    return Model(message.name, path, message)


@pytest.fixture
def job(tmp_path: Path) -> TimingJob:
    held = model(tmp_path)
    write_caffe(deploy_net(load_net(NET)), tmp_path / "a.prototxt", tmp_path / "a.caffemodel")
    inputs = held.inputs[0]
    files = {"prototxt": str(tmp_path / "a.prototxt"), "caffemodel": str(tmp_path / "a.caffemodel")}
    return TimingJob("onnxruntime", "cpu", 1, str(held.path), inputs, **files, last=("fc",))


def test_a_worker_starts_without_torch() -> None:
    """Every net timed has a process of its own; torch would be most of its start."""
    command = [sys.executable, "-c", "import sys, eval.speed.worker; sys.exit('torch' in sys.modules)"]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def test_io_binding_gives_what_a_plain_run_gives(job: TimingJob) -> None:
    engine = OnnxNet(job)
    for batch in (2, 5):
        feeds = job.feeds(batch)
        engine.load(feeds)
        engine.run()
        (plain,) = open_session(Path(job.model)).run(None, feeds)
        assert np.array_equal(engine.read()[0], plain) and plain.shape == (batch, 5)


def test_rows_of_other_runtimes(tmp_path: Path) -> None:
    settings = Settings((1, 2), ("fp32",), ("cpu",), ("opencv", "torch"), threads=1, runs=2)
    rows = measure_models([model(tmp_path)], settings)
    assert [(row["runtime"], row["batch"]) for row in rows] == [
        (runtime, batch) for runtime in ("onnxruntime", "opencv", "torch") for batch in (1, 2)
    ]
    assert {row["threads"] for row in rows} == {1} and all(row["latency_p50_ms"] > 0 for row in rows)
    assert [row["to_fp32"] is None for row in rows] == [True, True, False, False, False, False]
    assert rows[0]["version_opencv-python-headless"] and rows[-1]["provider"] == "CPU"


@pytest.mark.parametrize("runtime", ["opencv", "torch"])
def test_another_net_is_not_timed(job: TimingJob, runtime: str) -> None:
    """The same layers with other weights: what the runtimes put out differs, and the pair is refused."""
    other = load_net(NET)
    other.fill(7)
    write_caffe(deploy_net(other), Path(job.prototxt), Path(job.caffemodel))
    with workers([job, replace(job, runtime=runtime)]) as (ours, theirs):
        for worker in (ours, theirs):
            worker.open()
        with pytest.raises(InputError, match=f"{runtime} and onnxruntime differ by .* not the same net"):
            check_agreement(theirs, ours, 2)


@pytest.mark.parametrize("is_real", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_where_torch_compile_cannot_run_its_rows_are_left_out(
    is_real: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """For want of a compiler, which torch takes seconds to find out, or as if it had found out."""
    monkeypatch.setenv("CXX", str(tmp_path / "no-compiler"))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    if not is_real:
        monkeypatch.setattr("zoo.bench.timing.check_agreement", no_compiler)
    settings = Settings((1,), ("fp32",), ("cpu",), ("torch-compile",), threads=1, runs=1)
    rows = measure_models([model(tmp_path)], settings)
    assert [row["runtime"] for row in rows] == ["onnxruntime"]
    notices = [line for line in capsys.readouterr().err.splitlines() if "torch-compile" in line]
    assert len(notices) == 1 and notices[0].startswith("torch-compile left out: ")


def no_compiler(worker: Worker, reference: Worker, batch: int) -> None:
    raise InputError(f"{worker.job.prototxt}: {worker.job.runtime}: no compiler")


@pytest.mark.slow
def test_torch_compile_gives_rows(tmp_path: Path) -> None:
    settings = Settings((1, 2), ("fp32",), ("cpu",), ("torch-compile",), threads=1, runs=1)
    rows = measure_models([model(tmp_path)], settings)
    assert [row["runtime"] for row in rows] == ["onnxruntime"] * 2 + ["torch-compile"] * 2


def test_a_net_of_one_batch_size_is_timed_at_that(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings((1, 64), ("fp32",), ("cpu",), (), threads=1, runs=1)
    rows = measure_models([model(tmp_path, SEVEN), model(tmp_path)], settings)
    assert [(row["name"], row["batch"]) for row in rows] == [("seven", 7), ("small", 1), ("small", 64)]
    assert "seven: its file has one batch size, 7" in capsys.readouterr().err


def test_a_worker_that_dies_is_one_line(job: TimingJob) -> None:
    with workers([job]) as (worker,):
        worker.open()
        os.kill(worker.process.pid, signal.SIGKILL)
        with pytest.raises(InputError, match=r"small\.onnx: .*measuring process died \(exit -9\)"):
            worker.times(1, 3)


def test_what_a_runtime_cannot_open_is_one_line(job: TimingJob, tmp_path: Path) -> None:
    (tmp_path / "broken.prototxt").write_text("layer {")
    broken = replace(job, runtime="opencv", prototxt=str(tmp_path / "broken.prototxt"))
    with workers([broken]) as (worker,), pytest.raises(InputError, match=r"broken\.prototxt: opencv: "):
        worker.open()


def test_no_process_is_left_when_the_block_ends_badly(job: TimingJob) -> None:
    held: list[Worker] = []
    with pytest.raises(KeyboardInterrupt), workers([job, job]) as processes:
        held += processes
        held[0].open()
        raise KeyboardInterrupt
    assert [worker.process.returncode for worker in held] == [-signal.SIGKILL] * 2


def test_a_worker_ends_with_its_parent(job: TimingJob) -> None:
    """A parent killed outright cannot end its workers: they find their stdin closed."""
    code = (
        "import json, sys; from eval.speed.engines import TimingJob; from eval.speed.latency import Worker\n"
        "worker = Worker(TimingJob(**json.loads(sys.argv[1]))).__enter__(); worker.open()\n"
        "print(worker.process.pid, flush=True); input()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, json.dumps(asdict(job))],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    for _ in range(600):
        if not _lives(pid):
            break
        time.sleep(0.1)
    assert not _lives(pid)


def _lives(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    try:
        return state.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_interrupted_bench_says_so_and_exits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[Worker] = []

    def interrupted(held: list[Worker], *rest: object) -> None:
        started.extend(held)
        raise KeyboardInterrupt

    monkeypatch.setattr("zoo.bench.timing.time_by_turns", interrupted)
    assert main(["bench", "--untrained", "fc", "--runs", "1"]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert len(started) == 2 and all(worker.process.returncode is not None for worker in started)
