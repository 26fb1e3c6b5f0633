"""zoo train and load_solver are one engine: on every recorded run the same bits from the same batches, seed and
memory format.
"""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_cases import GOLDEN, arrays, assert_ended, named, set_blobs
from safetensors.torch import load_file
from train_runs import edit, lines, memory_feed, same, train, weights

from converters import CaffeSolver, load_net, load_solver
from converters.solver.state import read_state

pytestmark = pytest.mark.usefixtures("without_export")

RUNS = sorted(path.name for path in (GOLDEN / "solver").iterdir())
HALFWAY = 'snapshot: 15 snapshot_format: BINARYPROTO display: 1 snapshot_prefix: "snap"'


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def golden(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The solver of a recorded run, whose arrays zoo train is fed with."""
    path = GOLDEN / "solver" / request.param / "solver.prototxt"
    data = arrays(path.parent / "run.npz")
    monkeypatch.setattr("zoo.train.sources.open_feed", memory_feed(data))
    return path


def loaded(solver: Path, memory_format: torch.memory_format) -> CaffeSolver:
    """load_solver's, fed with the same arrays, its net's blobs in a memory format."""
    made, data = load_solver(solver, [].append), arrays(solver.parent / "run.npz")
    made.net.to(memory_format=memory_format)  # type: ignore[call-overload]
    made.net.set_input_arrays(
        torch.from_numpy(data["X"]).clone(), data["y"]
    )  # aligned as zoo train's batches
    return made


def histories(state: Path) -> dict[str, torch.Tensor]:
    return {str(index): blob for index, blob in enumerate(read_state(state).history)}


@pytest.mark.parametrize("golden", RUNS, indirect=True)
@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format], ids=str)
def test_both_entries_end_in_the_same_bits(
    golden: Path, memory_format: torch.memory_format, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo.train.trainer.MEMORY_FORMAT", memory_format)
    assert train(golden, "--set", HALFWAY, "--output", "run") == 0
    solver = loaded(golden, memory_format)
    for iteration in (15, 30):
        losses = [solver.step(1) for _ in range(15)]
        ours, theirs = Path("run", f"snap_iter_{iteration}.caffemodel"), solver.snapshot()
        assert ours.read_bytes() == theirs[0].read_bytes()
        assert same(histories(ours.with_suffix(".solverstate")), histories(theirs[1]))
    assert same(weights("run"), {name: x.detach() for name, x in solver.net.state_dict().items()})
    if solver.message.iter_size == 1:  # else zoo train shows the mean of several batches
        assert [line["loss"] for line in lines("run")][15:30] == losses


@pytest.mark.parametrize("golden", RUNS, indirect=True)
def test_zoo_train_ends_where_caffe_ended(golden: Path) -> None:
    data, solver = arrays(golden.parent / "run.npz"), load_solver(golden, [].append)
    set_blobs(solver.net, named(data, "init"))
    solver.net.save_caffemodel("init.caffemodel")
    assert train(golden, "--weights", "init.caffemodel", "--set", "display: 1", "--output", "run") == 0
    assert_ended(load_net(golden.parent / "net.prototxt", "run/weights.safetensors", phase="TRAIN"), data)
    if solver.message.iter_size == 1:
        losses = [line["loss"] for line in lines("run")][:30]
        np.testing.assert_allclose(losses, data["loss_last_subiteration"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("golden", RUNS, indirect=True)
def test_it_resumes_to_the_bit_from_its_own_snapshot_and_from_caffes(golden: Path) -> None:
    assert train(golden, "--set", HALFWAY, "--output", "run") == 0
    for ending in ("safetensors", "solverstate"):
        snapshot = f"run/snap_iter_15.{ending}"
        assert train(golden, "--set", HALFWAY, "--resume", snapshot, "--output", ending) == 0
        assert same(weights("run"), weights(ending))
        assert lines(ending) == lines("run")[15:]
        assert same(*(load_file(f"{x}/snap_iter_30.safetensors") for x in ("run", ending)))


def test_debug_info_is_shown_in_every_display(solver: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(solver, "--output", "plain") == 0
    edit(solver, ("display: 2", "display: 2 debug_info: true"))
    for options in ((), ("--log-format", "caffe")):
        capsys.readouterr()
        assert train(solver, "--output", "-".join(("run", *options)), *options) == 0
        err = capsys.readouterr().err
        assert "without effect" not in err and "Caffe's automatic Split layers are left out" in err
        shown = re.findall(r"    \[(Forward|Backward|Update)\] Layer fc, param (?:blob )?(\d)", err)
        assert shown == [(way, n) for way in ("Forward", "Backward", "Update") for n in "01"] * 5
    assert same(weights("plain"), weights("run")) and lines("plain") == lines("run")
