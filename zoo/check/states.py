"""The states in which a net is one: its phases, and the stages that it needs for them."""

from collections.abc import Iterator

from converters.layers.registry import record_of
from converters.net_state import is_included, net_state
from prototxt.caffe_pb2 import LayerParameter, NetParameter, NetState


def states_of(net: NetParameter) -> list[NetState]:
    """The states to check: TRAIN, TEST or both, each with a stage where it lacks a layer without one.

    A net whose rules make no difference has one phase: TRAIN where it ends in a loss, else TEST. Of one with
    rules the phases are those in which no bottom lacks that the net has in another; where that leaves
    none, both, so that what is wrong is said.
    """
    if list(net.state.stage) or net.state.HasField("level"):
        return [net.state]
    plain = [net_state(phase) for phase in ("TRAIN", "TEST")]
    if _layers(net, plain[0]) == _layers(net, plain[1]) and _is_complete(net, plain[0]):
        return plain[:1] if any(record_of(x).role == "loss" for x in net.layer) else plain[1:]
    return [state for each in plain for state in _with_stage(net, each)] or plain


def _with_stage(net: NetParameter, state: NetState) -> list[NetState]:
    """The state, if the net is complete in it, or else with those of the stages it names in which it is."""
    stages = dict.fromkeys(stage for layer in net.layer for rule in layer.include for stage in rule.stage)
    staged = [NetState(phase=state.phase, stage=[stage]) for stage in stages]
    return [state] if _is_complete(net, state) else [each for each in staged if _is_complete(net, each)]


def _layers(net: NetParameter, state: NetState) -> list[LayerParameter]:
    return [layer for layer in net.layer if is_included(layer, state)]


def _is_complete(net: NetParameter, state: NetState) -> bool:
    """Whether a layer is left, and no bottom of those lacks which another state of the net has."""
    layers = _layers(net, state)
    return bool(layers) and not any(_lacking(net, layers))


def _lacking(net: NetParameter, layers: list[LayerParameter]) -> Iterator[str]:
    somewhere = {top for layer in net.layer for top in layer.top}
    have: set[str] = set()
    for layer in layers:
        yield from (blob for blob in layer.bottom if blob in somewhere - have)
        have.update(layer.top)
