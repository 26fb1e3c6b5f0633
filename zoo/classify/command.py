"""``zoo classify``: what a net sees in pictures, printed as Caffe's classification.bin prints it."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from eval.accuracy import averaged
from prototxt.errors import about
from zoo.classifier import read_labels
from zoo.classify.opening import Opened, opened
from zoo.classify.reading import picture_of
from zoo.preparation import Preparation, asked_of, prepare
from zoo.terminal.console import notice


def run(args: argparse.Namespace) -> int:
    """Print the likeliest classes of every picture; one line says how pictures become the net's input."""
    net = opened(args)
    names = _names(args, net)
    preparation = _preparation(args, net)
    notice(f"{args.net}: {preparation}")
    for path in map(Path, args.images):
        scores = _scores(net, preparation, path)
        print(f"---------- Prediction for {path} ----------")
        for index in torch.argsort(scores, descending=True, stable=True)[: args.top].tolist():
            print(f'{scores[index]:.4f} - "{names[index]}"')
    return 0


def _names(args: argparse.Namespace, net: Opened) -> Sequence[str]:
    """The classes' names: a line each of --labels, else the net's own, else their numbers."""
    if not args.labels:
        return net.names or [str(number) for number in range(net.found.classes)]
    return read_labels(Path(args.labels), [net.found.classes], args.net)


def _preparation(args: argparse.Namespace, net: Opened) -> Preparation:
    """As the net's own data layer says, else as classification.bin has it."""
    return prepare(net.stated, net.found.shape, asked_of(args), mean_a_channel=True)


def _scores(net: Opened, preparation: Preparation, path: Path) -> Tensor:
    """(classes,) of a picture. Raises InputError for a file that is no picture."""
    is_layers = net.stated.layer is not None and bool(net.stated.layer.type)
    picture = picture_of(preparation, path, is_layers)
    with about(path):
        inputs = preparation.tensor([picture])
    return averaged(net.scores(inputs), 1)[0]
