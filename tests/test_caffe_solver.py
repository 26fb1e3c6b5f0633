"""load_solver against 30 iterations of real Caffe, from the start and from Caffe's own snapshots; and what
a solver does between iterations.
"""

import csv
import shutil
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_cases import GOLDEN, arrays, assert_ended, error, named, set_blobs

from converters import CaffeSolver, load_solver
from converters.solver.file import notices
from converters.solver.nets import check_nets
from converters.solver.state import SavedState, read_state, write_state
from converters.solver.update.rules import check_solver
from prototxt.caffe_pb2 import NetParameter, SolverParameter, SolverState
from prototxt.errors import InputError
from prototxt.text import read_solver

RUNS = sorted(path.name for path in (GOLDEN / "solver").iterdir())
FORMATS = ("BINARYPROTO", "HDF5")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Snapshots land where the test may write."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def recorded(run: str) -> dict[str, np.ndarray]:
    return arrays(GOLDEN / "solver" / run / "run.npz")


def begun(run: str, extra: str = "", log: list[str] | None = None) -> CaffeSolver:
    """The run's solver, with ``extra`` in its prototxt, at Caffe's first weights."""
    for name in ("net.prototxt", "solver.prototxt"):
        shutil.copyfile(GOLDEN / "solver" / run / name, name)
    text = Path("solver.prototxt").read_text() + extra
    for field in {line.split(":")[0] for line in extra.split("\n") if line}:
        kept = [x for x in text.removesuffix(extra).split("\n") if not x.startswith(field + ":")]
        text = "\n".join(kept) + "\n" + extra
    Path("solver.prototxt").write_text(text)
    solver = load_solver("solver.prototxt", log=[].append if log is None else log.append)
    data = recorded(run)
    set_blobs(solver.net, named(data, "init"))
    solver.net.set_input_arrays(data["X"], data["y"])
    return solver


def serve_from(solver: CaffeSolver, data: dict[str, np.ndarray]) -> None:
    """Hand the arrays over so that the first row served is the one that is due at ``solver.iter``."""
    batch = next(iter(solver.net.shapes.values()))[0]
    gone = solver.iter * solver.message.iter_size * batch % len(data["X"])
    solver.net.set_input_arrays(np.roll(data["X"], -gone, 0), np.roll(data["y"], -gone, 0))


def state_of(solver: CaffeSolver) -> list[torch.Tensor]:
    blobs = [blob for layer in solver.net.params.values() for blob in layer]
    return [x.detach().clone() for x in [*blobs, *solver.update_rule.history_blobs()]]


def same(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


# Against Caffe's recordings.


@pytest.mark.parametrize("run", RUNS)
def test_thirty_iterations_end_where_caffe_ended(run: str) -> None:
    solver, data = begun(run), recorded(run)
    losses = [solver.step(1) for _ in range(solver.message.max_iter)]
    np.testing.assert_allclose(losses, data["loss_last_subiteration"], rtol=0, atol=1e-5)
    assert_ended(solver.net, data)


@pytest.mark.parametrize("run", RUNS)
def test_going_on_from_caffes_own_snapshot_ends_where_caffe_ended(run: str) -> None:
    solver, data = begun(run), recorded(run)
    solver.restore(GOLDEN / "solver" / run / "snap_iter_15.solverstate")
    assert solver.iter == 15
    serve_from(solver, data)
    losses = [solver.step(1) for _ in range(15)]
    np.testing.assert_allclose(losses, data["loss_last_subiteration"][15:], rtol=0, atol=1e-5)
    assert_ended(solver.net, data)


@pytest.mark.parametrize("run", RUNS)
def test_the_state_after_fifteen_iterations_is_caffes(run: str) -> None:
    solver = begun(run)
    solver.step(15)
    ours, theirs = (SolverState.FromString(Path(p).read_bytes()) for p in (
        solver.snapshot()[1], GOLDEN / "solver" / run / "snap_iter_15.solverstate"))  # fmt: skip
    assert (ours.iter, ours.learned_net, ours.current_step) == (15, theirs.learned_net, theirs.current_step)
    for mine, caffes in zip(ours.history, theirs.history, strict=True):
        assert mine.shape == caffes.shape
        shape = tuple(mine.shape.dim)
        pair = (torch.tensor(list(blob.data)).reshape(shape) for blob in (mine, caffes))
        assert error(*pair) <= 1e-4


@pytest.mark.parametrize("run", RUNS)
def test_caffes_state_is_written_again_byte_for_byte(run: str, folder: Path) -> None:
    path = GOLDEN / "solver" / run / "snap_iter_15.solverstate"
    write_state("again.solverstate", read_state(path))
    assert Path("again.solverstate").read_bytes() == path.read_bytes()


# Our own snapshots.


@pytest.mark.parametrize(
    "run", ["sgd_bn", "sgd_iter_size", "sgd_frozen", "nesterov", "adam", "adadelta", "sgd_multistep"]
)
@pytest.mark.parametrize("form", FORMATS)
def test_a_snapshot_goes_on_bit_for_bit(run: str, form: str) -> None:
    whole, data = begun(run, f"snapshot_format: {form}\n"), recorded(run)
    whole.step(11)
    model, state = whole.snapshot()
    suffix = ".h5" if form == "HDF5" else ""
    assert (str(model), str(state)) == (
        f"snap_iter_11.caffemodel{suffix}",
        f"snap_iter_11.solverstate{suffix}",
    )
    whole.step(9)
    resumed = begun(run, f"snapshot_format: {form}\n")
    resumed.restore(state)
    serve_from(resumed, data)
    resumed.step(9)
    assert resumed.iter == whole.iter == 20
    assert same(state_of(resumed), state_of(whole))


def test_an_hdf5_state_is_laid_out_as_caffes(folder: Path) -> None:
    import h5py

    state = SavedState(7, "a/snap_iter_7.caffemodel.h5", 2, [torch.arange(6.0).reshape(2, 3), torch.ones(4)])
    write_state("s.solverstate.h5", state)
    with h5py.File("s.solverstate.h5") as file:
        assert sorted(file) == ["current_step", "history", "iter", "learned_net"]
        assert file["iter"].shape == (1,)
        assert file["iter"].dtype == np.int32
        kind = file["learned_net"].id.get_type()
        assert (kind.get_size(), kind.get_strpad()) == (len(state.learned_net) + 1, h5py.h5t.STR_NULLTERM)
        assert file["history/0"].shape == (2, 3)
        assert file["history/0"].dtype == np.float32
    again = read_state("s.solverstate.h5")
    assert (again.iteration, again.learned_net, again.current_step) == (7, state.learned_net, 2)
    assert same(again.history, state.history)


@pytest.mark.parametrize("form", FORMATS)
def test_snapshot_diff_writes_what_the_update_took_off(form: str) -> None:
    import h5py

    solver = begun("sgd_bn", f"snapshot_format: {form}\nsnapshot_diff: true\n")
    solver.step(3)
    before = solver.net.params["fc"][0].detach().clone()
    solver.step(1)
    taken = before - solver.net.params["fc"][0].detach()
    model, _ = solver.snapshot()
    if form == "HDF5":
        with h5py.File(model) as file:
            diff = torch.from_numpy(file["diff/fc/0"][()])
            assert not file["diff/conv1/bn/0"][()].any()
    else:
        layers = {layer.name: layer for layer in NetParameter.FromString(model.read_bytes()).layer}
        diff = torch.tensor(list(layers["fc"].blobs[0].diff)).reshape(3, 45)
        assert not any(layers["conv1/bn"].blobs[0].diff)
    assert error(diff, taken) <= 1e-4
    solver.restore(f"snap_iter_4.solverstate{'.h5' if form == 'HDF5' else ''}")  # reads over the diffs


def test_a_state_with_legacy_shapes_is_taken(folder: Path) -> None:
    solver = begun("sgd_fixed_plain")
    solver.step(2)
    state = read_state(solver.snapshot()[1])
    legacy = SolverState(iter=2, learned_net=state.learned_net)
    for blob in state.history:
        num, channels, height, width = (1,) * (4 - blob.dim()) + tuple(blob.shape)
        sides = {"num": num, "channels": channels, "height": height, "width": width}
        legacy.history.add(data=blob.reshape(-1).tolist(), **sides)
    Path("legacy.solverstate").write_bytes(legacy.SerializeToString())
    other = begun("sgd_fixed_plain")
    other.restore("legacy.solverstate")
    assert same(state_of(other), state_of(solver))


# What goes wrong, in one line.


def refused(action: object, *args: object) -> str:
    with pytest.raises(InputError) as caught:
        action(*args)  # type: ignore[operator]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_state_of_another_net_or_type_is_refused_and_changes_nothing() -> None:
    solver = begun("sgd_fixed_plain")
    before = state_of(solver)
    other = GOLDEN / "solver" / "sgd_bn" / "snap_iter_15.solverstate"
    assert f"{other}: holds 9 histories; SGD keeps 4" in refused(solver.restore, other)
    adam = GOLDEN / "solver" / "adam" / "snap_iter_15.solverstate"
    assert "holds 8 histories; SGD keeps 4 for the 4 blobs" in refused(solver.restore, adam)
    state = read_state(GOLDEN / "solver" / "sgd_inv" / "snap_iter_15.solverstate")
    state.history[2] = torch.zeros(3, 44)
    write_state("shape.solverstate", state)
    assert "history 2 has shape (3, 44); blob fc.weight has (3, 45)" in refused(
        solver.restore, "shape.solverstate"
    )
    assert same(state_of(solver), before)
    assert solver.iter == 0


@pytest.mark.parametrize("cut", [1, 7, 100, 900])
def test_a_state_cut_short_is_refused(cut: int) -> None:
    solver = begun("sgd_fixed_plain")
    data = (GOLDEN / "solver" / "sgd_fixed_plain" / "snap_iter_15.solverstate").read_bytes()
    Path("cut.solverstate").write_bytes(data[:cut])
    assert refused(solver.restore, "cut.solverstate").startswith("cut.solverstate: ")


def test_a_label_out_of_range_teaches_nothing() -> None:
    solver, data = begun("sgd_fixed_plain"), recorded("sgd_fixed_plain")
    before = state_of(solver)
    solver.net.set_input_arrays(data["X"], np.full_like(data["y"], 3))
    assert "label 3 of sample 0 is out of range" in refused(solver.step, 1)
    assert same(state_of(solver), before) and solver.iter == 0
    solver.net.set_input_arrays(data["X"], data["y"])
    np.testing.assert_allclose(solver.step(1), data["loss_last_subiteration"][0], rtol=0, atol=1e-5)


def test_a_cut_hdf5_state_is_refused() -> None:
    solver = begun("sgd_fixed_plain", "snapshot_format: HDF5\n")
    state = solver.snapshot()[1]
    state.write_bytes(state.read_bytes()[:-500])
    assert refused(solver.restore, state).startswith(f"{state}: no whole .solverstate.h5")


def test_what_is_no_state_is_refused(folder: Path) -> None:
    Path("text.solverstate").write_text("iter: 15\n")
    assert "is text" in refused(read_state, "text.solverstate")
    Path("empty.solverstate").write_bytes(b"")
    assert "is empty" in refused(read_state, "empty.solverstate")
    assert "cannot be read: No such file" in refused(read_state, "none.solverstate")
    model = GOLDEN / "solver" / "adam" / "snap_iter_15.caffemodel"
    assert f"{model}: is no .solverstate" in refused(read_state, model)
    hdf5 = begun("adam", "snapshot_format: HDF5\n").snapshot()[0]
    assert "is no .solverstate.h5" in refused(read_state, hdf5)


def test_a_state_whose_weights_are_gone_is_refused() -> None:
    solver = begun("sgd_fixed_plain")
    shutil.copyfile(GOLDEN / "solver" / "sgd_fixed_plain" / "snap_iter_15.solverstate", "alone.solverstate")
    assert 'names the weights "snap_iter_15.caffemodel"' in refused(solver.restore, "alone.solverstate")


def test_arrays_that_caffe_refuses_are_refused() -> None:
    solver = begun("sgd_fixed_plain")
    x, y = np.zeros((16, 2, 9, 9), np.float32), np.zeros(16, np.float32)
    assert "is not (N, 2, 9, 9)" in refused(solver.net.set_input_arrays, x[:, :1], y)
    assert "12 rows are no multiple of batch_size 8" in refused(solver.net.set_input_arrays, x[:12], y[:12])
    assert "are not one for each of 16 rows" in refused(solver.net.set_input_arrays, x, y[:8])
    assert "is not (N, 2, 9, 9)" in refused(solver.net.set_input_arrays, x[:0], y[:0])
    solver.net.set_input_arrays(x, y[:, None, None, None])


def test_a_net_without_its_arrays_says_what_it_lacks() -> None:
    begun("sgd_fixed_plain")
    solver = load_solver("solver.prototxt", log=[].append)
    assert "set_input_arrays gives it some" in refused(solver.step, 1)


def test_an_unwritable_place_is_one_line_and_leaves_nothing() -> None:
    solver = begun("sgd_fixed_plain", 'snapshot_prefix: "file/snap"\n')
    Path("file").write_text("in the way")
    assert "cannot be written" in refused(solver.snapshot)
    assert sorted(p.name for p in Path().iterdir()) == ["file", "net.prototxt", "solver.prototxt"]


def test_a_snapshot_is_whole_or_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    solver = begun("sgd_fixed_plain")
    model, state = solver.snapshot()
    kept = model.read_bytes(), state.read_bytes()
    solver.step(1)
    solver.iter = 0  # the same names again

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("prototxt.binary.solverstate.write_blob", full)
    assert "No space left on device" in refused(solver.snapshot)
    assert state.read_bytes() == kept[1]
    monkeypatch.setattr("prototxt.binary.caffemodel.write_blob", full)
    before = model.read_bytes()
    refused(solver.snapshot)
    assert model.read_bytes() == before
    assert not list(Path().glob(".*"))


# Between iterations.

SMALL = """
name: "small"
layer { name: "data" type: "MemoryData" top: "data" top: "label"
  memory_data_param { batch_size: 4 channels: 3 height: 1 width: 1 } }
layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc" param { name: "w" }
  inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
layer { name: "drop" type: "Dropout" bottom: "fc" top: "fc" include { phase: TRAIN stage: "noisy" } }
layer { name: "extra" type: "Accuracy" bottom: "fc" bottom: "label" top: "extra" include { phase: TEST min_level: 2 } }
layer { name: "accuracy" type: "Accuracy" bottom: "fc" bottom: "label" top: "accuracy" include { phase: TEST } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" loss_weight: 2 }
"""


def small(solver: str, log: list[str] | None = None) -> CaffeSolver:
    Path("small.prototxt").write_text(SMALL)
    Path("s.prototxt").write_text('base_lr: 0.1 lr_policy: "fixed" random_seed: 3\n' + solver)
    made = load_solver("s.prototxt", log=[].append if log is None else log.append)
    random = np.random.default_rng(0)
    x, y = random.normal(size=(8, 3, 1, 1)).astype(np.float32), random.integers(0, 2, 8)
    for net in (made.net, *made.test_nets):
        net.set_input_arrays(x, y)
    return made


def test_the_log_is_caffes_line_for_line() -> None:
    log: list[str] = []
    solver = small(
        'net: "small.prototxt" test_iter: 2 test_interval: 2 test_compute_loss: true display: 2 '
        'average_loss: 2 max_iter: 4 snapshot: 2 snapshot_prefix: "run/s"', log
    )  # fmt: skip
    solver.solve()
    shape = [
        line.partition(" = ")[0] if "=" in line else line.partition(": ")[0] if "Test loss" in line else line
        for line in log
    ]
    test = ["Test loss", "    Test net output #0: accuracy", "    Test net output #1: loss"]
    train = ["    Train net output #0: loss"]

    def snap(n: int) -> list[str]:
        return [f"Snapshotting to binary proto file run/s_iter_{n}.caffemodel",
                f"Snapshotting solver state to binary proto file run/s_iter_{n}.solverstate"]  # fmt: skip

    assert shape == [
        "Solving small", "Learning Rate Policy: fixed",
        "Iteration 0, Testing net (#0)", *test, "Iteration 0, loss", *train, "Iteration 0, lr", *snap(2),
        "Iteration 2, Testing net (#0)", *test, "Iteration 2, loss", *train, "Iteration 2, lr", *snap(4),
        "Iteration 4, loss", "Iteration 4, Testing net (#0)", *test, "Optimization Done.",
    ]  # fmt: skip
    line = next(line for line in log if "Train net output" in line)
    value = float(line.split(" = ")[1].split(" ")[0])
    assert line == f"    Train net output #0: loss = {value:g} (* 2 = {2 * value:g} loss)"
    assert "Iteration 0, lr = 0.1" in log


def test_the_display_averages_the_last_losses() -> None:
    log: list[str] = []
    small('net: "small.prototxt" display: 1 average_loss: 3 max_iter: 5', log).step(5)
    shown = [float(line.rpartition("= ")[2]) for line in log if ", loss = " in line]
    single = small('net: "small.prototxt"')
    losses = [single.step(1) for _ in range(5)]
    means = [np.mean(losses[max(0, i - 2) : i + 1]) for i in range(5)]
    assert shown == [pytest.approx(mean, rel=1e-5) for mean in means]


def test_with_iter_size_each_sub_iteration_takes_the_next_batch() -> None:
    log: list[str] = []
    pair = small('net: "small.prototxt" display: 1 iter_size: 2 clip_gradients: 0', log)
    last = pair.step(1)
    single = small('net: "small.prototxt" clip_gradients: 0')
    losses = [single.step(1) for _ in range(2)]
    assert losses[0] != losses[1] == last
    assert float(log[-3].rpartition("= ")[2]) == pytest.approx(np.mean(losses), rel=1e-5)


def test_the_batches_of_an_iteration_take_the_memory_of_one() -> None:
    solver = small('net: "small.prototxt" iter_size: 3')
    module = solver.net.module_of(solver.net.graph.nodes[1])
    tops: list[weakref.ref[torch.Tensor]] = []
    alive: list[int] = []  # tops of the batches before, at the beginning of each
    module.register_forward_pre_hook(lambda *_: alive.append(sum(top() is not None for top in tops)))
    module.register_forward_hook(lambda module, bottoms, top: tops.append(weakref.ref(top)))
    solver.step(1)
    assert alive == [0, 0, 0]


def test_what_a_test_gives_is_the_mean_over_its_batches() -> None:
    solver = small('net: "small.prototxt" test_iter: 2 test_interval: 5')
    scores = solver.test_all()[0]
    net = solver.test_nets[0]
    values = [net.values(net.next_batch()) for _ in range(2)]
    outputs = [{o.blob: o.value for o in net.output_values(v)} for v in values]
    assert scores == {name: pytest.approx(sum(o[name] for o in outputs) / 2) for name in ("accuracy", "loss")}
    assert solver.test_losses == [pytest.approx(2 * scores["loss"])]


def test_several_test_nets_come_in_caffes_order_with_their_states() -> None:
    solver = small(
        'net: "small.prototxt" test_net: "second.prototxt" test_iter: 1 test_iter: 2 test_interval: 3 '
        'test_state { } test_state { level: 2 } train_state { stage: "noisy" }'
        if Path("second.prototxt").write_text(SMALL.replace('"small"', '"second"'))
        else ""
    )
    assert [net.graph.name for net in solver.test_nets] == ["second", "small"]
    assert "drop" in solver.net.layer_types
    assert ["extra" in net.layer_types for net in solver.test_nets] == [False, True]
    assert [sorted(scores) for scores in solver.test_all()] == [
        ["accuracy", "loss"],
        ["accuracy", "extra", "loss"],
    ]


def test_nets_written_out_in_the_solver() -> None:
    body = SMALL.replace('name: "small"', "")
    solver = small(f"train_net_param {{ {body} }} test_net_param {{ {body} }} test_iter: 1 test_interval: 1")
    assert len(solver.test_nets) == 1
    solver.step(2)
    generic = small(f"net_param {{ {body} }} test_iter: 1 test_iter: 1 test_interval: 1")
    assert len(generic.test_nets) == 2


def test_dropout_is_the_iterations_own_so_that_a_snapshot_repeats_it() -> None:
    text = (
        'net: "small.prototxt" train_state { stage: "noisy" } momentum: 0.9 snapshot_prefix: "d" iter_size: 2'
    )
    whole = small(text)
    whole.step(4)
    _, state = whole.snapshot()
    whole.step(4)
    resumed = small(text)
    torch.rand(7)
    resumed.restore(state)
    resumed.step(4)
    assert same(state_of(resumed), state_of(whole))


def test_weights_of_the_solver_are_loaded_into_every_net() -> None:
    first = small('net: "small.prototxt" snapshot_prefix: "first"')
    first.step(3)
    first.snapshot()
    log: list[str] = []
    tuned = small('net: "small.prototxt" weights: "first_iter_3.caffemodel, first_iter_3.caffemodel" '
                  "test_iter: 1 test_interval: 1", log)  # fmt: skip
    for net in (tuned.net, *tuned.test_nets):
        assert same([*net.params["fc"]], [*first.net.params["fc"]])
    assert log.count("Finetuning from first_iter_3.caffemodel") == 2


def test_solve_writes_a_last_snapshot_unless_told_not_to() -> None:
    small('net: "small.prototxt" max_iter: 3 snapshot_prefix: "a"').solve()
    assert Path("a_iter_3.solverstate").is_file()
    small('net: "small.prototxt" max_iter: 3 snapshot_prefix: "b" snapshot_after_train: false').solve()
    assert not list(Path().glob("b_*"))
    solver = small('net: "small.prototxt" max_iter: 5 snapshot_prefix: "a" snapshot_after_train: false')
    solver.solve("a_iter_3.solverstate")
    assert solver.iter == 5


def test_without_a_prefix_snapshots_are_named_after_the_solver() -> None:
    assert small('net: "small.prototxt"').snapshot()[0] == Path("s_iter_0.caffemodel")
    Path("kept").mkdir()
    solver = small('net: "small.prototxt" snapshot_prefix: "kept"')
    assert solver.snapshot()[0] == Path("kept/s_iter_0.caffemodel")


def test_debug_info_tells_every_layers_means() -> None:
    log: list[str] = []
    solver = small('net: "small.prototxt" debug_info: true display: 1 momentum: 0.5', log)
    weight = solver.net.params["fc"][0].detach().clone()
    solver.step(1)
    lines = [line for line in log if line.startswith("    [")]
    assert [line.rpartition(" ")[0] for line in lines if "norm" not in line and "Update" not in line] == [
        "    [Forward] Layer data, top blob data data:",
        "    [Forward] Layer data, top blob label data:",
        "    [Forward] Layer fc, top blob fc data:",
        "    [Forward] Layer fc, param blob w data:",
        "    [Forward] Layer fc, param blob 1 data:",
        "    [Forward] Layer loss, top blob loss data:",
        "    [Backward] Layer loss, bottom blob fc diff:",
        "    [Backward] Layer fc, param blob 0 diff:",
        "    [Backward] Layer fc, param blob 1 diff:",
    ]
    taken = weight - solver.net.params["fc"][0].detach()
    update = next(line for line in lines if line.startswith("    [Update] Layer fc, param w data: "))
    data, diff = (float(part.split()[-1]) for part in update.split(";"))
    assert data == pytest.approx(weight.abs().mean().item(), rel=1e-5)
    assert diff == pytest.approx(taken.abs().mean().item(), rel=1e-4)
    quiet = small('net: "small.prototxt" momentum: 0.5')
    quiet.step(1)
    assert same(state_of(solver), state_of(quiet))


def test_fields_without_a_meaning_here_are_named() -> None:
    assert notices(SolverParameter(random_seed=1)) == []
    lines = notices(SolverParameter(layer_wise_reduce=False, solver_mode=SolverParameter.CPU, device_id=[3]))
    assert [line.split()[0] for line in lines] == ["device_id", "layer_wise_reduce", "random_seed"]


@pytest.mark.parametrize(
    ("nets", "reason"),
    [
        ("", "it has none"),
        ('net: "a" train_net: "b"', "it has net, train_net"),
        ('train_net: "a" test_iter: 3 test_interval: 1', "1 test_iter for 0 test nets"),
        ('net: "a" test_net: "b" test_interval: 1', "0 test_iter for 1 test nets"),
        (
            'net: "a" test_iter: 1 test_interval: 1 test_state { } test_state { }',
            "2 test_state for 1 test nets",
        ),
        ('net: "a" test_iter: 1', "test_interval must be at least 1"),
        ('net: "gone.prototxt"', 'net "gone.prototxt" is in none of'),
    ],
)
def test_nets_that_do_not_add_up_are_refused(nets: str, reason: str) -> None:
    Path("bad.prototxt").write_text(f'base_lr: 1 lr_policy: "fixed" {nets}')
    message = refused(load_solver, "bad.prototxt", [].append)
    assert message.startswith("bad.prototxt: ")
    assert reason in message


def test_a_test_net_of_another_shape_names_the_layer() -> None:
    Path("other.prototxt").write_text(SMALL.replace("num_output: 2", "num_output: 3"))
    solver = small('train_net: "small.prototxt" test_net: "other.prototxt" test_iter: 1 test_interval: 1')
    says = r'other\.prototxt:\d+: layer "fc": has blobs of shapes \[\(3, 3\), \(3,\)\] in the test net'
    with pytest.raises(InputError, match=says):
        solver.test_all()


def test_every_real_solver_is_accepted_or_refused_with_a_reason() -> None:
    corpus = Path(__file__).parents[2] / "shared" / "corpus"
    if not corpus.is_dir():
        pytest.skip("the corpus of real prototxts is not beside this checkout")
    with (corpus / "manifest.tsv").open(encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines, delimiter="\t") if "solver" in row["kind"]]
    refusals: dict[str, list[str]] = {"ok": [], "unknown_field": [], "error": []}
    for row in rows:
        try:
            message = read_solver(corpus / row["file"], lambda line: None)
            check_solver(message)
            check_nets(message)
        except InputError as refusal:
            assert "\n" not in str(refusal)
            refusals[row["parses_with_caffe_1.0_schema"]].append(str(refusal))
    assert refusals["ok"] == ["1 test_iter for 0 test nets; Caffe takes one for each"] * 2
    forks = [reason.partition(" is a field of forks")[0] for reason in refusals["unknown_field"]]
    assert sorted(forks) == ["larc_turbo"]
    assert not refusals["error"]
    assert len(rows) == 87


def test_an_input_layer_takes_what_it_is_given() -> None:
    Path("in.prototxt").write_text(
        'layer { name: "in" type: "Input" top: "x" top: "y" input_param { shape { dim: 2 dim: 3 } shape { dim: 2 } } }'
        'layer { name: "fc" type: "InnerProduct" bottom: "x" top: "fc" inner_product_param { num_output: 2 } }'
        'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "y" top: "loss" }'
    )
    Path("i.prototxt").write_text('net: "in.prototxt" base_lr: 1 lr_policy: "fixed"')
    solver = load_solver("i.prototxt", log=[].append)
    solver.net.set_inputs(x=np.ones((2, 3)), y=[0, 0])
    assert solver.step(2) < solver.step(0) + 1e-9 < np.log(2)
    assert "has shape (3, 3)" in refused(lambda: solver.net.set_inputs(x=np.ones((3, 3))))
    assert "needs a MemoryData layer" in refused(solver.net.set_input_arrays, 0, 0)
