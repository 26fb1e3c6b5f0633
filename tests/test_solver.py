"""Rates against their formulas, and which blobs a solver learns; the recorded runs are test_caffe_solver's."""

import pytest
import torch

from converters import Network, load_net
from converters.solver.net import refuse_learned_labels
from converters.solver.update.rates import learning_rate, momentum_at, steps_taken
from converters.solver.update.rules import Learnable, UpdateRule, check_solver, learnable
from prototxt.caffe_pb2 import SolverParameter
from prototxt.errors import InputError
from prototxt.text import parse


@pytest.mark.parametrize(
    ("text", "iteration", "rate"),
    [
        ("base_lr: 0.01 lr_policy: 'fixed'", 12345, 0.01),
        ("base_lr: 0.01 lr_policy: 'step' stepsize: 10 gamma: 0.1", 29, 0.0001),
        ("base_lr: 0.01 lr_policy: 'exp' gamma: 0.5", 3, 0.00125),
        ("base_lr: 0.01 lr_policy: 'inv' gamma: 1 power: 2", 9, 0.0001),
        ("base_lr: 0.01 lr_policy: 'multistep' gamma: 0.1 stepvalue: 5 stepvalue: 9", 9, 0.0001),
        ("base_lr: 0.01 lr_policy: 'poly' power: 2 max_iter: 10", 5, 0.0025),
        ("base_lr: 0.01 lr_policy: 'sigmoid' gamma: 1 stepsize: 7", 7, 0.005),
    ],
)
def test_policies(text: str, iteration: int, rate: float) -> None:
    assert learning_rate(parse(text, SolverParameter), iteration) == pytest.approx(rate, rel=1e-6)


@pytest.mark.parametrize(
    "settings",
    [
        {"lr_policy": "cosine"},
        {"lr_policy": "fixed", "type": "AdamW"},
        {"lr_policy": "fixed", "regularization_type": "L3"},
        {"lr_policy": "step"},
        {"lr_policy": "sigmoid"},
        {"lr_policy": "exp", "gamma": -0.1},
        {"lr_policy": "fixed", "iter_size": 0},
        {"lr_policy": "fixed", "average_loss": 0},
        {"lr_policy": "fixed", "type": "AdaGrad", "momentum": 0.9},
        {"lr_policy": "fixed", "type": "RMSProp", "momentum": 0.9},
        {"lr_policy": "fixed", "type": "RMSProp", "rms_decay": 1.0},
    ],
)
def test_a_setting_caffe_refuses_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(InputError):
        UpdateRule(SolverParameter(base_lr=0.1, **settings), [])  # type: ignore[arg-type]


def test_a_rate_past_the_end_is_an_error_and_one_too_large_is_infinite() -> None:
    poly = SolverParameter(base_lr=1, lr_policy="poly", power=0.5, max_iter=4)
    assert learning_rate(poly, 4) == 0
    with pytest.raises(InputError, match="no learning rate"):
        learning_rate(poly, 5)
    poly.max_iter = 0  # a solver that only tests
    UpdateRule(poly, [])
    with pytest.raises(InputError, match="max_iter"):
        learning_rate(poly, 0)
    assert learning_rate(SolverParameter(base_lr=1, lr_policy="exp", gamma=2), 5000) == float("inf")
    assert learning_rate(SolverParameter(base_lr=1, lr_policy="sigmoid", gamma=9, stepsize=999), 0) == 0


def test_multistep_goes_on_from_the_step_that_caffe_saved() -> None:
    message = SolverParameter(base_lr=1, lr_policy="multistep", gamma=0.1, stepvalue=[5, 9, 12])
    assert [steps_taken(message, i) for i in (4, 5, 9, 12)] == [0, 1, 2, 3]
    solver = UpdateRule(message, [])
    solver.current_step = 0  # saved under other stepvalues: one step an iteration makes up for it
    assert [solver.rate(i) for i in (10, 11, 12, 13)] == [pytest.approx(0.1**n) for n in (1, 2, 3, 3)]


NET = """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "a" type: "InnerProduct" bottom: "x" top: "a" param { name: "w" decay_mult: 3 } param { lr_mult: 0 }
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "n" type: "BatchNorm" bottom: "a" top: "n" }
layer { name: "b" type: "InnerProduct" bottom: "n" top: "b" param { name: "w" lr_mult: %s }
  inner_product_param { num_output: 3 } }
layer { name: "loss" type: "Reduction" bottom: "b" top: "loss" loss_weight: 1 }
"""


def test_learnable_blobs_are_caffes_with_the_multipliers_that_any_sharer_gives() -> None:
    parameters = learnable(load_net(NET % 5, phase="TRAIN"))
    assert [p.name for p in parameters] == [
        "a.weight", "a.bias", "n.mean", "n.variance", "n.scale_factor", "b.bias"
    ]  # fmt: skip
    assert [(p.lr_mult, p.decay_mult) for p in parameters] == [(5, 3), (0, 1), (0, 1), (0, 1), (0, 1), (1, 1)]
    assert [p.blob.requires_grad for p in parameters] == [True, False, False, False, False, True]


def test_sharers_with_different_multipliers_are_refused() -> None:
    with pytest.raises(InputError, match='layer "b": param "w" has lr_mult 1 and here 5'):
        load_net((NET % 5).replace('name: "w" decay_mult: 3', 'name: "w" lr_mult: 1'), phase="TRAIN")


def judged(kind: str, says: str, teacher: str = "") -> str:
    """Scores and what they are judged by, each made by a layer."""
    made = "".join(
        f'layer {{ name: "{name}" type: "InnerProduct" bottom: "x" top: "{name}" {param} '
        "inner_product_param { num_output: 4 } }"
        for name, param in (("s", ""), ("t", teacher))
    )
    judge = f'layer {{ name: "it" type: "{kind}" bottom: "s" bottom: "t" top: "y" {says} }}'
    return f'input: "x" input_shape {{ dim: 2 dim: 3 }} {made} {judge}'


FROZEN = "param { lr_mult: 0 } param { lr_mult: 0 }"
ASKED = [
    ("KnowledgeDistillation", "", ""),
    ("KnowledgeDistillation", "", "param { lr_mult: 0 }"),  # the bias learns
    ("KnowledgeDistillation", "propagate_down: true propagate_down: true", FROZEN),
    ("SigmoidCrossEntropyLoss", "", ""),
    ("AdaptedWeightedSigmoidCrossEntropyLoss", "", ""),
]


@pytest.mark.parametrize(("kind", "says", "teacher"), ASKED)
def test_a_teacher_that_learns_is_refused(kind: str, says: str, teacher: str) -> None:
    """Caffe ends at the first backward pass: a teacher would get no gradient, and decay."""
    net = load_net(judged(kind, says, teacher), phase="TRAIN")
    with pytest.raises(InputError, match='layer "it": the bottom "t" asks for a gradient and gets none'):
        refuse_learned_labels(net)


@pytest.mark.parametrize(
    ("kind", "says", "teacher"),
    [
        ("KnowledgeDistillation", "", FROZEN),
        ("KnowledgeDistillation", "propagate_down: true propagate_down: false", ""),
        ("KnowledgeDistillation", "loss_weight: 0", ""),
        ("EuclideanLoss", "", ""),
        ("AsymEuclideanLoss", "", ""),
    ],
)
def test_a_teacher_that_asks_nothing_is_none_of_a_solvers_business(
    kind: str, says: str, teacher: str
) -> None:
    refuse_learned_labels(load_net(judged(kind, says, teacher), phase="TRAIN"))


def relayed(says: str, teacher: str) -> Network:
    """A student and a teacher whose scores a layer hands on."""
    relay = f'layer {{ name: "r" type: "ReLU" bottom: "t" top: "u" {says} }} layer {{ name: "it"'
    text = judged("KnowledgeDistillation", "", teacher).replace('layer { name: "it"', relay)
    return load_net(text.replace('bottom: "t" top: "y"', 'bottom: "u" top: "y"'), phase="TRAIN")


def test_a_layer_on_the_way_decides_what_is_asked() -> None:
    """Net::AppendBottom: what a layer is not asked, nothing before it is, and the other way round."""
    refuse_learned_labels(relayed("propagate_down: false", ""))
    with pytest.raises(InputError, match='layer "it": the bottom "u" asks for a gradient and gets none'):
        refuse_learned_labels(relayed("propagate_down: true", FROZEN))


@pytest.mark.parametrize("kind", ["SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam"])
def test_histories_come_kind_by_kind_and_frozen_blobs_stay(kind: str) -> None:
    net = load_net(NET % 1, phase="TRAIN")
    solver = UpdateRule(
        SolverParameter(type=kind, base_lr=0.1, lr_policy="fixed", weight_decay=0.1), learnable(net)
    )
    net.params["a"][1].detach().fill_(2)
    for iteration in range(2):
        net.loss(net.values({"x": torch.randn(2, 3)})).backward()
        solver.update(iteration)
    assert torch.equal(net.params["a"][1], torch.full((3,), 2.0))
    blobs = solver.history_blobs()
    assert len(blobs) == 6 * (2 if kind in ("AdaDelta", "Adam") else 1)
    assert blobs[0].abs().sum() > 0
    # Caffe's histories of frozen blobs see their decay, where they do not go by the rate.
    assert bool(blobs[1].any()) == (kind not in ("SGD", "Nesterov"))
    other = UpdateRule(solver.message, learnable(load_net(NET % 1, phase="TRAIN")))
    other.load_history(blobs)
    assert all(torch.equal(a, b) for a, b in zip(other.history_blobs(), blobs, strict=True))


@pytest.mark.parametrize(
    ("text", "rates"),
    [
        # NVIDIA's: 1e-4 + (0.01 - 1e-4)·(i/10)², then the policy; never below min_lr, to which poly falls.
        (
            "lr_policy: 'fixed' rampup_interval: 10 rampup_lr: 0.0001",
            {0: 1e-4, 5: 0.0001 + 0.0099 / 4, 10: 0.01},
        ),
        ("lr_policy: 'step' stepsize: 2 gamma: 0.1 min_lr: 0.0005", {1: 0.01, 3: 0.001, 9: 0.0005}),
        ("lr_policy: 'poly' power: 2 max_iter: 10 min_lr: 0.002", {0: 0.01, 5: 0.004, 10: 0.002}),
        # Intel's: (i·0.01 + (4 - i)·0.002) / 4; a step of multistep passed meanwhile is taken after it.
        (
            "lr_policy: 'multistep' gamma: 0.1 stepvalue: 2 warmup_iter: 4 warmup_start_lr: 0.002",
            {0: 0.002, 3: 0.008, 4: 0.001, 5: 0.001},
        ),
        (
            "lr_policy: 'multifixed' stagelr: 1 stagelr: 3 stageiter: 2 stageiter: 5",
            {0: 1, 2: 1, 3: 3, 5: 3, 99: 3},
        ),
        ("lr_policy: 'fixed' stagelr: 1 stageiter: 2", {0: 0.01}),
    ],
)
def test_rates_of_forks(text: str, rates: dict[int, float]) -> None:
    solver = parse(f"base_lr: 0.01 {text}", SolverParameter)
    assert {i: learning_rate(solver, i) for i in rates} == pytest.approx(rates, rel=1e-5)
    rule = UpdateRule(solver, [])
    rule.current_step = 0
    assert {i: rule.rate(i) for i in rates} == pytest.approx(rates, rel=1e-5)


@pytest.mark.parametrize("policy", ["'fixed'", "'poly' power: 1 max_iter: 4"])
def test_a_rate_below_0_is_caffes(policy: str) -> None:
    solver = parse(f"base_lr: -0.5 lr_policy: {policy}", SolverParameter)
    assert learning_rate(solver, 0) == -0.5
    solver.momentum_policy = "opt"
    with pytest.raises(InputError, match=r"-0\.5 to the power of 0\.5"):
        momentum_at(solver, 0, -0.5)


def test_nvidias_momentum_and_intels_correction() -> None:
    solver = parse("base_lr: 0.01 lr_policy: 'fixed' momentum: 0.5 max_iter: 10", SolverParameter)
    assert momentum_at(solver, 5, 0.01) == 0.5
    solver.momentum_policy, solver.max_momentum, solver.momentum_power = "poly", 0.9, 2
    assert momentum_at(solver, 5, 0.01) == pytest.approx(0.5 + 0.4 * 0.25)
    solver.momentum_policy = "opt"
    assert momentum_at(solver, 5, 0.01) == pytest.approx(0.9)  # 0.95² is more
    solver = parse(
        "base_lr: 0.3 lr_policy: 'fixed' momentum: 0.5 warmup_iter: 2 warmup_start_lr: 0.1", SolverParameter
    )
    assert [momentum_at(solver, i, learning_rate(solver, i)) for i in range(3)] == pytest.approx(
        [0.5, 1, 0.5]
    )


@pytest.mark.parametrize("policy", ["clip", "scale"])
def test_larc_takes_the_rate_of_each_blob_from_its_norms(policy: str) -> None:
    """By hand, as NVIDIA's 0.17 has it on a GPU: the norm of the gradient before decay."""
    text = (
        f"base_lr: 0.1 lr_policy: 'fixed' momentum: 0.9 weight_decay: 0.5 larc: true larc_policy: '{policy}'"
    )
    solver = parse(f"{text} larc_eta: 0.5 iter_size: 2", SolverParameter)
    blob = torch.tensor([3.0, 4.0], requires_grad=True)
    blob.grad = torch.tensor([0.0, 2.0])
    still = torch.tensor([1.0])
    still.grad = torch.tensor([1.0])
    UpdateRule(solver, [Learnable("w", blob, 3, 1), Learnable("b", still, 0, 1)]).update(0)
    own = 0.1 * 0.5 * 5 / 1
    rate = min(0.1, own) if policy == "clip" else 0.1 * own
    assert blob.tolist() == pytest.approx([3 - rate * 1.5, 4 - rate * (1 + 2)])
    assert still.tolist() == [1]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("larc: true larc_turbo: true", "larc_turbo is a field of forks"),
        ("larc: true type: 'Adam'", "of SGD in NVIDIA's fork, not of Adam"),
        ("larc: true larc_policy: 'cut'", "is not scale or clip"),
        ("momentum_policy: 'cosine'", "is not fixed, poly or opt"),
        ("min_lr: -1", "min_lr -1 must be"),
        ("lr_policy: 'multifixed' stagelr: 1", "a stageiter for each"),
    ],
)
def test_what_forks_solvers_refuse(text: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        check_solver(
            parse(f"base_lr: 1 lr_policy: 'fixed' {text}".replace("'fixed' lr_policy:", ""), SolverParameter)
        )
