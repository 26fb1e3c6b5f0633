"""How long a model takes in onnxruntime: one process per model, so that none warms another's caches.

``python -m eval.latency MODEL PROVIDER THREADS RUNS`` prints one JSON object.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from eval.environment import cpu_name, gpu_name
from eval.runtime import PROVIDERS, open_session, resolve
from prototxt.errors import InputError

LATENCY_BATCH, THROUGHPUT_BATCH = 1, 64
_WARM_UP = 5


@dataclass(frozen=True)
class Latency:
    """Milliseconds at batch 1 and images a second (median) at batch 64, and what they were measured on."""

    p50_ms: float
    p90_ms: float
    p99_ms: float
    images_per_second: float
    runs: int
    threads: int
    provider: str
    onnxruntime: str
    processor: str


def measure(model: Path, provider: str, threads: int, runs: int) -> Latency:
    """Measure ``model`` in a process of its own. Raises InputError where it cannot run there."""
    # -P: a file eval.py in the user's folder must not stand in for this package.
    command = [sys.executable, "-P", "-m", "eval.latency", str(model), provider, str(threads), str(runs)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise InputError(
            f"{model}: {(done.stderr.strip().splitlines() or ['the measuring process died'])[-1]}"
        )
    return Latency(**json.loads(done.stdout.splitlines()[-1]))


def measure_here(model: Path, provider: str, threads: int, runs: int) -> Latency:
    """Measure ``model`` in this process: warm-up, ``runs`` calls at batch 1, a tenth as many at batch 64."""
    import onnxruntime

    session = open_session(model, provider, threads)
    single = _times(session, LATENCY_BATCH, runs) * 1000
    batch = _times(session, THROUGHPUT_BATCH, max(5, runs // 10))
    p50, p90, p99 = (float(np.percentile(single, q)) for q in (50, 90, 99))
    rate = THROUGHPUT_BATCH / float(np.median(batch))
    ran = session.get_providers()[0]
    name = (
        cpu_name()
        if ran == PROVIDERS["cpu"] or resolve(provider) == "openvino"
        else gpu_name() or "unnamed GPU"
    )
    return Latency(p50, p90, p99, rate, runs, threads, ran, onnxruntime.__version__, name)


def _times(session: Any, batch: int, runs: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Seconds of each of ``runs`` calls on random pixels, after warm-up."""
    random = np.random.Generator(np.random.PCG64(0))
    feeds = {
        item.name: random.uniform(-128, 128, (batch, *item.shape[1:])).astype(np.float32)
        for item in session.get_inputs()
    }
    for _ in range(_WARM_UP):
        session.run(None, feeds)
    seconds = np.empty(runs)
    for index in range(runs):
        start = time.perf_counter()
        session.run(None, feeds)
        seconds[index] = time.perf_counter() - start
    return seconds


def _main(model: str, provider: str, threads: str, runs: str) -> int:
    try:
        print(json.dumps(asdict(measure_here(Path(model), provider, int(threads), int(runs)))))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(_main(*sys.argv[1:]))
