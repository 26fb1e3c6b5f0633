"""--tensorboard: what zoo train writes there, read back as TensorBoard reads it."""

from pathlib import Path

import pytest
from train_runs import lines, train

from zoo.runs.run_folder import RunFolder

pytest.importorskip("tensorboard")
pytestmark = pytest.mark.usefixtures("without_export")


def read(folder: str) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(folder)
    found.Reload()
    return {
        tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]
    }


def logged(folder: str, name: str) -> list[tuple[int, float]]:
    return [
        (line["iteration"], pytest.approx(line[name], rel=1e-6)) for line in lines(folder) if name in line
    ]


def test_every_number_of_the_metrics_by_iteration(solver: Path) -> None:
    assert train(solver, "--output", "run", "--tensorboard", "events") == 0
    found = read("events")
    names = {"lr", "loss", "accuracy_at_1", "accuracy_at_5", "test_loss"}
    assert found.keys() == names | {"images_per_second"}
    for name in names:
        assert found[name] == logged("run", name), name
    assert [step for step, _ in found["images_per_second"]] == [2, 4, 6, 8, 10]  # the first step is warm-up


def test_a_resumed_run_goes_on_without_a_point_twice(solver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ["--output", "run", "--tensorboard", "events"]
    append = RunFolder.append

    def die(self: RunFolder, entry: dict[str, object]) -> None:
        append(self, entry)
        if entry["iteration"] == 8:
            raise OSError("the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "append", die)
        assert train(solver, *options) == 2
    assert [step for step, _ in read("events")["lr"]] == [0, 2, 4, 6]
    assert train(solver, *options, "--resume") == 0  # from iteration 6, whose line is written anew
    found = read("events")
    assert len(list(Path("events").iterdir())) == 2
    assert found["lr"] == logged("run", "lr") and [step for step, _ in found["lr"]] == [0, 2, 4, 6, 8, 10]
    assert found["test_loss"] == logged("run", "test_loss")
