"""The parser of ``zoo convert``."""

import argparse

from zoo.cli.choices import OPSET, OPSETS, ORDERS
from zoo.cli.parts import (
    Commands,
    add_dialect,
    add_input_shape,
    add_lenient,
    add_net,
    add_plugin,
    add_python,
    add_state,
    add_until,
    command,
    number,
)


def add_convert(commands: Commands) -> None:  # type: ignore[valid-type]
    """The command ``zoo convert``."""
    parser = command(
        commands, "convert", "zoo.convert:run", "Turn a prototxt into ONNX, with a table of its layers."
    )
    add_net(parser)
    parser.add_argument(
        "--weights",
        metavar="FILES",
        help="a .caffemodel, .h5 or .safetensors file, or several with commas; what they lack is filled",
    )
    add_state(parser, "whose layers (default: TEST)")
    add_dialect(parser)
    add_plugin(parser)
    add_lenient(parser)
    _add_file(parser)
    _add_pictures(parser)
    add_python(parser)
    add_input_shape(parser)


def _add_file(parser: argparse.ArgumentParser) -> None:
    """What ``zoo convert`` writes, and how it is checked."""
    parser.add_argument(
        "--output", metavar="DIR", help="folder for the files (default: converted/<net>-<variant>)"
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="hold every weight and blob of the file against PyTorch, over several batches, and print how "
        "far they are apart; exit 1 if they differ",
    )
    add_until(parser)
    parser.add_argument(
        "--softmax", action="store_true", help="put out the softmax of a net that ends in SoftmaxWithLoss"
    )
    parser.add_argument(
        "--pth",
        action="store_true",
        help="write the weights of the PyTorch source as a .pth and not as .torch.safetensors",
    )
    parser.add_argument(
        "--dynamic-size", action="store_true", help="have the file take images of any height and width, too"
    )
    parser.add_argument(
        "--opset",
        type=int,
        choices=OPSETS,
        default=OPSET,
        metavar="N",
        help=f"of the ONNX file, {OPSETS[0]} to {OPSETS[-1]} (default: {OPSET})",
    )


def _add_pictures(parser: argparse.ArgumentParser) -> None:
    """What the file says, or does, of pictures."""
    parser.add_argument(
        "--mean",
        metavar="FILE|B,G,R",
        help="the mean that was subtracted, for the file's metadata: a .binaryproto, or a number a channel",
    )
    text = "what pixels were multiplied by behind the mean, where no data layer says it"
    parser.add_argument("--scale", type=number, metavar="X", help=text)
    text = f"the net's order of channels (default: {ORDERS[0]})"
    parser.add_argument("--channel-order", choices=ORDERS, default=ORDERS[0], help=text)
    text = "the classes' names for the metadata, a line each, as synset_words.txt"
    parser.add_argument("--labels", metavar="FILE", help=text)
    parser.add_argument(
        "--with-preprocess",
        action="store_true",
        help="have the file take pixels from 0 to 255 in RGB: mean, scale and channel order are in it",
    )
