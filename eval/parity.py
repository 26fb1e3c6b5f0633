"""Whether an ONNX file computes what its net does, layer by layer."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Unpack

import numpy as np
import onnx
import torch

from converters.build import as_tuple
from converters.export.model import Model
from converters.export.names import value_names
from converters.export.nodes.folding import FOLDED
from converters.export.nodes.free import Free
from converters.export.onnx_file import About, Form, file_net, onnx_model, save
from converters.export.preprocess import Preprocess
from converters.graph import Graph, Node, Value
from converters.host.files import whole
from converters.layers.registry import DRAWS
from converters.network import Network
from eval.difference import TOLERANCE, Array, Difference, difference
from eval.probe import draw_weights, forget, probe_inputs, tensors
from eval.rounding import rounding_of
from eval.rows import rows_nearest
from eval.runtime import Feeds, open_plain
from prototxt.errors import InputError

WEIGHTS = 1e-6  # of a weight's own size: a file copies them, but for BatchNorm's sums, which it divides
_BATCHES = (1, 3)  # more than one, so that a batch baked into a file that calls it dynamic shows


def write_onnx(
    net: Network,
    path: Path,
    classes: Sequence[str] = (),
    graph: Graph | None = None,
    **about: Unpack[About],
) -> bool:
    """:func:`converters.export.onnx_file.export_onnx`, run and held against the net before it appears.

    Raises InputError, naming the layer, where the file would compute something else: nothing is written.
    """
    small = file_net(net, graph)
    model, form = onnx_model(small, classes, **about)
    with whole(path) as beside:
        save(model, beside)  # before weights are drawn in the same memory
        for item in _compare(small, model, set(model.arrays), form, _trials(form, small, _BATCHES[:1]), 0):
            if item.differs:
                raise InputError(_refusal(small, item), item.layer)
    return form.free.batch


def _trials(form: Form, net: Network, batches: Sequence[int]) -> list[dict[str, tuple[int, ...]]]:
    """Shapes of the inputs to run a file with: of these batches, and of images of another size."""
    free = form.free
    ours = {value.blob: tuple(net.shapes[value]) for value in net.graph.inputs}
    trials = [free.of_batch(net, batch) for batch in batches] if free.batch else [ours]
    return trials + ([replace(free, batch=False).inputs(net)] if free.size else [])


def _feeds(form: Form, net: Network, shapes: Mapping[str, tuple[int, ...]], seed: int) -> tuple[Feeds, Feeds]:
    """What the file is given, and the net."""
    ours = probe_inputs(net, None, seed, shapes)
    if form.preprocess is None:
        return ours, ours
    blob = form.preprocess.value.blob
    pixels: Array = np.random.default_rng(seed).integers(0, 256, shapes[blob]).astype(np.float32)
    return {**ours, blob: pixels}, {**ours, blob: form.preprocess(pixels)}


def _refusal(net: Network, item: Difference) -> str:
    if _is_random(net, item.layer):
        return DRAWS
    return (
        f'the ONNX file would not compute this layer: blob "{item.output}" differs by {item.largest:.3g} '
        f"at a scale of {item.scale:.3g}: not written"
    )


@torch.no_grad()
def _is_random(net: Network, layer: str) -> bool:
    """Whether a layer of the net makes other values each time."""
    node = next(node for node in net.graph.nodes if node.layer.name == layer)
    values = net.values(tensors(probe_inputs(net, None)))
    tops = []
    for _ in range(2):
        forget(net)
        tops.append(as_tuple(net.module_of(node)(*(values[value] for value in node.inputs))))
    return any(not torch.equal(a, b) for a, b in zip(*tops, strict=True))


def compare_onnx(
    net: Network,
    path: Path,
    seed: int = 0,
    graph: Graph | None = None,
    preprocess: Preprocess | None = None,
) -> list[Difference]:
    """The file in onnxruntime on the CPU against ``net``, over batches of 1 and 3 (a file of one batch:
    that), and images of another size where they may be of any: every weight that the file holds under its
    name, and every blob that it still has, each held to what PyTorch makes of the file's own bottoms of that
    layer. ``preprocess`` is what the file does to its pictures.

    Weights that would be constant are drawn for the comparison; the inputs are
    :func:`eval.probe.probe_inputs`'s.
    """
    model = Model.read(path)
    form = Form(_free(model.proto), model.opset, preprocess)
    small = file_net(net, graph)
    expected = form.write(small)
    weights = _compare_weights(small, model, expected)
    own = expected.arrays
    ours = {name for name, array in model.arrays.items() if name in own and np.array_equal(array, own[name])}
    return weights + _compare(small, model, ours, form, _trials(form, small, _BATCHES), seed)


def _compare(
    small: Network,
    model: Model,
    ours: Collection[str],
    form: Form,
    trials: Sequence[Mapping[str, tuple[int, ...]]],
    seed: int,
) -> list[Difference]:
    """``model`` against the net, whose arrays ``ours`` are; weights that would be constant are drawn."""
    if draw_weights(small, seed):
        drawn = form.write(small).arrays
        model = Model(model.proto, model.arrays | {name: drawn[name] for name in ours if name in drawn})
    run = running(model, small.graph)
    worst: dict[Value, Difference] = {}
    for shapes in trials:
        fed, ours_fed = _feeds(form, small, shapes, seed)
        for value, node, by_net, by_file, rounding in layer_by_layer(small, ours_fed, run(fed)):
            item = difference(value.blob, by_net, by_file, node.layer.name, rounding=rounding)
            worst[value] = max(worst.get(value, item), item, key=_badness)
    return list(worst.values())


def running(model: Model, graph: Graph) -> Callable[[Feeds], dict[Value, Array]]:
    """The file of a deployed graph in onnxruntime: from inputs by blob to every value that it still has."""
    names = value_names(graph)
    have = {name for node in model.proto.graph.node for name in node.output}
    wanted = {value: name for value, name in names.items() if name in have}
    session = open_plain(model.plain(list(wanted.values())))

    def run(feeds: Feeds) -> dict[Value, Array]:
        given = model.large() | {names[value]: feeds[value.blob] for value in graph.inputs}
        return dict(zip(wanted, session.run(list(wanted.values()), given), strict=True))

    return run


def _free(model: onnx.ModelProto) -> Free:
    """Which axes of the file's inputs are of any size."""
    shapes = [item.type.tensor_type.shape.dim for item in model.graph.input]
    return Free(
        batch=any(axes and axes[0].dim_param for axes in shapes),
        size=any(len(axes) == 4 and axes[2].dim_param for axes in shapes),
    )


def _badness(item: Difference) -> tuple[bool, float]:
    return item.differs, item.largest


def _compare_weights(net: Network, model: Model, expected: Model) -> list[Difference]:
    """Every initializer that is made of a layer's blobs, element by element."""
    owners = {blob.layer: blob.node.layer.name for blob in net.blobs}
    return [
        difference(name, expected.arrays[name], theirs, owner, WEIGHTS)
        for name, theirs in model.arrays.items()
        if name in expected.arrays
        and (owner := owners.get(name.removesuffix(FOLDED).removesuffix(".T").rpartition(".")[0]))
    ]


@torch.no_grad()
def layer_by_layer(
    net: Network, feeds: Feeds, theirs: Mapping[Value, Array], tolerance: float = TOLERANCE
) -> Iterator[tuple[Value, Node, Array, Array, float]]:
    """Each value of the file, or of another engine, behind what PyTorch makes of the file's values before it,
    so that no rounding adds up and a difference is the layer's own: (value, layer, PyTorch's, the file's, how
    far rounding may put them apart). The last is asked, and a detector's rows are held to
    :func:`eval.rows.rows_nearest`, where they differ beyond ``tolerance``.
    """
    forget(net)
    values = {value: torch.from_numpy(feeds[value.blob]) for value in net.graph.inputs}
    for node in net.graph.nodes:
        if node.is_data:
            continue
        layer, bottoms = net.module_of(node), [values[value] for value in node.inputs]
        for at, (value, top) in enumerate(zip(node.outputs, as_tuple(layer(*bottoms)), strict=False)):
            values[value] = top
            if value in theirs:
                output, ours, rounding = theirs[value], top.numpy(), 0.0
                if difference(value.blob, ours, output, node.layer.name, tolerance).differs:
                    near = rows_nearest(layer, bottoms, at, output)
                    ours = ours if near is None else near
                    rounding = rounding_of(layer, bottoms, at)
                yield value, node, ours, output, rounding
                values[value] = torch.from_numpy(output) if output.shape == ours.shape else top
