"""How long a 512 MiB .caffemodel takes to load, and how much memory: ours against plain protobuf + numpy.

Run from the repository root: ``python benchmarks/load_caffemodel.py``. Each figure is the best of three
processes; memory is the peak of the whole process less what it held after its imports and, for ours, a tiny
net, which makes PyTorch load what it loads late. ``bare_read`` is ``file.read()`` into fresh memory. Exits 1
where ours takes over 1.5 times as long as that, or over 1.3 times the file's size.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MIB = 2**20
LIMITS = {"time": 1.5, "memory": 1.3}
REPEATS = 3


def net_text(mib: int) -> str:
    """Sixteen InnerProducts of one size: together ``mib`` MiB of weights."""
    layers, width = 16, 1024
    rows = mib * MIB // 4 // layers // width
    shape = f"input_param {{ shape {{ dim: 1 dim: {width} }} }}"
    head = f'name: "big" layer {{ name: "x" type: "Input" top: "x" {shape} }}'
    body = (
        f'layer {{ name: "ip{i}" type: "InnerProduct" bottom: "x" top: "y{i}" '
        f"inner_product_param {{ num_output: {rows} bias_term: false }} }}"
        for i in range(layers)
    )
    return "\n".join([head, *body])


def make(path: Path, mib: int) -> None:
    """Write the file to be loaded."""
    import torch

    from converters import load_net

    net = load_net(net_text(mib))
    with torch.no_grad():
        for blob in net.parameters():
            blob.normal_()
    net.save_caffemodel(path)


def bare_read(path: Path, mib: int) -> float:
    """Read the file once, unbuffered, into fresh memory."""
    start = time.perf_counter()
    with path.open("rb", buffering=0) as file:
        data = file.read()
    took = time.perf_counter() - start
    assert len(data) >= mib * MIB
    return took


def ours(path: Path, mib: int) -> float:
    """``load_net`` with weights: build the net, allocate it, read the file into it."""
    from converters import load_net

    text = net_text(mib)
    load_net(net_text(1))
    note_memory()
    start = time.perf_counter()
    load_net(text, path)
    return time.perf_counter() - start


def ours_into_a_net(path: Path, mib: int) -> float:
    """``load_weights`` alone, into a net that is there already; its memory counts as held before."""
    from converters import load_net

    net = load_net(net_text(mib))
    note_memory()
    start = time.perf_counter()
    net.load_weights(path)
    return time.perf_counter() - start


def plain_protobuf(path: Path, mib: int) -> float:
    """What a straight reader does: the whole message, then an array of each blob."""
    import numpy as np

    from prototxt.caffe_pb2 import NetParameter

    note_memory()
    start = time.perf_counter()
    message = NetParameter.FromString(path.read_bytes())
    blobs = {layer.name: [np.array(b.data, np.float32) for b in layer.blobs] for layer in message.layer}
    assert blobs
    return time.perf_counter() - start


WAYS = {way.__name__: way for way in (bare_read, ours, ours_into_a_net, plain_protobuf)}
_held = 0


def peak() -> int:
    """The most memory this process has held so far, in bytes (Linux; getrusage would count its parent's)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def note_memory() -> None:
    """What is held now is not the loading's."""
    global _held  # noqa: PLW0603
    _held = peak()


def measure(way: str, path: Path, mib: int) -> tuple[float, float]:
    """(seconds, bytes) of one way in processes of its own."""
    command = [sys.executable, __file__, "--way", way, "--file", str(path), "--mib", str(mib)]
    runs = [
        subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(REPEATS)
    ]
    pairs = [tuple(map(float, run.split())) for run in runs]
    return min(seconds for seconds, _ in pairs), min(memory for _, memory in pairs)


def report(path: Path, mib: int) -> int:
    """Print the table; 1 where a limit is passed."""
    size = path.stat().st_size
    results = {way: measure(way, path, mib) for way in WAYS}
    read = results["bare_read"][0]
    print(f"{size / MIB:.0f} MiB .caffemodel, best of {REPEATS} processes")
    for way, (seconds, memory) in results.items():
        times, sizes = f"{seconds:6.2f} s {seconds / read:6.2f} x read", f"{memory / MIB:7.0f} MiB"
        print(f"{way:16} {times} {sizes} {memory / size:5.2f} x")
    return int(results["ours"][0] > LIMITS["time"] * read or results["ours"][1] > LIMITS["memory"] * size)


def main() -> int:
    """The whole comparison, or one way of it in this process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=512, help="size of the weights (default: 512)")
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        note_memory()
        seconds = WAYS[args.way](args.file, args.mib)
        print(seconds, peak() - _held)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "big.caffemodel"
        make(path, args.mib)
        return report(path, args.mib)


if __name__ == "__main__":
    sys.path.insert(0, os.fspath(Path(__file__).parents[1]))
    sys.exit(main())
