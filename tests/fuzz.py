"""Sends damaged texts and weight files through readers and graph: nothing but an InputError may come of it.

    PYTHONPATH=. python tests/fuzz.py --cases 1000000 --state fuzz.json

Each case is a function of the seed and its number: what kind of file, which, and how it is damaged. Some
texts are built and run, too. A case that raises anything else, takes more than LIMIT seconds or more
than MEMORY bytes is a fault, and is named with its number; --only NUMBER repeats it with its traceback. The
state file holds how far it came; the same command goes on from there.
"""

import argparse
import faulthandler
import json
import math
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, redirect_stderr, suppress
from dataclasses import dataclass, field
from functools import cache, partial
from io import StringIO
from pathlib import Path
from random import Random
from types import FrameType
from typing import TypedDict
from unittest.mock import patch

import torch
from mutations import mutated_bytes, mutated_text

from converters.graph import build_graph
from converters.host.files import write_text
from converters.net_state import net_state
from converters.network import Network
from converters.solver.state import read_state
from converters.solver.update.rules import check_solver
from converters.weights.mean_image import read_mean
from converters.weights.stored import stored_blobs
from eval.probe import probe_inputs, tensors
from prototxt.caffe_pb2 import NetParameter
from prototxt.errors import InputError
from prototxt.text import is_solver, parse_net, parse_solver
from prototxt.upgrade import quiet
from zoo.terminal.progress import counting

HERE = Path(__file__).parent
LIMIT = 30  # seconds a case
MEMORY = 3 * 2**30  # bytes of address space beyond what the process has when it begins
BUILT = 8  # one text in so many has one change alone, and is built and run where it still can be
CHUNK = 200
ELEMENTS = 4_000_000  # elements of all blobs of a net that is run
PARAMETERS = 2**28  # bytes of a net's parameters, above which it is refused as on a small machine


class State(TypedDict):
    """How far a run came. ``faults`` are the numbers of the cases that failed, with what came of them."""

    seed: int
    done: int
    built: int
    ran: int
    faults: dict[str, str]


@dataclass
class Outcome:
    """Of some cases; see :class:`State`."""

    built: int = 0
    ran: int = 0
    faults: dict[str, str] = field(default_factory=dict)


@cache
def texts(more: Path | None) -> list[str]:
    """The whole prototxts that are damaged: the recordings', the shipped ones, and those under ``more``."""
    rooms = [HERE / "golden", HERE / "data", HERE.parent / "prototxt" / "nets", *([more] if more else [])]
    files = sorted(
        path for room in rooms for path in room.rglob("*.prototxt") if path.stat().st_size < 100_000
    )
    return [path.read_text(encoding="utf-8", errors="surrogateescape") for path in files]


@cache
def binaries() -> list[tuple[str, bytes]]:
    """The whole weight files, solver states and means, each with its suffix."""
    kinds = (".caffemodel", ".solverstate", ".binaryproto", ".h5", ".safetensors")
    files = sorted(path for path in HERE.rglob("*") if path.suffix in kinds and path.stat().st_size < 300_000)
    return [(path.suffix, path.read_bytes()) for path in files]


def try_case(seed: int, number: int, outcome: Outcome, more: Path | None = None) -> None:
    """Try one case; whatever but an InputError comes of it goes through."""
    draw = Random(f"{seed}/{number}")
    if draw.random() < 0.3:
        _try_binary(draw)
        return
    with redirect_stderr(StringIO()):
        builds = number % BUILT == 0
        changes = 1 if builds else draw.randint(1, 4)
        text = mutated_text(draw.choice(texts(more)), draw.choice(texts(more)), changes, draw)
        _try_text(text, builds, outcome)


def _try_binary(draw: Random) -> None:
    suffix, data = draw.choice(binaries())
    data = mutated_bytes(data, draw.choice(binaries())[1], draw.randint(1, 4), draw)
    with tempfile.NamedTemporaryFile(suffix=suffix) as file, suppress(InputError):
        file.write(data)
        file.flush()
        path = Path(file.name)
        if suffix == ".solverstate":
            read_state(path)
        elif suffix == ".binaryproto":
            read_mean(path)
        else:
            for blobs in stored_blobs(path).values():
                for blob in blobs:
                    blob.read()


def _try_text(text: str, builds: bool, outcome: Outcome) -> None:
    with suppress(InputError):
        if is_solver(text):
            check_solver(parse_solver(text, warn=quiet))
            return
        net = parse_net(text, warn=quiet)
        for phase in ("TEST", "TRAIN"):
            with suppress(InputError):
                build_graph(net, net_state(phase), warn=quiet)
        if builds:
            _build_and_run(net, outcome)


def _build_and_run(net: NetParameter, outcome: Outcome) -> None:
    """Build a net, on a machine that seems small, and run it where its blobs are few enough."""
    graph = build_graph(net, net_state("TEST"), warn=quiet)
    with patch("converters.host.memory.physical_memory", lambda: PARAMETERS):
        network = Network(graph, "TEST", {})
    outcome.built += 1
    if sum(math.prod(shape) for shape in network.shapes.values()) <= ELEMENTS:
        network(*tensors(probe_inputs(network, None)).values())
        outcome.ran += 1


def try_chunk(seed: int, more: Path | None, first: int, count: int) -> Outcome:
    """Try ``count`` cases from number ``first`` on, each under both limits."""
    outcome = Outcome()
    with little_memory():
        for number in range(first, first + count):
            try:
                with little_time():
                    try_case(seed, number, outcome, more)
            except Exception as error:  # whatever it is, it is a fault
                outcome.faults[str(number)] = f"{type(error).__name__}: {error}"[:300]
    return outcome


@contextmanager
def little_memory() -> Iterator[None]:
    """A huge allocation fails in the block, as a MemoryError or what torch makes of it."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@contextmanager
def little_time() -> Iterator[None]:
    """What takes too long in the block raises TimeoutError; what does not come back ends the process."""

    def late(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"took more than {LIMIT} s")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(LIMIT)
    faulthandler.dump_traceback_later(4 * LIMIT, exit=True, file=sys.__stderr__)
    try:
        yield
    finally:
        signal.alarm(0)
        faulthandler.cancel_dump_traceback_later()


def begun(path: Path, seed: int) -> State:
    """The state that the file holds, or that of a new run. Raises InputError for one of another seed."""
    if not path.exists():
        return State(seed=seed, done=0, built=0, ran=0, faults={})
    state: State = json.loads(path.read_text(encoding="utf-8"))
    if state["seed"] != seed:
        raise InputError(f"{path}: is of seed {state['seed']}")
    return state


def run(state: State, cases: int, path: Path, more: Path | None, jobs: int) -> None:
    """Try the faults so far again, then what is left of ``cases``, and keep the state file up to date."""
    again = [try_chunk(state["seed"], more, int(number), 1).faults for number in state["faults"]]
    state["faults"] = {number: what for faults in again for number, what in faults.items()}
    firsts = range(state["done"], cases, CHUNK)
    chunks = [(first, min(CHUNK, cases - first)) for first in firsts]
    with ProcessPoolExecutor(jobs) as pool, counting("cases") as show:
        for (_, count), outcome in zip(
            chunks, pool.map(partial(_chunk, state["seed"], more), chunks), strict=True
        ):
            state["done"] += count
            state["built"] += outcome.built
            state["ran"] += outcome.ran
            state["faults"] |= outcome.faults
            write_text(path, json.dumps(state, indent=1))
            show(state["done"], cases)


def _chunk(seed: int, more: Path | None, chunk: tuple[int, int]) -> Outcome:
    torch.set_num_threads(1)
    return try_chunk(seed, more, *chunk)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--state", type=Path, default=Path("fuzz.json"), help="how far it came")
    parser.add_argument("--more", type=Path, metavar="DIR", help="prototxts that are damaged, too")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", type=int, metavar="NUMBER", help="try this case alone")
    args = parser.parse_args()
    if args.only is not None:
        with little_memory(), little_time():
            try_case(args.seed, args.only, Outcome(), args.more)
        return 0
    state = begun(args.state, args.seed)
    run(state, args.cases, args.state, args.more, args.jobs)
    print(
        f"{state['done']:,} cases, {state['built']:,} built, {state['ran']:,} run, {len(state['faults'])} faults"
    )
    for number, what in state["faults"].items():
        print(f"{number}: {what}")
    return int(bool(state["faults"]))


if __name__ == "__main__":
    sys.exit(main())
