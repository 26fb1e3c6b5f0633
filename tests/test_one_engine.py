"""zoo train and load_solver are one engine: on every recorded run the same bits from the same batches, seed and
memory format; and what zoo train writes for Caffe.
"""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_cases import GOLDEN, arrays, error, named
from safetensors.torch import load_file
from train_runs import Memory, edit, lines, same, train, weights

from converters import CaffeSolver, load_net, load_solver
from converters.solver.state import read_state
from prototxt.caffe_pb2 import NetParameter

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
    monkeypatch.setattr("zoo.train.sources._source", lambda plan, key, layer, index: Memory(layer, data))
    return path


def loaded(solver: Path, memory_format: torch.memory_format) -> CaffeSolver:
    """load_solver's, fed with the same arrays, its net's blobs in a memory format."""
    made, data = load_solver(solver, [].append), arrays(solver.parent / "run.npz")
    made.net.to(memory_format=memory_format)  # type: ignore[call-overload]
    made.net.set_input_arrays(data["X"], data["y"])
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
    for name, blob in named(data, "init").items():
        layer, _, index = name.rpartition("/")
        solver.net.params[layer][int(index)].data.copy_(blob)
    solver.net.save_caffemodel("init.caffemodel")
    assert train(golden, "--weights", "init.caffemodel", "--set", "display: 1", "--output", "run") == 0
    net = load_net(golden.parent / "net.prototxt", "run/weights.safetensors", phase="TRAIN")
    for name, theirs in named(data, "final").items():
        layer, _, index = name.rpartition("/")
        ours = net.params[layer][int(index)].detach()
        assert error(ours, theirs) <= 1e-4 or (ours - theirs).abs().max() <= 1e-6, name
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


# Caffe's files beside ours.


@pytest.mark.parametrize("form", ["BINARYPROTO", "HDF5"])
def test_snapshots_in_caffes_format_stand_beside_ours(solver: Path, form: str) -> None:
    assert train(solver, "--output", "plain") == 0
    assert not list(Path("plain").rglob("*.solverstate*")) + list(Path("plain").rglob("*.caffemodel*"))
    edit(solver, ('snapshot_prefix: "', f'snapshot_format: {form} snapshot_diff: true snapshot_prefix: "'))
    assert train(solver, "--output", "run") == 0
    assert same(weights("plain"), weights("run")) and lines("plain") == lines("run")
    end = ".h5" if form == "HDF5" else ""
    for iteration in (3, 6, 9, 10):
        stem = f"run/models/tiny__iter_{iteration}"
        net = load_net("run/net.prototxt", f"{stem}.caffemodel{end}", phase="TRAIN")
        ours = load_file(f"{stem}.safetensors")
        assert same(
            {f"net/{k}": v for k, v in net.state_dict().items()}, {k: ours[k] for k in ours if "net/" in k}
        )
        state = read_state(f"{stem}.solverstate{end}")
        assert (state.iteration, state.learned_net) == (iteration, f"{stem}.caffemodel{end}")
    assert train(solver, "--output", "from", "--resume", f"run/models/tiny__iter_6.solverstate{end}") == 0
    assert same(weights("run"), weights("from"))


def test_snapshot_diff_holds_the_last_update(solver: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(solver, ("snapshot: 3", "snapshot: 1 snapshot_diff: true"))
    assert train(solver, "--max-iter", "2", "--output", "without") == 0
    assert "without effect here: snapshot_diff (no snapshot_format" in capsys.readouterr().err
    edit(solver, ("snapshot: 1", "snapshot: 1 snapshot_format: BINARYPROTO"))
    assert train(solver, "--max-iter", "2", "--output", "run") == 0
    assert "without effect" not in capsys.readouterr().err
    one, two = (
        NetParameter.FromString(Path(f"run/models/tiny__iter_{n}.caffemodel").read_bytes()) for n in (1, 2)
    )
    blobs = {layer.name: layer.blobs for layer in one.layer}
    for layer in two.layer:
        for before, after in zip(blobs[layer.name], layer.blobs, strict=True):
            taken = np.array(before.data) - np.array(after.data)
            assert len(after.diff) == len(after.data)
            np.testing.assert_allclose(after.diff, taken, atol=1e-6)


def with_caffes(solver: Path) -> None:
    edit(solver, ("snapshot: 3", "snapshot: 3 snapshot_format: BINARYPROTO"))


def test_a_run_resumes_from_its_own_snapshot_and_writes_caffes_again(solver: Path) -> None:
    with_caffes(solver)
    assert train(solver, "--output", "whole") == 0
    assert train(solver, "--output", "cut", "--max-iter", "7") == 0
    for iteration in (6, 7):  # as if killed in the midst of the snapshot at 6
        Path(f"cut/models/tiny__iter_{iteration}.safetensors").unlink()
    Path("cut/models/tiny__iter_6.caffemodel").write_bytes(b"half")
    assert train(solver, "--output", "cut", "--resume", "--max-iter", "10") == 0
    assert same(weights("whole"), weights("cut")) and lines("whole") == lines("cut")
    for iteration in (6, 9, 10):
        one, other = (Path(x, f"models/tiny__iter_{iteration}.caffemodel") for x in ("whole", "cut"))
        assert one.read_bytes() == other.read_bytes()
    record = json.loads(Path("cut/run.json").read_text())
    assert record["caffe_snapshots"] == sorted(
        f"models/tiny__iter_{n}.{kind}" for n in (3, 6, 7, 9, 10) for kind in ("caffemodel", "solverstate")
    )


@pytest.mark.parametrize("name", ["tiny__iter_3.caffemodel", "tiny__iter_10.solverstate"])
def test_a_snapshot_of_caffes_own_is_not_written_over(
    solver: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with_caffes(solver)
    foreign = Path("run/models", name)
    foreign.parent.mkdir(parents=True)
    foreign.write_text("mine")
    assert train(solver, "--output", "run") == 2
    assert f"{foreign}: is no run's of ours" in capsys.readouterr().err
    assert foreign.read_text() == "mine" and not Path("run/run.json").exists()
    later = foreign.rename(foreign.with_name("tiny__iter_11.caffemodel"))  # past the run's end
    assert train(solver, "--output", "run") == 0 and later.read_text() == "mine"


def test_what_a_resumed_run_has_behind_it_may_be_caffes(solver: Path) -> None:
    with_caffes(solver)
    assert train(solver, "--output", "first") == 0
    there = Path("there").absolute()
    for path in Path("first/models").glob("tiny__iter_[36].*[el]"):
        there.mkdir(exist_ok=True)
        (there / path.name).write_bytes(path.read_bytes())
    before = {path: path.read_bytes() for path in there.iterdir()}
    assert len(before) == 4
    prefix = ["--set", f'snapshot_prefix: "{there}/tiny_"']
    assert train(solver, "--output", "run", *prefix, "--resume", f"{there}/tiny__iter_6.solverstate") == 0
    assert same(weights("first"), weights("run"))
    assert {path: path.read_bytes() for path in before} == before
    assert train(solver, "--output", "again", *prefix, "--resume", f"{there}/tiny__iter_3.solverstate") == 2


def test_a_layer_that_caffe_cannot_read_as_hdf5_is_told_of_once(
    solver: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(solver, ("snapshot: 3", "snapshot: 3 snapshot_format: HDF5"))
    edit(solver.parent / "tiny.prototxt", ('name: "fc"', 'name: "a/fc"'))
    assert train(solver, "--output", "run") == 0
    assert capsys.readouterr().err.count('Caffe finds no layer with "/" in its name in a .h5: a/fc') == 1


# debug_info.


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
