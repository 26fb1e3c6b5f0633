"""``zoo layers``: what is supported, and which recordings of real Caffe hold it to account."""

import argparse

from converters.layers import layer_types
from converters.layers.registry import Count, layer_counts, layer_family
from zoo.layer_cases import CASES, IN_NETS
from zoo.terminal.console import table

_HEAD = """# Supported layers

All layer types of Caffe 1.0. Written by `zoo layers --markdown > docs/layers.md`; a test keeps it current.

*Recordings* are the cases under `tests/golden/layers` that real Caffe computed and that hold this type,
forward and backward; *nets* counts the small nets among them. A type without recordings is a data layer
or has tests of its own.

Where this is not Caffe:

- Convolution and Deconvolution slide over 0 to 3 spatial axes; Caffe takes any number. A kernel larger
  than the padded input is refused; Caffe lets it by where the stride is larger still.
- STOCHASTIC pooling follows Caffe's GPU code, for its CPU code has none; no recording holds it.
- A label or another value that indexes is refused out of range, in one line; a release of Caffe reads
  whatever lies in memory there.
- LRN across channels in place is as in Caffe's GPU code; the CPU's takes the power twice.
- A data layer's tops are inputs of the net.
- Python runs the class that the prototxt names only with `load_net(…, allow_python=True)`; such a class
  has no parameter blobs.
- HDF5Output writes no file on its own; `converters.layers.source.write_hdf5` writes what Caffe would.

| type | file | bottoms | tops | recordings | nets |
|---|---|---|---|---|---|
"""


def run(args: argparse.Namespace) -> int:
    """Print the table, as markdown with ``--markdown``."""
    if args.markdown:
        print(markdown(), end="")
    else:
        rows = [[*row[:4], str(len(CASES.get(row[0], ()))), row[5], row[4]] for row in _rows()]
        columns = ["type", "file", "bottoms", "tops", "cases", "nets", "names of the cases"]
        table("layer types", columns, rows, left=len(columns))
    return 0


def markdown() -> str:
    """The text of docs/layers.md."""
    lines = [f"| {' | '.join([name, f'`{file}.py`', *rest])} |\n" for name, file, *rest in _rows()]
    return _HEAD + "".join(lines)


def _rows() -> list[list[str]]:
    return [_row(name) for name in layer_types()]


def _row(name: str) -> list[str]:
    bottoms, tops = layer_counts(name)
    cases = ", ".join(CASES.get(name, ()))
    return [name, layer_family(name), _range(bottoms), _range(tops), cases, str(IN_NETS.get(name, 0))]


def _range(count: Count) -> str:
    least, most = count
    if most is None:
        return f"{least}…"
    return str(least) if least == most else f"{least}–{most}"
