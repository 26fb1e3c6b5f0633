"""The parser of ``zoo classify``. Nothing heavy is imported."""

import argparse

from zoo.cli.choices import MASKS, TOP
from zoo.cli.parts import (
    Commands,
    add_dialect,
    add_input_shape,
    add_lenient,
    add_plugin,
    add_preparation,
    add_until,
    command,
    positive_number,
)

_EPILOG = """\
As Caffe's examples/cpp_classification:
  zoo classify cat.jpg --net deploy.prototxt --weights w.caffemodel --mean 104,117,123 --labels synsets.txt
"""


def add_classify(commands: Commands) -> None:  # type: ignore[valid-type]
    """The command ``zoo classify``."""
    text = (
        "Name the likeliest classes of pictures, as Caffe's classification.bin does; of a segmentation net, "
        "write their masks."
    )
    parser = command(commands, "classify", "zoo.classify.command:run", text)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="a picture")
    text = "a prototxt, a .caffemodel that has its net, a run folder of zoo train, or an .onnx of zoo convert"
    parser.add_argument("--net", required=True, metavar="NET", help=text)
    text = "of a prototxt, with commas; later ones count first"
    parser.add_argument("--weights", metavar="FILES", help=text)
    text = "the classes' names, a line each, as synset_words.txt (default: the net's own, else numbers)"
    parser.add_argument("--labels", metavar="FILE", help=text)
    add_preparation(parser, "of which the mean of each channel is taken")
    text = f"how many classes (default: {TOP})"
    parser.add_argument("--top", type=positive_number, default=TOP, metavar="N", help=text)
    text = f"folder of the masks that a segmentation net tells (default: {MASKS})"
    parser.add_argument("--output", default=MASKS, metavar="DIR", help=text)
    add_until(parser)
    add_input_shape(parser)
    add_dialect(parser)
    add_plugin(parser)
    add_lenient(parser)
