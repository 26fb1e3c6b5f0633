"""``zoo layers``: what is supported, and which recordings of real Caffe hold it to account."""

import argparse

from converters.layers.registry import Count, Record, records
from zoo.layer_cases import CASES, IN_NETS
from zoo.terminal.console import table

_HEAD = """# Supported layers

All layer types of Caffe 1.0, and some of its forks. Written by
`zoo layers --markdown > docs/layers.md`; a test keeps it current.

*Follows* names the file of Caffe, or of a fork, whose rule it is. A type with several rules has a line for
each, with its dialect in brackets: `--dialect` (`load_net(…, dialect=)`) chooses it. *Recordings* are the
cases under `tests/golden/layers` and `tests/golden/forks` that real Caffe, or the fork, computed and that
hold this rule, forward and backward; *nets* counts the small nets among them. A type without recordings is a
data layer or has tests of its own.

Where this is not Caffe:

- Convolution and Deconvolution slide over 0 to 3 spatial axes; Caffe takes any number. A kernel larger
  than the padded input is refused; Caffe lets it by where the stride is larger still.
- STOCHASTIC pooling follows Caffe's GPU code, for its CPU code has none; no recording holds it. A window
  whose sum is not above 0 is 0.
- A label or another value that indexes is refused out of range, in one line; a release of Caffe reads
  whatever lies in memory there.
- LRN across channels in place is as in Caffe's GPU code; the CPU's takes the power twice.
- A data layer's tops are inputs of the net.
- Python runs the class that the prototxt names only with `load_net(…, allow_python=True)`; such a class
  has no parameter blobs.
- HDF5Output writes no file on its own; `converters.layers.source.write_hdf5` writes what Caffe would.

Where forks are not of one mind, and what is taken here:

- A type that Caffe 1.0 has is Caffe's own where nothing says otherwise, and nothing is said of it; but Crop
  without `crop_param` is FCN's, whose offsets follow from the layers between its bottoms (`--dialect caffe`:
  0), and that is said.
- DepthwiseConvolution is its fork's CPU code: Convolution, `group` and all. Its CUDA code is always one
  filter a channel; real nets give a group a channel, where both are one.
- `ceil_mode: false` of Pooling is `round_mode: FLOOR`; without it Pooling rounds up, as in Caffe.
- BatchNorm of PSPNet's fork is Caffe's here: its own CPU code never works out the variance in TRAIN.
- BatchNorm of NVIDIA's fork trains its scale and bias with lr_mult 1, whatever `param` says; here `param` is
  obeyed. In TEST its backward pass reads a buffer that nobody has filled; here the gradient is the
  derivative, as in RReLU.
- Of longpeng2008's fork (Caffe_Long) some gradients are not the derivative, and are as recorded: that of
  AdaptedWeightedSoftmaxWithLoss but for one image alone; of AdaptedWeightedSigmoidCrossEntropyLoss for
  targets other than 0 and 1; KnowledgeDistillation's, times the temperature's square; and that of
  ChannelShuffle of several groups, of which the last one's channels stay. ChannelShuffle is not ShuffleNet's
  shuffle, which is ShuffleChannel: either refuses the other's field.
- Lambda of MarginInnerProduct and LargeMarginInnerProduct falls with each pass, in TEST too; in an ONNX file
  of the former it is the first pass's. A deployed net has InnerProduct in place of the latter, the plain
  products, and so no label.
- CompactBilinear's sums are not divided by `num_output`, as its CPU code has them.

| type | file | follows | bottoms | tops | recordings | nets |
|---|---|---|---|---|---|---|
"""


def run(args: argparse.Namespace) -> int:
    """Print the table, as markdown with ``--markdown``."""
    if args.markdown:
        print(markdown(), end="")
    else:
        rows = [[*row[:5], str(len(CASES.get(row[0], ()))), row[6], row[5]] for row in _rows()]
        columns = ["type", "file", "follows", "bottoms", "tops", "cases", "nets", "names of the cases"]
        table("layer types", columns, rows, left=len(columns))
    return 0


def markdown() -> str:
    """The text of docs/layers.md."""
    lines = [f"| {' | '.join([name, f'`{file}.py`', *rest])} |\n" for name, file, *rest in _rows()]
    return _HEAD + "".join(lines)


def _rows() -> list[list[str]]:
    return [_row(record) for record in records()]


def _row(record: Record) -> list[str]:
    name, counts = record.rule_name, [_range(record.bottoms), _range(record.tops)]
    cases = ", ".join(CASES.get(name, ()))
    return [name, record.family, record.source, *counts, cases, str(IN_NETS.get(name, 0))]


def _range(count: Count) -> str:
    least, most = count
    if most is None:
        return f"{least}…"
    return str(least) if least == most else f"{least}–{most}"
