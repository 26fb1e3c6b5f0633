"""Study files: what they may say, and what is wrong with them."""

from argparse import Namespace
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest

from converters.host.files import alone_in
from prototxt.errors import InputError
from zoo.catalogue import studies
from zoo.cli import main
from zoo.study.command import planned_jobs
from zoo.study.expand import PlannedRun, arguments, expand, overridden
from zoo.study.file import read_study
from zoo.study.job import Job
from zoo.study.on_ray import OnRay
from zoo.train.agreement import settle
from zoo.train.planning.plan import make_plan


def runs_of(text: str, tmp_path: Path, **overrides: Any) -> list[PlannedRun]:
    path = tmp_path / "own.toml"
    path.write_text(text)
    return expand(overridden(read_study(path), overrides), "own.toml")


def test_nets_variants_changes_and_seeds_multiply(tmp_path: Path) -> None:
    text = """
title = "t"
seeds = [3, 5]
set = "momentum: 0.5 weight_decay: 0.1"
[[runs]]
nets = ["allconv6", "allconv7"]
variants = ["bn", "fc"]
batch_size = 8
iter_size = 2
set = "weight_decay: 0.2"
changes.low = "base_lr: 0.001 weight_decay: 0.3"
changes.same = ""
"""
    runs = runs_of(text, tmp_path, max_iter=7, size=96)
    names = [f"{net}-{variant}-{change}" for change in ("low", "same") for net in ("allconv6", "allconv7")
             for variant in ("bn", "fc")]  # fmt: skip
    assert [run.name for run in runs] == [f"{name}-seed{seed}" for seed in (3, 5) for name in names]
    first, last = runs[0].options, runs[-1].options
    assert (first.net, first.variant, first.seed, last.net, last.variant, last.seed) == (
        *("allconv6", "bn", 3),
        *("allconv7", "fc", 5),
    )
    assert (first.batch_size, first.max_iter, first.size) == (8, 7, 96)
    assert first.set == "base_lr: 0.001 momentum: 0.5 weight_decay: 0.3 iter_size: 2"
    assert last.set == "momentum: 0.5 weight_decay: 0.2 iter_size: 2"


def test_a_batch_size_on_the_command_line_is_every_runs_in_one_part(tmp_path: Path) -> None:
    text = 'title = "t"\n[[runs]]\n[[runs]]\nvariants = ["bn"]\nbatch_size = 16\niter_size = 4\n'
    assert [(r.options.batch_size, r.options.set) for r in runs_of(text, tmp_path)] == [
        (None, None),
        (16, "iter_size: 4"),
    ]
    changed = runs_of(text, tmp_path, batch_size=32)
    assert [(r.options.batch_size, r.options.set) for r in changed] == [(32, None), (32, None)]


def test_paths_count_from_the_study_file(tmp_path: Path) -> None:
    (tmp_path / "own.prototxt").write_text("base_lr: 1")
    (tmp_path / "photos").mkdir()
    text = (
        'title = "t"\nsolver = "own.prototxt"\ndata = "photos"\n[[runs]]\nnets = ["allconv6", "own.prototxt"]'
    )
    options = [run.options for run in runs_of(text, tmp_path)]
    own = str(tmp_path / "own.prototxt")
    assert [(o.solver, o.root, o.net) for o in options] == [
        (own, str(tmp_path / "photos"), "allconv6"),
        (own, str(tmp_path / "photos"), own),
    ]


RUNS = 'title = "t"\n[[runs]]\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("title =", "own.toml: cannot be read as TOML"),
        ('title = "t"', "own.toml: runs is required and not given"),
        ("[[runs]]", "own.toml: title is required and not given"),
        ('title = "t"\nruns = []', "runs takes blocks [[runs]], not []"),
        ('titel = "t"\n[[runs]]', 'own.toml: no key "titel"; did you mean "title"?'),
        (RUNS + 'variant = ["bn"]', 'own.toml: runs[1]: no key "variant"; did you mean "variants"?'),
        (RUNS + "max_iter = 3", 'runs[1]: no key "max_iter"'),
        (RUNS + 'variants = "bn"', "variants takes a list of different texts, not 'bn'"),
        (RUNS + 'variants = ["bn", "bn"]', "variants takes a list of different texts"),
        (RUNS + "batch_size = true", "batch_size takes a whole number from 1, not True"),
        ('title = "t"\nmax_iter = 3.5\n[[runs]]', "max_iter takes a whole number from 1, not 3.5"),
        ('title = "t"\nseeds = [0, -1]\n[[runs]]', "seeds takes a list of different whole numbers from 0"),
        (RUNS + 'changes."a/b" = ""', "changes takes texts by names of letters, digits and . _ + -"),
        (RUNS + 'changes.a = "base_rl: 1"', 'runs[1].changes.a:1:1: SolverParameter: no field "base_rl"'),
        (RUNS + 'set = "base_lr: high"', 'runs[1].set:1:10: SolverParameter: base_lr takes a number, not "high"'),
        (RUNS + "[[runs]]", "two runs are named baseline; name what differs in [runs.changes]"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_study_is_one_line(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        runs_of(text, tmp_path)
    assert says in str(error.value)


def jobs_of(text: str, root: str, tmp_path: Path) -> list[Job]:
    path = tmp_path / "own.toml"
    path.write_text(text)
    study = overridden(read_study(path), {"data": root})
    return planned_jobs(study, path, tmp_path / "runs", Namespace(device="cpu", tensorboard=None))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (RUNS + "variants = ['bn+fc', 'fc+bn']", "the runs bn+fc and fc+bn are the same; leave one out"),
        (RUNS + 'changes.a = "base_lr: 0.1"\nchanges.b = "base_lr: 1e-1"', "the runs a and b are the same"),
    ],
)
def test_runs_alike_but_in_name_are_refused(text: str, says: str, root: str, tmp_path: Path) -> None:
    """A report counted one of them, and said of the other that it had not ended."""
    with pytest.raises(InputError) as error:
        jobs_of(text, root, tmp_path)
    assert says in str(error.value)


def test_runs_that_other_paths_alone_tell_apart_are_planned(root: str, tmp_path: Path) -> None:
    text = RUNS + "changes.a = \"weights: 'a.caffemodel'\"\nchanges.b = \"weights: 'b.caffemodel'\""
    assert [job.name for job in jobs_of(text, root, tmp_path)] == ["a-seed0", "b-seed0"]


@pytest.mark.parametrize(
    ("study", "says"),
    [
        ("articel", f'no shipped study of that name ({", ".join(studies())}); did you mean "article"?'),
        ("own.toml", "own.toml: fc+bnn-seed0: "),
    ],
)  # fmt: skip
def test_every_plan_is_made_before_the_first_run(
    study: str, says: str, tmp_path: Path, root: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("own.toml").write_text(RUNS + 'variants = ["bn", "fc+bnn"]')
    assert main(["study", study, "--data", root]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("zoo: ") and says in last
    assert not Path("runs").exists()


def test_a_runs_options_come_out_of_its_command_line(tmp_path: Path, root: str) -> None:
    import zoo.cli.commands

    text = RUNS + "variants = ['bn']\nbatch_size = 3\nset = 'lr_policy: \"fixed\"'\nnets = ['allconv7']"
    (run,) = runs_of(text, tmp_path, data=root, size=64, max_iter=2)
    args = zoo.cli.commands._parser().parse_args(
        ["train", *arguments(run.options), "--output", str(tmp_path / "run")]
    )
    assert settle(args)[0].options == run.options


@pytest.mark.parametrize("name", ["studies.md", "studies.zh-CN.md"])
def test_the_pages_study_can_be_planned(name: str, root: str, tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / "docs" / name).read_text()
    runs = runs_of(text.split("```toml\n")[1].split("```")[0], tmp_path, data=root)
    names = ["msra-plain", "msra+dropout0.5-plain", "msra-clipped", "msra+dropout0.5-clipped", "msra+bn"]
    assert [run.name for run in runs] == [f"{name}-seed{seed}" for seed in range(3) for name in names]
    assert make_plan(runs[2].options).solver.clip_gradients == 1


class LosingRay:
    """A Ray that loses its first interrupts, and counts tasks as ended before their workers have heard."""

    def __init__(self) -> None:
        self.cancelled: list[int] = []

    def cancel(self, reference: int) -> None:
        self.cancelled.append(reference)

    def wait(self, references: list[int], num_returns: int, timeout: float) -> tuple[list[int], list[int]]:
        assert num_returns == len(references) and timeout > 0
        left = [each for each in references if self.cancelled.count(each) < each]
        return [each for each in references if each not in left], left


def test_a_study_on_ray_stops_when_its_runs_have_let_go_of_their_folders(tmp_path: Path) -> None:
    engine = OnRay.__new__(OnRay)
    engine.ray = LosingRay()
    engine.pending = {1: folder_of(tmp_path / "queued"), 3: folder_of(tmp_path / "running")}
    stopping = Thread(target=engine.stop, daemon=True)
    with alone_in(tmp_path / "running"):
        stopping.start()
        stopping.join(0.5)
        assert stopping.is_alive()
    stopping.join(60)
    assert not stopping.is_alive()
    assert engine.ray.cancelled == [1, 3, 3, 3]
    assert not (tmp_path / "queued").exists()


def folder_of(path: Path) -> Any:
    """A job as far as its folder goes."""
    return SimpleNamespace(folder=path)
