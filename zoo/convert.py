"""``zoo convert``: a prototxt as a table of layers, an ONNX file, PyTorch source and weights."""

import argparse
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from converters.export.deploy import deploy
from converters.export.metadata import Transform
from converters.export.onnx_file import About, export_onnx, preprocess_asked
from converters.export.preprocess import Preprocess
from converters.graph import Graph, refuse_python
from converters.host.files import whole
from converters.layers.registry import record_of
from converters.network import Network
from converters.trained import is_trained
from converters.weights.formats import read_metadata, write_safetensors
from eval.cost import CONVENTION, layer_costs, parameters, total_macs
from eval.difference import Difference
from eval.parity import compare_onnx, write_onnx
from prototxt.errors import InputError
from prototxt.net_file import NetFile
from prototxt.rawbytes import readable
from zoo.classifier import read_labels
from zoo.conversion import (
    Request,
    built,
    file_stem,
    places_of,
    put_out,
    read_file,
    request_of,
    wired,
    write_file,
)
from zoo.ours import digest, keep_others
from zoo.source import keep_sources, written_source
from zoo.terminal.console import notice, stdout, table

_MARK = "zoo convert"  # as its ONNX files begin; a run's, which no conversion could make again, do not


class VerificationError(Exception):
    """onnxruntime and PyTorch differ."""


def run(args: argparse.Namespace) -> int:
    """Write the files and print the layers; 1, and no ONNX file, where --verify finds a difference."""
    request = request_of(args)
    file = read_file(request, notice)
    target = target_of(file, args, has_weights=bool(request.weights))
    with file.located():
        net, part = build_net(file, request, args)
        difference = write_model(net, part, target, args)
    written = [target]
    if request.weights and not difference:
        written.append(target.with_suffix(".safetensors"))
        write_safetensors(written[1], net.state_dict(), {"net": target.stem})
    if not difference:
        written += written_source(net, part, target, args.pth, notice)
    print_layers(net, f"{file.message.name or file.path.stem}, {args.variant}, phase {request.phase}")
    if difference:
        notice(f"{target}: not written: {difference}")
        return 1
    for path in written:
        print(path)
    return 0


def target_of(file: NetFile, args: argparse.Namespace, has_weights: bool) -> Path:
    """The ONNX file. Raises InputError where it, or the source and the weights beside it, would go over a
    file that no conversion wrote, or one of another net.
    """
    stem = file_stem(file, args.variant)
    target = Path(args.output or Path("converted") / stem) / f"{stem}.onnx"
    keep_others(target, "conversion", is_marked)
    _keep_other_nets(target, file)
    keep_sources(target, args.pth)
    if has_weights:
        # A run's weights name their iteration as well, and a snapshot its state.
        weights = target.with_suffix(".safetensors")
        keep_others(weights, "conversion", lambda path: set(read_metadata(path)) == {"net"})
    return target


def is_marked(path: Path) -> bool:
    """Whether a conversion wrote the file."""
    return _note_in(path).startswith(_MARK)


def _note_in(path: Path) -> str:
    try:
        return str(onnx.load(path, load_external_data=False).doc_string)
    except DecodeError:
        return ""


def _note(file: NetFile) -> str:
    """What an ONNX file says of who wrote it, and of which file's net; no path of the machine is in it."""
    return f"{_MARK} of {digest(os.fsencode(file.path.resolve()))[:16]}"


def _keep_other_nets(target: Path, file: NetFile) -> None:
    """Raise InputError where the ONNX file is there and another file's net, which has the same name."""
    if target.is_file() and _note_in(target) not in (_MARK, _note(file)):
        raise InputError(
            f"{target}: was converted from another file than {file.name}, whose net has the same name; move "
            "it away, or name another folder (--output)"
        )


def build_net(file: NetFile, request: Request, args: argparse.Namespace) -> tuple[Network, Graph]:
    """The net of the state asked for, and what of it the file holds. Python layers that the deploy net does
    without do not run, and then the net is that alone; so it is of a .caffemodel, of whose losses the fields
    of forks are not read.
    """
    whole_graph = wired(file, request, args.allow_python)
    part = deploy(whole_graph)
    graph = part if is_trained(request.net) else whole_graph
    python = [node.layer.name for node in graph.nodes if record_of(node.layer).runs_code]
    if python and not args.allow_python:
        graph = part
        refuse_python(part.nodes)
        notice(f"not run, for the deploy net does without: {', '.join(python)}")
    net = built(graph, request, notice)
    if not request.weights:
        notice("no --weights: the blobs are filled as the prototxt says (seed 0)")
    return net, put_out(part, whole_graph, args.softmax, args.output_blob)


def write_model(net: Network, part: Graph, target: Path, args: argparse.Namespace) -> str:
    """Write ``part`` of the net as ONNX. With ``--verify`` it is held against PyTorch at length, and where it
    differs nothing is written and the text says in what; otherwise the text is empty.
    """
    write, about = export_onnx if args.verify else write_onnx, asked(args, part)
    try:
        with whole(target) as beside:
            write_file(net, part, beside, notice, partial(write, classes=labels_of(args, net, part), **about))
            if args.verify:
                verify(net, part, beside, preprocess_asked(net, **about))
    except VerificationError as error:
        return str(error)
    return ""


def asked(args: argparse.Namespace, part: Graph) -> About:
    """What the command line asks of the ONNX file."""
    return About(
        transform=Transform(args.mean or "", args.scale, args.channel_order, places_of(part)),
        note=_note(part.file) if part.file else _MARK,
        opset=args.opset,
        dynamic_size=args.dynamic_size,
        preprocess=args.with_preprocess,
    )


def labels_of(args: argparse.Namespace, net: Network, part: Graph) -> list[str]:
    """The names in --labels. Raises InputError where there are others than classes of an output."""
    shapes = [net.shapes[value] for value in part.outputs if value in net.shapes]
    classes = [shape[1] for shape in shapes if len(shape) > 1]
    return read_labels(Path(args.labels), classes, args.net) if args.labels else []


def verify(net: Network, part: Graph, path: Path, preprocess: Preprocess | None) -> None:
    """Print how far the file is from PyTorch. Raises VerificationError where that is too far."""
    differences = compare_onnx(net, path, graph=part, preprocess=preprocess)
    print_differences(differences, [(value.blob, value.layer) for value in part.outputs])
    if apart := [item.output for item in differences if not item.is_close]:
        raise VerificationError(f"onnxruntime and PyTorch differ in {', '.join(apart)}")


def print_differences(differences: Sequence[Difference], outputs: Sequence[tuple[str, str]]) -> None:
    """A line for every output (blob, layer) and all that is far off, and one for the rest."""
    rest = [
        item
        for item in differences
        if item.is_close and not item.is_far and (item.output, item.layer) not in outputs
    ]
    for item in differences:
        if item not in rest:
            verdict = (
                "DIFFERENT"
                if not item.is_close
                else "rounding of what its layer reads"
                if item.is_far
                else "ok"
            )
            stdout().print(
                f"verify {readable(item.output)}: largest difference {item.largest:.3g}, {item.relative:.2g} "
                f"of its scale (at most {item.tolerance:g}): {verdict}",
                soft_wrap=True,
            )
    if rest:
        worst = max(item.relative for item in rest)
        stdout().print(f"verify {len(rest)} weights and blobs before: at most {worst:.2g} of their scale: ok")


def print_layers(net: Network, title: str) -> None:
    """The table of layers and its sums."""
    rows = [
        [row.name, row.type, "×".join(map(str, row.shape)), f"{row.parameters:,}", _count(row.macs)]
        for row in layer_costs(net)
    ]
    macs, unknown = total_macs(net)
    rows.append(["total", "", "", f"{parameters(net):,}", f"{macs:,}"])
    table(title, ["layer", "type", "output", "parameters", "MACs"], rows, left=2)
    notice(CONVENTION)
    if unknown:
        notice(f"MACs unknown, and not in the sum: {', '.join(unknown)}")


def _count(macs: int | None) -> str:
    return "?" if macs is None else f"{macs:,}"
