"""The parsers of ``zoo verify`` and ``zoo record``. Nothing heavy is imported."""

import argparse

from zoo.cli.choices import SEED
from zoo.cli.parts import (
    Commands,
    add_dialect,
    add_input_shape,
    add_lenient,
    add_pixels,
    add_plugin,
    add_state,
    command,
    whole_number,
)


def add_verify(commands: Commands) -> None:  # type: ignore[valid-type]
    """The command ``zoo verify``."""
    text = "Hold a net against its PyTorch source, its ONNX file and OpenCV's Caffe importer, layer by layer."
    parser = command(commands, "verify", "zoo.verify.command:run", text)
    _add_files(parser)
    text = "blobs recorded elsewhere, as zoo record writes them and docs/verify.md has under pycaffe"
    parser.add_argument("--reference", metavar="NPZ", help=text)
    _add_inputs(parser)


def add_record(commands: Commands) -> None:  # type: ignore[valid-type]
    """The command ``zoo record``."""
    text = "Write the blobs that a net computes, for zoo verify --reference."
    parser = command(commands, "record", "zoo.verify.command:run_record", text)
    _add_files(parser)
    parser.add_argument("--output", "-o", required=True, metavar="NPZ", help="the file")
    _add_inputs(parser)


def _add_files(parser: argparse.ArgumentParser) -> None:
    text = "a prototxt's path, a .caffemodel alone, or a shipped net's name (zoo list)"
    parser.add_argument("net", metavar="NET", help=text)
    text = "of a prototxt: a .caffemodel, .h5 or .safetensors file, or several with commas"
    parser.add_argument("weights", nargs="?", metavar="WEIGHTS", help=text)


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    text = f"of the random inputs (default: {SEED})"
    parser.add_argument("--seed", type=whole_number, default=SEED, metavar="N", help=text)
    text = "feed this picture, prepared as the net's data layer or the options below say"
    parser.add_argument("--image", metavar="FILE", help=text)
    add_pixels(parser, "of which the mean of each channel is taken")
    add_state(parser, "whose layers (default: TEST)")
    add_input_shape(parser)
    add_dialect(parser)
    add_plugin(parser)
    add_lenient(parser)
