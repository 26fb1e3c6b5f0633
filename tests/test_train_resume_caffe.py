"""zoo train where Caffe left off: its snapshots, its weights, its log lines, its several test nets."""

import json
import re
from pathlib import Path

import pytest
import torch
from golden_cases import GOLDEN, arrays, blob_of, error, named
from train_runs import edit, lines, memory_feed, same, train, weights

from converters import load_net
from prototxt.text import read_net
from zoo.runs.run_folder import read_metrics

pytestmark = pytest.mark.usefixtures("without_export")


@pytest.mark.parametrize("case", sorted(path.name for path in (GOLDEN / "solver").iterdir()))
def test_caffes_own_snapshot_goes_on_to_where_caffe_ended(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, data = GOLDEN / "solver" / case, arrays(GOLDEN / "solver" / case / "run.npz")
    monkeypatch.setattr("zoo.train.sources.open_feed", memory_feed(data))
    monkeypatch.chdir(tmp_path)
    snapshot = folder / "snap_iter_15.solverstate"
    assert train(folder / "solver.prototxt", "--resume", str(snapshot), "--output", "run") == 0
    assert json.loads(Path("run/run.json").read_text())["iteration"] == 30
    net = load_net(folder / "net.prototxt", phase="TRAIN")
    net.load_weights(Path("run/weights.safetensors"))
    for name, blob in named(data, "final").items():
        assert error(blob_of(net, name).detach(), blob) <= 1e-4, name


def test_the_weights_of_a_state_are_where_it_says_or_beside_it(tmp_path: Path) -> None:
    from converters.solver.names import find_weights
    from prototxt.errors import InputError

    state, there = tmp_path / "x_iter_5.solverstate", tmp_path / "there"
    there.mkdir()
    says = str(there / "y.caffemodel")
    with pytest.raises(InputError, match="which are gone"):
        find_weights(says, state)
    for path in (tmp_path / "x_iter_5.caffemodel", tmp_path / "y.caffemodel", there / "y.caffemodel"):
        path.touch()
        assert find_weights(says, state) == path
    assert find_weights("C:\\models\\y.caffemodel", state) == tmp_path / "y.caffemodel"


def trained(solver: Path) -> dict[str, torch.Tensor]:
    """Weights of one run, as a.caffemodel, a.h5 and (the run's own) .safetensors."""
    assert train(solver, "--output", "first", "--max-iter", "3") == 0
    net = load_net("first/net.prototxt", "first/weights.safetensors")
    net.save_caffemodel("a.caffemodel")
    net.save_hdf5("a.h5")
    edit(solver, ("base_lr: 0.001", "base_lr: 0"))
    return weights("first")


@pytest.mark.parametrize("file", ["a.caffemodel", "a.h5", "first/weights.safetensors"])
def test_fine_tuning_takes_layers_of_the_same_name(
    solver: Path, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first = trained(solver)
    edit(solver.parent / "tiny.prototxt", ('name: "fc"', 'name: "fc_new"'))
    assert train(solver, "--weights", file, "--output", "fine", "--seed", "4", "--max-iter", "1") == 0
    fine, err = weights("fine"), capsys.readouterr().err
    assert torch.equal(fine["conv1.weight"], first["conv1.weight"]) and "fc.weight" not in fine
    assert re.search(rf"{file}: weights of conv1; not in the net: fc", err)
    assert "starting fresh: fc_new" in err
    assert train(solver, "--output", "fresh", "--seed", "4", "--max-iter", "1") == 0
    assert torch.equal(fine["fc_new.weight"], weights("fresh")["fc_new.weight"])


def test_fine_tuning_from_several_files_and_from_the_solvers_field(
    solver: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = trained(solver)
    assert (
        train(solver, "--weights", "a.h5,first/weights.safetensors", "--output", "a", "--max-iter", "1") == 0
    )
    assert "starting fresh: no layer" in capsys.readouterr().err
    solver.write_text(solver.read_text() + 'weights: "a.h5,a.caffemodel" weights: "a.caffemodel"\n')
    assert train(solver, "--output", "b", "--max-iter", "1") == 0
    assert capsys.readouterr().err.count("weights of conv1, fc") == 3
    assert same(first, weights("a")) and same(first, weights("b"))


def test_fine_tuning_refuses_other_shapes_and_missing_files(
    solver: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained(solver)
    assert train(solver, "--weights", "a.caffemodel", "--classes", "5", "--output", "b") == 2
    says = capsys.readouterr().err.splitlines()[-1]
    assert 'layer "fc": blob 0 has shape' in says and "a name of its own" in says
    assert train(solver, "--weights", "gone.h5", "--output", "b") == 2
    assert 'weights file "gone.h5" is in none of' in capsys.readouterr().err
    assert train(solver, "--weights", "a.h5", "--resume", "x.solverstate", "--output", "b") == 2
    assert "give one" in capsys.readouterr().err


def test_a_fine_tuned_run_resumes(solver: Path) -> None:
    trained(solver)
    edit(solver, ("base_lr: 0", "base_lr: 0.001"))
    assert train(solver, "--weights", "a.h5", "--output", "whole") == 0
    assert train(solver, "--weights", "a.h5", "--output", "cut", "--max-iter", "6") == 0
    assert train(solver, "--output", "cut", "--max-iter", "10", "--resume") == 0
    assert same(weights("whole"), weights("cut"))


def test_caffes_log_lines(solver: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The patterns of Caffe's tools/extra/parse_log.py, the prefix it takes the time from included."""
    assert train(solver, "--log-format", "caffe", "--output", "run") == 0
    err = capsys.readouterr().err.splitlines()
    log = [line for line in err if re.match(r"I\d{4} \d\d:\d\d:\d\d\.\d{6} +\d+ \w+\.cpp:\d+\] ", line)]
    said = [line.split("] ", 1)[1] for line in log]
    assert said[0] == "Solving tiny" and said[-1] == "Optimization Done."
    assert "Iteration 0, Testing net (#0)" in said and "Iteration 4, lr = 0.001" in said
    text = "\n".join(said)
    losses = re.findall(r"Iteration (\d+) \([\d.e+-]+ iter/s, [\d.e+-]+s/2 iters\), loss = ([\d.e+-]+)", text)
    entries = {entry["iteration"]: entry for entry in read_metrics(Path("run/metrics.jsonl"))}
    assert [int(iteration) for iteration, _ in losses] == [0, 2, 4, 6, 8]
    assert all(entries[int(n)]["loss"] == pytest.approx(float(loss), rel=1e-5) for n, loss in losses)
    assert re.search(r"    Train net output #0: loss = ([\d.]+) \(\* 1 = \1 loss\)", text)
    assert re.search(r"    Test net output #0: accuracy_at_1 = [\d.]+$", text, re.M)
    assert re.search(r"    Test net output #2: loss = ([\d.]+) \(\* 1 = \1 loss\)", text)
    assert "Iteration 10, loss = " in text and "Snapshotting to run/models/tiny__iter_3.safetensors" in text


def test_a_resumed_runs_first_speed_counts_its_own_iterations(
    solver: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(solver, "--max-iter", "7", "--output", "run") == 0
    assert train(solver, "--max-iter", "11", "--output", "run", "--resume", "--log-format", "caffe") == 0
    speeds = re.findall(r"Iteration \d+ \(([\d.e+-]+) iter/s, ([\d.e+-]+)s", capsys.readouterr().err)
    assert [round(float(rate) * float(seconds)) for rate, seconds in speeds] == [1, 2]


def test_several_test_nets_each_with_its_own_iterations_and_state(solver: Path) -> None:
    net = solver.parent / "tiny.prototxt"
    edit(
        net,
        (
            "include { phase: TEST }\n  accuracy_param",
            'include { phase: TEST stage: "five" }\n  accuracy_param',
        ),
    )
    states = 'test_state { } test_state { stage: "five" }'
    edit(solver, ("test_iter: 2", f'test_iter: 2 test_iter: 1 test_net: "tiny.prototxt" {states}'))
    assert train(solver, "--output", "run") == 0
    tested = [entry for entry in lines("run") if "accuracy_at_1" in entry]
    assert [entry["iteration"] for entry in tested] == [0, 4, 8, 10]
    plain = {"accuracy_at_1", "test_loss", "test1/accuracy_at_1", "test1/accuracy_at_5", "test1/loss"}
    assert all(plain <= entry.keys() and "accuracy_at_5" not in entry for entry in tested)
    assert read_net(Path("run/net.prototxt")).name == "tiny"
    again = ["--root", str(solver.parent), "--output", "again"]
    assert train(Path("run/solver.prototxt"), *again) == 0
    assert same(weights("run"), weights("again")) and lines("run") == lines("again")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "test_iter: 2",
            'test_iter: 2 test_net: "tiny.prototxt" test_net: "tiny.prototxt"',
            "1 test_iter for 2 test nets; Caffe takes one for each",
        ),
        ("test_iter: 2", "test_iter: 2 test_state { } test_state { }", "2 test_state for 1 test nets"),
    ],
)
def test_test_nets_that_do_not_count_up(
    solver: Path, old: str, new: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(solver, (old, new))
    assert train(solver) == 2
    assert says in capsys.readouterr().err.splitlines()[-1]


def test_the_test_loss_is_computed_where_asked(solver: Path) -> None:
    solver.write_text(solver.read_text() + "test_compute_loss: true\n")
    assert train(solver, "--output", "run") == 0
    tested = [entry for entry in lines("run") if "test_loss" in entry]
    assert tested and all(entry["test_total_loss"] == pytest.approx(entry["test_loss"]) for entry in tested)


def test_what_has_no_effect_is_named_in_one_line(solver: Path, capsys: pytest.CaptureFixture[str]) -> None:
    solver.write_text(solver.read_text() + "solver_mode: GPU device_id: 0 layer_wise_reduce: false\n")
    assert train(solver, "--max-iter", "1") == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "without effect here" in line]
    assert len(said) == 1 and all(
        name in said[0] for name in ("solver_mode", "device_id", "layer_wise_reduce")
    )
