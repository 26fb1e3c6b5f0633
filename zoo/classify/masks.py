"""What a segmentation net sees in pictures: a mask of each, as a PNG, and the share of each class."""

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from prototxt.errors import InputError, about
from zoo.classify.opening import Opened
from zoo.classify.reading import Array, read_picture
from zoo.preparation import Preparation, asked_of, prepare
from zoo.tasks.maps import told_map
from zoo.tasks.masks import LabelMap, check_places, write_mask
from zoo.terminal.console import notice_once

Size = tuple[int, int]


def write_masks(args: argparse.Namespace, net: Opened, names: Sequence[str]) -> int:
    """Write the mask of every picture, of the picture's own size, and print where it is and how much of it
    each class has. Raises InputError, before any work, where it would be written over another's file.
    """
    places = mask_places([Path(name) for name in args.images], Path(args.output))
    check_places(places)
    for name, place in zip(args.images, places, strict=True):
        labels = told(net, args, Path(name))
        write_mask(labels, place)
        print(f"---------- Mask of {name}: {place} ----------")
        counts = np.bincount(labels.ravel(), minlength=len(names))
        for label in np.argsort(-counts, kind="stable"):
            if counts[label]:
                print(f'{counts[label] / labels.size:.4f} - "{names[label]}"')
    return 0


def mask_places(pictures: Sequence[Path], folder: Path) -> list[Path]:
    """Where the pictures' masks go: by their names, in ``folder``. Raises InputError for two of one name."""
    places = [folder / f"{picture.stem}.png" for picture in pictures]
    if twice := [place for place, count in Counter(places).items() if count > 1]:
        raise InputError(f"{twice[0]}: would be the mask of several pictures: name them in several calls")
    return places


def told(net: Opened, args: argparse.Namespace, path: Path) -> LabelMap:
    """(height, width) of a picture: what the net tells of it at the size that is asked for, else that the
    net's data layer resizes to, else the picture's own where the net takes it, else the net's input; each
    pixel has the class of the nearest that was told. Raises InputError for a file that is no picture.
    """
    import cv2

    picture = read_picture(path, net.found.shape[0])
    own: Size = (picture.shape[0], picture.shape[1])
    labels = _at_size(net, args, path, picture)
    if labels.shape != own:
        labels = cv2.resize(labels, (own[1], own[0]), interpolation=cv2.INTER_NEAREST).astype(np.uint8)
    return labels


def _at_size(net: Opened, args: argparse.Namespace, path: Path, picture: Array) -> LabelMap:
    stated, shape = net.stated.layer, net.found.shape
    images = stated.image_data_param if stated is not None else None
    if args.resize is None and net.any_size and not (images and images.new_height):
        try:
            return _told(net, args, path, picture, (picture.shape[0], picture.shape[1]))
        except InputError:  # a layer has weights for the net's own size
            return _told(net, args, path, picture, shape[1:])
    layers = (images.new_height, images.new_width) if images and images.new_height else shape[1:]
    return _told(net, args, path, picture, args.resize or layers)


def _told(net: Opened, args: argparse.Namespace, path: Path, picture: Array, size: Size) -> LabelMap:
    import cv2

    preparation = _preparation(net, args, size)
    if picture.shape[:2] != size:
        picture = cv2.resize(picture, (size[1], size[0])).reshape(*size, -1)
    with about(path):
        scores = net.scores(preparation.tensor([picture]))
    notice_once(f"{args.net}: {preparation}")
    with about(args.net):
        return told_map(scores[0])


def _preparation(net: Opened, args: argparse.Namespace, size: Size) -> Preparation:
    """As the net's own data layer says, but for the size."""
    asked = replace(asked_of(args), resize=size)
    if asked.crops > 1:
        raise InputError("--crops: is for nets that tell one class of a picture")
    made = prepare(net.stated, (net.found.shape[0], *size), asked, mean_a_channel=True)
    return made if args.resize else replace(made, origin=made.origin.replace(", --resize", ""))
