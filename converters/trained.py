"""The net that a ``.caffemodel`` holds: the layers that were trained, as a prototxt would say them.

What Net::Init put in is taken out again: the Splits of blobs with several readers (insert_splits.cpp), each
layer's phase, and the rules by which the layers were chosen, which have done their work.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from converters.layers.dialects import names_of
from converters.layers.registry import record_of
from converters.net_state import is_included, net_state, without_rules
from converters.weights.formats import weights_format
from prototxt.binary.definition import read_definition
from prototxt.binary.wire import Source, WireError
from prototxt.caffe_pb2 import LayerParameter, NetParameter
from prototxt.errors import InputError
from prototxt.lenient import is_lenient
from prototxt.net_file import NetFile
from prototxt.text import Warn, to_stderr
from prototxt.upgrade import upgrade_net

SUFFIX = ".caffemodel"


def is_trained(path: Path | str) -> bool:
    """Whether the path is that of a file which holds a net beside its weights."""
    return Path(path).suffix.lower() == SUFFIX


def read_trained(path: Path | str, dialect: str | None = None, warn: Warn = to_stderr) -> NetFile:
    """The net of a .caffemodel, in today's syntax. ``dialect`` names the forks whose field numbers are meant
    where several forks use one. ``warn`` takes a line for what is a fork's, or left out.

    Raises InputError, with file and layer: for a file that is none or not whole, for one that holds weights
    alone, and for a field that nothing tells.
    """
    asked = names_of(dialect or "")
    try:
        net = _read(Path(path), asked, lambda line: warn(f"{path}: {line}"))
        net = upgrade_net(net, lambda line: warn(f"{path}: {line}"))
    except InputError as error:
        said = " ".join(error.with_layer().removeprefix(f"{path}: ").split("\n"))  # of a layer's name
        raise InputError(f"{path}: {said}") from None
    if not any(layer.type for layer in net.layer):
        raise InputError(
            f"{path}: holds no net, or weights alone: the prototxt is needed, with --weights {path}"
        )
    return NetFile(as_written(net), str(path), "")


def _read(path: Path, asked: Sequence[str], warn: Warn) -> NetParameter:
    if weights_format(path) != "caffemodel":
        raise InputError("holds weights alone, and no net: the prototxt is needed")
    try:
        with path.open("rb") as file:
            return read_definition(Source(file), asked, _is_spare, is_lenient(), warn)
    except WireError as error:
        raise InputError(f"no whole .caffemodel: {error}") from None


def _is_spare(kind: str) -> bool:
    """Whether layers of the type feed or judge a net, and compute nothing of what is deployed."""
    record = record_of(LayerParameter(type=kind))
    return record.role == "data" or record.judges


def as_written(net: NetParameter) -> NetParameter:
    """A net that Net::Init has had in its hands as it was before, as far as the layers say it."""
    copy = NetParameter()
    copy.CopyFrom(net)
    layers = without_splits(_without_state(net.layer))
    del copy.layer[:]
    copy.layer.extend(layers)
    return copy


def _without_state(layers: Sequence[LayerParameter]) -> list[LayerParameter]:
    """The layers without the phase that most have, which was the net's (Net::Init gives it to all that have
    none), and where there is one, or where one phase keeps them all, without rules.
    """
    phases = Counter(layer.phase for layer in layers if layer.HasField("phase"))
    chosen = bool(phases) or any(
        all(is_included(layer, net_state(phase)) for layer in layers) for phase in ("TRAIN", "TEST")
    )
    stripped = [without_rules(layer) if chosen else layer for layer in layers]
    for layer in stripped:
        if phases and layer.phase == phases.most_common(1)[0][0]:
            layer.ClearField("phase")
    return stripped


def without_splits(layers: Sequence[LayerParameter]) -> list[LayerParameter]:
    """Copies of the layers without the Splits that InsertSplits made, by their names: what read a top of one
    reads its bottom, and a loss weight that stood on it is its maker's again.
    """
    kept: list[LayerParameter] = []
    origin: dict[str, str] = {}
    for layer in layers:
        if _is_inserted(layer):
            origin.update(dict.fromkeys(layer.top, layer.bottom[0]))
            _give_back_weight(layer, kept)
            continue
        copy = LayerParameter()
        copy.CopyFrom(layer)
        copy.bottom[:] = [origin.get(blob, blob) for blob in layer.bottom]
        kept.append(copy)
    return kept


def _is_inserted(layer: LayerParameter) -> bool:
    """SplitLayerName and SplitBlobName: ``<blob>_<layer>_<top>_split``, and ``…_split_<k>`` its tops."""
    names = [f"{layer.name}_{index}" for index in range(len(layer.top))]
    return (
        layer.type == "Split"
        and layer.name.endswith("_split")
        and [*layer.top] == names
        and len(layer.bottom) == 1
    )


def _give_back_weight(split: LayerParameter, before: Sequence[LayerParameter]) -> None:
    """ConfigureSplitLayer moves the loss weight of a top to the Split's first; undone."""
    weight = next(iter(split.loss_weight), 0.0)
    maker = next((layer for layer in reversed(before) if split.bottom[0] in layer.top), None)
    if not weight or maker is None:
        return
    weights = [*maker.loss_weight] or [0.0] * len(maker.top)
    weights[list(maker.top).index(split.bottom[0])] = weight
    maker.loss_weight[:] = weights
