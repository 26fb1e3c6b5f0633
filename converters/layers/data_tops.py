"""Where the tops of layers come from that have no bottoms."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from prototxt.caffe_pb2 import LayerParameter


@dataclass(frozen=True)
class DataTops:
    """Where the tops of a layer come from that has no bottoms.

    ``reader`` is "module:class" of its DataSource, imported when it is opened (what reads images and data
    bases is heavy to import), "" where a program hands over the tensors. ``param`` is its field of the
    message, in which the field ``source`` names the files, "" where it reads none. ``shapes`` gives each
    top's shape as far as the prototxt says, None where only the data know it, and for the channels where
    only they know those; ``usual`` those of the data that such a layer comes with. ``is_images``: pixels
    that ``transform_param`` changes, and a second top of labels. ``takes_label_lists``: a line of its list
    may end in several numbers, if an option says how many. ``is_list``: each line is an image and its labels
    (:func:`converters.data.forks.label_lists.entries_of`). ``names_of`` is "module:function" of the files
    that the file ``source`` names.
    """

    reader: str = ""
    param: str = ""
    source: str = "source"
    shapes: Callable[[LayerParameter], Sequence[Sequence[int | None] | None]] | None = None
    usual: Callable[[LayerParameter], Sequence[Sequence[int | None] | None]] | None = None
    is_images: bool = False
    takes_label_lists: bool = False
    is_list: bool = False
    names_of: str = ""

    @property
    def are_pairs(self) -> bool:
        """Whether they are images and their label maps, of a list of both."""
        return self.names_of.endswith(":paired_names")

    def has_field(self, name: str) -> bool:
        """Whether the layer's own field of the message has a field ``name``, such as batch_size."""
        return bool(self.param and name) and hasattr(getattr(LayerParameter(), self.param), name)
