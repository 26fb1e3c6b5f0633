"""Why a blob that a layer reads is not there: which layer would write it, and what leaves that out."""

from collections.abc import Iterable, Iterator

from prototxt.caffe_pb2 import LayerParameter, NetState, NetStateRule, Phase


def why_missing(blob: str, reader: LayerParameter, layers: Iterable[LayerParameter], state: NetState) -> str:
    """``; layer "x", which writes it, …`` for the first layer of a net that has ``blob`` as a top; nothing
    where none has. ``state`` is the one that the reading layer is kept in and a writer before it is not.
    """
    before = True
    for layer in layers:
        if layer is reader:
            before = False
        elif blob in layer.top:
            reasons = list(dict.fromkeys(_reasons(layer, state)))
            if not reasons and before:
                continue
            why = f"is left out: {' and '.join(reasons)}" if reasons else "comes later"
            if any("stage" in reason or "level" in reason for reason in reasons):
                why += " (--stage and --level choose them, in a solver train_state and test_state)"
            return f'; layer "{layer.name}", which writes it, {why}'
    return ""


def _reasons(layer: LayerParameter, state: NetState) -> Iterator[str]:
    """What keeps a layer out of the net of ``state``; its first include rule speaks for all."""
    if layer.include:
        yield from unmet(layer.include[0], state)
    for rule in layer.exclude:
        if not list(unmet(rule, state)):
            yield f"an exclude rule fits {_named(state)}"


def unmet(rule: NetStateRule, state: NetState) -> Iterator[str]:
    """The conditions of a rule that ``state`` does not satisfy (Net::StateMeetsRule)."""
    if rule.HasField("phase") and rule.phase != state.phase:
        yield f"it asks for phase {Phase.Name(rule.phase)}"
    if rule.HasField("min_level") and state.level < rule.min_level:
        yield f"it asks for level {rule.min_level} or more"
    if rule.HasField("max_level") and state.level > rule.max_level:
        yield f"it asks for level {rule.max_level} or less"
    for stage in rule.stage:
        if stage not in state.stage:
            yield f'it asks for stage "{stage}"'
    for stage in rule.not_stage:
        if stage in state.stage:
            yield f'it is not for stage "{stage}"'


def _named(state: NetState) -> str:
    stages = "".join(f', stage "{stage}"' for stage in state.stage)
    return f"phase {Phase.Name(state.phase)}, level {state.level}{stages}"
