"""What each of Caffe's solvers takes off a blob (sgd_solver.cpp and its kin)."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from prototxt.caffe_pb2 import SolverParameter


@dataclass(frozen=True)
class Numbers:
    """What an update goes by that is one blob's, or one iteration's."""

    rate: float
    momentum: float
    iteration: int


def _sgd(m: SolverParameter, g: Tensor, h: list[Tensor], n: Numbers) -> Tensor:
    """The rate is inside the velocity: h = momentum·h + rate·g."""
    return h[0].mul_(n.momentum).add_(g, alpha=n.rate)


def _nesterov(m: SolverParameter, g: Tensor, h: list[Tensor], n: Numbers) -> Tensor:
    before = h[0].clone()
    return h[0].mul_(n.momentum).add_(g, alpha=n.rate) * (1 + n.momentum) - before * n.momentum


def _adagrad(m: SolverParameter, g: Tensor, h: list[Tensor], n: Numbers) -> Tensor:
    h[0].addcmul_(g, g)
    return g / (h[0].sqrt() + m.delta) * n.rate


def _rmsprop(m: SolverParameter, g: Tensor, h: list[Tensor], n: Numbers) -> Tensor:
    h[0].mul_(m.rms_decay).addcmul_(g, g, value=1 - m.rms_decay)
    return g / (h[0].sqrt() + m.delta) * n.rate


def _adadelta(m: SolverParameter, g: Tensor, h: list[Tensor], n: Numbers) -> Tensor:
    h[0].mul_(n.momentum).addcmul_(g, g, value=1 - n.momentum)
    step = g * ((h[1] + m.delta) / (h[0] + m.delta)).sqrt()
    h[1].mul_(n.momentum).addcmul_(step, step, value=1 - n.momentum)
    return step * n.rate


def _adam(m: SolverParameter, g: Tensor, h: list[Tensor], n: Numbers) -> Tensor:
    h[0].mul_(n.momentum).add_(g, alpha=1 - n.momentum)
    h[1].mul_(m.momentum2).addcmul_(g, g, value=1 - m.momentum2)
    correction = math.sqrt(1 - m.momentum2 ** (n.iteration + 1)) / (1 - n.momentum ** (n.iteration + 1))
    return h[0] / (h[1].sqrt() + m.delta) * (n.rate * correction)


ComputeUpdate = Callable[[SolverParameter, Tensor, list[Tensor], Numbers], Tensor]
UPDATES: dict[str, ComputeUpdate] = {
    "SGD": _sgd,
    "Nesterov": _nesterov,
    "AdaGrad": _adagrad,
    "RMSProp": _rmsprop,
    "AdaDelta": _adadelta,
    "Adam": _adam,
}
