"""The parser of ``zoo bench``. Nothing heavy is imported."""

import argparse

from zoo.cli.choices import AGAINST, ARTICLE, AUTO, BATCH_SIZES, CALLS, PRECISIONS, PROVIDERS, ROUNDS, RUNS
from zoo.cli.parts import Commands, add_elsewhere, add_plugin, command, positive_number


def add_bench(commands: Commands) -> None:  # type: ignore[valid-type]
    """The command ``zoo bench``."""
    text = "Accuracy, size and latency of runs in onnxruntime and elsewhere, and FC against GAP."
    parser = command(commands, "bench", "zoo.bench.command:run", text)
    text = f"a folder of runs (default: {RUNS}); the rows are written to its bench.json"
    parser.add_argument("folder", nargs="?", default=RUNS, metavar="RUNS", help=text)
    parser.add_argument(
        "--untrained", nargs="+", metavar="VARIANT", help=f"bench variants of {ARTICLE} without runs"
    )
    add_elsewhere(parser)
    add_plugin(parser)
    _add_what(parser)
    _add_how(parser)
    parser.add_argument("--json", metavar="FILE", help="write the rows as JSON")
    parser.add_argument("--csv", metavar="FILE", help="write the rows as CSV")
    text = "write figures to FILE (.png or .svg), or into a folder"
    parser.add_argument("--plot", metavar="FILE", help=text)


def _add_what(parser: argparse.ArgumentParser) -> None:
    sizes = list(BATCH_SIZES)
    text = f"(default: {' '.join(map(str, sizes))})"
    parser.add_argument(
        "--batch-sizes", nargs="+", type=positive_number, default=sizes, metavar="N", help=text
    )
    first = PRECISIONS[0]
    text = f"int8 is static quantisation, calibrated on training images (default: {first})"
    parser.add_argument("--precisions", nargs="+", default=[first], choices=PRECISIONS, help=text)
    text = f"onnxruntime's; {AUTO} takes CUDA where there is a GPU (default: {AUTO})"
    parser.add_argument("--providers", nargs="+", default=[AUTO], choices=(AUTO, *PROVIDERS), help=text)
    text = f"time the same nets there too, by turns with onnxruntime; joined by commas: {', '.join(AGAINST)}"
    parser.add_argument("--against", type=_runtimes, default=[], metavar="RUNTIMES", help=text)


def _add_how(parser: argparse.ArgumentParser) -> None:
    text = "threads of every runtime (default: the cores there are)"
    parser.add_argument("--threads", type=positive_number, metavar="N", help=text)
    text = (
        f"timed calls at batch 1, in up to {ROUNDS} rounds; fewer at larger batches, but one a round "
        f"(default: {CALLS})"
    )
    parser.add_argument("--runs", type=positive_number, default=CALLS, metavar="N", help=text)


def _runtimes(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in AGAINST:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(AGAINST)}")
    return names
