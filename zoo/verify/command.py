"""``zoo verify``: a net by several programs, layer by layer; ``zoo record``: its blobs in a file."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from converters.graph import Value
from eval.difference import Array
from eval.runtime import Feeds
from eval.verdict.engines import by_onnxruntime, by_opencv, by_source
from eval.verdict.held import Verdict, hold, net_values
from eval.verdict.recording import is_marked, write_recording
from prototxt.errors import InputError
from zoo.ours import keep_others
from zoo.terminal.console import notice, stdout
from zoo.terminal.progress import counting
from zoo.verify.net import Verified, verified
from zoo.verify.words import OPENCV, RECORDING, details, print_blobs, verdict_line

_NOT_CAFFEMODEL = (".h5", ".safetensors")
Engine = Callable[[Feeds], Mapping[Value, Array]]


def run(args: argparse.Namespace) -> int:
    """Print the table, what each engine has and where it differs first, and the verdict; 1 where an engine
    differs, and where there was none to compare.
    """
    it = verified(args)
    notice(f"fed: {it.fed}")
    ours = net_values(it.net, it.feeds)
    verdicts = _verdicts(it, ours, args)
    print_blobs(it.net, ours, verdicts, args.net)
    for line in details(it, ours, verdicts):
        stdout().print(line, soft_wrap=True, markup=False)
    line, agrees = verdict_line(verdicts)
    stdout().print(line, soft_wrap=True, markup=False)
    return 0 if agrees else 1


def run_record(args: argparse.Namespace) -> int:
    """Write the blobs that our module computes."""
    path = Path(args.output)
    keep_others(path, "recording", is_marked)
    it = verified(args)
    notice(f"fed: {it.fed}")
    write_recording(path, it.net, it.feeds, net_values(it.net, it.feeds))
    print(path)
    return 0


def _verdicts(it: Verified, ours: Mapping[Value, Array], args: argparse.Namespace) -> list[Verdict]:
    engines: dict[str, Engine] = {
        "source": lambda feeds: by_source(it.net, feeds),
        "onnxruntime": lambda feeds: by_onnxruntime(it.net, feeds),
        OPENCV: lambda feeds: by_opencv(it.net, feeds, *_files(it, args)),
    }
    verdicts = []
    with counting("verifying") as advance:
        for name, engine in engines.items():
            verdicts.append(_verdict(it, ours, name, engine))
            advance(len(verdicts), len(engines))
    if it.recording:
        held, others = it.recording.hold(it.net, it.feeds, ours), it.recording.not_in(it.net)
        verdicts.append(Verdict(RECORDING, held, others=others))
    return verdicts


def _verdict(it: Verified, ours: Mapping[Value, Array], name: str, engine: Engine) -> Verdict:
    try:
        with it.file.located():
            theirs = engine({blob: np.array(feed) for blob, feed in it.feeds.items()})
            return Verdict(name, hold(it.net, it.feeds, ours, theirs))
    except InputError as error:
        return Verdict(name, reason=error.with_layer())


def _files(it: Verified, args: argparse.Namespace) -> tuple[Path, Path]:
    """The two files for OpenCV, as they are. Raises InputError where they would be another net to it."""
    if it.file.path == it.weights[0]:
        raise InputError("it needs a prototxt beside the .caffemodel")
    if len(it.weights) > 1 or it.weights[0].suffix in _NOT_CAFFEMODEL:
        raise InputError("it reads one .caffemodel alone")
    if args.phase == "TRAIN" or args.level or args.stage:
        raise InputError("it knows the phase TEST alone, without levels and stages")
    return it.file.path, it.weights[0]
