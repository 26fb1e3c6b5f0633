"""The shipped studies: their runs, setting for setting, and the nets that they train."""

import re
from collections.abc import Callable
from math import isfinite
from typing import Any

import pytest
import torch

from converters.build import infer_shapes
from converters.solver.ahead import made_ahead
from converters.solver.update.rates import learning_rate
from prototxt.caffe_pb2 import SolverParameter
from prototxt.text import read_net
from zoo.catalogue import find_prototxt, find_study, studies
from zoo.study.expand import expand, overridden
from zoo.study.file import read_study
from zoo.train.planning.plan import Plan, make_plan
from zoo.train.ranks import Ranks
from zoo.train.sources import open_feeds
from zoo.train.trainer import Trainer

CPU = torch.device("cpu")


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
    shapes = infer_shapes(plan.graphs["TRAIN"])
    tops = {value.blob: shape[2] for value, shape in shapes.items() if len(shape) == 4}
    return [side for blob, side in tops.items() if blob.startswith(("conv", "pool"))]


def test_the_articles_study_departs_in_nothing(root: str) -> None:
    runs = expand(read_study(find_study("article")), "article")
    variants = ["baseline", "dropout0.5", "dropout0.9", "fc", "dropout0.5+fc", "bn", "bn+dropout0.5", "bn+fc"]
    assert [run.name for run in runs] == [f"{name}-seed{seed}" for seed in range(3) for name in variants]
    plans = shipped("article", root)
    assert all(plan.departures == [] for plan in plans.values())
    for name, plan in plans.items():
        batch = plan.nets["TRAIN"].message.layer[0].image_data_param.batch_size
        assert (batch, plan.solver.iter_size) == ((16, 4) if "bn" in name else (64, 1)), name
        assert list(plan.solver.test_iter) == [15] and plan.solver.test_interval == 100


def test_the_learning_rate_study(root: str) -> None:
    plans = shipped("learning-rate", root, max_iter=100_000)  # the article's length
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
    assert found["exp"][0] == pytest.approx(0.9999, abs=1e-6) and found["poly"][1] == 2
    assert found["inv"][:2] == (pytest.approx(0.001, rel=1e-3), 0.75)
    multistep = plans["multistep"].solver
    assert list(multistep.stepvalue) == [10000, 30000, 60000] and multistep.gamma == 0.5
    assert all(plan.solver.max_iter == 100000 for plan in plans.values())


@pytest.mark.parametrize("length", [120, 400, 36_000])
def test_rate_policies_fall_at_the_same_shares_of_a_run_of_any_length(length: int, root: str) -> None:
    """What a rate is at a tenth, a half and the end, by each policy's formula with the article's numbers."""
    by_share: dict[str, Callable[[float], float]] = {
        "fixed0.01": lambda x: 0.01,
        "fixed0.001": lambda x: 0.001,
        "step": lambda x: 0.01 * 0.1 ** int(10 * x),
        "multistep": lambda x: 0.01 * 0.5 ** sum(x >= step for step in (0.1, 0.3, 0.6)),
        "exp": lambda x: 0.01 * 0.9999 ** (100_000 * x),
        "inv": lambda x: 0.01 * (1 + 0.001 * 100_000 * x) ** -0.75,
        "poly": lambda x: 0.01 * (1 - x) ** 2,
    }
    plans = shipped("learning-rate", root, max_iter=length)
    assert plans.keys() == by_share.keys()
    for name, rate in by_share.items():
        for share in (0.05, 0.15, 0.5, 0.95):
            found = learning_rate(plans[name].solver, round(share * length))
            assert found == pytest.approx(rate(share), rel=0.02), (name, share)


def test_the_optimisers_study(root: str) -> None:
    plans = shipped("optimizers", root)
    assert solvers(plans, "type", "momentum", "base_lr", "lr_policy", "momentum2", "rms_decay") == {
        **{f"sgd{m:g}": ("SGD", m, 0.01, "poly", 0.999, 0.99) for m in (0, 0.8, 0.9, 0.95, 0.99)},
        "nesterov0.9": ("Nesterov", 0.9, 0.01, "poly", 0.999, 0.99),
        "adagrad-fixed0.01": ("AdaGrad", 0, 0.01, "fixed", 0.999, 0.99),
        "adagrad-fixed0.001": ("AdaGrad", 0, 0.001, "fixed", 0.999, 0.99),
        "adagrad-step0.01": ("AdaGrad", 0, 0.01, "step", 0.999, 0.99),
        "adadelta": ("AdaDelta", 0.9, 1, "poly", 0.999, 0.99),
        "rmsprop0.9": ("RMSProp", 0, 0.001, "poly", 0.999, 0.9),
        "rmsprop0.99": ("RMSProp", 0, 0.001, "poly", 0.999, 0.99),
        **{f"adam0.99-1e-{n}": ("Adam", 0.9, 10.0**-n, "poly", 0.99, 0.99) for n in (5, 4, 3, 2)},
        **{f"adam0.999-1e-{n}": ("Adam", 0.9, 10.0**-n, "poly", 0.999, 0.99) for n in (5, 4, 3)},
        "adam0.999-3e-3": ("Adam", 0.9, 0.003, "poly", 0.999, 0.99),
        **{f"adam0.999-1e-3-beta{m:g}": ("Adam", m, 0.001, "poly", 0.999, 0.99) for m in (0.5, 0.99)},
    }
    assert {told(plan.solver, "weight_decay") for plan in plans.values()} == {0.005}


SIDES = {
    "allconv5-xavier+{}": [56, 28, 14, 7, 1],
    "allconv6-xavier+{}": [112, 56, 28, 14, 7, 1],
    "allconv7-xavier+stride1-2-2-2-2-2+{}": [224, 112, 56, 28, 14, 7, 1],
    "allconv7-xavier+stride2-2-2-2-2-1+{}": [112, 56, 28, 14, 7, 7, 1],
    "allconv8-xavier+stride1-1-2-2-2-2-2+{}": [224, 224, 112, 56, 28, 14, 7, 1],
    "allconv8-xavier+stride1-2-2-2-2-2-1+{}": [224, 112, 56, 28, 14, 7, 7, 1],
    "allconv8-xavier+stride2-2-2-2-2-1-1+{}": [112, 56, 28, 14, 7, 7, 7, 1],
}


def test_the_depth_study(root: str) -> None:
    plans = shipped("depth", root, size=224)
    named = {
        re.sub(r"(-\d)\+baseline", r"\1", shape.format(form)): sides
        for shape, sides in SIDES.items()
        for form in ("baseline", "dropout0.5", "bn0.99")
        if form == "baseline" or "stride1-1" not in shape
    }
    assert plans.keys() == named.keys()
    for name, sides in named.items():
        assert map_sides(plans[name]) == sides, name


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
    message = read_net(find_prototxt(net)[0])
    params = [layer.convolution_param for layer in message.layer if layer.type == "Convolution"]
    assert message.name == net and [param.num_output for param in params] == outputs
    first = (list(params[0].kernel_size), list(params[0].stride), list(params[0].pad))
    assert first == (([5], [4], [1]) if net == "allconv5" else ([3], first[1], [1]))
    assert all(list(param.kernel_size) == [3] and list(param.pad) == [1] for param in params[1:])


def test_the_width_study(root: str) -> None:
    plans = shipped("width", root)
    wide = ["16-16-32-32-64", "16-16-32-32-128", "16-16-64-64-64", "32-32-32-32-64", "32-32-64-64-128",
            "32-32-64-64-256", "32-32-128-128-128", "64-64-64-64-128"]  # fmt: skip
    named = {f"xavier+width{numbers}": numbers for numbers in wide}
    named |= {"xavier+baseline": "64-64-128-128-256"}
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


def test_the_grocery_study(root: str) -> None:
    plans = shipped("grocery", root)
    variants = ["xavier+baseline", "xavier+dropout0.5", "xavier+dropout0.9", "xavier+bn", "xavier+fc"]
    assert list(plans) == [*variants, "xavier+bn0.99-rate10x"]
    rates = {name: rate for name, (rate,) in solvers(plans, "base_lr").items()}
    assert rates == dict.fromkeys(variants, 0.001) | {"xavier+bn0.99-rate10x": 0.01}
    assert {(plan.options.size, plan.solver.max_iter, plan.solver.lr_policy) for plan in plans.values()} == {
        (112, 4000, "poly")
    }


OF_THE_SERIES = {
    "batchnorm": "baseline bn0.99@1 bn0.99@3 bn0.99@5 bn0.99@1-2 bn0.99@4-5 bn0.99",
    "dropout": "baseline dropout0.5@1 dropout0.5@3 dropout0.5@5 dropout0.5@4-5 dropout0.2@1-2-3-4-5 dropout0.9@5",
    "downsampling": "baseline maxpool avepool",
    "one-by-one": "baseline nin1-0-0-0-0 nin0-0-1-0-0 nin0-0-0-0-1 nin0-0-0-1-1 nin nin2-2-2-2-2",
    "bottleneck": "baseline bottleneck1-1 bottleneck2-2 bottleneck4-4 bottleneck8-8 bottleneck2-4 bottleneck4-2",
    "skip": "baseline skip nin2-2-2-2-2 nin2-2-2-2-2+skip",
    "separable": "baseline depthwise bn0.99 depthwise+bn0.99",
    "augmentation": "noaugment noaugment+mirror noaugment+crop noaugment+colour noaugment+rotation "
    "noaugment+mirror+crop noaugment+mirror+crop+colour+rotation",
}


@pytest.mark.parametrize("name", OF_THE_SERIES)
def test_a_study_of_structure(name: str, root: str) -> None:
    assert list(shipped(name, root)) == [f"xavier+{variant}" for variant in OF_THE_SERIES[name].split()]


def test_the_studies_for_a_processor_have_one_set_up() -> None:
    for name in sorted(set(studies()) - {"article", "demo", "grocery"}):
        study = read_study(find_study(name))
        assert (study.size, study.max_iter, study.batch_size, study.seeds) == (64, 400, 16, [0, 1, 2]), name
        for run in expand(study, name):
            assert "clip_gradients: 1" in str(run.options.set) and "xavier" in run.options.variant.split("+")


def test_every_shipped_study_has_a_title_and_its_questions_in_both_languages() -> None:
    for study in map(read_study, map(find_study, studies())):
        assert study.title and study.title_zh, study
        assert all(question.en and question.zh for question in study.questions), study


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name not in OF_THE_SERIES)) for name in studies()],
)
def test_every_net_of_a_study_trains_shrunk(name: str, photos: str) -> None:
    seen = set()
    for plan in shipped(name, photos, max_iter=2, batch_size=4, size=32).values():
        layer = plan.nets["TRAIN"].message.layer[0]
        assert (layer.image_data_param.batch_size, layer.transform_param.crop_size) == (4, 32)
        assert plan.solver.max_iter == 2 and plan.solver.iter_size == 1
        net = plan.nets["TRAIN"].message.SerializeToString(deterministic=True)
        if (net, plan.solver.type) in seen:
            continue
        seen.add((net, plan.solver.type))
        plan.solver.test_iter[:] = [1] * len(plan.solver.test_iter)
        with made_ahead(open_feeds(plan, CPU, Ranks()).feeds) as feeds:
            trainer = Trainer(plan, feeds, CPU, Ranks())
            before = [blob.detach().clone() for blob in trainer.net.parameters()]
            for _ in range(2):
                trainer.solver.iterate()
            trainer.solver.test(0)
        assert isfinite(trainer.solver.loss)
        moved = [not a.equal(b) for a, b in zip(before, trainer.net.parameters(), strict=True)]
        assert sum(moved) > len(moved) / 2, plan.name
