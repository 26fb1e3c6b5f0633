"""What our way to write ONNX files costs and gives: the processor time of ``zoo convert`` beside that of
torch's exporter, and how fast the files are.

Run from the repository root with nothing else running: ``python benchmarks/exporter.py`` writes
eval/results/times/exporter.json, from which docs/convert.md has its figures (``make readme``). The nets are
those of pairs.py; such as need the corpus of prototxts beside the checkout are left out where it is not.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from build_net import resnet_text
from exporter_tables import exporter_tables, measured
from pairs import NETS, Pair
from results import markdown

from converters.host.files import write_text
from converters.host.machine import cores
from eval.environment import cpu_name, versions
from eval.speed.engines import TimingJob
from eval.speed.latency import check_agreement, time_by_turns, workers
from eval.speed.rounds import Samples, ratio

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "eval" / "results" / "times" / "exporter.json"
BATCHES = (1, 16)
PROCESSES, CALLS = 3, 200  # processes of each command; timed calls of each file at batch 1
Figures = dict[str, Any]


def commands(folder: Path) -> dict[str, list[str]]:
    """What is timed, by name."""
    deep, script = folder / "ResNet-152.prototxt", str(Path(__file__).parent / "by_hand.py")
    deep.write_text(resnet_text())
    convert = ["-m", "zoo", "convert"]
    return {
        "import torch": ["-c", "import torch"],
        "convert allconv6": [*convert, "allconv6", "--output", f"{folder}/allconv6"],
        "export allconv6": [script, "allconv6", f"{folder}/allconv6.onnx"],
        "convert ResNet-152": [*convert, str(deep), "--output", f"{folder}/ResNet-152"],
        "export ResNet-152": [script, "ResNet-152", f"{folder}/ResNet-152.onnx"],
    }


def processor_seconds(arguments: list[str]) -> float:
    """User's and system's seconds of a process of Python."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, *arguments]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def costs(processes: int) -> dict[str, float]:
    """The least of each command's seconds, the commands taking turns."""
    with tempfile.TemporaryDirectory() as folder:
        asked = commands(Path(folder))
        turns = [{name: processor_seconds(words) for name, words in asked.items()} for _ in range(processes)]
    return {name: min(turn[name] for turn in turns) for name in asked}


def jobs(pair: Pair, folder: Path, threads: int) -> list[TimingJob]:
    """Our file and the one by hand in onnxruntime, and ours in OpenCV."""
    ours, by_hand = map(str, pair.write(folder))
    inputs = {"data": [3, pair.side, pair.side]}
    return [
        TimingJob("onnxruntime", "cpu", threads, ours, inputs),
        TimingJob("onnxruntime", "cpu", threads, by_hand, inputs),
        TimingJob("opencv", "cpu", threads, ours, inputs, last=pair.outputs),
    ]


def speeds(pair: Pair, threads: int, calls: int) -> Figures:
    """By batch: milliseconds of our file, and its time over the others'."""
    with tempfile.TemporaryDirectory() as folder, workers(jobs(pair, Path(folder), threads)) as processes:
        for worker in processes:
            worker.open()
            check_agreement(worker, processes[0], BATCHES[-1])
        ours, by_hand, opencv = time_by_turns(processes, [BATCHES] * 3, calls, lambda _: None)
    return {
        str(batch): {
            "ours_ms": 1000 * ours.samples[batch].percentile(50),
            "by hand": over(ours.samples[batch], by_hand.samples[batch]),
            "OpenCV": over(ours.samples[batch], opencv.samples[batch]),
        }
        for batch in BATCHES
    }


def over(above: Samples, below: Samples) -> list[float]:
    """The ratio and its interval."""
    found = ratio(above, below)
    return [found.value, found.low, found.high]


def latency(names: list[str], threads: int, calls: int) -> Figures:
    """:func:`speeds` by net, with a line for each that cannot be had."""
    found: Figures = {}
    for name in names:
        try:
            found[name] = speeds(NETS[name], threads, calls)
        except FileNotFoundError as error:
            print(f"{name}: left out: {error}", file=sys.stderr)
    return found


def main() -> int:
    """Measure, write and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--calls", type=int, default=CALLS, help=f"timed at batch 1 (default: {CALLS})")
    parser.add_argument("--processes", type=int, default=PROCESSES, help=f"a command (default: {PROCESSES})")
    parser.add_argument("--nets", nargs="*", choices=NETS, default=list(NETS), help="default: all")
    parser.add_argument("--json", type=Path, default=FIGURES, help="where the figures go")
    args, threads = parser.parse_args(), cores()
    figures = {"processor": cpu_name(), "threads": threads, "versions": versions()}
    figures["processor_s"] = costs(args.processes)
    figures["latency"] = latency(args.nets, threads, args.calls)
    write_text(args.json, json.dumps(figures, indent=1) + "\n")
    print(*map(markdown, exporter_tables(figures)), measured(figures), sep="\n\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
