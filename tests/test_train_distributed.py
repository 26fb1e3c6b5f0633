"""zoo train in two ranks on the CPU: as one process with twice the batch, and together to the end."""

import os
import signal
from pathlib import Path

import pytest
import torch
from tiny import NET, write_run
from train_runs import edit, lines, logged, same, start, train, wait_for, weights

from converters.data.images.transform import draw
from converters.solver.feed import SourceFeed
from converters.solver.update.seeds import iteration_seed
from prototxt.caffe_pb2 import NetParameter
from prototxt.text import parse
from zoo.runs.run_folder import read_record
from zoo.train.images.dataset import open_images
from zoo.train.images.feed import ImageFeed

DROPOUT = next(line for line in NET.splitlines() if '"drop1"' in line).replace("{{", "{").replace("}}", "}")
RUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "zoo", "train"]


@pytest.fixture
def solver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    path = write_run(data, max_iter=20)
    edit(path, ("stepsize: 7", "stepsize: 12"), ("test_interval: 4", "test_interval: 9"))
    return path


def together(solver: Path, *options: str) -> list[str]:
    return [*RUN, "--solver", str(solver), "--device", "cpu", *options]


def processes_with(word: str) -> list[int]:
    """Process numbers of the ranks whose command line holds ``word``, by rank."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            command = (path / "cmdline").read_bytes().split(b"\0")
            environment = dict(
                x.split(b"=", 1) for x in (path / "environ").read_bytes().split(b"\0") if b"=" in x
            )
        except OSError:
            continue
        if word.encode() in command and b"torch.distributed.run" not in command and b"RANK" in environment:
            found[int(environment[b"RANK"])] = int(path.name)
    return [found[rank] for rank in sorted(found)]


def test_the_ranks_shares_make_the_batch_of_one_process(solver: Path) -> None:
    message = parse((solver.parent / "tiny.prototxt").read_text(), NetParameter).layer[0]
    images = open_images(message, solver.parent / "train.txt", [], lambda *_: None)
    whole = ImageFeed(images, True, 5, torch.device("cpu"))
    half = NetParameter(layer=[message]).layer[0]
    half.image_data_param.batch_size = 3
    images = open_images(half, solver.parent / "train.txt", [], lambda *_: None)
    shares = [ImageFeed(images, True, 5, torch.device("cpu"), rank, 2) for rank in range(2)]
    for index in (0, 1, 7):  # 7 is past the first shuffle
        parts = [share.batch(index) for share in shares]
        for top, tensor in whole.batch(index).items():
            assert torch.equal(tensor, torch.cat([part[top] for part in parts]))
    assert len(draw(5, 0, 6)) == 6


def test_other_layers_batches_are_dealt_out_in_turn() -> None:
    class Source:
        def __init__(self) -> None:
            self.shapes = {"data": (2, 1), "label": (2,)}

        def batch(self, index: int) -> dict[str, torch.Tensor]:
            return {"data": torch.full((2, 1), float(index)), "label": torch.zeros(2)}

    feeds = [SourceFeed([Source()], torch.device("cpu"), rank, 3) for rank in range(3)]
    dealt = [[int(feed.batch(index)["data"][0]) for feed in feeds] for index in range(2)]
    assert dealt == [[0, 1, 2], [3, 4, 5]] and feeds[0].batch_size == 2


def test_dropout_differs_by_rank_and_rank_0_is_a_single_process() -> None:
    assert len({iteration_seed(3, 8, rank) for rank in range(4)}) == 4
    assert iteration_seed(3, 8, 0) == 7761757952425539205


def test_two_ranks_are_one_process_with_twice_the_batch(solver: Path) -> None:
    """iter_size, clipping and a frozen blob included."""
    edit(solver.parent / "tiny.prototxt", (DROPOUT, ""), ("param { lr_mult: 2 }", "param { lr_mult: 0 }"))
    solver.write_text(solver.read_text() + "iter_size: 2 clip_gradients: 5\n")
    run = start(together(solver, "--output", "two", "--batch-size", "16"))
    assert train(solver, "--output", "one", "--batch-size", "32") == 0
    assert run.wait(300) == 0, Path("log.txt").read_text()
    ours, theirs = weights("two"), weights("one")
    for name, blob in theirs.items():
        assert (ours[name] - blob).abs().max() <= 1e-5 * max(1, blob.abs().max().item()), name
    for one, other in zip(lines("one"), lines("two"), strict=True):
        assert one["iteration"] == other["iteration"] and one["loss"] == pytest.approx(
            other["loss"], rel=1e-4
        )
    record = read_record(Path("two"))
    assert record is not None and record["world_size"] == 2 and record["finished"]
    assert Path("log.txt").read_text().count("iterations, seed 0") == 1  # rank 0 alone speaks


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)])
def test_interrupted_at_any_rank_or_killed_two_ranks_resume_to_the_bit(solver: Path, number: int) -> None:
    options = ["--max-iter", "250", "--variant", "bn"]
    edit(solver, ("stepsize: 12", "stepsize: 1000"))
    assert start(together(solver, *options, "--output", "whole")).wait(300) == 0

    run = start(together(solver, *options, "--output", "cut"))
    wait_for(lambda: logged("cut") > 20)
    os.kill(processes_with("cut")[1], number)
    assert run.wait(300) != 0
    assert not Path("cut/weights.safetensors").exists()
    if number == signal.SIGINT:
        record = read_record(Path("cut"))
        assert record is not None and 20 < record["iteration"] < 250, Path("log.txt").read_text()
        assert Path(f"cut/models/tiny__iter_{record['iteration']}.safetensors").is_file()

    assert start(together(solver, *options, "--output", "cut", "--resume")).wait(300) == 0
    assert same(weights("whole"), weights("cut")) and lines("whole") == lines("cut")
