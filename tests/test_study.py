"""Study files: what they may say, what is wrong with them, and the runs that the shipped ones plan."""

from pathlib import Path
from typing import Any

import pytest
from tiny import write_images

from converters.build import infer_shapes
from prototxt.caffe_pb2 import SolverParameter
from prototxt.errors import InputError
from prototxt.text import read_net
from zoo.article import departures
from zoo.catalogue import find, find_study, studies
from zoo.cli import main
from zoo.plan import Plan, make_plan
from zoo.study.expand import Run, arguments, expand, overridden
from zoo.study.file import read_study
from zoo.train import settle


def runs_of(text: str, tmp_path: Path, **overrides: Any) -> list[Run]:
    path = tmp_path / "own.toml"
    path.write_text(text)
    return expand(overridden(read_study(path), overrides), "own.toml")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("photos")
    write_images(folder, classes=20, each=3)
    (folder / "train.txt").rename(folder / "list_train_shuffle.txt")
    (folder / "val.txt").rename(folder / "list_val_shuffle.txt")
    return str(folder)


def shipped(name: str, root: str, **overrides: Any) -> dict[str, Plan]:
    """The plans of a shipped study's runs of seed 0, by name."""
    runs = expand(overridden(read_study(find_study(name)), {"data": root, "seeds": 1, **overrides}), name)
    return {run.name.removesuffix("-seed0"): make_plan(run.options) for run in runs}


def solvers(plans: dict[str, Plan], *fields: str) -> dict[str, tuple[Any, ...]]:
    return {name: tuple(told(plan.solver, field) for field in fields) for name, plan in plans.items()}


def told(solver: SolverParameter, field: str) -> Any:
    value = getattr(solver, field)
    return float(f"{value:.6g}") if isinstance(value, float) else value


def map_sides(plan: Plan) -> list[int]:
    """The sides of the maps after each convolution, and after the pooling."""
    shapes = infer_shapes(plan.graph("TRAIN"))
    tops = {value.blob: shape[2] for value, shape in shapes.items() if len(shape) == 4}
    return [side for blob, side in tops.items() if blob.startswith(("conv", "pool"))]


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


@pytest.mark.parametrize(
    ("study", "says"),
    [
        ("articel", 'no shipped study of that name (article, demo, depth, learning-rate, optimizers, width); did you mean "article"?'),
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
    import zoo.cli

    text = RUNS + "variants = ['bn']\nbatch_size = 3\nset = 'lr_policy: \"fixed\"'\nnets = ['allconv7']"
    (run,) = runs_of(text, tmp_path, data=root, size=64, max_iter=2)
    args = zoo.cli._parser().parse_args(["train", *arguments(run.options), "--output", str(tmp_path / "run")])
    assert settle(args)[0].options == run.options


def test_the_articles_study_departs_in_nothing(root: str) -> None:
    runs = expand(read_study(find_study("article")), "article")
    variants = ["baseline", "dropout0.5", "dropout0.9", "fc", "dropout0.5+fc", "bn", "bn+dropout0.5", "bn+fc"]
    assert [run.name for run in runs] == [f"{name}-seed{seed}" for seed in range(3) for name in variants]
    plans = shipped("article", root)
    assert all(departures(plan) == [] for plan in plans.values())
    for name, plan in plans.items():
        batch = plan.nets["TRAIN"].message.layer[0].image_data_param.batch_size
        assert (batch, plan.solver.iter_size) == ((16, 4) if "bn" in name else (64, 1)), name
        assert list(plan.solver.test_iter) == [15] and plan.solver.test_interval == 100


def test_the_learning_rate_study(root: str) -> None:
    plans = shipped("learning-rate", root)
    assert solvers(plans, "base_lr", "lr_policy") == {
        "fixed0.01": (0.01, "fixed"),
        "fixed0.001": (0.001, "fixed"),
        "step": (0.01, "step"),
        "multistep": (0.01, "multistep"),
        "exp": (0.01, "exp"),
        "inv": (0.01, "inv"),
        "poly": (0.01, "poly"),
    }
    found = solvers(plans, "gamma", "power", "stepsize")
    assert (found["step"][0], found["step"][2]) == (0.1, 10000)
    assert found["exp"][0] == 0.9999 and found["inv"][:2] == (0.001, 0.75) and found["poly"][1] == 2
    multistep = plans["multistep"].solver
    assert list(multistep.stepvalue) == [10000, 30000, 60000] and multistep.gamma == 0.5
    assert all(plan.solver.max_iter == 100000 for plan in plans.values())


def test_the_optimisers_study(root: str) -> None:
    plans = shipped("optimizers", root)
    assert solvers(plans, "type", "momentum", "base_lr", "lr_policy", "momentum2", "rms_decay") == {
        **{f"sgd{m:g}": ("SGD", m, 0.01, "step", 0.999, 0.99) for m in (0, 0.8, 0.9, 0.95, 0.99)},
        "nesterov0.9": ("Nesterov", 0.9, 0.01, "step", 0.999, 0.99),
        "adagrad-fixed0.01": ("AdaGrad", 0, 0.01, "fixed", 0.999, 0.99),
        "adagrad-fixed0.001": ("AdaGrad", 0, 0.001, "fixed", 0.999, 0.99),
        "adagrad-step0.01": ("AdaGrad", 0, 0.01, "step", 0.999, 0.99),
        "adadelta": ("AdaDelta", 0.9, 1, "step", 0.999, 0.99),
        "rmsprop0.9": ("RMSProp", 0, 0.001, "step", 0.999, 0.9),
        "rmsprop0.99": ("RMSProp", 0, 0.001, "step", 0.999, 0.99),
        **{f"adam0.99-1e-{n}": ("Adam", 0.9, 10.0**-n, "step", 0.99, 0.99) for n in (5, 4, 3, 2)},
        **{f"adam0.999-1e-{n}": ("Adam", 0.9, 10.0**-n, "step", 0.999, 0.99) for n in (5, 4, 3)},
        "adam0.999-3e-3": ("Adam", 0.9, 0.003, "step", 0.999, 0.99),
    }
    assert {told(plan.solver, "weight_decay") for plan in plans.values()} == {0.005}


SIDES = {
    "allconv5-{}": [56, 28, 14, 7, 1],
    "allconv6-{}": [112, 56, 28, 14, 7, 1],
    "allconv7-stride1-2-2-2-2-2+{}": [224, 112, 56, 28, 14, 7, 1],
    "allconv7-stride2-2-2-2-2-1+{}": [112, 56, 28, 14, 7, 7, 1],
    "allconv8-stride1-1-2-2-2-2-2+{}": [224, 224, 112, 56, 28, 14, 7, 1],
    "allconv8-stride1-2-2-2-2-2-1+{}": [224, 112, 56, 28, 14, 7, 7, 1],
    "allconv8-stride2-2-2-2-2-1-1+{}": [112, 56, 28, 14, 7, 7, 7, 1],
}


def test_the_depth_study(root: str) -> None:
    plans = shipped("depth", root)
    forms = {"baseline": (64, 1), "dropout0.5": (64, 1), "bn": (16, 4)}
    named = {
        shape.format(form).replace("+baseline", ""): (sides, batches)
        for shape, sides in SIDES.items()
        for form, batches in forms.items()
    }
    assert plans.keys() == named.keys()
    for name, (sides, batches) in named.items():
        assert map_sides(plans[name]) == sides, name
        batch = plans[name].nets["TRAIN"].message.layer[0].image_data_param.batch_size
        assert (batch, plans[name].solver.iter_size) == batches, name
        assert departures(plans[name]) == []


@pytest.mark.parametrize(
    ("net", "outputs"),
    [
        ("allconv5", [64, 64, 128, 128]),
        ("allconv6", [64, 64, 128, 128, 256]),
        ("allconv7", [64, 64, 128, 128, 256, 256]),
        ("allconv8", [64, 64, 128, 128, 256, 256, 256]),
    ],
)
def test_the_nets_of_other_depths(net: str, outputs: list[int]) -> None:
    message = read_net(find(net)[0])
    params = [layer.convolution_param for layer in message.layer if layer.type == "Convolution"]
    assert message.name == net and [param.num_output for param in params] == outputs
    first = (list(params[0].kernel_size), list(params[0].stride), list(params[0].pad))
    assert first == (([5], [4], [1]) if net == "allconv5" else ([3], first[1], [1]))
    assert all(list(param.kernel_size) == [3] and list(param.pad) == [1] for param in params[1:])


def test_the_width_study(root: str) -> None:
    plans = shipped("width", root)
    wide = ["16-16-32-32-64", "16-16-32-32-128", "16-16-64-64-64", "32-32-32-32-64", "32-32-64-64-128",
            "32-32-64-64-256", "32-32-128-128-128", "64-64-64-64-128"]  # fmt: skip
    named = {f"width{numbers}": numbers for numbers in wide} | {"baseline": "64-64-128-128-256"}
    assert plans.keys() == named.keys()
    for name, numbers in named.items():
        net = plans[name].nets["TRAIN"].message
        found = [str(x.convolution_param.num_output) for x in net.layer if x.type == "Convolution"]
        assert "-".join(found) == numbers


def test_the_demo_study(root: str) -> None:
    plans = shipped("demo", root)
    assert list(plans) == [
        f"xavier+{v}" for v in ("baseline", "dropout0.5", "dropout0.9", "bn", "fc", "bn+fc")
    ]
    for plan in plans.values():
        assert plan.options.solver == "demo_solver" and plan.options.batch_size == 16 and plan.seed == 0
        assert plan.solver.max_iter == 300 and plan.solver.clip_gradients == 1


def test_any_shipped_study_can_be_shrunk(root: str) -> None:
    for name in studies():
        for plan in shipped(name, root, max_iter=2, batch_size=4, size=64).values():
            layer = plan.nets["TRAIN"].message.layer[0]
            assert (layer.image_data_param.batch_size, layer.transform_param.crop_size) == (4, 64)
            assert plan.solver.max_iter == 2 and plan.solver.iter_size == 1


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_the_readmes_study_can_be_planned(name: str, root: str, tmp_path: Path) -> None:
    text = (Path(__file__).parents[1] / name).read_text()
    runs = runs_of(text.split("```toml\n")[1].split("```")[0], tmp_path, data=root)
    names = ["msra-plain", "msra+dropout0.5-plain", "msra-clipped", "msra+dropout0.5-clipped", "msra+bn"]
    assert [run.name for run in runs] == [f"{name}-seed{seed}" for seed in range(3) for name in names]
    assert make_plan(runs[2].options).solver.clip_gradients == 1
