"""Caffe's solvers: rates, regularisation, clipping and update rules (sgd_solver.cpp and its kin)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from converters.network import Network
from prototxt.caffe_pb2 import SolverParameter
from prototxt.errors import InputError

_ENUM = ("SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam")  # solver_type's values, in order


def learning_rate(solver: SolverParameter, iteration: int) -> float:
    """The rate at ``iteration`` under lr_policy (SGDSolver::GetLearningRate)."""
    base, gamma, power = solver.base_lr, solver.gamma, solver.power
    match solver.lr_policy:
        case "fixed":
            return base
        case "step":
            return float(base * gamma ** (iteration // solver.stepsize))
        case "exp":
            return base * gamma**iteration
        case "inv":
            return float(base * (1 + gamma * iteration) ** -power)
        case "multistep":
            return base * gamma ** sum(step <= iteration for step in solver.stepvalue)
        case "poly":
            return float(base * (1 - iteration / solver.max_iter) ** power)
        case "sigmoid":
            return base / (1 + math.exp(-gamma * (iteration - solver.stepsize)))
    raise InputError(f'lr_policy "{solver.lr_policy}" is not one of {", ".join(_POLICIES)}')


_POLICIES = ("fixed", "step", "exp", "inv", "multistep", "poly", "sigmoid")


def solver_type(solver: SolverParameter) -> str:
    """The update rule's name, from ``type`` or the older ``solver_type`` enum."""
    return _ENUM[solver.solver_type] if solver.HasField("solver_type") else solver.type


def check_solver(solver: SolverParameter) -> None:
    """Raise InputError for settings that Caffe refuses too."""
    if solver_type(solver) not in _RULES:
        raise InputError(f'solver type "{solver.type}" is not one of {", ".join(_RULES)}')
    if solver.regularization_type not in ("L2", "L1"):
        raise InputError(f'regularization_type "{solver.regularization_type}" is not L2 or L1')
    if solver.lr_policy == "step" and solver.stepsize < 1:
        raise InputError("lr_policy step needs a stepsize of at least 1")
    if solver.iter_size < 1:
        raise InputError(f"iter_size {solver.iter_size} must be at least 1")
    learning_rate(solver, 0)


@dataclass
class Parameter:
    """A learnable blob with its multipliers and the solver's history of it."""

    name: str
    blob: Tensor
    lr_mult: float
    decay_mult: float
    history: list[Tensor] = field(default_factory=list)


def learnable(net: Network) -> list[Parameter]:
    """Every blob Caffe would learn, once each, in the order of layers; those with lr_mult 0 frozen.

    BatchNorm's sums are no parameters here: Caffe makes their lr_mult 0. Of shared blobs the first
    owner's multipliers count. Frozen blobs get no gradient, as in Caffe, and so no part in clipping.
    """
    names = {id(blob): name for name, blob in net.named_parameters(remove_duplicate=True)}
    found: dict[int, Parameter] = {}
    params = net.params
    for node in net.graph.nodes:
        for index, blob in enumerate(params.get(node.layer.name, [])):
            if id(blob) in names and id(blob) not in found:
                spec = node.layer.param[index] if index < len(node.layer.param) else None
                mults = (spec.lr_mult, spec.decay_mult) if spec else (1.0, 1.0)
                found[id(blob)] = Parameter(names[id(blob)], blob.requires_grad_(mults[0] != 0), *mults)
    return list(found.values())


class Solver:
    """Turns gradients into updates of ``parameters``; the caller runs forward and backward.

    With ``iter_size`` > 1 the caller adds the gradients of that many batches before ``update``.
    """

    def __init__(self, message: SolverParameter, parameters: Sequence[Parameter]) -> None:
        check_solver(message)
        self.message = message
        self.parameters = list(parameters)
        self.rule = _RULES[solver_type(message)]
        slots = 2 if solver_type(message) in ("AdaDelta", "Adam") else 1
        for parameter in self.parameters:
            parameter.history = [torch.zeros_like(parameter.blob) for _ in range(slots)]

    @torch.no_grad()
    def update(self, iteration: int) -> None:
        """One step from the gradients in ``blob.grad``, which it clears (SGDSolver::ApplyUpdate)."""
        rate = learning_rate(self.message, iteration)
        active = [parameter for parameter in self.parameters if parameter.blob.requires_grad]
        for parameter in active:
            if (
                parameter.blob.grad is None
            ):  # not reached by any loss: Caffe's gradient is 0, and decay goes on
                parameter.blob.grad = torch.zeros_like(parameter.blob)
        self._clip(active)
        for parameter in active:
            gradient = self._regularised(parameter)
            step = self.rule(self.message, gradient, parameter.history, rate * parameter.lr_mult, iteration)
            parameter.blob.sub_(step)
            parameter.blob.grad = None

    def _clip(self, active: Sequence[Parameter]) -> None:
        """Scale all gradients together so that their common L2 norm is at most clip_gradients."""
        limit = self.message.clip_gradients
        gradients = [p.blob.grad for p in active if p.blob.grad is not None]
        if limit < 0 or not gradients:
            return
        norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in gradients]))
        factor = torch.where(norm > limit, limit / norm, 1.0)
        for gradient in gradients:
            gradient.mul_(factor)

    def _regularised(self, parameter: Parameter) -> Tensor:
        """The gradient over iter_size, plus weight decay (Normalize, then Regularize)."""
        gradient = parameter.blob.grad
        assert gradient is not None
        gradient = gradient / self.message.iter_size if self.message.iter_size != 1 else gradient
        decay = self.message.weight_decay * parameter.decay_mult
        if not decay:
            return gradient
        pull = parameter.blob if self.message.regularization_type == "L2" else parameter.blob.sign()
        return gradient.add(pull, alpha=decay)


def _sgd(m: SolverParameter, g: Tensor, h: list[Tensor], rate: float, t: int) -> Tensor:
    """The rate is inside the velocity: h = momentum·h + rate·g."""
    return h[0].mul_(m.momentum).add_(g, alpha=rate)


def _nesterov(m: SolverParameter, g: Tensor, h: list[Tensor], rate: float, t: int) -> Tensor:
    before = h[0].clone()
    return h[0].mul_(m.momentum).add_(g, alpha=rate) * (1 + m.momentum) - before * m.momentum


def _adagrad(m: SolverParameter, g: Tensor, h: list[Tensor], rate: float, t: int) -> Tensor:
    h[0].addcmul_(g, g)
    return g / (h[0].sqrt() + m.delta) * rate


def _rmsprop(m: SolverParameter, g: Tensor, h: list[Tensor], rate: float, t: int) -> Tensor:
    h[0].mul_(m.rms_decay).addcmul_(g, g, value=1 - m.rms_decay)
    return g / (h[0].sqrt() + m.delta) * rate


def _adadelta(m: SolverParameter, g: Tensor, h: list[Tensor], rate: float, t: int) -> Tensor:
    h[0].mul_(m.momentum).addcmul_(g, g, value=1 - m.momentum)
    step = g * ((h[1] + m.delta) / (h[0] + m.delta)).sqrt()
    h[1].mul_(m.momentum).addcmul_(step, step, value=1 - m.momentum)
    return step * rate


def _adam(m: SolverParameter, g: Tensor, h: list[Tensor], rate: float, t: int) -> Tensor:
    h[0].mul_(m.momentum).add_(g, alpha=1 - m.momentum)
    h[1].mul_(m.momentum2).addcmul_(g, g, value=1 - m.momentum2)
    correction = math.sqrt(1 - m.momentum2 ** (t + 1)) / (1 - m.momentum ** (t + 1))
    return h[0] / (h[1].sqrt() + m.delta) * (rate * correction)


Rule = Callable[[SolverParameter, Tensor, list[Tensor], float, int], Tensor]
_RULES: dict[str, Rule] = {
    "SGD": _sgd,
    "Nesterov": _nesterov,
    "AdaGrad": _adagrad,
    "RMSProp": _rmsprop,
    "AdaDelta": _adadelta,
    "Adam": _adam,
}
