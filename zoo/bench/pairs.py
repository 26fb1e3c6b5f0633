"""Which models ``zoo bench`` sets side by side: those that differ in the head alone."""

from collections.abc import Sequence

from prototxt.caffe_pb2 import NetParameter
from zoo.bench.models import Model
from zoo.runs.identity import as_key, kind, of_message
from zoo.variants.heads import head_of, set_fc


def find_pairs(models: Sequence[Model]) -> tuple[list[tuple[Model, Model]], list[Model]]:
    """((GAP, FC) pairs equal in all but the head, the models without a partner).

    All but the head: the nets with GAP taken off, the solver, the data and the seed.
    """
    gaps, fcs = (_keyed(models, head) for head in ("gap", "fc"))
    pairs = [(gap, fc) for gap, one in gaps for fc, other in fcs if one == other]
    paired = {id(model) for pair in pairs for model in pair}
    return pairs, [model for model in models if id(model) not in paired]


def _keyed(models: Sequence[Model], head: str) -> list[tuple[Model, tuple[object, ...]]]:
    return [
        (model, (*but_head(model), (model.record or {}).get("seed")))
        for model in models
        if head_of(model.net) == head
    ]


def but_head(model: Model) -> tuple[object, ...]:
    """What a model and its partner have in common: all that zoo.runs.identity compares, the head taken off
    its nets, but not the seed.
    """
    record, folder = model.record, model.folder
    if record is None or folder is None:
        return (as_key(of_message(_bare(model.net))),)
    return (as_key(kind(folder, record, _bare)),)


def _bare(net: NetParameter) -> NetParameter:
    if head_of(net) != "gap":
        return net
    bare = NetParameter()
    bare.CopyFrom(net)
    set_fc(bare)
    return bare
