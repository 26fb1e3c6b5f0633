"""LMDBs of AnnotatedDatum for tests."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import lmdb
import numpy as np

from prototxt.caffe_pb2 import AnnotatedDatum

Object = tuple[int, float, float, float, float]  # class, left, top, right, bottom


def record(image: np.ndarray, objects: Sequence[Object], encoded: bool = True) -> AnnotatedDatum:
    """A record of one image; its objects are instances 0, 1, … of their classes."""
    height, width, channels = image.shape
    made = AnnotatedDatum(type=AnnotatedDatum.BBOX)
    data = cv2.imencode(".png", image)[1].tobytes() if encoded else image.transpose(2, 0, 1).tobytes()
    made.datum.MergeFrom(
        type(made.datum)(channels=channels, height=height, width=width, data=data, encoded=encoded)
    )
    for label in dict.fromkeys(each[0] for each in objects):
        group = made.annotation_group.add(group_label=label)
        for instance, (_, *box) in enumerate(each for each in objects if each[0] == label):
            annotation = group.annotation.add(instance_id=instance)
            annotation.bbox.xmin, annotation.bbox.ymin, annotation.bbox.xmax, annotation.bbox.ymax = box
    return made


def write_lmdb(folder: Path, records: Sequence[AnnotatedDatum]) -> None:
    """A data base of the records, in order."""
    with lmdb.open(str(folder), map_size=2**26) as environment, environment.begin(write=True) as transaction:
        for number, each in enumerate(records):
            transaction.put(f"{number:08}".encode(), each.SerializeToString())


def picture(seed: int = 0, size: tuple[int, int] = (40, 60)) -> np.ndarray:
    """A smooth image in colour."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), np.uint8)
    return cv2.resize(small, (size[1], size[0]), interpolation=cv2.INTER_CUBIC)
