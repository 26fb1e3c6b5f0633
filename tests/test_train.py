"""zoo train: run folders, resuming to the bit, interruption, and what goes wrong."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import onnx
import pytest
import torch
from train_runs import ROOT, lines, same, train, weights

from prototxt.text import read_net, read_solver
from zoo.cli import main
from zoo.runs.run_folder import RunFolder, read_metrics

pytestmark = pytest.mark.usefixtures("without_export")


def edit_record(folder: str, **changes: str) -> None:
    path = Path(folder) / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.usefixtures("with_export")
def test_a_run_folder_holds_everything(solver: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (solver.parent / "classes.txt").write_text("red\ngreen\nblue\n")
    assert train(solver, "--variant", "bn", "--seed", "7") == 0
    out, err = capsys.readouterr()
    folder = Path("runs/tiny-bn")
    assert out.strip() == str(folder)
    assert 'layer "fc" has 3 outputs instead of 20' in err and "ETA" in err
    snapshots = sorted(path.name for path in (folder / "models").iterdir())
    assert snapshots == [f"tiny__iter_{n}.safetensors" for n in (10, 3, 6, 9)]
    record = json.loads((folder / "run.json").read_text())
    assert (
        record["seed"] == 7 and record["variant"] == "bn" and record["finished"] and record["iteration"] == 10
    )
    assert (
        record["versions"]["torch"] == torch.__version__.split("+")[0]
        or record["versions"]["torch"] == torch.__version__
    )
    assert record["data"]["TRAIN"]["images"] == 15 and record["class_names"] == ["red", "green", "blue"]
    net, saved = read_net(folder / "net.prototxt"), read_solver(folder / "solver.prototxt")
    assert [layer.type for layer in net.layer].count("BatchNorm") == 1
    assert saved.net == "net.prototxt" and saved.random_seed == 7 and saved.max_iter == 10
    assert weights(str(folder))["fc.weight"].shape == (3, 8)
    model = onnx.load(folder / "model.onnx")
    assert [value.name for value in model.graph.output] == ["fc"]
    assert "red" in next(entry.value for entry in model.metadata_props if entry.key == "classes")


def test_metrics_have_a_line_at_every_point_and_the_last_iteration(solver: Path) -> None:
    assert train(solver, "--max-iter", "9", "--output", "run") == 0
    entries = read_metrics(Path("run/metrics.jsonl"))
    assert [entry["iteration"] for entry in entries] == [0, 2, 4, 6, 8, 9]
    assert [entry["lr"] for entry in entries] == [0.001, 0.001, 0.001, 0.001, 0.0005, 0.0005]
    tested = [entry["iteration"] for entry in entries if "accuracy_at_1" in entry]
    assert tested == [0, 4, 8, 9]
    assert all(
        {"accuracy_at_1", "accuracy_at_5", "test_loss"} <= entry.keys()
        for entry in entries
        if "test_loss" in entry
    )
    assert all(
        entry["accuracy_at_5"] == 1 for entry in entries if "accuracy_at_5" in entry
    )  # of three classes
    assert entries[0]["images_per_second"] is None  # the first step is warm-up
    assert all(entry["images_per_second"] > 0 for entry in entries[1:-1])
    assert entries[-1]["images_per_second"] is None  # no step since the line of iteration 8, its own included


def test_the_shown_loss_is_the_mean_of_average_loss(solver: Path) -> None:
    text = solver.read_text().replace("display: 2", "display: 1")
    for average, name in ((1, "each"), (3, "mean")):
        solver.write_text(text.replace("average_loss: 3", f"average_loss: {average}"))
        assert train(solver, "--output", name) == 0
    each = [entry["loss"] for entry in lines("each")]
    for index, entry in enumerate(lines("mean")[:10]):
        window = each[max(0, index - 2) : index + 1]
        assert entry["loss"] == pytest.approx(sum(window) / len(window))


def test_the_same_seed_gives_the_same_run_and_another_another(solver: Path) -> None:
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert train(solver, "--seed", seed, "--output", name) == 0
    assert same(weights("a"), weights("b")) and lines("a") == lines("b")
    assert not same(weights("a"), weights("c"))


@pytest.mark.parametrize("at", [3, 6, 9])
def test_a_resumed_run_is_the_uninterrupted_one_to_the_bit(solver: Path, at: int) -> None:
    assert train(solver, "--output", "whole") == 0
    assert train(solver, "--output", "half", "--max-iter", str(at)) == 0
    began = "2020-02-02T02:02:02+00:00"
    edit_record("half", started=began)
    assert train(solver, "--output", "half", "--max-iter", "10", "--resume") == 0
    record = json.loads(Path("half/run.json").read_text())
    assert record["started"] == began < record["ended"]
    assert same(weights("whole"), weights("half"))
    assert [x for x in lines("half") if x["iteration"] != at] == [
        x for x in lines("whole") if x["iteration"] != at
    ]


def test_resume_from_a_named_snapshot(solver: Path) -> None:
    assert train(solver, "--output", "whole") == 0
    snapshot = Path("whole/models/tiny__iter_6.safetensors")
    assert train(solver, "--output", "other", "--resume", str(snapshot)) == 0
    assert same(weights("whole"), weights("other"))


def test_a_snapshot_past_the_end_is_not_counted_against_it(
    solver: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(solver, "--output", "long", "--max-iter", "3") == 0
    assert (
        train(
            solver, "--output", "short", "--max-iter", "2", "--resume", "long/models/tiny__iter_3.safetensors"
        )
        == 0
    )
    assert "tiny-baseline iteration 3 (max_iter 2)  lr" in capsys.readouterr().err


def test_resume_passes_over_a_snapshot_that_is_not_whole(
    solver: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(solver, "--output", "whole") == 0
    assert train(solver, "--output", "run", "--max-iter", "6") == 0
    broken = RunFolder(Path("run"), "models/tiny_").snapshot(8)
    broken.write_bytes(RunFolder(Path("run"), "models/tiny_").snapshot(6).read_bytes()[:-100])
    assert train(solver, "--output", "run", "--max-iter", "10", "--resume") == 0
    err = capsys.readouterr().err
    assert f"{broken}: is not whole, passed over" in err and "iteration 6" in err
    assert same(weights("whole"), weights("run"))


def test_resume_with_nothing_there_starts_afresh_and_a_finished_run_is_left(
    solver: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(solver, "--resume") == 0
    assert "no snapshot to resume from, starting afresh" in capsys.readouterr().err
    before = file_times(Path("runs"))
    for length in ([], ["--max-iter", "5"]):
        assert train(solver, "--resume", *length) == 0
        assert "finished already, at iteration 10\n" in capsys.readouterr().err
    assert file_times(Path("runs")) == before


def file_times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_resume_takes_what_is_not_said_from_the_run_folder(solver: Path) -> None:
    options = ["--variant", "bn+dropout0.9", "--batch-size", "4", "--seed", "3"]
    assert train(solver, "--output", "whole", *options) == 0
    assert train(solver, "--output", "run", "--max-iter", "6", *options) == 0
    assert main(["train", "--output", "run", "--max-iter", "10", "--resume"]) == 0
    assert same(weights("whole"), weights("run"))


def test_resume_refuses_another_variant(solver: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(solver, "--output", "run", "--max-iter", "6") == 0
    assert train(solver, "--output", "run", "--resume", "--variant", "bn") == 2
    assert "run: was begun with --variant baseline, not bn" in capsys.readouterr().err


def test_an_earlier_run_is_not_written_over(solver: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(solver) == 0
    assert train(solver) == 2
    assert "holds an earlier run; --resume" in capsys.readouterr().err


def test_ctrl_c_snapshots_and_the_resumed_run_ends_as_the_whole_one(solver: Path) -> None:
    options = ["--solver", str(solver), "--device", "cpu", "--max-iter", "150", "--variant", "dropout0.9"]
    command = [sys.executable, "-m", "zoo", "train", *options]
    assert main([*command[3:], "--output", "whole"]) == 0
    run = subprocess.Popen(
        [*command, "--output", "cut"], env=_environment(), stderr=subprocess.PIPE, text=True
    )
    metrics = Path("cut/metrics.jsonl")
    deadline = time.monotonic() + 300
    while not (metrics.is_file() and len(read_metrics(metrics)) > 3) and time.monotonic() < deadline:
        time.sleep(0.02)
    run.send_signal(signal.SIGINT)
    assert run.wait(300) == 130
    assert run.stderr is not None and "--resume goes on" in run.stderr.read()
    assert not Path("cut/weights.safetensors").exists()
    assert main([*command[3:], "--output", "cut", "--resume"]) == 0
    assert same(weights("whole"), weights("cut")) and lines("whole") == lines("cut")


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(ROOT)}


def test_a_loss_that_is_not_a_number_names_the_iteration_and_keeps_the_last_good_snapshot(
    solver: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    solver.write_text(solver.read_text().replace("stepsize: 7 gamma: 0.5", "stepsize: 3 gamma: 1e33"))
    assert train(solver, "--output", "run", "--max-iter", "3") == 0
    kept = Path("run/models/tiny__iter_3.safetensors").read_bytes()
    assert train(solver, "--output", "run", "--max-iter", "10", "--resume") == 2
    err = capsys.readouterr().err.splitlines()
    assert "at iteration" in err[-1] and err[-1].startswith("zoo: the loss is")
    assert [path.name for path in Path("run/models").iterdir()] == ["tiny__iter_3.safetensors"]
    assert Path("run/models/tiny__iter_3.safetensors").read_bytes() == kept


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--classes", "2"], "label 2 is out of range for 2 classes"),
        (["--root", "nowhere"], "--root nowhere: no such folder"),
        (["--resume", "missing.safetensors"], "missing.safetensors"),
        (["--variant", "bnn"], 'did you mean "bn"'),
    ],
)
def test_bad_options_are_one_line(
    solver: Path, options: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(solver, *options) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("zoo: ") and says in last
    assert not Path("runs/tiny-baseline/metrics.jsonl").exists()


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("solver.prototxt", 'net: "tiny.prototxt"', "", "names no net"),
        ("solver.prototxt", "tiny.prototxt", "gone.prototxt", 'net "gone.prototxt" is in none of'),
        ("solver.prototxt", '"step"', '"cosine"', 'lr_policy "cosine" is not one of'),
        ("solver.prototxt", "base_lr", "base_rate", 'no field "base_rate"'),
        (
            "tiny.prototxt",
            "train.txt",
            "gone.txt",
            r'tiny.prototxt:3: layer "data": list "gone.txt" is in none of',
        ),
        ("tiny.prototxt", '"ImageData"', '"Input"', 'has "data" (Input)'),
        (
            "tiny.prototxt",
            'bottom: "data"',
            'bottom: "daat"',
            'tiny.prototxt:9: layer "conv1": bottom "daat"',
        ),
        ("data/train.txt", "class 0_0.png 0", "gone.png 0", "train.txt:1: image"),
    ],
)
def test_bad_files_are_one_line(
    solver: Path, file: str, old: str, new: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = solver.parent / Path(file).name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    assert train(solver) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("zoo: ") and says in last


def test_where_files_are_sought(solver: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--root comes before the current folder, which is said, and that before the solver's folder."""
    root = Path("root")
    root.mkdir()
    for name in ("train.txt", "val.txt"):
        (root / name).write_text("".join((solver.parent / name).read_text().splitlines(True)[:6]))
    assert train(solver, "--root", "root", "--output", "rooted", "--max-iter", "1") == 0
    assert json.loads(Path("rooted/run.json").read_text())["data"]["TRAIN"]["images"] == 6
    Path("train.txt").write_text("".join((solver.parent / "train.txt").read_text().splitlines(True)[:4]))
    assert train(solver, "--root", "root", "--output", "here", "--max-iter", "1") == 0
    data = json.loads(Path("here/run.json").read_text())["data"]["TRAIN"]
    assert (data["images"], data["list"]) == (6, str(root.absolute() / "train.txt"))
    assert data["folder"] == str(solver.parent)  # where the images are, since root/ has none
    err = capsys.readouterr().err
    assert (
        f"{root.absolute() / 'train.txt'}: taken, as --root says, and not {Path('train.txt').absolute()}"
        in err
    )
    assert f"TRAIN: 6 images of {root.absolute() / 'train.txt'}, in {solver.parent}" in err
    assert train(solver, "--output", "own", "--max-iter", "1") == 0
    assert json.loads(Path("own/run.json").read_text())["data"]["TRAIN"]["images"] == 4


def test_batch_size_replaces_both_phases(solver: Path) -> None:
    assert train(solver, "--batch-size", "3", "--output", "run", "--max-iter", "1") == 0
    sizes = [
        x.image_data_param.batch_size
        for x in read_net(Path("run/net.prototxt")).layer
        if x.type == "ImageData"
    ]
    assert sizes == [3, 3]


def test_the_number_of_classes_can_be_said(solver: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(solver, "--classes", "5", "--output", "run", "--max-iter", "1") == 0
    assert weights("run")["fc.weight"].shape[0] == 5
    assert 'layer "fc" has 5 outputs instead of 20' in capsys.readouterr().err


def test_a_net_inside_the_solver_and_nets_of_their_own(solver: Path) -> None:
    net = (solver.parent / "tiny.prototxt").read_text()
    text = solver.read_text()
    inside = solver.parent / "inside.prototxt"
    inside.write_text(text.replace('net: "tiny.prototxt"', f"net_param {{ {net} }}"))
    split = solver.parent / "split.prototxt"
    split.write_text(
        text.replace('net: "tiny.prototxt"', 'train_net: "tiny.prototxt" test_net: "tiny.prototxt"')
    )
    for path, name in ((solver, "a"), (inside, "b"), (split, "c")):
        assert train(path, "--output", name) == 0
    assert same(weights("a"), weights("b")) and same(weights("a"), weights("c"))


def test_a_run_folder_trains_again_by_itself(solver: Path) -> None:
    assert train(solver, "--output", "first", "--variant", "bn", "--seed", "5") == 0
    assert (
        main(
            ["train", "--solver", "first/solver.prototxt", "--root", str(solver.parent), "--output", "again"]
        )
        == 0
    )
    assert same(weights("first"), weights("again"))


def test_a_full_run_writes_no_snapshot_without_snapshot_after_train(solver: Path) -> None:
    solver.write_text(solver.read_text() + "\nsnapshot_after_train: false\n")
    assert train(solver, "--output", "run") == 0
    assert (
        not Path("run/models/tiny__iter_10.safetensors").exists() and Path("run/weights.safetensors").exists()
    )


def test_the_test_net_goes_on_where_it_stopped(solver: Path) -> None:
    """Tests of 2 batches of 5 walk round the list of 6: two runs that differ in test_interval alone
    test other images at one iteration."""
    assert train(solver, "--output", "a") == 0
    solver.write_text(solver.read_text().replace("test_interval: 4", "test_interval: 8"))
    assert train(solver, "--output", "b") == 0
    assert same(weights("a"), weights("b"))
    at8 = [next(x for x in lines(name) if x["iteration"] == 8)["test_loss"] for name in "ab"]
    assert at8[0] != at8[1]


def test_a_regression_keeps_its_output_and_a_convolution_may_classify(
    solver: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = solver.parent / "tiny.prototxt"
    text = net.read_text()
    judges = text.index('layer { name: "accuracy_at_1"')
    loss = 'layer { name: "loss" type: "EuclideanLoss" bottom: "fc" bottom: "label" top: "loss" }'
    net.write_text(text[:judges].replace("num_output: 20", "num_output: 1") + loss)
    assert train(solver, "--output", "regression", "--max-iter", "2") == 0
    assert weights("regression")["fc.weight"].shape == (1, 8)
    head = 'layer { name: "fc" type: "InnerProduct" bottom: "pool1" top: "fc"\n  inner_product_param'
    assert head in text
    conv = head.replace("InnerProduct", "Convolution").replace("inner_product_param", "convolution_param")
    for outputs, code in ((3, 0), (2, 2)):
        net.write_text(
            text.replace(head, conv)
            .replace("num_output: 20", f"num_output: {outputs} kernel_size: 1")
            .replace("top_k: 5", "top_k: 2")
        )
        assert train(solver, "--output", f"conv{outputs}", "--max-iter", "2") == code
    assert "label 2 is out of range for 2 classes" in capsys.readouterr().err


def test_train_and_test_nets_of_unequal_shape(solver: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = (solver.parent / "tiny.prototxt").read_text().replace("num_output: 8", "num_output: 9")
    (solver.parent / "other.prototxt").write_text(other)
    nets = 'train_net: "tiny.prototxt" test_net: "other.prototxt"'
    solver.write_text(solver.read_text().replace('net: "tiny.prototxt"', nets))
    assert train(solver) == 2
    assert "in the test net" in capsys.readouterr().err


def test_no_gpu_is_said(solver: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert main(["train", "--solver", str(solver), "--device", "cuda"]) == 2
    assert "PyTorch finds no GPU here" in capsys.readouterr().err


def test_a_net_and_settings_of_the_command_line(solver: Path) -> None:
    other = (solver.parent / "tiny.prototxt").read_text().replace('name: "tiny"', 'name: "wide"')
    Path("wide.prototxt").write_text(other.replace("num_output: 8", "num_output: 11"))
    changes = 'base_lr: 0.02 lr_policy: "multistep" stepvalue: [3, 5] test_iter: 1 solver_type: NESTEROV'
    options = ["--net", "wide.prototxt", "--set", changes]
    assert train(solver, *options, "--output", "run", "--max-iter", "6") == 0
    record = json.loads(Path("run/run.json").read_text())
    assert record["net"] == "wide" and record["options"]["set"] == changes
    saved = read_solver(Path("run/solver.prototxt"))
    assert (saved.type, list(saved.stepvalue), list(saved.test_iter), saved.gamma) == (
        "Nesterov",
        [3, 5],
        [1],
        0.5,
    )
    assert weights("run")["fc.weight"].shape[1] == 11
    assert [line["lr"] for line in lines("run")] == [0.02, 0.02, 0.01, 0.005]
    assert train(solver, *options, "--output", "whole") == 0
    assert main(["train", "--output", "run", "--max-iter", "10", "--resume"]) == 0
    assert same(weights("whole"), weights("run"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--set", 'base_lr: 1\nlr_polici: "fixed"'], '--set:2:1: SolverParameter: no field "lr_polici" in SolverParameter; did you mean "lr_policy"?'),
        (["--set", "base_lr: high"], '--set:1:10: SolverParameter: base_lr takes a number, not "high"'),
        (["--set", ""], "--set: is empty"),
        (["--set", 'lr_policy: "cosine"'], 'lr_policy "cosine" is not one of'),
        (["--net", "allconv9"], "allconv9: no such file, and no shipped prototxt of that name"),
    ],
)  # fmt: skip
def test_a_wrong_net_or_setting_is_one_line(
    solver: Path, options: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(solver, *options) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("zoo: ") and says in last


def test_resume_refuses_another_net_or_setting(solver: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(solver, "--output", "run", "--max-iter", "3", "--set", "momentum: 0.5") == 0
    assert train(solver, "--output", "run", "--resume", "--set", "momentum: 0.6") == 2
    assert "run: was begun with --set momentum: 0.5, not momentum: 0.6" in capsys.readouterr().err


@pytest.mark.usefixtures("with_export")
def test_images_of_their_own_size(solver: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """ImageData without crop and new size: the first image's size (image_data_layer.cpp); labels are looked
    at before the decoding all the same, and the report reads such a run too.
    """
    net = solver.parent / "tiny.prototxt"
    text = net.read_text().replace("new_height: 28 new_width: 28", "").replace("crop_size: 24", "")
    net.write_text(text.replace("new_height: 24 new_width: 24", ""))
    assert train(solver, "--output", "run", "--max-iter", "2") == 0
    images = onnx.load("run/model.onnx").graph.input[0].type.tensor_type.shape.dim
    assert [side.dim_value for side in images][1:] == [3, 32, 30]
    assert main(["report", "run"]) == 0
    capsys.readouterr()
    assert train(solver, "--output", "few", "--classes", "2") == 2
    assert "label 2 is out of range for 2 classes" in capsys.readouterr().err
