"""Which layers a net has in a state, by phase, level and stages (Net::FilterNet)."""

from collections.abc import Iterable

from converters.left_out import unmet
from prototxt.caffe_pb2 import TEST, TRAIN, LayerParameter, NetParameter, NetState, NetStateRule
from prototxt.errors import InputError

PHASES = {"TRAIN": TRAIN, "TEST": TEST}


def net_state(phase: str = "TEST", level: int = 0, stages: Iterable[str] = ()) -> NetState:
    """The state that layer rules are held against. Raises InputError for a phase Caffe does not know."""
    if phase not in PHASES:
        raise InputError(f"no phase {phase!r}: TRAIN or TEST")
    return NetState(phase=PHASES[phase], level=level, stage=stages)


def trains(layer: LayerParameter, phase: str) -> bool:
    """Whether a layer of a net of this phase is in TRAIN: its own ``phase`` beats the net's (Net::Init)."""
    return (layer.phase if layer.HasField("phase") else net_state(phase).phase) == TRAIN


def meets(rule: NetStateRule, state: NetState) -> bool:
    """Whether ``state`` satisfies every condition of ``rule`` (Net::StateMeetsRule)."""
    return not any(unmet(rule, state))


def is_included(layer: LayerParameter, state: NetState) -> bool:
    """Whether the net of ``state`` holds this layer (Net::FilterNet)."""
    if layer.include and layer.exclude:
        raise InputError("has both include and exclude rules; Caffe allows one kind", layer.name)
    if layer.include:
        return any(meets(rule, state) for rule in layer.include)
    return not any(meets(rule, state) for rule in layer.exclude)


def filtered(net: NetParameter, state: NetState) -> NetParameter:
    """A copy of ``net`` with the layers that ``state`` keeps, their rules gone (Net::FilterNet)."""
    copy = NetParameter()
    copy.CopyFrom(net)
    del copy.layer[:]
    for layer in net.layer:
        if is_included(layer, state):
            copy.layer.append(without_rules(layer))
    return copy


def without_rules(layer: LayerParameter) -> LayerParameter:
    """A copy of a layer that was kept, without the rules that kept it."""
    copy = LayerParameter()
    copy.CopyFrom(layer)
    copy.ClearField("include")
    copy.ClearField("exclude")
    return copy
