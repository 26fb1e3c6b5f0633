"""The parser of ``zoo bench``. Nothing heavy is imported."""

import argparse

from zoo.cli.parts import Commands, add_elsewhere, command, positive

_RUNTIMES = ("opencv", "torch", "torch-compile")


def add_bench(commands: Commands) -> None:  # type: ignore[valid-type]
    """The command ``zoo bench``."""
    text = "Accuracy, size and latency of runs in onnxruntime and elsewhere, and FC against GAP."
    parser = command(commands, "bench", "zoo.bench.command:run", text)
    text = "a folder of runs (default: runs); the rows are written to its bench.json"
    parser.add_argument("folder", nargs="?", default="runs", metavar="RUNS", help=text)
    parser.add_argument(
        "--untrained", nargs="+", metavar="VARIANT", help="bench variants of allconv6 without runs"
    )
    add_elsewhere(parser)
    _add_what(parser)
    _add_how(parser)
    parser.add_argument("--json", metavar="FILE", help="write the rows as JSON")
    parser.add_argument("--csv", metavar="FILE", help="write the rows as CSV")
    text = "write figures to FILE (.png or .svg), or into a folder"
    parser.add_argument("--plot", metavar="FILE", help=text)


def _add_what(parser: argparse.ArgumentParser) -> None:
    sizes = [1, 2, 4, 8, 16, 32, 64]
    text = f"(default: {' '.join(map(str, sizes))})"
    parser.add_argument("--batch-sizes", nargs="+", type=positive, default=sizes, metavar="N", help=text)
    text = "int8 is static quantisation, calibrated on training images (default: fp32)"
    kinds = ("fp32", "fp16", "int8")
    parser.add_argument("--precisions", nargs="+", default=["fp32"], choices=kinds, help=text)
    text = "onnxruntime's; auto takes CUDA where there is a GPU (default: auto)"
    names = ("auto", "cpu", "cuda", "tensorrt", "openvino")
    parser.add_argument("--providers", nargs="+", default=["auto"], choices=names, help=text)
    text = (
        f"time the same nets there too, by turns with onnxruntime; joined by commas: {', '.join(_RUNTIMES)}"
    )
    parser.add_argument("--against", type=_runtimes, default=[], metavar="RUNTIMES", help=text)


def _add_how(parser: argparse.ArgumentParser) -> None:
    text = "threads of every runtime (default: the cores there are)"
    parser.add_argument("--threads", type=positive, metavar="N", help=text)
    text = (
        "timed calls at batch 1, in up to 20 rounds; fewer at larger batches, but one a round (default: 200)"
    )
    parser.add_argument("--runs", type=positive, default=200, metavar="N", help=text)


def _runtimes(text: str) -> list[str]:
    found = text.split(",")
    for name in found:
        if name not in _RUNTIMES:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(_RUNTIMES)}")
    return found
