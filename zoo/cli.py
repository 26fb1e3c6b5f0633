"""The command line. Nothing heavy is imported before a command is known."""

import argparse
import importlib
import sys
from collections.abc import Sequence

from zoo.cli_bench import add_bench
from zoo.cli_report import add_report

_EPILOG = "Each command's own --help says more. Notices go to stderr, results to stdout; bad input exits 2."

_TRAIN_EPILOG = """\
Ctrl-C (SIGINT) writes a snapshot and stops, SIGHUP writes one and goes on.

Several GPUs (or, without any, processes on the CPU): the batch size is that of each, as in Caffe.
  torchrun --nproc-per-node 4 -m zoo train --solver FILE
Several machines: the same line on each, with the first one's name; data and solver must be on all of them.
  torchrun --nnodes 2 --nproc-per-node 4 --rdzv-backend c10d --rdzv-endpoint HOST:29500 -m zoo train …
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; its exit code, 2 with one line on stderr for bad input."""
    args = _parser().parse_args(argv)
    from prototxt.errors import InputError

    module, _, function = args.run.partition(":")
    try:
        code: int = getattr(importlib.import_module(module), function)(args)
        sys.stdout.flush()
    except InputError as error:
        print(f"zoo: {_one_line(str(error))}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader, `head` say, has what it wanted
        sys.stderr.close()
        return 0
    except OSError as error:
        print(f"zoo: {_one_line(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("zoo: interrupted", file=sys.stderr)
        return 130
    return code


def _one_line(text: str) -> str:
    return " ".join(text.split("\n"))


def _parser() -> argparse.ArgumentParser:
    description = "Caffe nets in PyTorch and ONNX: convert, train, benchmark."
    parser = argparse.ArgumentParser("zoo", description=description, epilog=_EPILOG)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")
    for add in (_convert, _train, add_bench, add_report, _show, _upgrade, _list, _layers, _data):
        add(commands)
    return parser


Commands = "argparse._SubParsersAction[argparse.ArgumentParser]"


def _command(commands: Commands, name: str, run: str, text: str) -> argparse.ArgumentParser:  # type: ignore[valid-type]
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)  # type: ignore[attr-defined]
    parser.set_defaults(run=run)
    return parser


def _add_net(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("net", metavar="NET", help="a prototxt's path, or a shipped net's name (zoo list)")
    _add_variant(parser)


def _add_variant(parser: argparse.ArgumentParser, default: str | None = "baseline") -> None:
    text = "edits of the net, joined by + (bn+dropout0.5+fc); zoo list names them (default: baseline)"
    parser.add_argument("--variant", default=default, help=text)


def _convert(commands: Commands) -> None:  # type: ignore[valid-type]
    parser = _command(
        commands, "convert", "zoo.convert:run", "Turn a prototxt into ONNX, with a table of its layers."
    )
    _add_net(parser)
    parser.add_argument(
        "--weights", metavar="FILE", help="a .caffemodel, .h5 or .safetensors file; what it lacks is filled"
    )
    parser.add_argument(
        "--phase", choices=("TEST", "TRAIN"), default="TEST", help="whose layers (default: TEST)"
    )
    parser.add_argument(
        "--output", metavar="DIR", help="folder for the files (default: converted/<net>-<variant>)"
    )
    parser.add_argument(
        "--verify", action="store_true", help="hold onnxruntime against PyTorch; exit 1 if they differ"
    )
    text = "shape of an input that the prototxt does not tell, such as data=1,3,224,224; may be repeated"
    parser.add_argument(
        "--input-shape", action="append", type=_shape, default=[], metavar="BLOB=N,C,H,W", help=text
    )


def _train(commands: Commands) -> None:  # type: ignore[valid-type]
    parser = _command(
        commands, "train", "zoo.train:run", "Train a net as its solver says, into a run folder."
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _TRAIN_EPILOG
    _add_variant(parser, None)
    parser.add_argument(
        "--solver",
        metavar="FILE",
        help="a solver prototxt or a shipped one's name (default: allconv6_solver)",
    )
    parser.add_argument(
        "--root", metavar="DIR", help="where list files and images are sought, after the current folder"
    )
    parser.add_argument(
        "--classes", type=_positive, metavar="N", help="classes (default: as many as the lists have)"
    )
    text = (
        "input of N×N pixels instead of the net's crop; resizes scale with it, a GAP head pools the whole map"
    )
    parser.add_argument("--size", type=_positive, metavar="N", help=text)
    parser.add_argument("--max-iter", type=_positive, metavar="N", help="iterations, instead of the solver's")
    parser.add_argument(
        "--batch-size", type=_positive, metavar="N", help="TRAIN and TEST batch size, instead of the net's"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="(default: auto)")
    parser.add_argument(
        "--seed", type=_whole, metavar="N", help="instead of the solver's random_seed (default: 0)"
    )
    parser.add_argument("--output", metavar="DIR", help="run folder (default: runs/<net>-<variant>)")
    text = (
        "go on from this snapshot, ours or Caffe's .solverstate; without a FILE from the run folder's newest"
    )
    parser.add_argument("--resume", nargs="?", const="", metavar="FILE", help=text)
    text = "fine-tune: .caffemodel, .h5 or .safetensors files, joined by commas; other layers start fresh"
    parser.add_argument("--weights", metavar="FILES", help=text)
    parser.add_argument(
        "--skip-bad", action="store_true", default=None, help="pass over broken images or records, and count"
    )
    parser.add_argument(
        "--log-format", choices=("zoo", "caffe"), default="zoo", help="caffe: Caffe's own log lines on stderr"
    )


def _show(commands: Commands) -> None:  # type: ignore[valid-type]
    _add_net(_command(commands, "show", "zoo.show:run", "Print a net's prototxt with a variant's edits."))


def _upgrade(commands: Commands) -> None:  # type: ignore[valid-type]
    text = "Print a net's or solver's prototxt in today's syntax (V0, V1, input:, solver_type)."
    _command(commands, "upgrade", "zoo.upgrade:run", text).add_argument(
        "file", metavar="FILE", help="a prototxt"
    )


def _list(commands: Commands) -> None:  # type: ignore[valid-type]
    _command(commands, "list", "zoo.show:run_list", "List the shipped nets, the variants and the demo data.")


def _layers(commands: Commands) -> None:  # type: ignore[valid-type]
    text = "List the layer types, with the recordings of real Caffe that hold each."
    parser = _command(commands, "layers", "zoo.layers:run", text)
    parser.add_argument("--markdown", action="store_true", help="as the page docs/layers.md")


def _data(commands: Commands) -> None:  # type: ignore[valid-type]
    text = "Make the demo data set, list files for a folder of images, or an LMDB of a list."
    parser: argparse.ArgumentParser = commands.add_parser("data", help=text, description=text)  # type: ignore[attr-defined]
    kinds = parser.add_subparsers(required=True, metavar="KIND", title="kinds")
    demo = _command(kinds, "demo", "zoo.data:run_demo", "Draw the demo data set: 20 synthetic classes.")
    demo.add_argument("folder", metavar="DIR", help="folder to write")
    demo.add_argument("--seed", type=_whole, default=0, metavar="N", help="(default: 0)")
    text = "Write list files for a folder that holds one folder of images a class."
    own = _command(kinds, "import", "zoo.data:run_import", text)
    own.add_argument("folder", metavar="DIR", help="folder of class folders; the lists are written there")
    own.add_argument(
        "--val", type=float, default=0.2, metavar="SHARE", help="share for validation (default: 0.2)"
    )
    own.add_argument("--seed", type=_whole, default=0, metavar="N", help="seed of the split (default: 0)")
    _data_lmdb(kinds)


def _data_lmdb(kinds: Commands) -> None:  # type: ignore[valid-type]
    text = "Write a list's images into an LMDB, as Caffe's convert_imageset does."
    parser = _command(kinds, "lmdb", "zoo.data_lmdb:run", text)
    parser.add_argument("list", metavar="LIST", help='a list file of lines "path label"')
    parser.add_argument("--output", metavar="DB", help="folder to write (default: <list>_lmdb beside it)")
    parser.add_argument(
        "--root", metavar="DIR", help="what paths count from (default: the current folder, then the list's)"
    )
    parser.add_argument(
        "--encoded", action="store_true", help="store image files as they are, not their pixels"
    )
    parser.add_argument("--encode-type", choices=("png", "jpg"), help="store images encoded so")
    parser.add_argument("--resize", type=_size, metavar="HxW", help="resize every image")
    parser.add_argument("--gray", action="store_true", help="one channel")
    parser.add_argument("--shuffle", action="store_true", help="in an order that follows from --seed")
    parser.add_argument("--seed", type=_whole, default=0, metavar="N", help="(default: 0)")


def _positive(text: str) -> int:
    return _at_least(text, 1)


def _whole(text: str) -> int:
    return _at_least(text, 0)


def _size(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    return _positive(height), _positive(width)


def _at_least(text: str, least: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least}")
    return number


def _shape(text: str) -> tuple[str, tuple[int, ...]]:
    blob, _, numbers = text.partition("=")
    try:
        return blob, tuple(_positive(number) for number in numbers.split(","))
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not BLOB=N,C,H,W: {error}") from None
