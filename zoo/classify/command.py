"""``zoo classify``: what a net sees in pictures, printed as Caffe's classification.bin prints it."""

import argparse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from eval.accuracy import averaged
from eval.distributions import means, normalised
from prototxt.errors import about
from zoo.classifier import read_labels
from zoo.classify.masks import write_masks
from zoo.classify.opening import Opened, opened
from zoo.classify.reading import picture_of
from zoo.preparation import Preparation, asked_of, prepare
from zoo.tasks.distributions import Distributions
from zoo.tasks.numbers import Numbers
from zoo.tasks.task import Task
from zoo.terminal.console import notice


def run(args: argparse.Namespace) -> int:
    """Print the likeliest classes of every picture, or the numbers that the net tells of it, or write its
    mask; a line says how pictures become the net's input.
    """
    net = opened(args)
    names = _names(args, net)
    if net.found.is_map:
        return write_masks(args, net, names)
    preparation = _preparation(args, net)
    notice(f"{args.net}: {preparation}")
    for path in map(Path, args.images):
        scores = _scores(net, preparation, path)
        print(f"---------- Prediction for {path} ----------")
        for line in _told(net.task, scores, names, args.top):
            print(line)
    return 0


def _told(task: Task, scores: Tensor, names: Sequence[str], top: int) -> Iterator[str]:
    """Of a classifier the ``top`` likeliest classes; else every number in its order, of a distribution with
    the mean.
    """
    if isinstance(task, Distributions):
        shares = normalised(scores[None].double().numpy())
        yield from _valued(shares[0], names)
        yield f"{means(shares)[0]:.4f} - mean"
    elif isinstance(task, Numbers):
        yield from _valued(scores, names)
    else:
        order = torch.argsort(scores, descending=True, stable=True)[:top].tolist()
        yield from _valued(scores[order], [names[index] for index in order])


def _valued(values: Iterable[float], names: Sequence[str]) -> Iterator[str]:
    return (f'{value:.4f} - "{name}"' for value, name in zip(values, names, strict=True))


def _names(args: argparse.Namespace, net: Opened) -> Sequence[str]:
    """The classes' names: a line each of --labels, else the net's own, else their numbers. A number that is
    told goes by the blob's name, a share of a distribution by its value, from 1.
    """
    if not args.labels and isinstance(net.task, Numbers | Distributions):
        every = [str(number) for number in range(1, net.found.classes + 1)]
        if isinstance(net.task, Distributions):
            return every
        return [net.found.output] if len(every) == 1 else [f"{net.found.output} {each}" for each in every]
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
