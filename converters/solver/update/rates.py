"""The learning rate's policies (SGDSolver::GetLearningRate)."""

import math

from prototxt.caffe_pb2 import SolverParameter
from prototxt.errors import InputError

_POLICIES = ("fixed", "step", "exp", "inv", "multistep", "poly", "sigmoid")


def check_policy(solver: SolverParameter) -> None:
    """Raise InputError for a policy that Caffe does not know, or settings that it refuses for it."""
    policy = solver.lr_policy
    if policy not in _POLICIES:
        raise InputError(f'lr_policy "{policy}" is not one of {", ".join(_POLICIES)}')
    if policy in ("step", "sigmoid") and solver.stepsize < 1:
        raise InputError(f"lr_policy {policy} needs a stepsize of at least 1")
    if policy not in ("fixed", "poly") and solver.gamma < 0:
        raise InputError(f"lr_policy {policy} needs a gamma of at least 0")


def steps_taken(solver: SolverParameter, iteration: int, before: int | None = None) -> int:
    """How many steps of the rate have passed at ``iteration``: what Caffe keeps as current_step.

    ``before`` is the number at the iteration before, from which multistep goes up by one at most, even
    if the stepvalues are others by now; None: as in a run that began at iteration 0.
    """
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
    taken, moment = 0, -1
    for value in solver.stepvalue:
        moment = max(value, moment + 1)
        taken += moment <= iteration
    return taken


def learning_rate(solver: SolverParameter, iteration: int, step: int | None = None) -> float:
    """The rate at ``iteration`` under lr_policy (SGDSolver::GetLearningRate).

    ``step`` stands for the number of steps passed, where that is not what the iteration says. Raises
    InputError where :func:`check_policy` does, and past poly's end, where there is no rate.
    """
    check_policy(solver)
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
            return base * _power(1 - iteration / solver.max_iter, power)
        case "sigmoid":
            return base / (1 + _power(math.e, -gamma * (iteration - solver.stepsize)))
    raise AssertionError(solver.lr_policy)


def _power(base: float, exponent: float) -> float:
    """C's pow, which overflows to infinity; where it gives NaN there is no rate."""
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return math.inf
    except ValueError:
        raise InputError(f"no learning rate: {base:g} to the power of {exponent:g}") from None
