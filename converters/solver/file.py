"""From a solver prototxt to a solver in one call, as pycaffe's get_solver."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from converters.host.places import find
from converters.solver.engine import CaffeSolver
from converters.solver.feed import open_feed
from converters.solver.log.debug import NOTICE
from converters.solver.log.lines import CaffeLog
from converters.solver.names import snapshot_prefix, weight_names
from converters.solver.net import SolverNet
from converters.solver.nets import NetSource, solver_nets
from converters.solver.update.rules import check_solver
from converters.solver.update.step import Process
from prototxt.caffe_pb2 import SolverParameter
from prototxt.errors import InputError, about
from prototxt.text import read_solver, to_stderr


def load_solver(
    path: str | Path,
    log: Callable[[str], object] = to_stderr,
    device: str | None = None,
    allow_python: bool = False,
    dialect: str | None = None,
) -> CaffeSolver:
    """The solver of a prototxt, its nets and data layers built, its ``weights`` loaded.

    Relative paths count from the current folder, as in Caffe; nets and data that are not there are sought
    beside the solver. ``log`` takes Caffe's log lines; ``device`` (such as "cpu") beats solver_mode;
    ``dialect`` names the forks whose rules are meant where forks have different ones under one type. Raises
    InputError, with the file, for what Caffe refuses.
    """
    path = Path(path)
    message = read_solver(path)
    with about(path):
        check_solver(message)
        where = torch.device(device) if device else device_of(message)
    for line in notices(message):
        log(f"{path}: {line}")
    places = (Path(), path.parent)
    seed = max(message.random_seed, 0)
    sources = solver_nets(message, path, places, dialect)
    net, *tests = [_build_net(source, seed, places, where, allow_python) for source in sources]
    listener = CaffeLog(message, lambda _, line: log(line))
    solver = CaffeSolver(message, net, tests, Process(seed), snapshot_prefix(message, path), [listener])
    for name in weight_names(message.weights):
        solver.load_weights(find(name, places))
    return solver


def _build_net(
    source: NetSource, seed: int, places: Sequence[Path], device: torch.device, allow_python: bool
) -> SolverNet:
    """The net with its data layers opened; errors name file and line."""
    graph = source.graph(allow_python)
    feed = open_feed(graph, source.phase, seed, places, device)
    return SolverNet(graph, source.phase, feed, seed).to(device)


def device_of(message: SolverParameter) -> torch.device:
    """The GPU of device_id under solver_mode GPU, where there is a GPU; else the CPU. Raises InputError
    for a device_id that is not there.
    """
    if message.solver_mode == SolverParameter.CPU or not torch.cuda.is_available():
        return torch.device("cpu")
    return gpu(message.device_id[0] if message.device_id else 0, "device_id")


def gpu(number: int, what: str) -> torch.device:
    """The GPU of that number; messages call it ``what``. Raises InputError for one that is not there."""
    count = torch.cuda.device_count()
    if not 0 <= number < count:
        raise InputError(f"{what} {number}: PyTorch finds {count} GPUs, from 0 on")
    return torch.device("cuda", number)


def notices(message: SolverParameter) -> list[str]:
    """One line for each field that is set and means nothing here, or something else than in Caffe."""
    lines = []
    wants_gpu = message.HasField("solver_mode") and message.solver_mode == SolverParameter.GPU
    if wants_gpu and not torch.cuda.is_available():
        lines.append("solver_mode GPU: PyTorch finds no GPU here, so the CPU computes")
    elif message.device_id and message.solver_mode == SolverParameter.CPU:
        listed = ", ".join(map(str, message.device_id))
        lines.append(f"device_id {listed} means nothing under solver_mode CPU")
    elif len(message.device_id) > 1:
        lines.append("device_id lists several GPUs: this process takes the first; torchrun has one for each")
    if message.HasField("layer_wise_reduce"):
        lines.append("layer_wise_reduce means nothing here: torch.distributed decides when it reduces")
    if message.random_seed < 0:
        lines.append("random_seed is not given: Caffe draws one, here it is 0")
    if message.debug_info:
        lines.append(NOTICE)
    return lines
