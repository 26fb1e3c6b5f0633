"""How a run's settings depart from the article's."""

from collections.abc import Iterable

from prototxt.caffe_pb2 import TRAIN, LayerParameter, NetParameter, SolverParameter
from prototxt.text import read_net, read_solver
from zoo import catalogue

_SOLVER = ("type", "momentum", "momentum2", "rms_decay", "delta", "weight_decay", "regularization_type")
_POLICY = {
    "fixed": (),
    "step": ("stepsize", "gamma"),
    "exp": ("gamma",),
    "inv": ("gamma", "power"),
    "multistep": ("stepvalue", "gamma"),
    "poly": ("power",),
    "sigmoid": ("gamma", "stepsize"),
}


def departures(
    net: NetParameter, solver: SolverParameter, classes: int | None, is_synthetic: bool
) -> list[str]:
    """Each setting of a training of ``net``, if it is one of the article's, that is not the article's, with
    the article's value.

    What a variant changes is the comparison itself and no departure, but for a filler.
    """
    if net.name not in catalogue.article_nets():
        return []
    article = read_net(catalogue.find_prototxt(net.name)[0])
    schedule = read_solver(catalogue.find_prototxt(catalogue.SOLVER)[0])
    changes = _solver_departures(solver, schedule)
    changes += _change("convolution filler", _fillers(net), _fillers(article))
    changes += _batch_departure(net, solver, article)
    changes += _change("input size", _crop(net), _crop(article))
    changes += _change("classes", classes or catalogue.CLASSES, catalogue.CLASSES)
    if is_synthetic:
        changes.append("data: drawn (synthetic) images instead of photographs")
    return changes


def _change(name: str, ours: object, theirs: object) -> list[str]:
    return [] if ours == theirs else [f"{name} {ours} (article: {theirs})"]


def _solver_departures(ours: SolverParameter, theirs: SolverParameter) -> list[str]:
    changes = _change("base_lr", f"{ours.base_lr:.6g}", f"{theirs.base_lr:.6g}")
    changes += _change("lr_policy", _policy(ours), _policy(theirs))
    changes += _change("iterations", f"{ours.max_iter:,}", f"{theirs.max_iter:,}")
    changes += _change("clip_gradients", _clip(ours), _clip(theirs))
    for name in _SOLVER:
        changes += _change(name, _text(getattr(ours, name)), _text(getattr(theirs, name)))
    return changes


def _policy(solver: SolverParameter) -> str:
    numbers = [f"{name} {_text(getattr(solver, name))}" for name in _POLICY.get(solver.lr_policy, ())]
    return " ".join([solver.lr_policy, *numbers])


def _clip(solver: SolverParameter) -> str:
    return "none" if solver.clip_gradients < 0 else f"{solver.clip_gradients:.6g}"


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


def _batch(net: NetParameter) -> int:
    layer = _training_images(net)
    return layer.image_data_param.batch_size if layer else 0


def _batch_departure(net: NetParameter, solver: SolverParameter, article: NetParameter) -> list[str]:
    """The images of an iteration; the author trained some nets with them in four parts."""
    parts = solver.iter_size
    if _batch(net) * parts == _batch(article):
        return []
    return _change(
        "batch size", f"{_batch(net)}{f' × iter_size {parts}' if parts > 1 else ''}", _batch(article)
    )


def _crop(net: NetParameter) -> int:
    layer = _training_images(net)
    return layer.transform_param.crop_size if layer else 0


def _training_images(net: NetParameter) -> LayerParameter | None:
    layers = [x for x in net.layer if x.type == "ImageData" and any(r.phase == TRAIN for r in x.include)]
    return layers[0] if layers else None
