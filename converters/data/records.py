"""Data: records of an LMDB or a LevelDB (data_layer.cpp)."""

from converters.data.database import open_database
from converters.data.datum import datum_pixels, parse_datum
from converters.data.images.pixels import PixelSource, Sample
from converters.data.order import Rounds
from converters.data.source import BadRecordError, SourceOptions
from converters.host.places import find
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
            datum = parse_datum(self.database.get(key))
            pixels = datum_pixels(datum, self.layer.transform_param)
        except InputError as error:
            raise BadRecordError(f"{name} {error}", self.layer.name) from None
        return Sample(name, pixels, datum.label)

    def close(self) -> None:
        """Close the database."""
        super().close()
        self.database.close()
