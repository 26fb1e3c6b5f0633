"""The functions of ``import zoo``."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from converters.build import Shape
from converters.export.deploy import deploy
from converters.export.metadata import Transform
from converters.export.onnx_file import About
from converters.graph import refuse_python
from converters.network import Network
from eval.parity import write_onnx
from prototxt.text import to_stderr
from zoo import catalogue
from zoo.cli.choices import OPSET, ORDERS, VARIANT
from zoo.conversion import Request, built, places_of, put_out, read_file, wired, write_file


def list_nets() -> list[str]:
    """Names of the shipped nets, each of which :func:`load` takes."""
    return catalogue.nets()


def load(
    net: str | Path,
    *,
    variant: str = VARIANT,
    weights: str | Path | Sequence[str | Path] | None = None,
    phase: str = "TEST",
    input_shapes: Mapping[str, Shape] | None = None,
    dialect: str | None = None,
    losses: bool = False,
    seed: int = 0,
) -> Network:
    """The module of a prototxt, given as a path or as a shipped net's name, or of a .caffemodel's path, in
    ``phase``'s mode, from its data to its predictions: ``net(images)``.

    ``variant``: edits of the net, joined by ``+``, such as ``bn+dropout0.5`` (``zoo list`` names them).
    ``weights``: a .caffemodel, .h5 or .safetensors file, or several, of which the later count first. What
    they lack is filled as the prototxt says, from ``seed``, and a line on stderr names it; without any, all.
    ``phase``: TEST or TRAIN; some layers are in one alone, and Dropout and BatchNorm differ.
    ``input_shapes``: of inputs whose shape the prototxt does not tell, as ``{"data": (1, 3, 224, 224)}``.
    ``dialect``: forks of Caffe, with commas, whose rules are meant where forks have several under one type.
    ``losses``: with the losses and metrics too, and the labels that these read as further inputs.

    Raises InputError: one line with file, line, layer and blob.
    """
    files = [weights] if isinstance(weights, str | Path) else weights or ()
    path, _ = catalogue.find_prototxt(str(net))
    request = Request(
        net=str(path),
        variant=variant,
        weights=[Path(name) for name in files],
        phase=phase,
        input_shapes=input_shapes or {},
        dialect=dialect,
        seed=seed,
    )
    graph = wired(read_file(request, to_stderr), request)
    with graph.located():
        graph = graph if losses else deploy(graph)
        refuse_python(graph.nodes)
    return built(graph, request, to_stderr)


def export_onnx(
    net: Network | str | Path,
    path: str | Path,
    *,
    softmax: bool = False,
    output_blobs: Sequence[str] = (),
    mean: str = "",
    scale: float | None = None,
    order: str = ORDERS[0],
    classes: Sequence[str] = (),
    preprocess: bool = False,
    dynamic_size: bool = False,
    opset: int = OPSET,
) -> Path:
    """Write a net, given as a module or as :func:`load` takes it, as an ONNX file; return the file's path.

    The file holds what leads from the data to the predictions, in TEST mode, with a dynamic batch where the
    net allows it. It is run once and held to the net, layer by layer, before it appears.

    ``softmax``: put out the softmax in place of the scores that a SoftmaxWithLoss reads; a module has that
    loss where it was loaded with ``losses=True``. ``output_blobs``: end the net at these blobs.
    ``mean``: what was subtracted from the pixels, a .binaryproto's path or a number a channel
    ("104,117,123"); ``scale``: what the rest was multiplied by; ``order``: the net's order of channels, BGR
    or RGB; ``classes``: their names. The file's metadata has them. ``preprocess``: the file takes pixels
    from 0 to 255 in RGB, and has mean, scale and the order of channels inside. ``dynamic_size``: it takes
    images of any height and width, too. ``opset``: from 13 on.

    Raises InputError, with the layer, where the file would compute something else or there can be none:
    nothing is written.
    """
    module = net if isinstance(net, Network) else load(net, losses=softmax)
    target = Path(path)
    with module.graph.located():
        part = put_out(deploy(module.graph), module.graph, softmax, output_blobs)
        about = About(
            transform=Transform(mean, scale, order, places_of(part)),
            preprocess=preprocess, dynamic_size=dynamic_size, opset=opset,
        )  # fmt: skip
        write_file(module, part, target, to_stderr, partial(write_onnx, classes=classes, **about))
    return target
