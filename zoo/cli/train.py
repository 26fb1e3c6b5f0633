"""The parsers of ``zoo train`` and ``zoo study``. Nothing heavy is imported."""

import argparse

from zoo.cli.choices import AUTO, DEVICES, LOG_FORMATS, RUNS, SOLVER, STUDY_ENGINES
from zoo.cli.parts import (
    Commands,
    add_dialect,
    add_lenient,
    add_plugin,
    add_variant,
    command,
    positive_number,
    whole_number,
)

_TRAIN_EPILOG = """\
Ctrl-C (SIGINT, or SIGTERM) writes a snapshot and stops, SIGHUP writes one and goes on.

Several GPUs (or, without any, processes on the CPU): the batch size is that of each, as in Caffe.
  torchrun --nproc-per-node 4 -m zoo train --solver FILE
Several machines: the same line on each, with the first one's name; data and solver must be on all of them.
  torchrun --nnodes 2 --nproc-per-node 4 --rdzv-backend c10d --rdzv-endpoint HOST:29500 -m zoo train …
"""


def add_train(commands: Commands) -> None:  # type: ignore[valid-type]
    """``zoo train``."""
    parser = command(
        commands, "train", "zoo.train.command:run", "Train a net as its solver says, into a run folder."
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _TRAIN_EPILOG
    add_variant(parser, None)
    parser.add_argument(
        "--solver",
        metavar="FILE",
        help=f"a solver prototxt or a shipped one's name (default: {SOLVER})",
    )
    _add_changes(parser)
    _add_data(parser)
    parser.add_argument(
        "--max-iter", type=positive_number, metavar="N", help="iterations, instead of the solver's"
    )
    _add_device(parser)
    parser.add_argument(
        "--seed", type=whole_number, metavar="N", help="instead of the solver's random_seed (default: 0)"
    )
    parser.add_argument("--output", metavar="DIR", help=f"run folder (default: {RUNS}/<net>-<variant>)")
    _add_beginnings(parser)
    _add_tensorboard(parser, "metrics by iteration")
    parser.add_argument(
        "--log-format",
        choices=LOG_FORMATS,
        default=LOG_FORMATS[0],
        help="caffe: Caffe's own log lines on stderr",
    )


def _add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", choices=DEVICES, default=AUTO, help=f"(default: {AUTO})")


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--root", metavar="DIR", help="where list files and images are sought, before the current folder"
    )
    parser.add_argument(
        "--classes", type=positive_number, metavar="N", help="classes (default: as many as the lists have)"
    )
    text = "the last K words of a list's lines are numbers: labels of K floats (default: one whole number)"
    parser.add_argument("--label-size", type=positive_number, metavar="K", help=text)
    text = (
        "input of N×N pixels instead of the net's crop; resizes scale with it, a GAP head pools the whole map"
    )
    parser.add_argument("--size", type=positive_number, metavar="N", help=text)
    parser.add_argument(
        "--batch-size",
        type=positive_number,
        metavar="N",
        help="TRAIN and TEST batch size, instead of the net's",
    )
    _add_skip_bad(parser)


def _add_skip_bad(parser: argparse.ArgumentParser) -> None:
    text = "pass over broken images or records, and count"
    parser.add_argument("--skip-bad", action="store_true", default=None, help=text)


def _add_beginnings(parser: argparse.ArgumentParser) -> None:
    text = (
        "go on from this snapshot, ours or Caffe's .solverstate; without a FILE from the run folder's newest"
    )
    parser.add_argument("--resume", nargs="?", const="", metavar="FILE", help=text)
    text = "fine-tune: .caffemodel, .h5 or .safetensors files, joined by commas; other layers start fresh"
    parser.add_argument("--weights", metavar="FILES", help=text)


def _add_tensorboard(parser: argparse.ArgumentParser, what: str) -> None:
    text = f"write TensorBoard's event files into DIR, {what} (needs the package tensorboard)"
    parser.add_argument("--tensorboard", metavar="DIR", help=text)


def _add_changes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--net", metavar="NET", help="a prototxt's path or a shipped net's name, instead of the solver's net"
    )
    text = "solver fields that go over the file's, as prototxt text: 'base_lr: 0.001 lr_policy: \"fixed\"'"
    parser.add_argument("--set", metavar="TEXT", help=text)
    add_dialect(parser)
    add_plugin(parser)
    add_lenient(parser)


def add_study(commands: Commands) -> None:  # type: ignore[valid-type]
    """``zoo study``."""
    text = "Train every run of a study: nets, variants, solver changes and seeds, resumed where they stand."
    parser = command(commands, "study", "zoo.study.command:run", text)
    parser.add_argument("study", metavar="STUDY", help="a study file (TOML), or a shipped study's name")
    parser.add_argument("--data", metavar="DIR", help="folder of the list files, or of class folders")
    parser.add_argument("--output", metavar="DIR", help=f"folder of the runs (default: {RUNS}/<study>)")
    parser.add_argument(
        "--jobs", type=positive_number, metavar="N", help="runs at a time (default: one a GPU, or one)"
    )
    _add_device(parser)
    first = STUDY_ENGINES[0]
    text = f"what runs them: processes of this machine, or tasks of a Ray cluster (default: {first})"
    parser.add_argument("--engine", choices=STUDY_ENGINES, default=first, help=text)
    add_plugin(parser)
    _add_tensorboard(parser, "one folder a run")
    parser.add_argument("--retry", action="store_true", help="try runs that diverged again")
    parser.add_argument(
        "--max-iter", type=positive_number, metavar="N", help="iterations a run, instead of the study's"
    )
    parser.add_argument(
        "--batch-size",
        type=positive_number,
        metavar="N",
        help="images of an iteration, in one batch, in every run",
    )
    parser.add_argument("--size", type=positive_number, metavar="N", help="input of N×N pixels in every run")
    _add_skip_bad(parser)
    parser.add_argument(
        "--seeds", type=positive_number, metavar="N", help="seeds 0 … N-1, instead of the study's"
    )
