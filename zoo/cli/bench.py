"""The parser of ``zoo bench``. Nothing heavy is imported."""

import argparse

from zoo.cli.choices import AGAINST, ARTICLE, AUTO, BATCH_SIZES, CALLS, PRECISIONS, PROVIDERS, ROUNDS, RUNS
from zoo.cli.parts import (
    Commands,
    add_dialect,
    add_elsewhere,
    add_input_shape,
    add_lenient,
    add_plugin,
    add_preparation,
    add_until,
    command,
    positive_number,
)

_EPILOG = """\
Nets side by side, each with its own weights, judged by one list:
  zoo bench old.prototxt=old.caffemodel new.prototxt=new.caffemodel --list val.txt --mean 104,117,123
One net: zoo bench deploy.prototxt --weights w.caffemodel --data photos
Without --list and --data a net is judged by its own TEST layer, and without one by nothing.
"""


def add_bench(commands: Commands) -> None:  # type: ignore[valid-type]
    """The command ``zoo bench``."""
    text = (
        "Accuracy, size and latency of runs, or of any nets, here and in other runtimes, and FC against GAP."
    )
    parser = command(commands, "bench", "zoo.bench.command:run", text)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    text = (
        f"a folder of runs (default: {RUNS}), whose bench.json gets the rows; or nets, each a prototxt's "
        "path or a shipped net's name, and behind a = its weights, or a .caffemodel with its net in it"
    )
    parser.add_argument("measured", nargs="*", default=[RUNS], metavar="RUNS|NET[=WEIGHTS]", help=text)
    parser.add_argument(
        "--untrained", nargs="+", metavar="VARIANT", help=f"bench variants of {ARTICLE} without runs"
    )
    add_elsewhere(parser)
    _add_net(parser)
    add_plugin(parser)
    _add_what(parser)
    _add_how(parser)
    parser.add_argument("--json", metavar="FILE", help="write the rows as JSON")
    parser.add_argument("--csv", metavar="FILE", help="write the rows as CSV")
    text = "write figures to FILE (.png or .svg), or into a folder"
    parser.add_argument("--plot", metavar="FILE", help=text)


def _add_net(parser: argparse.ArgumentParser) -> None:
    """What only nets take that are no runs."""
    parser.add_argument(
        "--weights", metavar="FILES", help="of a single NET, with commas; later ones count first"
    )
    text = "judge nets by the pictures of this folder: its list_val_shuffle.txt, or its class folders by name"
    parser.add_argument("--data", metavar="DIR", help=text)
    add_preparation(parser, "subtracted pixel by pixel")
    add_until(parser)
    add_input_shape(parser)
    add_dialect(parser)
    add_lenient(parser)


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
