"""What identifies a run: every field of solver and nets, its data, and never a spelling."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from tiny import write_run
from train_runs import edit, train

from prototxt.caffe_pb2 import LayerParameter, NetParameter, SolverParameter
from prototxt.errors import InputError
from zoo.bench.command import trained
from zoo.bench.files import measure_accuracy
from zoo.bench.images import OtherDataError
from zoo.bench.models import Elsewhere
from zoo.cli import main
from zoo.report.read.results import check_same_data
from zoo.report.read.runs import group_runs, read_run
from zoo.runs.contents import files
from zoo.runs.identity import NEUTRAL, PATHS, full_name, of_message
from zoo.runs.sums import Sums
from zoo.study.job import Job
from zoo.study.record import still_to_do
from zoo.train.planning.options import Options
from zoo.train.planning.plan import make_plan


def kinds(kind: Descriptor, seen: frozenset[str] = frozenset()) -> Iterator[Descriptor]:
    """A message's kind and those of its fields."""
    if kind.name in seen:
        return
    yield kind
    for field in kind.fields:
        if field.message_type is not None:
            yield from kinds(field.message_type, seen | {kind.name})


def value(field: FieldDescriptor) -> Any:
    """Some value that is not the field's default."""
    if field.enum_type is not None:
        return max(number.number for number in field.enum_type.values)
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return not field.default_value
    return "x" if field.cpp_type == FieldDescriptor.CPPTYPE_STRING else 3


def with_field(made: Message, field: FieldDescriptor) -> Message:
    if field.is_repeated:
        many = getattr(made, field.name)
        many.add() if field.message_type else many.append(value(field))
    elif field.message_type is not None:
        getattr(made, field.name).SetInParent()
    else:
        setattr(made, field.name, value(field))
    return made


@pytest.mark.parametrize("root", [SolverParameter, NetParameter, LayerParameter])
def test_every_field_counts_unless_a_reason_is_given(root: Any) -> None:
    for kind in {kind.full_name: kind for kind in kinds(root.DESCRIPTOR)}.values():
        if kind.name.startswith(("V0", "V1")):
            continue  # read as today's
        for field in kind.fields:
            message = with_field(kind._concrete_class(), field)
            assert (not of_message(message)) == (full_name(field) in NEUTRAL), full_name(field)


def test_every_reason_is_about_a_field() -> None:
    every = {full_name(field) for kind in kinds(SolverParameter.DESCRIPTOR) for field in kind.fields}
    assert NEUTRAL.keys() <= every and all(NEUTRAL.values()) and PATHS.items() <= NEUTRAL.items()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of one solver: a, b with another spelling and seed, c after an edit of base_lr."""
    folder = tmp_path_factory.mktemp("identity")
    (folder / "data").mkdir()
    solver = write_run(folder / "data", max_iter=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_CACHE", str(folder / "cache"))
        patch.chdir(folder)
        (folder / "data" / "classes.txt").write_text("cat\ndog\nfox\n")
        assert train(Path("data/solver.prototxt"), "--root", "data", "--output", "runs/a") == 0
        spelt = ["--root", str(folder / "data"), "--seed", "1"]
        assert train(solver, *spelt, "--output", "runs/b") == 0
        edit(solver, ("base_lr: 0.001", "base_lr: 0.002"))
        assert train(solver, "--root", "./data", "--output", "runs/c") == 0
        edit(solver, ("base_lr: 0.002", "base_lr: 0.001"))
    return folder


@pytest.fixture
def runs(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the folder, to be changed; the runs' records name it in place of the first one."""
    folder = tmp_path / "copy"
    shutil.copytree(made, folder)
    for record in folder.glob("runs/*/run.json"):
        record.write_text(record.read_text().replace(str(made), str(folder)))
    monkeypatch.setenv("ZOO_CACHE", str(folder / "cache"))
    monkeypatch.chdir(folder)
    return folder


def test_groups_go_by_what_ran(made: Path) -> None:
    found = group_runs([read_run(model) for model in trained(made / "runs")])
    members = {group.label: [run.path.name for run in group.runs] for group in found}
    assert members == {"baseline base_lr=0.001": ["a", "b"], "baseline base_lr=0.002": ["c"]}


def refused(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    before = Path("runs/a/run.json").read_bytes()
    capsys.readouterr()
    assert main(["train", "--device", "cpu", "--output", "runs/a", "--resume", *options]) == 2
    assert Path("runs/a/run.json").read_bytes() == before
    return capsys.readouterr().err.splitlines()[-1]


def test_resume_refuses_another_solver(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(runs / "data" / "solver.prototxt", ("base_lr: 0.001", "base_lr: 0.1"))
    assert "runs/a: was begun with base_lr 0.001, not 0.1" in refused(capsys, "--max-iter", "3")


def test_resume_refuses_another_net(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edit(runs / "data" / "tiny.prototxt", ("num_output: 8", "num_output: 9"))
    assert "convolution_param num_output 8, not 9" in refused(capsys)


def test_resume_refuses_other_names_and_pictures(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (runs / "data" / "classes.txt").write_text("zebra\ndog\nfox\n")
    assert "class 0 cat, not zebra" in refused(capsys)
    (runs / "data" / "classes.txt").write_text("cat\ndog\nfox\n")
    paint(runs / "data" / "class 1_4.png")
    said = refused(capsys)
    assert "TRAIN list: the pictures' sum" in said
    assert f"(first {runs}/data/train.txt:9: class 1_4.png is another picture)" in said
    shutil.copytree(runs / "data", runs / "other")
    assert "TRAIN list: the pictures' sum" in refused(capsys, "--root", "other")


def paint(path: Path) -> None:
    """Another picture in that file."""
    cv2.imwrite(str(path), np.full((32, 30, 3), 9, np.uint8))


def test_resume_goes_on_elsewhere_and_longer(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the same files: from another folder, with other intervals, and with the pictures moved."""
    edit(runs / "data" / "solver.prototxt", ("display: 2", "display: 1"), ("snapshot: 3", "snapshot: 2"))
    monkeypatch.chdir(tmp_path)
    output = ["--output", str(runs / "runs" / "a"), "--resume", "--device", "cpu"]
    assert main(["train", *output, "--max-iter", "3"]) == 0
    shutil.copytree(runs / "data", tmp_path / "moved")
    assert main(["train", *output, "--max-iter", "4", "--root", "moved"]) == 0
    record = json.loads((runs / "runs" / "a" / "run.json").read_text())
    assert record["iteration"] == 4 and record["data"]["TRAIN"]["list"] == str(tmp_path / "moved/train.txt")


def test_a_study_is_not_finished_on_other_data(runs: Path) -> None:
    """A finished run of data A is no answer to --data B; one of the same pictures elsewhere is."""
    shutil.copytree(runs / "data", runs / "same")
    shutil.copytree(runs / "data", runs / "other")
    paint(runs / "other" / "class 1_4.png")
    for name, kept in (("same", True), ("other", False)):
        options = Options(solver="data/solver.prototxt", root=str(runs / name))
        job = Job("a", options, runs / "runs" / "a", 2, runs)
        if kept:
            assert still_to_do([job], retry=False) == []
        else:
            with pytest.raises(InputError, match="was begun with TRAIN list: the pictures' sum"):
                still_to_do([job], retry=False)


def test_validation_pictures_are_compared_one_and_all(runs: Path) -> None:
    """A sample of them would be the same: what tells is the sum of all."""
    models = [read_run(model) for model in trained(runs / "runs")]
    check_same_data(models)
    models[0].record["data"]["TEST"]["content"] = "of other pictures"
    with pytest.raises(InputError, match="were tested on different data"):
        check_same_data(models)


def test_an_unchanged_folder_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture, kept = tmp_path / "a.png", tmp_path / "sums.json"
    picture.write_bytes(b"one")
    sums = Sums(kept)
    first = sums.of(picture)
    sums.save()
    again = Sums(kept)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", None)  # nothing is opened
        assert again.of(picture) == first
    picture.write_bytes(b"another")
    assert Sums(kept).of(picture) != first
    kept.write_text("[")
    assert Sums(kept).of(tmp_path / "none") == "missing"


def test_no_accuracy_on_another_list(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where lists were made anew bench and report say so; --list takes the new one by name."""
    old = (runs / "data" / "val.txt").read_text()
    (runs / "data" / "val.txt").write_text((runs / "data" / "train.txt").read_text())
    bench = ["bench", "runs/a", "--runs", "1", "--batch-sizes", "1", "--threads", "1"]
    assert main(bench) == 0
    out, err = capsys.readouterr()
    assert "val.txt: it is not what runs/a was tested on (first " in err and "none: other data" in out
    assert "val.txt:1: class 0_0.png is another row); --root names" in err
    assert json.loads(Path("runs/a/bench.json").read_text())[0]["top1"] is None
    assert main(["report", "runs/a"]) == 2
    assert "val.txt: it is not what runs/a was tested on" in capsys.readouterr().err
    assert main([*bench, "--list", "data/val.txt"]) == 0
    assert "data/val.txt" in capsys.readouterr().out
    assert json.loads(Path("runs/a/bench.json").read_text())[0]["images"] == 15
    assert main(["report", "runs/a", "--list", "data/val.txt"]) == 0
    assert "on val.txt, not the runs' own validation list" in Path("runs/a/report.md").read_text()
    (runs / "data" / "val.txt").write_text(old)


def test_pictures_that_moved_are_found_and_checked(runs: Path) -> None:
    (runs / "data").rename(runs / "moved")
    (model,) = trained(runs / "runs" / "a", Elsewhere(runs / "moved"))
    assert measure_accuracy(model)["images"] == 6
    paint(runs / "moved" / "class 1_2.png")
    with pytest.raises(OtherDataError, match="its pictures are not what"):
        measure_accuracy(model)


def test_every_file_of_a_list_of_data_files_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several names may stand in a line of an HDF5Data's list; a window file names an image and its windows."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.h5", "b.h5", "c.png"):
        Path(name).write_text("x")
    Path("h5.txt").write_text("a.h5 b.h5\n")
    Path("w.txt").write_text("# 0\nc.png\n3\n4\n4\n1\n1 0.9 0 0 3 3\n")
    Path("net.prototxt").write_text("""
      layer { name: "h" type: "HDF5Data" top: "x" hdf5_data_param { source: "h5.txt" batch_size: 1 } }
      layer { name: "w" type: "WindowData" top: "d" top: "l" transform_param { crop_size: 4 }
        window_data_param { source: "w.txt" batch_size: 1 } }""")
    Path("s.prototxt").write_text('net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed"')
    plan = make_plan(Options(solver="s.prototxt"))
    seen = {files(plan)["TRAIN net"]}
    for name in ("a.h5", "b.h5", "c.png"):
        Path(name).write_text("other")
        seen.add(files(plan)["TRAIN net"])
    assert len(seen) == 4


def test_the_first_other_row_is_named(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A row changed, one more, one less; a run folder without the rows' sums names list and sum alone."""
    path = runs / "data" / "train.txt"
    rows = path.read_text().splitlines(keepends=True)
    relabelled = "".join(rows).replace("class 0_4.png 0", "class 0_4.png 1")
    for text, said in (
        (relabelled, f"{path}:4: class 0_4.png is another row"),
        ("".join([*rows, rows[0]]), f"{path}:16: class 0_0.png is a row more"),
        ("".join(rows[:-1]), f"{path} has 14 rows, not 15"),
    ):
        path.write_text(text)
        assert f"(first {said})" in refused(capsys)
    (runs / "runs" / "a" / "rows.safetensors").unlink()
    assert "TRAIN list: pictures 15, not 14; --output" in refused(capsys)
    path.write_text("".join(rows))
    resume = ["--output", "runs/a", "--root", "data", "--resume", "--max-iter", "3"]
    assert train(Path("data/solver.prototxt"), *resume) == 0
    path.write_text(relabelled)
    assert f"(first {path}:4: class 0_4.png is another row)" in refused(capsys)  # its rows are known again
