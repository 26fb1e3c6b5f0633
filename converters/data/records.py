"""Data: records of an LMDB or a LevelDB (data_layer.cpp)."""

from math import prod

import numpy as np
import torch
from torch import Tensor

from converters.data.database import open_database
from converters.data.datum import datum_pixels, labels_of, parse_datum
from converters.data.images.pixels import PixelSource, Sample
from converters.data.order import Rounds
from converters.data.source import BadRecordError, SourceOptions
from converters.host.places import find
from converters.layers.checks import checked_size
from converters.layers.choice import CAFFE
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


class RecordSource(PixelSource):
    """Records in the order of their keys, round after round. Caffe 1.0 reads neither rand_skip nor
    force_encoded_color of data_param, and so they do nothing here.
    """

    def __init__(self, layer: LayerParameter, options: SourceOptions) -> None:
        param = layer.data_param
        if layer.transform_param.force_color and layer.transform_param.force_gray:
            raise InputError("has both force_color and force_gray", layer.name)
        self.database = open_database(find(param.source, options.places), param.backend)
        try:
            rounds = Rounds(len(self.database.keys), False, options.seed)
            super().__init__(layer, options, rounds, param.batch_size)
        except BaseException:
            self.database.close()
            raise

    def read(self, row: int) -> Sample:
        """The record with the ``row``-th key."""
        key = self.database.keys[row]
        name = f"{self.database.path}: record {key.decode(errors='backslashreplace')}"
        try:
            record = self.database.get(key)
            datum, labels = parse_datum(record), labels_of(record)
            pixels = datum_pixels(datum, self.layer.transform_param)
        except InputError as error:
            raise BadRecordError(f"{name} {error}", self.layer.name) from None
        several = len(labels) > 1 and self.layer.dialect != CAFFE
        return Sample(name, pixels, labels if several else datum.label, datum.encoded)

    def labels(self, samples: list[Sample]) -> Tensor:
        """(batch,); of records with several labels an axis of the batch's length for each, in which the
        labels stand one after the other from the start, with 0 behind them: so longpeng2008/Caffe_Long has
        them (data_layer.cpp), and Caffe 1.0 the last alone. Raises InputError where they do not fit.
        """
        if len(self.layer.top) < 2:
            return torch.empty(0)  # nobody asks for them
        each = [np.ravel(sample.label) for sample in samples]
        for sample, own in zip(samples, each, strict=True):
            if len(own) != len(each[0]):
                counts = f"{len(own)} labels, the first of its batch, {samples[0].name}, {len(each[0])}"
                raise InputError(f"{sample.name} has {counts}", self.layer.name)
        shape = checked_size(self.layer, "the blob of labels", (len(each),) * len(each[0]))
        flat = np.concatenate(each).astype(np.float32)
        if len(flat) > prod(shape):
            raise InputError(f"{samples[0].name} has {len(flat)} labels: a batch of 1 has no room for them")
        return torch.from_numpy(
            np.concatenate([flat, np.zeros(prod(shape) - len(flat), np.float32)])
        ).reshape(shape)

    def close(self) -> None:
        """Close the database."""
        super().close()
        self.database.close()
