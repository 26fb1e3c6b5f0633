"""Runs that several studies of the series have are trained once."""

import argparse
import json
from pathlib import Path

import pytest
from benchmark_script import load_script

from zoo.study.job import Job


@pytest.fixture
def skip_and_one_by_one(root: str, tmp_path: Path) -> tuple[list[Job], list[Job]]:
    """The runs of the studies skip and one-by-one, which share two nets of three seeds each."""
    given = {"size": None, "max_iter": None, "batch_size": None, "seeds": None}
    options = argparse.Namespace(data=root, runs=str(tmp_path), device="cpu", **given)
    planned = load_script("series").planned
    return planned("skip", options), planned("one-by-one", options)


def end(job: Job, finished: bool = True) -> None:
    job.folder.mkdir(parents=True)
    (job.folder / "run.json").write_text(json.dumps({"finished": finished, "iteration": job.max_iter}))
    (job.folder / "model.caffemodel").write_text(job.name)


def test_a_finished_run_of_another_study_is_taken_over(
    skip_and_one_by_one: tuple[list[Job], list[Job]],
) -> None:
    import series_shared  # lies beside the script

    skip, others = skip_and_one_by_one
    named = {job.name: job for job in others}
    for name, finished in (
        ("xavier+baseline-seed0", True),
        ("xavier+baseline-seed1", False),
        ("xavier+nin-seed0", True),
    ):
        end(named[name], finished)
    (skip[0].folder).mkdir(parents=True)
    (skip[0].folder / "log.txt").write_text("never began")
    assert series_shared.take_over(skip, others) == ["xavier+baseline-seed0"]
    assert skip[0].state() == ("finished", "")
    assert sorted(path.name for path in skip[0].folder.iterdir()) == ["model.caffemodel", "run.json"]
    assert (skip[0].folder / "model.caffemodel").read_text() == "xavier+baseline-seed0"
    assert [job.name for job in skip if job.folder.exists()] == ["xavier+baseline-seed0"]


def test_one_that_has_begun_goes_on_itself(skip_and_one_by_one: tuple[list[Job], list[Job]]) -> None:
    import series_shared

    skip, others = skip_and_one_by_one
    end(next(job for job in others if job.name == "xavier+baseline-seed0"))
    end(skip[0], finished=False)
    assert series_shared.take_over(skip, others) == []


def test_the_estimate_counts_a_shared_run_once(skip_and_one_by_one: tuple[list[Job], list[Job]]) -> None:
    skip, others = skip_and_one_by_one
    end(others[0])
    distinct = load_script("series").distinct([*skip, *others])
    assert len(distinct) == len(skip) + len(others) - 6
    assert others[0] in distinct and skip[0] not in distinct
