"""``zoo convert``: a prototxt as a table of layers, an ONNX file and weights."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from converters.export import export_onnx
from converters.files import whole
from converters.graph import build_graph, net_state
from converters.load import load_or_fill, located
from converters.network import Network
from converters.weights import write_safetensors
from eval.cost import CONVENTION, layer_costs, parameters, total_macs
from eval.parity import TOLERANCE, Difference, compare_onnx
from prototxt.caffe_pb2 import NetParameter
from prototxt.rawbytes import from_message, readable
from prototxt.text import read_text
from zoo.console import notice, stdout, table
from zoo.show import find_net


class VerificationError(Exception):
    """onnxruntime and PyTorch differ."""


def run(args: argparse.Namespace) -> int:
    """Write the files and print the layers; 1, and no ONNX file, where --verify finds a difference."""
    message, path = find_net(args.net, args.variant)
    net = build(message, path, args.phase, dict(args.input_shape))
    if args.weights:
        load_or_fill(net, Path(args.weights))
    else:
        net.fill(0)
        notice("no --weights: the blobs are filled as the prototxt says (seed 0)")
    title = f"{message.name or path.stem}, {args.variant}, phase {args.phase}"
    name = (from_message(message.name) or path.stem).replace("/", "_")
    stem = name if args.variant == "baseline" else f"{name}-{args.variant}"
    target = Path(args.output or Path("converted") / stem) / f"{stem}.onnx"
    try:
        write_model(net, target, args.verify)
    except VerificationError as error:
        print_layers(net, title)
        notice(f"{target}: not written: {error}")
        return 1
    files = [target]
    if args.weights:
        files.append(target.with_suffix(".safetensors"))
        write_safetensors(files[1], net.state_dict(), {"net": name})
    print_layers(net, title)
    for file in files:
        print(file)
    return 0


def build(
    message: NetParameter, path: Path, phase: str, input_shapes: Mapping[str, Sequence[int]]
) -> Network:
    """The net of a phase, its blobs still to be given; errors about a layer name its line."""
    with located(str(path), read_text(path)):
        return Network(build_graph(message, net_state(phase)), phase, input_shapes, fill_blobs=None)


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


def write_model(net: Network, target: Path, verify: bool) -> None:
    """Write the ONNX file, first held against PyTorch with ``verify``. Raises VerificationError."""
    with whole(target) as beside:
        if not export_onnx(net, beside):
            notice("the batch cannot be dynamic in this net: the ONNX file has the prototxt's shapes")
        if not verify:
            return
        differences = compare_onnx(net, beside)
        print_differences(differences)
        if apart := [item.output for item in differences if not item.is_close]:
            raise VerificationError(f"onnxruntime and PyTorch differ in {', '.join(apart)}")


def print_differences(differences: list[Difference]) -> None:
    """One line an output."""
    for item in differences:
        verdict = "ok" if item.is_close else "DIFFERENT"
        relative = item.largest / item.scale if item.scale else item.largest
        stdout().print(
            f"verify {readable(item.output)}: largest difference {item.largest:.3g}, {relative:.2g} of the "
            f"output's scale (at most {TOLERANCE:g}): {verdict}"
        )
