"""The command line. Nothing heavy is imported before a command is known."""

import argparse
import importlib
import sys
from collections.abc import Sequence

from zoo.cli.bench import add_bench
from zoo.cli.check import add_check
from zoo.cli.choices import DRAWINGS
from zoo.cli.classify import add_classify
from zoo.cli.convert import add_convert
from zoo.cli.data import add_data
from zoo.cli.parts import (
    Commands,
    add_dialect,
    add_input_shape,
    add_lenient,
    add_net,
    add_plugin,
    add_python,
    add_state,
    command,
    parsed,
)
from zoo.cli.report import add_report
from zoo.cli.train import add_study, add_train
from zoo.cli.verify import add_record, add_verify
from zoo.terminal.lasting import lasting

_EPILOG = "Each command's own --help says more. Notices go to stderr, results to stdout; bad input exits 2."


_PRINTERS = (
    "zoo.show",
    "zoo.upgrade",
    "zoo.layers",
    "zoo.classify",
    "zoo.verify.command:run",
)  # modules whose commands print, and write no file


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; its exit code, 2 with one line on stderr for bad input.

    A reader of stdout that has gone changes neither files nor the code; a disk that is full where stdout
    goes is said, and changes the code of a command that does nothing but print.
    """
    with lasting() as errors:
        args = parsed(_parser(), argv)
        code = _run(args)
    for error in errors[:1]:
        print(f"zoo: what was to be printed is lost: {error}", file=sys.stderr)
        code = code or 2 * args.run.startswith(_PRINTERS)
    return code


def _run(args: argparse.Namespace) -> int:
    from prototxt.errors import InputError
    from prototxt.lenient import lenient

    module, _, function = args.run.partition(":")
    try:
        _load(getattr(args, "plugin", ()))
        with lenient(getattr(args, "lenient", False)):
            code: int = getattr(importlib.import_module(module), function)(args)
        sys.stdout.flush()
    except InputError as error:
        print(f"zoo: {_one_line(error.with_layer())}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # of a part of a stream that does not last: the reader has what it wanted
        return 0
    except OSError as error:
        said = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        print(f"zoo: {_one_line(said)}", file=sys.stderr)
        return 2
    except MemoryError as error:
        print(f"zoo: this machine's memory does not suffice: {_one_line(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("zoo: interrupted", file=sys.stderr)
        return 130
    return code


def _load(plugins: Sequence[str]) -> None:
    if plugins:
        from converters.layers.plugins import for_children, load_plugin

        for path in plugins:
            load_plugin(path)
        for_children(plugins)


def _one_line(text: str) -> str:
    return " ".join(text.split("\n"))


def _parser() -> argparse.ArgumentParser:
    description = "Caffe nets in PyTorch and ONNX: convert, train, benchmark."
    parser = argparse.ArgumentParser("zoo", description=description, epilog=_EPILOG)
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")
    for add in (
        add_convert,
        add_train,
        add_study,
        add_bench,
        add_classify,
        add_report,
        add_check,
        add_verify,
        add_record,
        _show,
        _draw,
        _upgrade,
        _list,
        _layers,
        add_data,
    ):
        add(commands)
    return parser


class _Version(argparse.Action):
    """Prints the installed package's version; where it is looked up is imported for that alone."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from zoo import __version__

        print(f"zoo {__version__}")
        parser.exit()


def _show(commands: Commands) -> None:  # type: ignore[valid-type]
    parser = command(commands, "show", "zoo.show:run", "Print a net's prototxt with a variant's edits.")
    add_net(parser)
    add_state(parser, "print only the layers of this phase (TEST where a level or stage is given alone)")
    add_dialect(parser)
    add_plugin(parser)
    add_lenient(parser)


def _draw(commands: Commands) -> None:  # type: ignore[valid-type]
    text = "Draw a net: layers in colours, shapes on the links, costs on hover, as SVG and as an HTML page."
    parser = command(commands, "draw", "zoo.draw.command:run", text)
    add_net(parser)
    add_state(parser, "whose layers (default: TEST)")
    parser.add_argument(
        "--output", "-o", default=DRAWINGS, metavar="DIR", help=f"folder for the files (default: {DRAWINGS})"
    )
    add_dialect(parser)
    add_plugin(parser)
    add_lenient(parser)
    add_python(parser)
    add_input_shape(parser)


def _upgrade(commands: Commands) -> None:  # type: ignore[valid-type]
    text = "Print a net's or solver's prototxt in today's syntax (V0, V1, input:, solver_type)."
    parser = command(commands, "upgrade", "zoo.upgrade:run", text)
    parser.add_argument("file", metavar="FILE", help="a prototxt")
    add_lenient(parser)


def _list(commands: Commands) -> None:  # type: ignore[valid-type]
    command(
        commands,
        "list",
        "zoo.show:run_list",
        "List the shipped nets and studies, the variants and the demo data.",
    )


def _layers(commands: Commands) -> None:  # type: ignore[valid-type]
    text = "List the layer types, with the recordings of real Caffe that hold each."
    parser = command(commands, "layers", "zoo.layers:run", text)
    add_plugin(parser)
    parser.add_argument("--markdown", action="store_true", help="as the page docs/layers.md")
