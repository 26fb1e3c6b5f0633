"""From a data layer's message to its source, which the record of the layer's type names."""

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from converters.data.source import DataSource, SourceOptions
from converters.host.places import HERE
from converters.layers.checks import check_fields
from converters.layers.choosing import choose
from converters.layers.dialects import has_rules
from converters.layers.registry import record_of, rules_of
from converters.net_state import trains
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError, of_layer


def is_readable(layer: LayerParameter) -> bool:
    """Whether a layer's type has a source that :func:`open_data` opens."""
    tops = record_of(layer).data_tops
    return tops is not None and bool(tops.reader)


def open_data(
    layer: LayerParameter,
    phase: str,
    seed: int = 0,
    places: Sequence[Path] = HERE,
    skip_bad: bool = False,
    label_size: int | None = None,
) -> DataSource:
    """The source of a data layer's batches; in TRAIN crops are random, in TEST central. The layer's own
    ``phase`` beats the one given, as in Net::Init.

    Relative paths of the layer (source, root_folder, mean_file) and of its list are sought in ``places``,
    the first that has them wins. Layers of one net that shall choose independently need seeds of their
    own (from 0). ``skip_bad`` takes the next whole record in place of one that cannot be read, and counts it.
    ``label_size`` takes the last that many words of a list's lines for numbers, and gives (N, label_size).

    Raises InputError, naming the layer, for a layer that reads nothing, a file that is missing or broken,
    and for parameters that do not fit the data.
    """
    with of_layer(layer):
        layer = _chosen(layer)
        tops = record_of(layer).data_tops
        if tops is None or not tops.reader:
            raise InputError(f'type "{layer.type}" reads no data')
        if tops.has_field(tops.source) and not getattr(getattr(layer, tops.param), tops.source):
            raise InputError(f"{tops.param} names no source")
        if label_size is not None and not tops.takes_label_lists:
            raise InputError(f"label_size is for lists of images, not {layer.type}")
        module, _, name = tops.reader.partition(":")
        check_fields(layer)
        source: Callable[[LayerParameter, SourceOptions], DataSource] = getattr(import_module(module), name)
        return source(
            layer, SourceOptions(trains(layer, phase), seed, list(places) or HERE, skip_bad, label_size)
        )


def _chosen(layer: LayerParameter) -> LayerParameter:
    """The layer with its dialect where its type has several rules and no net has chosen one yet."""
    if layer.dialect or not has_rules(layer):
        return layer
    copy = LayerParameter()
    copy.CopyFrom(layer)
    copy.dialect = choose([layer], rules_of(layer.type)).rules[0].dialect_name
    return copy
