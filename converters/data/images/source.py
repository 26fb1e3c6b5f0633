"""ImageData: images named by a list (image_data_layer.cpp)."""

from converters.data.forks.label_lists import entries_of
from converters.data.images.lists import Entry, read_image
from converters.data.images.pixels import PixelSource, Sample
from converters.data.images.transform import check_resize
from converters.data.order import Rounds, drawn_skip
from converters.data.source import BadRecordError, SourceOptions
from converters.host.places import base_of_list, find
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


class ImageSource(PixelSource):
    """Images in the list's order, or shuffled anew each round; with rand_skip not from the first on."""

    def __init__(self, layer: LayerParameter, options: SourceOptions) -> None:
        param = layer.image_data_param
        check_resize(layer)
        self.list_path = find(param.source, options.places)
        self.entries = entries_of(layer, self.list_path, options.label_size)
        names = [entry.path for entry in self.entries]
        self.base = base_of_list(self.list_path, param, names, options.places)
        skip = drawn_skip(options.seed, layer, param.rand_skip, len(self.entries))
        rounds = Rounds(len(self.entries), param.shuffle, options.seed, skip)
        super().__init__(layer, options, rounds, param.batch_size)

    def label_of(self, entry: Entry) -> float | tuple[float, ...]:
        """One, or with the option label_size so many."""
        return entry.label if self.options.label_size is None else entry.labels

    def read(self, row: int) -> Sample:
        """The image of an entry."""
        entry, param = self.entries[row], self.layer.image_data_param
        path = self.base.path(entry.path)
        try:
            pixels = read_image(path, param, entry.behind)
        except InputError as error:
            raise BadRecordError(f"{self.list_path}:{entry.line}: {error}", self.layer.name) from None
        return Sample(f"{self.list_path}:{entry.line}: image {path}", pixels, self.label_of(entry))
