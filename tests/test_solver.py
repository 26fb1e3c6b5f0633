"""Solver arithmetic against 30 iterations of real Caffe, and the rate policies against their formulas."""

from pathlib import Path

import numpy as np
import pytest
import torch
from golden_cases import GOLDEN, arrays, error, named

from converters import Network, load_net
from converters.solver import Solver, learnable, learning_rate
from prototxt.caffe_pb2 import SolverParameter
from prototxt.errors import InputError
from prototxt.text import read_solver

RUNS = sorted(path.name for path in (GOLDEN / "solver").iterdir())


def batches(data: dict[str, np.ndarray], batch: int, index: int) -> tuple[torch.Tensor, torch.Tensor]:
    """MemoryData's ``index``-th batch: consecutive rows, wrapping round."""
    rows = np.arange(index * batch, (index + 1) * batch) % len(data["X"])
    return torch.from_numpy(data["X"][rows]), torch.from_numpy(data["y"][rows])


def replay(folder: Path) -> tuple[Network, list[float]]:
    message = read_solver(folder / "solver.prototxt")
    data = arrays(folder / "run.npz")
    net = load_net(folder / "net.prototxt", phase="TRAIN")
    for name, blob in named(data, "init").items():
        layer, _, index = name.rpartition("/")
        with torch.no_grad():
            net.params[layer][int(index)].copy_(blob)
    solver = Solver(message, learnable(net))
    batch = next(node.layer.memory_data_param.batch_size for node in net.graph.nodes if node.is_data)
    losses = []
    for iteration in range(message.max_iter):
        for sub in range(message.iter_size):
            x, y = batches(data, batch, iteration * message.iter_size + sub)
            loss = net.loss(net.values({"data": x, "label": y}))
            loss.backward()
        losses.append(loss.item())
        solver.update(iteration)
    return net, losses


@pytest.mark.parametrize("run", RUNS)
def test_thirty_iterations_end_where_caffe_ended(run: str) -> None:
    net, losses = replay(GOLDEN / "solver" / run)
    data = arrays(GOLDEN / "solver" / run / "run.npz")
    np.testing.assert_allclose(losses, data["loss_last_subiteration"], rtol=0, atol=1e-5)
    for name, theirs in named(data, "final").items():
        layer, _, index = name.rpartition("/")
        assert error(net.params[layer][int(index)].detach(), theirs) <= 1e-4, name


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
    from prototxt.text import parse

    assert learning_rate(parse(text, SolverParameter), iteration) == pytest.approx(rate, rel=1e-6)


@pytest.mark.parametrize(
    "settings",
    [
        {"lr_policy": "cosine"},
        {"lr_policy": "fixed", "type": "AdamW"},
        {"lr_policy": "fixed", "regularization_type": "L3"},
        {"lr_policy": "step"},
        {"lr_policy": "fixed", "iter_size": 0},
    ],
)
def test_a_setting_caffe_refuses_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(InputError):
        Solver(SolverParameter(base_lr=0.1, **settings), [])  # type: ignore[arg-type]
