"""zoo train and load_solver on the same solvers: the same refusals, losses, weights and log lines, by Caffe's
own rules (solver.cpp, sgd_solver.cpp).
"""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from train_runs import lines, same, train, weights

from converters import load_solver
from converters.solver.nets import solver_nets
from converters.solver.update.rates import steps_taken
from converters.weights.formats import write_safetensors
from prototxt.caffe_pb2 import SolverParameter
from prototxt.errors import InputError
from prototxt.text import parse_solver, read_net, read_solver
from zoo.bench.models import Model
from zoo.report.read.runs import FinishedRun
from zoo.runs.run_folder import RunFolder
from zoo.train.snapshots.snapshot import contents

pytestmark = pytest.mark.usefixtures("without_export")

NET = """
name: "tiny" {state}
layer {{ name: "d" type: "DummyData" top: "x" top: "l"
  dummy_data_param {{ shape {{ dim: 4 dim: 3 dim: 2 dim: 1 }} shape {{ dim: 4 }}
    data_filler {{ type: "gaussian" std: 2 }} data_filler {{ type: "constant" value: 1 }} }} }}
layer {{ name: "bn" type: "BatchNorm" bottom: "x" top: "n" {norm} }}
layer {{ name: "drop" type: "Dropout" bottom: "n" top: "n" }}
layer {{ name: "ip" type: "InnerProduct" bottom: "n" top: "y" {rates}
  inner_product_param {{ num_output: 2 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "wide" type: "Power" bottom: "y" top: "z" include {{ phase: TRAIN }} power_param {{ scale: 3 }} }}
layer {{ name: "staged" type: "Power" bottom: "y" top: "s" include {{ stage: "extra" }} }}
{loss}
layer {{ name: "acc" type: "Accuracy" bottom: "y" bottom: "l" top: "acc" include {{ phase: TEST }} }}
"""
LOSS = 'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "y" bottom: "l" top: "loss" loss_weight: 2 }'
SOLVER = 'base_lr: 0.1 lr_policy: "fixed" max_iter: 5 display: 1 random_seed: 3 snapshot_prefix: "s"'


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(solver: str, state: str = "", rates: str = "", loss: str = LOSS, norm: str = "") -> Path:
    Path("net.prototxt").write_text(NET.format(state=state, rates=rates, loss=loss, norm=norm))
    path = Path("solver.prototxt")
    path.write_text(solver)
    return path


def said(err: str) -> list[str]:
    """Caffe's lines of zoo train, without glog's prefix, the clock's figures and the snapshots' names."""
    log = [line.split("] ", 1)[1] for line in err.splitlines() if re.match(r"I\d{4} ", line)]
    return [re.sub(r" \([^)]* iters\)", "", line) for line in log if "Snapshotting" not in line]


SAME = {
    "as it is": (SOLVER, {}),
    "equal and unsorted stepvalues": (
        SOLVER.replace('"fixed"', '"multistep"') + " gamma: 0.5 stepvalue: [2, 2, 2, 1]",
        {},
    ),
    "tests": (SOLVER + " test_iter: 2 test_interval: 2 display: 2 max_iter: 6", {}),
    "tests that end elsewhere": (SOLVER + " test_iter: 1 test_interval: 4 test_initialization: false", {}),
    "last lines": (SOLVER + " test_iter: 1 test_interval: 5 average_loss: 3 display: 5", {}),
    "no display": (SOLVER + " display: 0 test_iter: 1 test_interval: 5 test_compute_loss: true", {}),
    "a net of phase TEST": (SOLVER, {"state": "state { phase: TEST }"}),
    "a net of phase TRAIN, tested": (
        SOLVER + " test_iter: 1 test_interval: 2",
        {"state": "state { phase: TRAIN }"},
    ),
    "the solver's state over the net's": (
        SOLVER + " train_state { phase: TRAIN stage: 'extra' }",
        {"state": "state { phase: TEST }"},
    ),
    "no loss": (SOLVER + " weight_decay: 0.1", {"loss": ""}),
    "all frozen": (SOLVER, {"rates": "param { lr_mult: 0 } param { lr_mult: 0 }"}),
    "clipped, one frozen": (SOLVER + " clip_gradients: 0.01", {"rates": "param { lr_mult: 0 }"}),
    "iter_size": (SOLVER + " iter_size: 2 type: 'Adam' momentum2: 0.99", {}),
    "debug_info": (SOLVER + " debug_info: true iter_size: 2 momentum: 0.9", {}),
    "no iteration": (SOLVER + " max_iter: 0 test_iter: 1 test_interval: 3", {}),
}


@pytest.mark.parametrize("case", SAME)
def test_both_run_the_same(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    text, net = SAME[case]
    solver = write('net: "net.prototxt" ' + without_repeats(text), **net)
    assert train(solver, "--log-format", "caffe", "--output", "run") == 0
    ours = said(capsys.readouterr().err)
    log: list[str] = []
    other = load_solver(solver, log.append)
    log.clear()
    other.solve()
    assert ours == [line for line in log if "Snapshotting" not in line]
    theirs = {name: blob.detach() for name, blob in other.net.state_dict().items()}
    trained = weights("run")
    assert torch.equal(trained["ip.weight"], theirs["ip.weight"])
    assert train(solver, "--output", "plain") == 0  # what Caffe's log asks for in the end leaves no trace
    assert same(weights("plain"), trained) and lines("plain") == lines("run")


def without_repeats(text: str) -> str:
    """The solver with the later one of two values of a field that takes one."""
    for field in ("display", "max_iter"):
        values = re.findall(rf"\b{field}: \d+", text)
        for earlier in values[:-1]:
            text = text.replace(earlier, "", 1)
    return text


@pytest.mark.parametrize(
    ("nets", "reason"),
    [
        ('net: "net.prototxt" train_net: "net.prototxt"', "it has net, train_net"),
        ('net: "net.prototxt" net_param { name: "a" }', "it has net, net_param"),
        ("", "names no net"),
        (
            'train_net: "net.prototxt" test_net: "net.prototxt" test_interval: 1',
            "0 test_iter for 1 test nets",
        ),
        ('net: "net.prototxt" test_iter: 1', "test_interval must be at least 1"),
        (
            'net: "net.prototxt" test_iter: 1 test_interval: 1 test_state { } test_state { }',
            "2 test_state for 1",
        ),
        ('net: "gone.prototxt"', 'net "gone.prototxt" is'),
    ],
)
def test_both_refuse_what_caffe_refuses(nets: str, reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    solver = write(f"{nets} {SOLVER}")
    assert train(solver) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    with pytest.raises(InputError) as caught:
        load_solver(solver, [].append)
    assert reason in last and reason in str(caught.value)


def test_whoever_reads_a_solvers_nets_is_told_which_solver_names_none() -> None:
    with pytest.raises(InputError, match=r"^a/s\.prototxt: needs one train net"):
        solver_nets(SolverParameter(), Path("a/s.prototxt"), [])


def test_each_step_of_the_rate_takes_an_iteration() -> None:
    """SGDSolver::GetLearningRate: one step a call, of stepvalues in the order in which they stand."""

    def steps(*values: int) -> Sequence[int]:
        solver = SolverParameter(lr_policy="multistep", stepvalue=values)
        before, found = 0, []
        for iteration in range(7):
            before = steps_taken(solver, iteration, before)
            assert steps_taken(solver, iteration) == before
            found.append(before)
        return found

    assert steps(2, 2, 2) == [0, 0, 1, 2, 3, 3, 3]
    assert steps(5, 3) == [0, 0, 0, 0, 0, 1, 2]
    assert steps(0, 0) == [1, 2, 2, 2, 2, 2, 2]


def test_a_resumed_run_goes_on_in_the_midst_of_the_rates_steps() -> None:
    text = SOLVER.replace('"fixed"', '"multistep"') + " gamma: 0.5 stepvalue: [2, 2, 2]"
    solver = write('net: "net.prototxt" ' + text)
    assert train(solver, "--output", "whole") == 0
    assert [line["lr"] for line in lines("whole")][:5] == pytest.approx([0.1, 0.1, 0.05, 0.025, 0.0125])
    assert train(solver, "--output", "cut", "--max-iter", "3") == 0
    assert train(solver, "--output", "cut", "--max-iter", "5", "--resume") == 0
    assert same(weights("whole"), weights("cut"))
    caffes = load_solver(solver, [].append)
    caffes.step(3)
    state = str(caffes.snapshot()[1])
    assert train(solver, "--output", "from", "--resume", state) == 0
    assert [x["lr"] for x in lines("from")] == [x["lr"] for x in lines("whole")][3:]


def test_the_solvers_state_of_a_net_is_told_from_the_nets_own() -> None:
    """NetState: the phase, then the net's own, then the solver's; the message stays as it was written."""
    stages = 'net: "net.prototxt" train_state { stage: "a" } test_state { level: 2 } test_iter: 1 test_interval: 1 '
    solver = write(stages + SOLVER, state='state { phase: TEST stage: "own" }')
    trained, tested = solver_nets(read_solver(solver), solver, [Path()])
    assert (trained.phase, list(trained.state.stage)) == ("TEST", ["own", "a"])
    assert (tested.state.level, list(tested.state.stage)) == (2, ["own"])
    assert list(trained.message.state.stage) == ["own"]


def test_a_test_net_has_the_train_nets_blobs() -> None:
    """Net::ShareTrainedLayersWith: after an update the tested blobs are the new ones, BatchNorm's sums too."""
    solver = load_solver(write('net: "net.prototxt" test_iter: 1 test_interval: 10 ' + SOLVER), [].append)
    solver.test_all()
    solver.step(1)
    for layer in ("bn", "ip"):
        pairs = zip(solver.test_nets[0].params[layer], solver.net.params[layer], strict=True)
        for ours, theirs in pairs:
            assert torch.equal(ours, theirs) and ours.data_ptr() == theirs.data_ptr()


def test_no_tests_can_be_asked_for() -> None:
    """--set cannot clear a list: a test_interval of 0 there stands for none of its nets either."""
    solver = write('net: "net.prototxt" test_iter: 1 test_interval: 1 ' + SOLVER)
    assert train(solver, "--set", "test_interval: 0", "--output", "run") == 0
    assert not any("acc" in line for line in lines("run"))


def test_a_run_says_how_many_images_a_step_reads() -> None:
    """The data layer is chosen by stage: without it the batch would be another one."""
    net = """layer {{ name: "d" type: "MemoryData" top: "x" top: "l" include {{ {} }}
        memory_data_param {{ batch_size: {} channels: 1 height: 1 width: 1 }} }}"""
    Path("net.prototxt").write_text(net.format("not_stage: 'big'", 4) + net.format("stage: 'big'", 32))
    Path("run").mkdir()
    Path("run/net.prototxt").write_text(Path("net.prototxt").read_text())
    Path("run/solver.prototxt").write_text('net: "net.prototxt" train_state { stage: "big" } iter_size: 2')
    model = Model(
        "a",
        Path("run/model.onnx"),
        read_net("run/net.prototxt"),
        RunFolder(Path("run"), "s"),
        {"world_size": 3},
    )
    assert FinishedRun(model, ()).images_per_step == 32 * 2 * 3
    assert model.record is not None
    model.record["images_per_step"] = 7
    assert FinishedRun(model, ()).images_per_step == 7


def test_an_old_net_written_out_in_the_solver_is_told_of_once() -> None:
    said: list[str] = []
    old = "layers { name: 'a' type: SIGMOID bottom: 'x' top: 'y' }"
    parse_solver(f"net_param {{ {old} }} test_net_param {{ {old} }}", warn=said.append)
    assert len(said) == 1 and "where Caffe aborts" in said[0]
    norm = "layer { name: 'a' type: 'BatchNorm' bottom: 'x' top: 'y' %s }"
    for params, count in (("param { lr_mult: 0 } " * 3, 1), ("param { } " * 3, 2), ("", 2)):
        parse_solver(f"net_param {{ {norm % params} }}", warn=said.append)
        assert len(said) == count, params


def test_weights_are_told_from_states_and_snapshots(capsys: pytest.CaptureFixture[str]) -> None:
    solver = write('net: "net.prototxt" ' + SOLVER)
    for form in ("", "snapshot_format: HDF5"):
        solver.write_text(f'net: "net.prototxt" {form} {SOLVER}')
        load_solver(solver, [].append).snapshot()
    assert train(solver, "--output", "run") == 0
    snapshot = "run/s_iter_5.safetensors"
    for file in ("s_iter_0.caffemodel", "s_iter_0.caffemodel.h5", "run/weights.safetensors"):
        assert train(solver, "--output", "other", "--resume", file) == 2
        assert f"{file}: these are weights: give --resume the .solverstate" in capsys.readouterr().err
    for file in ("s_iter_0.solverstate", "s_iter_0.solverstate.h5"):
        assert train(solver, "--output", "other", "--weights", file) == 2
        assert f"{file}: is a solver's state and holds no weights" in capsys.readouterr().err
    assert train(solver, "--output", "other", "--weights", snapshot) == 2
    assert f"{snapshot}: is a run's snapshot: give it to --resume" in capsys.readouterr().err
    Path("renamed.bin").write_bytes(Path("s_iter_0.solverstate").read_bytes())
    assert train(solver, "--output", "other", "--resume", "renamed.bin") == 0


def test_a_snapshot_whose_header_begins_as_a_state_is_a_snapshot() -> None:
    for padding in range(256):
        write_safetensors(Path("a.safetensors"), {}, {"zoo": "x" * padding})
        if Path("a.safetensors").read_bytes()[0] == 8:
            break
    else:
        raise AssertionError("no header of such a length")
    assert contents(Path("a.safetensors")) == "snapshot"


@pytest.mark.parametrize("state", ["x", "[]", "{}", '{"iteration": 3}', '{"iteration": null, "losses": []}'])
def test_a_snapshot_that_says_no_state_is_one_line(state: str, capsys: pytest.CaptureFixture[str]) -> None:
    solver = write('net: "net.prototxt" ' + SOLVER)
    write_safetensors(Path("a.safetensors"), {}, {"zoo": state})
    assert train(solver, "--output", "run", "--resume", "a.safetensors") == 2
    assert "a.safetensors: is not a snapshot of a run" in capsys.readouterr().err


def test_a_state_of_another_solver_names_its_file_and_changes_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    solver = write('net: "net.prototxt" ' + SOLVER)
    state = load_solver(solver, [].append).snapshot()[1]
    solver.write_text(solver.read_text() + " type: 'Adam'")

    def refuse(*_: object) -> None:
        raise AssertionError("weights were loaded")

    monkeypatch.setattr("zoo.train.snapshots.snapshot.load_weights", refuse)
    assert train(solver, "--output", "run", "--resume", str(state)) == 2
    assert f"{state}: holds 5 histories; Adam keeps 10" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["metrics.jsonl", "net.prototxt", "solver.prototxt", "model.onnx"])
def test_a_foreign_file_is_not_written_over(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    solver = write('net: "net.prototxt" ' + SOLVER)
    Path("run").mkdir()
    Path("run", name).write_text("mine")
    assert train(solver, "--output", "run") == 2
    assert f"run/{name}: is no run's of ours" in capsys.readouterr().err
    assert Path("run", name).read_text() == "mine"


def test_a_prefix_that_another_run_has_is_told_from_the_folder(capsys: pytest.CaptureFixture[str]) -> None:
    solver = write('net: "net.prototxt" ' + SOLVER)
    prefix = ["--set", f'snapshot_prefix: "{Path.cwd()}/shared/snap"']
    assert train(solver, "--output", "one", *prefix) == 0
    assert train(solver, "--output", "two", *prefix) == 2
    assert "safetensors: is an earlier run's, of this snapshot_prefix" in capsys.readouterr().err
