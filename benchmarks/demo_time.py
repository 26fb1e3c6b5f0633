"""How long ``make demo`` takes once it is installed, against 100 plain training steps of allconv6 written by
hand in PyTorch (batches of 16, 224 pixels, channels-last), so that processors can be compared.

Run from the repository root with nothing else running: ``python benchmarks/demo_time.py`` writes
eval/results/times/demo.json, from which the README's figure comes (``make readme``). With ``--estimate`` it
times a few steps and says how long the demo is going to take here: the demo's first line.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from by_hand import allconv6
from torch import nn

from converters.host.files import write_text
from eval.environment import cpu_name, versions

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "eval" / "results" / "times" / "demo.json"
BATCH, SIZE, CLASSES, STEPS = 16, 224, 20, 100
WARM_UP, GLANCE = 2, 5  # steps not timed, and those that an estimate is made from


def by_hand() -> nn.Sequential:
    """allconv6, channels last."""
    net: nn.Sequential = allconv6(bn=False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net


def plain_seconds(steps: int) -> float:
    """Seconds that ``steps`` steps of SGD with momentum take, on one batch of noise."""
    net = by_hand()
    images = torch.randn(BATCH, 3, SIZE, SIZE).to(memory_format=torch.channels_last)
    labels = torch.randint(CLASSES, (BATCH,))
    update = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    start = 0.0
    for step in range(WARM_UP + steps):
        if step == WARM_UP:
            start = time.perf_counter()
        update.zero_grad()
        nn.functional.cross_entropy(net(images), labels).backward()  # type: ignore[no-untyped-call]
        update.step()
    return time.perf_counter() - start


def demo_seconds() -> float:
    """Seconds of the commands of ``make demo``, in empty folders."""
    with tempfile.TemporaryDirectory() as folder:
        targets = [f"VENV={sys.prefix}", f"DEMO={folder}/runs", f"DEMO_DATA={folder}/data"]
        environment = os.environ | {"ZOO_CACHE": f"{folder}/cache"}
        start = time.perf_counter()
        subprocess.run(["make", "demo", *targets], cwd=ROOT, env=environment, check=True)
        return time.perf_counter() - start


def measure() -> dict[str, object]:
    """The demo between two halves of the plain steps, in one run."""
    before = plain_seconds(STEPS // 2)
    demo = demo_seconds()
    plain = before + plain_seconds(STEPS // 2)
    machine = {"processor": cpu_name(), "threads": torch.get_num_threads(), "versions": versions()}
    return machine | {"demo_s": demo, "plain_100_s": plain, "ratio": demo / plain}


def estimate() -> str:
    """How long the demo will take here, by a glance at plain steps and the ratio that was measured."""
    hundred = plain_seconds(GLANCE) * STEPS / GLANCE
    ratio = json.loads(FIGURES.read_text(encoding="utf-8"))["ratio"]
    minutes = hundred * ratio / 60
    return f"the demo takes about {minutes:.0f} min here ({ratio:.1f} × {STEPS} plain training steps)"


def main() -> int:
    """Measure, or estimate."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--estimate", action="store_true", help="only say how long the demo will take here")
    if parser.parse_args().estimate:
        print(estimate(), file=sys.stderr, flush=True)
        return 0
    write_text(FIGURES, json.dumps(measure(), indent=1) + "\n")
    print(FIGURES.read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
