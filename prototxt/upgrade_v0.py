"""The oldest syntax, ``layers { layer { type: "conv" … } … }``, to V1 (UpgradeV0Net in upgrade_proto.cpp)."""

from collections.abc import Callable
from typing import Any

from prototxt.caffe_pb2 import NetParameter, V0LayerParameter, V1LayerParameter
from prototxt.errors import InputError

Warn = Callable[[str], None]

# UpgradeV0LayerType
TYPES = {
    "accuracy": V1LayerParameter.ACCURACY,
    "bnll": V1LayerParameter.BNLL,
    "concat": V1LayerParameter.CONCAT,
    "conv": V1LayerParameter.CONVOLUTION,
    "data": V1LayerParameter.DATA,
    "dropout": V1LayerParameter.DROPOUT,
    "euclidean_loss": V1LayerParameter.EUCLIDEAN_LOSS,
    "flatten": V1LayerParameter.FLATTEN,
    "hdf5_data": V1LayerParameter.HDF5_DATA,
    "hdf5_output": V1LayerParameter.HDF5_OUTPUT,
    "im2col": V1LayerParameter.IM2COL,
    "images": V1LayerParameter.IMAGE_DATA,
    "infogain_loss": V1LayerParameter.INFOGAIN_LOSS,
    "innerproduct": V1LayerParameter.INNER_PRODUCT,
    "lrn": V1LayerParameter.LRN,
    "multinomial_logistic_loss": V1LayerParameter.MULTINOMIAL_LOGISTIC_LOSS,
    "pool": V1LayerParameter.POOLING,
    "relu": V1LayerParameter.RELU,
    "sigmoid": V1LayerParameter.SIGMOID,
    "softmax": V1LayerParameter.SOFTMAX,
    "softmax_loss": V1LayerParameter.SOFTMAX_LOSS,
    "split": V1LayerParameter.SPLIT,
    "tanh": V1LayerParameter.TANH,
    "window_data": V1LayerParameter.WINDOW_DATA,
}
_DENSE = {"conv": "convolution_param", "innerproduct": "inner_product_param"}
_WINDOWED = {"conv": "convolution_param", "pool": "pooling_param"}
_POOL = {"pool": "pooling_param"}
_LRN = {"lrn": "lrn_param"}
_IMAGES = {"images": "image_data_param"}
_WINDOW = {"window_data": "window_data_param"}
_BATCHED = {"data": "data_param", "hdf5_data": "hdf5_data_param", **_IMAGES, **_WINDOW}
# V0's field: today's name of it, and the parameter message of each type that may have it.
_FIELDS: dict[str, tuple[str, dict[str, str]]] = {
    "num_output": ("num_output", _DENSE),
    "biasterm": ("bias_term", _DENSE),
    "weight_filler": ("weight_filler", _DENSE),
    "bias_filler": ("bias_filler", _DENSE),
    "pad": ("pad", _WINDOWED),
    "kernelsize": ("kernel_size", _WINDOWED),
    "group": ("group", {"conv": "convolution_param"}),
    "stride": ("stride", _WINDOWED),
    "pool": ("pool", _POOL),
    "dropout_ratio": ("dropout_ratio", {"dropout": "dropout_param"}),
    "local_size": ("local_size", _LRN),
    "alpha": ("alpha", _LRN),
    "beta": ("beta", _LRN),
    "k": ("k", _LRN),
    "source": ("source", {**_BATCHED, "infogain_loss": "infogain_loss_param"}),
    "batchsize": ("batch_size", _BATCHED),
    "rand_skip": ("rand_skip", {"data": "data_param", **_IMAGES}),
    "shuffle_images": ("shuffle", _IMAGES),
    "new_height": ("new_height", _IMAGES),
    "new_width": ("new_width", _IMAGES),
    "concat_dim": ("concat_dim", {"concat": "concat_param"}),
    "det_fg_threshold": ("fg_threshold", _WINDOW),
    "det_bg_threshold": ("bg_threshold", _WINDOW),
    "det_fg_fraction": ("fg_fraction", _WINDOW),
    "det_context_pad": ("context_pad", _WINDOW),
    "det_crop_mode": ("crop_mode", _WINDOW),
}
_TRANSFORMS = {"scale": "scale", "meanfile": "mean_file", "cropsize": "crop_size", "mirror": "mirror"}
_LISTS = ("blobs", "blobs_lr", "weight_decay")


def has_v0(net: NetParameter) -> bool:
    """Whether any layer is V0 (NetNeedsV0ToV1Upgrade)."""
    return any(layer.HasField("layer") for layer in net.layers)


def upgrade_v0(net: NetParameter, warn: Warn) -> NetParameter:
    """The net in V1; of the net's own fields Caffe keeps these four (UpgradeV0Net).

    Raises InputError for a type V0 does not have and for a padding layer that cannot be folded.
    """
    upgraded = NetParameter(input=net.input, input_dim=net.input_dim)
    for field in ("name", "force_backward"):
        if net.HasField(field):
            setattr(upgraded, field, getattr(net, field))
    upgraded.layers.extend(_upgrade_layer(layer, warn) for layer in _fold_padding(net))
    return upgraded


def _fold_padding(net: NetParameter) -> list[V1LayerParameter]:
    """The layers without their padding layers, whose pad the layer above takes (UpgradeV0PaddingLayers)."""
    writers: dict[str, V1LayerParameter | None] = dict.fromkeys(net.input)
    layers = []
    for layer in net.layers:
        folded = V1LayerParameter()
        folded.CopyFrom(layer)
        for index, blob in enumerate(layer.bottom):
            if blob not in writers:
                raise InputError(f'bottom "{blob}" is written by no layer before it', layer.layer.name)
            writer = writers[blob]
            if writer is not None and writer.layer.type == "padding":
                _fold(writer, folded, index)
        if layer.layer.type != "padding":
            layers.append(folded)
        writers.update(dict.fromkeys(layer.top, layer))
    return layers


def _fold(padding: V1LayerParameter, layer: V1LayerParameter, index: int) -> None:
    if layer.layer.type not in ("conv", "pool"):
        raise InputError(
            f'a padding layer feeds a "{layer.layer.type}", not a conv or pool', layer.layer.name
        )
    if len(layer.bottom) != 1 or len(padding.bottom) != 1 or len(padding.top) != 1:
        raise InputError("a padding layer and what it feeds take one blob each", layer.layer.name)
    layer.layer.pad = padding.layer.pad
    layer.bottom[index] = padding.bottom[0]


def _upgrade_layer(old: V1LayerParameter, warn: Warn) -> V1LayerParameter:
    """UpgradeV0LayerParameter."""
    new = V1LayerParameter(bottom=old.bottom, top=old.top)
    v0 = old.layer
    if v0.HasField("name"):
        new.name = v0.name
    if v0.HasField("type"):
        if v0.type not in TYPES:
            raise InputError(f'type "{v0.type}" is none of V0\'s: {", ".join(TYPES)}', v0.name)
        new.type = TYPES[v0.type]
    for field in _LISTS:
        getattr(new, field).extend(getattr(v0, field))
    for descriptor, value in v0.ListFields():
        _upgrade_field(v0, descriptor.name, value, new, warn)
    return new


def _upgrade_field(v0: V0LayerParameter, name: str, value: Any, new: V1LayerParameter, warn: Warn) -> None:
    """One field of V0 to where V1 has it; one that its type does not have is dropped, as Caffe does."""
    target, messages = _FIELDS.get(name, ("", {}))
    if name in _TRANSFORMS:
        setattr(new.transform_param, _TRANSFORMS[name], value)
    elif v0.type in messages:
        _put(getattr(new, messages[v0.type]), target, value)
    elif name == "hdf5_output_param" and v0.type == "hdf5_output":
        new.hdf5_output_param.CopyFrom(value)
    elif messages or name == "hdf5_output_param":
        warn(f'layer "{v0.name}": {name} means nothing in type "{v0.type}" and is dropped, as Caffe does')


def _put(param: Any, name: str, value: Any) -> None:
    """Set, append or copy, whichever kind of field ``name`` is."""
    field = param.DESCRIPTOR.fields_by_name[name]
    if field.is_repeated:
        getattr(param, name).append(value)
    elif field.message_type:
        getattr(param, name).CopyFrom(value)
    else:
        setattr(param, name, value)
