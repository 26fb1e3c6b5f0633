"""Caffe's solvers: rates of blobs, regularisation and clipping (sgd_solver.cpp and its kin)."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from converters.blobs import tensor_of
from converters.host.places import refuse_escapes
from converters.network import Network
from converters.solver.update.rates import check_policy, learning_rate, momentum_at, steps_taken
from converters.solver.update.updates import UPDATES, Numbers
from prototxt.caffe_pb2 import SolverParameter
from prototxt.errors import InputError
from prototxt.forks import unhonoured_of_solver
from prototxt.upgrade import SOLVER_TYPES

_NETS = ("net_param", "train_net_param", "test_net_param")


def solver_type(solver: SolverParameter) -> str:
    """The update rule's name, from ``type`` or the older ``solver_type`` enum."""
    return SOLVER_TYPES[solver.solver_type] if solver.HasField("solver_type") else solver.type


def check_solver(solver: SolverParameter) -> None:
    """Raise InputError for settings that Caffe refuses too (Solver::Init, sgd_solver.cpp, sgd_solvers.hpp).

    What a solver says of its nets is looked at by :mod:`converters.solver.nets`.
    """
    for path in unhonoured_of_solver(solver, _NETS):
        raise InputError(f"{path} is a field of forks of Caffe that nothing here honours")
    kind = solver_type(solver)
    if kind not in UPDATES:
        raise InputError(f'solver type "{kind}" is not one of {", ".join(UPDATES)}')
    if solver.regularization_type not in ("L2", "L1"):
        raise InputError(f'regularization_type "{solver.regularization_type}" is not L2 or L1')
    if solver.iter_size < 1:
        raise InputError(f"iter_size {solver.iter_size} must be at least 1")
    if solver.average_loss < 1:
        raise InputError(f"average_loss {solver.average_loss} must be at least 1")
    if kind in ("AdaGrad", "RMSProp") and solver.momentum:
        raise InputError(f"{kind} takes no momentum, and momentum is {solver.momentum:g}")
    if kind == "RMSProp" and not 0 <= solver.rms_decay < 1:
        raise InputError(f"rms_decay {solver.rms_decay:g} must be at least 0 and less than 1")
    check_policy(solver)
    _check_forks(solver, kind)
    refuse_escapes("snapshot_prefix", solver.snapshot_prefix)


def _check_forks(solver: SolverParameter, kind: str) -> None:
    """Raise InputError for what a fork's SGD alone knows, and for policies that it does not know."""
    if kind != "SGD" and (solver.larc or solver.momentum_policy != "fixed"):
        raise InputError(f"larc and momentum_policy are of SGD in NVIDIA's fork, not of {kind}")
    if solver.larc and solver.larc_policy not in ("scale", "clip"):
        raise InputError(f'larc_policy "{solver.larc_policy}" is not scale or clip')
    if solver.momentum_policy not in ("fixed", "poly", "opt"):
        raise InputError(f'momentum_policy "{solver.momentum_policy}" is not fixed, poly or opt')


@dataclass
class Learnable:
    """A learnable blob with its multipliers, the solver's history of it, and what the last update took
    off it where the solver keeps that.
    """

    name: str
    blob: Tensor
    lr_mult: float
    decay_mult: float
    history: list[Tensor] = field(default_factory=list)
    taken: Tensor | None = None


def learnable(net: Network) -> list[Learnable]:
    """Every blob of every layer, once each, in the order of layers: Caffe's learnable_params.

    Those with lr_mult 0 are frozen: they get no gradient, as in Caffe, and so no part in clipping.
    BatchNorm's sums are among them. A shared blob has the multipliers of the first layer that gives them.
    """
    parameters = []
    for blob in net.blobs:
        if blob.owner is blob:
            tensor, spec = tensor_of(blob, net.layers), blob.multipliers
            tensor.requires_grad_(spec.lr_mult != 0)
            parameters.append(Learnable(blob.name, tensor, spec.lr_mult, spec.decay_mult))
    return parameters


class UpdateRule:
    """Turns gradients into updates of ``parameters``; the caller runs forward and backward.

    With ``iter_size`` > 1 the caller adds the gradients of that many batches before ``update``.
    ``current_step`` is Caffe's count of the rate's steps; None: as the iteration says. With
    ``keeps_updates`` each parameter's ``taken`` holds what the last update took off it.
    """

    def __init__(self, message: SolverParameter, parameters: Sequence[Learnable]) -> None:
        check_solver(message)
        self.message = message
        self.parameters = list(parameters)
        self.compute_update = UPDATES[solver_type(message)]
        self.slots = 2 if solver_type(message) in ("AdaDelta", "Adam") else 1
        self.current_step: int | None = None
        self.keeps_updates = False
        self.has_loaded = False
        for parameter in self.parameters:
            parameter.history = [torch.zeros_like(parameter.blob) for _ in range(self.slots)]

    def history_blobs(self) -> list[Tensor]:
        """The histories as a .solverstate lists them: all of the first kind, then all of the second."""
        return [parameter.history[slot] for slot in range(self.slots) for parameter in self.parameters]

    @torch.no_grad()
    def load_history(self, blobs: Sequence[Tensor]) -> None:
        """Copy histories in the order of :meth:`history_blobs` (RestoreSolverStateFromBinaryProto).

        Raises InputError, before any has changed, where :meth:`check_history` does.
        """
        self.check_history(blobs)
        for blob, mine in zip(blobs, self.history_blobs(), strict=True):
            mine.copy_(blob.reshape(mine.shape))
        self.has_loaded = True

    def check_history(self, blobs: Sequence[Tensor]) -> None:
        """Raise InputError for another number of histories, or another shape, than this solver keeps; 4
        axes of which the first are 1 stand for fewer, as in Caffe's old files (Blob::ShapeEquals).
        """
        ours = self.history_blobs()
        if len(blobs) != len(ours):
            raise InputError(
                f"holds {len(blobs)} histories; {solver_type(self.message)} keeps {len(ours)} for "
                f"the {len(self.parameters)} blobs of this net"
            )
        for index, (blob, mine) in enumerate(zip(blobs, ours, strict=True)):
            if tuple(blob.shape) not in (tuple(mine.shape), (1,) * (4 - mine.dim()) + tuple(mine.shape)):
                name = self.parameters[index % len(self.parameters)].name
                shapes = f"{tuple(blob.shape)}; blob {name} has {tuple(mine.shape)}"
                raise InputError(f"history {index} has shape {shapes}")

    def rate(self, iteration: int) -> float:
        """The learning rate of ``iteration``; where Caffe's count of steps is kept, it goes on."""
        if self.current_step is not None:
            self.current_step = steps_taken(self.message, iteration, self.current_step)
        return learning_rate(self.message, iteration, self.current_step)

    def coming_rate(self, iteration: int) -> float:
        """What :meth:`rate` will say; the count of steps stays."""
        return learning_rate(self.message, iteration, steps_taken(self.message, iteration, self.current_step))

    @torch.no_grad()
    def update(self, iteration: int, rate: float | None = None) -> None:
        """One step from the gradients in ``blob.grad``, which it clears (SGDSolver::ApplyUpdate).

        A blob that has none counts as having zeros: decay and momentum go on, and so do the histories of
        frozen blobs, whose own values stay.
        """
        rate = self.rate(iteration) if rate is None else rate
        momentum = self._momentum(iteration, rate)
        self._clip()
        for parameter in self.parameters:
            if self._is_idle(parameter):
                continue
            own_rate = self._own_rate(parameter, rate, momentum)
            gradient = self._regularised(parameter)
            numbers = Numbers(own_rate, momentum, iteration)
            step = self.compute_update(self.message, gradient, parameter.history, numbers)
            parameter.blob.sub_(step)
            parameter.blob.grad = None
            if self.keeps_updates:
                parameter.taken = step.clone()

    def _momentum(self, iteration: int, rate: float) -> float:
        """The momentum of ``iteration``, which in forks changes for SGD alone."""
        is_sgd = solver_type(self.message) == "SGD"
        return momentum_at(self.message, iteration, rate) if is_sgd else self.message.momentum

    def _own_rate(self, parameter: Learnable, rate: float, momentum: float) -> float:
        """The rate of one blob: times lr_mult, or with NVIDIA's ``larc`` (of its 0.17) from the norms of the
        blob and of its gradient before decay, as its GPU code has it; lr_mult then only says whether it
        learns. Its CPU code takes the norm after decay.
        """
        if not self.message.larc or not parameter.lr_mult > 0:
            return rate * parameter.lr_mult
        gradient = torch.zeros(()) if parameter.blob.grad is None else parameter.blob.grad
        size = torch.linalg.vector_norm(parameter.blob).item()
        slope = torch.linalg.vector_norm(gradient).item() / self.message.iter_size
        own = (1 - momentum) * self.message.larc_eta * size / slope if size > 0 and slope > 0 else 1.0
        return min(rate, own) if self.message.larc_policy == "clip" else rate * own

    def _is_idle(self, parameter: Learnable) -> bool:
        """Whether all histories stay zero: a frozen blob whose history never was anything else."""
        is_still = not parameter.blob.requires_grad and solver_type(self.message) in ("SGD", "Nesterov")
        return is_still and not self.has_loaded

    def _clip(self) -> None:
        """Scale all gradients together so that their common L2 norm is at most clip_gradients."""
        limit = self.message.clip_gradients
        gradients = [p.blob.grad for p in self.parameters if p.blob.grad is not None]
        if limit < 0 or not gradients:
            return
        norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in gradients]))
        factor = torch.where(norm > limit, limit / norm, 1.0)
        for gradient in gradients:
            gradient.mul_(factor)

    def _regularised(self, parameter: Learnable) -> Tensor:
        """The gradient over iter_size, plus weight decay (Normalize, then Regularize)."""
        gradient = torch.zeros_like(parameter.blob) if parameter.blob.grad is None else parameter.blob.grad
        gradient = gradient / self.message.iter_size if self.message.iter_size != 1 else gradient
        decay = self.message.weight_decay * parameter.decay_mult
        if not decay:
            return gradient
        pull = parameter.blob if self.message.regularization_type == "L2" else parameter.blob.sign()
        return gradient.add(pull, alpha=decay)
