"""How a run's settings depart from the article's."""

from collections.abc import Iterable

from prototxt.caffe_pb2 import NetParameter, SolverParameter
from prototxt.text import read_net, read_solver
from zoo import catalogue
from zoo.plan import Plan

_SCHEDULE = (
    "type", "base_lr", "lr_policy", "gamma", "power", "stepsize", "stepvalue", "momentum", "momentum2",
    "rms_decay", "delta", "weight_decay", "regularization_type", "clip_gradients", "iter_size", "max_iter",
)  # fmt: skip


def departures(plan: Plan) -> list[str]:
    """Each setting of a run of the article's net that is not the article's, with the article's value.

    What a variant changes is the comparison itself and no departure, but for a filler.
    """
    net = plan.nets["TRAIN"].message
    if net.name != catalogue.ARTICLE:
        return []
    article = read_net(catalogue.find(catalogue.ARTICLE)[0])
    schedule = read_solver(catalogue.find(f"{catalogue.ARTICLE}_solver")[0])
    found = _solver_departures(plan.solver, schedule)
    found += _change("convolution filler", _fillers(net), _fillers(article))
    found += _change("batch size", _batch(net, 0), _batch(article, 0))
    found += _change("classes", plan.classes, catalogue.CLASSES)
    return [*found, "data: drawn (synthetic) images instead of photographs"] if plan.is_synthetic else found


def _change(name: str, ours: object, theirs: object) -> list[str]:
    return [] if ours == theirs else [f"{name} {ours} (article: {theirs})"]


def _solver_departures(ours: SolverParameter, theirs: SolverParameter) -> list[str]:
    pairs = [(name, _text(getattr(ours, name)), _text(getattr(theirs, name))) for name in _SCHEDULE]
    return [line for name, mine, other in pairs for line in _change(name, mine, other)]


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str | int):
        return str(value)
    assert isinstance(value, Iterable)
    return " ".join(map(str, value)) or "none"


def _fillers(net: NetParameter) -> str:
    kinds = {
        f"{f.type} {f.std:g}" if f.type == "gaussian" else f.type
        for f in (layer.convolution_param.weight_filler for layer in net.layer if layer.type == "Convolution")
    }
    return " and ".join(sorted(kinds))


def _batch(net: NetParameter, phase: int) -> int:
    layers = [x for x in net.layer if x.type == "ImageData" and any(r.phase == phase for r in x.include)]
    return layers[0].image_data_param.batch_size if layers else 0
