"""The learning rate's policies (SGDSolver::GetLearningRate), with those of forks.

Intel's warm-up is linear (warmup_iter), NVIDIA's quadratic (rampup_interval, as in its 0.16 and 0.17; before
them it was linear). min_lr is NVIDIA's, multifixed Intel's and MobileNet-YOLO's.
"""

import math

from prototxt.caffe_pb2 import SolverParameter
from prototxt.errors import InputError

_POLICIES = ("fixed", "step", "exp", "inv", "multistep", "poly", "sigmoid", "multifixed")


def check_policy(solver: SolverParameter) -> None:
    """Raise InputError for a policy that Caffe does not know, or settings that it refuses for it."""
    policy = solver.lr_policy
    if policy not in _POLICIES:
        raise InputError(f'lr_policy "{policy}" is not one of {", ".join(_POLICIES)}')
    if policy in ("step", "sigmoid") and solver.stepsize < 1:
        raise InputError(f"lr_policy {policy} needs a stepsize of at least 1")
    if policy not in ("fixed", "poly", "multifixed") and solver.gamma < 0:
        raise InputError(f"lr_policy {policy} needs a gamma of at least 0")
    if policy == "multifixed" and not 0 < len(solver.stagelr) == len(solver.stageiter):
        raise InputError("lr_policy multifixed needs a stagelr, and a stageiter for each of them")
    least = solver.min_lr
    if solver.HasField("min_lr") and (least < 0 or (policy == "poly" and solver.base_lr < least)):
        raise InputError(f"min_lr {least:g} must be at least 0, and under poly at most base_lr")


def steps_taken(solver: SolverParameter, iteration: int, before: int | None = None) -> int:
    """How many steps of the rate have passed at ``iteration``: what Caffe keeps as current_step.

    ``before`` is the number at the iteration before, from which multistep goes up by one at most, even
    if the stepvalues are others by now; None: as in a run that began at iteration 0.
    """
    if iteration < warm_up(solver):
        return before or 0
    if solver.lr_policy == "step":
        return iteration // solver.stepsize
    if solver.lr_policy != "multistep":
        return before or 0
    if before is None:
        return _steps_from_the_start(solver, iteration)
    passed = before < len(solver.stepvalue) and iteration >= solver.stepvalue[before]
    return before + 1 if passed else before


def _steps_from_the_start(solver: SolverParameter, iteration: int) -> int:
    """How many steps of multistep have been taken, one an iteration and each after the one before."""
    taken, moment = 0, warm_up(solver) - 1
    for value in solver.stepvalue:
        moment = max(value, moment + 1)
        taken += moment <= iteration
    return taken


def warm_up(solver: SolverParameter) -> int:
    """How many iterations pass before lr_policy says what the rate is."""
    return max(solver.rampup_interval, solver.warmup_iter, 0)


def learning_rate(solver: SolverParameter, iteration: int, step: int | None = None) -> float:
    """The rate at ``iteration`` under lr_policy (SGDSolver::GetLearningRate).

    ``step`` stands for the number of steps passed, where that is not what the iteration says. Raises
    InputError where :func:`check_policy` does, and past poly's end, where there is no rate.
    """
    check_policy(solver)
    warming = iteration < warm_up(solver)
    rate = _warming_rate(solver, iteration) if warming else _policy_rate(solver, iteration, step)
    return max(rate, solver.min_lr) if solver.HasField("min_lr") else rate


def _warming_rate(solver: SolverParameter, iteration: int) -> float:
    if iteration < solver.rampup_interval:
        share = iteration / solver.rampup_interval
        return solver.rampup_lr + (solver.base_lr - solver.rampup_lr) * share * share
    share = iteration / solver.warmup_iter
    return solver.base_lr * share + solver.warmup_start_lr * (1 - share)


def _policy_rate(solver: SolverParameter, iteration: int, step: int | None) -> float:
    base, gamma, power = solver.base_lr, solver.gamma, solver.power
    match solver.lr_policy:
        case "fixed":
            return base
        case "step" | "multistep":
            return base * _power(gamma, steps_taken(solver, iteration) if step is None else step)
        case "exp":
            return base * _power(gamma, iteration)
        case "inv":
            return base * _power(1 + gamma * iteration, -power)
        case "poly":
            if solver.max_iter < 1:
                raise InputError("lr_policy poly has no rate without a max_iter of at least 1")
            return (base - solver.min_lr) * _power(1 - iteration / solver.max_iter, power) + solver.min_lr
        case "sigmoid":
            return base / (1 + _power(math.e, -gamma * (iteration - solver.stepsize)))
        case "multifixed":
            stages = zip(solver.stageiter, solver.stagelr, strict=True)
            return next((rate for end, rate in stages if iteration <= end), solver.stagelr[-1])
    raise AssertionError(solver.lr_policy)


def momentum_at(solver: SolverParameter, iteration: int, rate: float) -> float:
    """SGD's momentum at ``iteration``, whose learning rate is ``rate``: fixed, or as NVIDIA's momentum_policy
    says (SGDSolver::GetMomentum), or with Intel's correction while its warm-up goes on: the momentum grows as
    the rate does (SGDSolver::ComputeUpdateValue; its fused loop, an option of the build, leaves it out, as is
    done here after a rate of 0, where the correction has no value).
    """
    match solver.momentum_policy:
        case "poly":
            share = _power(iteration / max(solver.max_iter, 1), solver.momentum_power)
            return solver.momentum + (solver.max_momentum - solver.momentum) * share
        case "opt":
            moment = (1 - 0.5 * _power(rate, 0.5)) ** 2
            return min(solver.max_momentum, moment) if solver.HasField("max_momentum") else moment
    if iteration >= solver.warmup_iter:
        return solver.momentum
    before = _warming_rate(solver, max(iteration - 1, 0))
    return solver.momentum * (rate / before if before else 1)


def _power(base: float, exponent: float) -> float:
    """C's pow, which overflows to infinity; where it gives NaN there is no rate."""
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return math.inf
    except ValueError:
        raise InputError(f"no learning rate: {base:g} to the power of {exponent:g}") from None
