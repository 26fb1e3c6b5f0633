"""``zoo draw``: a net as a picture, as SVG and as an HTML page."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from converters.graph import Graph, refuse_python
from converters.host.files import write_text
from converters.network import Network
from eval.cost import CONVENTION, parameters, total_macs
from prototxt.errors import InputError
from prototxt.net_file import NetFile
from zoo.conversion import Request, file_stem, read_file, request_of, wired
from zoo.draw.as_page import as_page
from zoo.draw.as_svg import MARK, as_svg
from zoo.draw.picture import picture_of
from zoo.draw.words import visible
from zoo.ours import keep_others
from zoo.terminal.console import notice, stdout


def run(args: argparse.Namespace) -> int:
    """Write both files; their paths go to stdout. A net whose shapes cannot be told is drawn without them."""
    request = request_of(args)
    file = read_file(request, notice)
    targets = targets_of(file, request, Path(args.output))
    with file.located():
        graph = wired(file, request, args.allow_python)
    net = _net_of(graph, request, args.allow_python)
    picture = picture_of(graph, net)
    title = f"{visible(file.message.name or file.path.stem)}, {visible(args.variant)}, phase {request.phase}"
    write_text(targets[0], as_svg(picture, title))
    write_text(targets[1], as_page(picture, title, list(_lead(graph, net))))
    for path in targets:
        stdout().print(str(path), soft_wrap=True, markup=False)
    return 0


def targets_of(file: NetFile, request: Request, folder: Path) -> tuple[Path, Path]:
    """The SVG and the page. Raises InputError where one would go over a file that is no drawing of ours."""
    phase = "" if request.phase == "TEST" else f"-{request.phase.lower()}"
    stem = f"{file_stem(file, request.variant)}{phase}"
    paths = folder / f"{stem}.svg", folder / f"{stem}.html"
    for path in paths:
        keep_others(path, "drawing", is_drawing)
    return paths


def is_drawing(path: Path) -> bool:
    """Whether ``zoo draw`` wrote the file: it says so near its beginning."""
    with path.open("rb") as file:
        return MARK.encode() in file.read(400)


def _net_of(graph: Graph, request: Request, allow_python: bool) -> Network | None:
    """The net, whose weights nobody fills nor reads; None where it cannot be built."""
    try:
        with graph.located():
            if not allow_python:
                refuse_python(graph.nodes)
            return Network(graph, request.phase, request.input_shapes, fill_blobs=None)
    except InputError as error:
        notice(f"drawn without shapes, numbers and costs: {error.with_layer()}")
        return None


def _lead(graph: Graph, net: Network | None) -> Iterator[str]:
    layers = f"{len(graph.nodes):,} layers"
    if net is None:
        yield f"{layers}. Drawn without shapes, numbers and costs."
        return
    macs, unknown = total_macs(net)
    yield f"{layers}, {parameters(net):,} parameters, {macs:,} MACs."
    yield f"{CONVENTION}."
    if unknown:
        yield f"MACs unknown, and not in the sum: {visible(', '.join(unknown))}."
