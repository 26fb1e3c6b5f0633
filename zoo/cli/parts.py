"""What the parsers of several commands share. Nothing heavy is imported."""

import argparse
from collections.abc import Sequence
from math import isfinite

from zoo.cli.choices import CROPS, MOST, MOST_SEED, ORDERS, VARIANT

_TAKEN_BY = {
    ".prototxt": "--solver",
    **dict.fromkeys((".caffemodel", ".caffemodel.h5", ".safetensors"), "--weights"),
}
Commands = "argparse._SubParsersAction[argparse.ArgumentParser]"


def command(commands: Commands, name: str, run: str, text: str) -> argparse.ArgumentParser:  # type: ignore[valid-type]
    """A command's parser; ``run`` is its "module:function"."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)  # type: ignore[attr-defined]
    parser.set_defaults(run=run)
    return parser


def add_variant(parser: argparse.ArgumentParser, default: str | None = VARIANT) -> None:
    """The option --variant."""
    text = f"edits of the net, joined by + (bn+dropout0.5+fc); zoo list names them (default: {VARIANT})"
    parser.add_argument("--variant", default=default, help=text)


def add_net(parser: argparse.ArgumentParser) -> None:
    """The net that a command is about, and --variant."""
    text = "the path of a prototxt, or of a .caffemodel, or a shipped net's name (zoo list)"
    parser.add_argument("net", metavar="NET", help=text)
    add_variant(parser)


def add_state(parser: argparse.ArgumentParser, help_text: str) -> None:
    """The options that choose among a net's layers (NetState)."""
    parser.add_argument("--phase", choices=("TEST", "TRAIN"), help=help_text)
    parser.add_argument("--level", type=int, help="the level that min_level and max_level are held against")
    parser.add_argument(
        "--stage", action="append", default=[], metavar="NAME", help="a stage to be in; may be repeated"
    )


def add_dialect(parser: argparse.ArgumentParser) -> None:
    """The option --dialect."""
    text = "forks, with commas, whose rules are meant where forks have several under one name"
    parser.add_argument("--dialect", metavar="FORK", help=text)


def add_input_shape(parser: argparse.ArgumentParser) -> None:
    """The option --input-shape."""
    text = "shape of an input that the prototxt does not tell, such as data=1,3,224,224; may be repeated"
    parser.add_argument(
        "--input-shape", action="append", type=shape, default=[], metavar="BLOB=N,C,H,W", help=text
    )


def add_until(parser: argparse.ArgumentParser) -> None:
    """The option --until."""
    text = "a blob to put out, which ends the net there; may be repeated"
    names = ("--until", "--output-blob")
    parser.add_argument(*names, dest="output_blob", action="append", default=[], metavar="BLOB", help=text)


def add_python(parser: argparse.ArgumentParser) -> None:
    """The option --allow-python."""
    text = "let Python layers run the classes that they name"
    parser.add_argument("--allow-python", action="store_true", help=text)


def add_lenient(parser: argparse.ArgumentParser) -> None:
    """The option --lenient."""
    text = "leave fields out that no rule here knows, with a warning each, where they are an error else"
    parser.add_argument("--lenient", action="store_true", help=text)


def add_plugin(parser: argparse.ArgumentParser) -> None:
    """The option --plugin."""
    text = "a Python file with layer types of your own (docs/plugins.md), which is run; may be repeated"
    parser.add_argument("--plugin", action="append", default=[], metavar="FILE", help=text)


def add_elsewhere(parser: argparse.ArgumentParser) -> None:
    """The options --root and --list of what reads runs."""
    text = "where the runs' lists and pictures lie now, if they were moved; their content is checked"
    parser.add_argument("--root", metavar="DIR", help=text)
    text = "judge by this list, and not by the runs' or nets' own validation lists; every table names it"
    parser.add_argument("--list", metavar="FILE", help=text)


def add_preparation(parser: argparse.ArgumentParser, mean: str) -> None:
    """The options of how pictures become a net's input; ``mean`` is what is subtracted of a mean file."""
    add_pixels(parser, mean)
    text = "10: corners, centre and their mirror images, whose scores are averaged, as pycaffe's oversample"
    text = f"{text} does (default: {CROPS[0]}, the centre)"
    parser.add_argument("--crops", type=int, choices=CROPS, default=CROPS[0], help=text)


def add_pixels(parser: argparse.ArgumentParser, mean: str) -> None:
    """:func:`add_preparation` of one crop alone."""
    text = (
        f"subtracted from the pixels, instead of what the net's data layer says: a .binaryproto ({mean}), or "
    )
    parser.add_argument("--mean", metavar="FILE|B,G,R", help=f"{text}a number a channel, in the net's order")
    text = "what the pixels are multiplied by after that (transform_param's scale)"
    parser.add_argument("--scale", type=number, metavar="X", help=text)
    text = f"the net's order of channels (default: {ORDERS[0]})"
    parser.add_argument("--channel-order", choices=ORDERS, help=text)
    text = "resize whole pictures to this, of which the input is cropped, instead of to the input"
    parser.add_argument("--resize", type=size, metavar="HxW", help=text)


def number(text: str) -> float:
    """A number, and not nan or inf."""
    value = float(text)
    if not isfinite(value):
        raise ValueError
    return value


def positive_number(text: str) -> int:
    """A whole number from 1, as a prototxt's int32 holds it."""
    return _between(text, 1, MOST)


def whole_number(text: str) -> int:
    """A whole number from 0, as a prototxt's random_seed holds it."""
    return _between(text, 0, MOST_SEED)


def size(text: str) -> tuple[int, int]:
    """HxW as (height, width)."""
    height, _, width = text.partition("x")
    return positive_number(height), positive_number(width)


def _between(text: str, least: int, most: int) -> int:
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        upto = f" to {most}" if number > most else ""
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least}{upto}")
    return number


def shape(text: str) -> tuple[str, tuple[int, ...]]:
    """BLOB=N,C,H,W as (blob, shape)."""
    blob, sign, numbers = text.partition("=")
    if not sign:
        raise argparse.ArgumentTypeError(f"{text!r} is not BLOB=N,C,H,W, such as data=1,3,224,224")
    try:
        return blob, tuple(positive_number(number) for number in numbers.split(","))
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not BLOB=N,C,H,W: {error}") from None


def parsed(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments. A file that no option takes ends the command, as in argparse, with the option that
    would have taken it.
    """
    args, extra = parser.parse_known_args(argv)
    if extra:
        option = next((option for suffix, option in _TAKEN_BY.items() if extra[0].endswith(suffix)), "")
        meant = option and hasattr(args, option.strip("-"))
        hint = f"; did you mean {option} {extra[0]}?" if meant else ""
        parser.error(f"unrecognized arguments: {' '.join(extra)}{hint}")
    return args
