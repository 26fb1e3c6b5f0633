"""What zoo train writes for Caffe beside its own snapshots, where the solver sets snapshot_format."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file
from train_runs import edit, lines, same, train, weights

from converters import load_net
from converters.solver.state import read_state
from prototxt.caffe_pb2 import NetParameter

pytestmark = pytest.mark.usefixtures("without_export")


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


@pytest.mark.parametrize("prefix", ["models/", "models/a_iter_0", "w[1]+(x)"])
def test_a_prefix_may_be_a_folder_or_look_like_a_number_or_a_pattern(
    solver: Path, prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with_caffes(solver)
    edit(solver, ('"models/tiny_"', f'"{prefix}"'))
    assert train(solver, "--output", "run") == 0
    Path(f"run/{prefix}_iter_12.solverstate").write_text("mine")
    assert train(solver, "--output", "run", "--max-iter", "12", "--resume") == 2
    Path(f"run/{prefix}_iter_12.solverstate").unlink()
    assert train(solver, "--output", "run", "--max-iter", "12", "--resume") == 0
    assert f"going on from run/{prefix}_iter_10.safetensors, iteration 10" in capsys.readouterr().err
    stem = Path(f"run/{prefix}_iter_12")
    endings = {
        path.name.removeprefix(stem.name) for path in stem.parent.iterdir() if "_iter_12." in path.name
    }
    assert endings == {".safetensors", ".caffemodel", ".solverstate"}


def test_a_layer_that_caffe_cannot_read_as_hdf5_is_told_of_once(
    solver: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(solver, ("snapshot: 3", "snapshot: 3 snapshot_format: HDF5"))
    edit(solver.parent / "tiny.prototxt", ('name: "fc"', 'name: "a/fc"'))
    assert train(solver, "--output", "run") == 0
    assert capsys.readouterr().err.count('Caffe finds no layer with "/" in its name in a .h5: a/fc') == 1


def test_a_run_goes_on_where_hdf5_has_no_room_for_its_layers(
    solver: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(solver, ("snapshot: 3", "snapshot: 3 snapshot_format: HDF5"))
    edit(solver.parent / "tiny.prototxt", ('name: "conv1"', 'name: "fc"'))
    assert train(solver, "--set", "test_interval: 0", "--output", "run") == 0
    assert (
        'no snapshot in Caffe\'s format: run/models/tiny__iter_3.caffemodel.h5: two layers are called "fc"'
        in (capsys.readouterr().err)
    )
    assert sorted(path.suffix for path in Path("run/models").iterdir()) == [".safetensors"] * 4
