"""Older prototxt syntax to today's, as Caffe's upgrade_proto.cpp does it.

V1 is ``layers { type: CONVOLUTION … }``; V0, an older one still, is :mod:`prototxt.upgrade_v0`'s.
"""

from collections.abc import Callable

from prototxt.caffe_pb2 import (
    LayerParameter,
    NetParameter,
    SolverParameter,
    TransformationParameter,
    V1LayerParameter,
)
from prototxt.errors import InputError
from prototxt.upgrade_forks import rename_fields
from prototxt.upgrade_v0 import has_v0, upgrade_v0
from prototxt.v1_types import V1_TYPES

Warn = Callable[[str], None]

# UpgradeSolverType
SOLVER_TYPES = {
    SolverParameter.SGD: "SGD",
    SolverParameter.NESTEROV: "Nesterov",
    SolverParameter.ADAGRAD: "AdaGrad",
    SolverParameter.RMSPROP: "RMSProp",
    SolverParameter.ADADELTA: "AdaDelta",
    SolverParameter.ADAM: "Adam",
}
_MOVED = ("scale", "mean_file", "crop_size", "mirror")
_HAD_MOVED = {
    V1LayerParameter.DATA: "data_param",
    V1LayerParameter.IMAGE_DATA: "image_data_param",
    V1LayerParameter.WINDOW_DATA: "window_data_param",
    V1LayerParameter.VIDEO_DATA: "image_data_param",  # C3D
}
# V1's lists beside the blobs, and the field of ParamSpec that each becomes.
_SPECS = {
    "param": "name",
    "blob_share_mode": "share_mode",
    "blobs_lr": "lr_mult",
    "weight_decay": "decay_mult",
}


def quiet(line: str) -> None:
    """The default for ``warn``: say nothing."""


def upgrade_net(net: NetParameter, warn: Warn = quiet) -> NetParameter:
    """Today's syntax for a net in any (UpgradeNetAsNeeded); ``net`` itself stays as it is.

    ``warn`` is told what Caffe drops. Raises InputError, naming the layer, for what Caffe refuses.
    """
    upgraded = NetParameter()
    upgraded.CopyFrom(net)
    if has_v0(upgraded):
        upgraded = upgrade_v0(upgraded, warn)
    if upgraded.layers:
        _upgrade_v1(upgraded, warn)
    if upgraded.input:
        _upgrade_inputs(upgraded)
    for layer in upgraded.layer:
        _freeze_batch_norm(layer)
    rename_fields(upgraded)
    return upgraded


def upgrade_solver(solver: SolverParameter, warn: Warn = quiet) -> SolverParameter:
    """Today's syntax for a solver (UpgradeSolverType) and for the nets that are written out in it.

    Raises InputError where ``solver_type`` and ``type`` are both given.
    """
    upgraded = SolverParameter()
    upgraded.CopyFrom(solver)
    if upgraded.HasField("solver_type"):
        if upgraded.HasField("type"):
            raise InputError("solver_type (old) and type (new) are both given; Caffe takes one of them")
        upgraded.type = SOLVER_TYPES[upgraded.solver_type]
        upgraded.ClearField("solver_type")
    written = [
        getattr(upgraded, field) for field in ("net_param", "train_net_param") if upgraded.HasField(field)
    ]
    written += upgraded.test_net_param
    if any(_is_older(net) for net in written):
        warn(
            "a net written out in the solver is in older syntax: read as today's here, where Caffe aborts, "
            "which upgrades nets in files of their own alone"
        )
    for net in written:
        net.CopyFrom(upgrade_net(net, warn))
    return upgraded


def _is_older(net: NetParameter) -> bool:
    """Whether Caffe takes a net only after its upgrade, of a BatchNorm's rates too (batch_norm_layer.cpp)."""
    learns = [spec.lr_mult for layer in net.layer if _has_old_rates(layer) for spec in layer.param]
    return bool(net.layers or net.input) or any(learns)


def _upgrade_v1(net: NetParameter, warn: Warn) -> None:
    """``layers`` to ``layer`` (UpgradeV1Net, after UpgradeNetDataTransformation)."""
    if net.layer:
        warn('"layer" beside the older "layers" is dropped, as Caffe does')
        net.ClearField("layer")
    for old in net.layers:
        _move_transforms(old)
        net.layer.append(_upgrade_v1_layer(old))
    net.ClearField("layers")


def _move_transforms(layer: V1LayerParameter) -> None:
    """What a data layer's own parameter said of the transformation (CONVERT_LAYER_TRANSFORM_PARAM)."""
    name = _HAD_MOVED.get(layer.type)
    if name is None or not layer.HasField(name):
        return
    param = getattr(layer, name)
    moved = TransformationParameter()
    for field in _MOVED:
        if param.HasField(field):
            setattr(moved, field, getattr(param, field))
            param.ClearField(field)
    moved.MergeFrom(param.transform_param)
    param.ClearField("transform_param")
    if moved.ListFields():
        layer.transform_param.MergeFrom(moved)


def _upgrade_v1_layer(old: V1LayerParameter) -> LayerParameter:
    """UpgradeV1LayerParameter."""
    new = LayerParameter(bottom=old.bottom, top=old.top, loss_weight=old.loss_weight, blobs=old.blobs)
    new.include.extend(old.include)
    new.exclude.extend(old.exclude)
    if old.HasField("name"):
        new.name = old.name
    if old.HasField("type"):
        new.type = V1_TYPES[V1LayerParameter.LayerType.Name(old.type)]
    if old.HasField("dialect"):
        new.dialect = old.dialect
    for field, value in old.ListFields():
        if field.name.endswith("_param"):
            getattr(new, field.name).CopyFrom(value)
    _upgrade_specs(old, new)
    return new


def _upgrade_specs(old: V1LayerParameter, new: LayerParameter) -> None:
    """V1's four lists, one value per blob each, to one ParamSpec per blob."""
    for theirs, ours in _SPECS.items():
        for index, value in enumerate(getattr(old, theirs)):
            if index == len(new.param):
                new.param.add()
            setattr(new.param[index], ours, value)


def _upgrade_inputs(net: NetParameter) -> None:
    """``input`` with ``input_shape`` or ``input_dim`` to an Input layer before all others (UpgradeNetInput).

    Inputs without any shape go without a trace, as in Caffe, which takes such nets for their weights alone.
    """
    if net.input_shape or net.input_dim:
        layer = LayerParameter(name="input", type="Input", top=net.input)
        for dims in _input_dims(net):
            layer.input_param.shape.add(dim=dims)
        others = list(net.layer)
        net.ClearField("layer")
        net.layer.extend([layer, *others])
    for field in ("input", "input_shape", "input_dim"):
        net.ClearField(field)


def _input_dims(net: NetParameter) -> list[list[int]]:
    """The shape of each input; Caffe reads past the end where there are too few."""
    count = len(net.input)
    if net.input_shape:
        if len(net.input_shape) != count:
            raise InputError(f"{len(net.input_shape)} input_shape for {count} input: one each is needed")
        return [list(shape.dim) for shape in net.input_shape]
    if len(net.input_dim) != 4 * count:
        raise InputError(f"{len(net.input_dim)} input_dim for {count} input: four each are needed")
    return [list(net.input_dim[4 * index : 4 * index + 4]) for index in range(count)]


def _freeze_batch_norm(layer: LayerParameter) -> None:
    """Statistics are not learned: three ParamSpecs of a BatchNorm get rates of 0 (UpgradeNetBatchNorm)."""
    if _has_old_rates(layer):
        for spec in layer.param:
            spec.lr_mult = spec.decay_mult = 0


def _has_old_rates(layer: LayerParameter) -> bool:
    return layer.type == "BatchNorm" and len(layer.param) == 3
