"""Which models ``zoo bench`` sets side by side: those that differ in the head alone."""

from collections.abc import Sequence

from prototxt.caffe_pb2 import NetParameter
from zoo.bench.rows import Model
from zoo.heads import head_of, set_fc


def find_pairs(models: Sequence[Model]) -> tuple[list[tuple[Model, Model]], list[Model]]:
    """((GAP, FC) pairs equal in all but the head, the models without a partner).

    All but the head: the nets with GAP taken off, the solver, the data and the seed.
    """
    gaps, fcs = (_keyed(models, head) for head in ("gap", "fc"))
    pairs = [(gap, fc) for gap, one in gaps for fc, other in fcs if one == other]
    paired = {id(model) for pair in pairs for model in pair}
    return pairs, [model for model in models if id(model) not in paired]


def _keyed(models: Sequence[Model], head: str) -> list[tuple[Model, tuple[object, ...]]]:
    return [(model, _but_head(model)) for model in models if head_of(model.net) == head]


def _but_head(model: Model) -> tuple[object, ...]:
    bare = NetParameter()
    bare.CopyFrom(model.net)
    if head_of(bare) == "gap":
        set_fc(bare)
    record = model.record
    if record is None or model.folder is None:
        return (bare.SerializeToString(deterministic=True),)
    data = {phase: about["fingerprint"] for phase, about in record["data"].items() if phase != "synthetic"}
    solver = model.folder.solver.read_text(encoding="utf-8")
    return bare.SerializeToString(deterministic=True), solver, sorted(data.items()), record["seed"]
