"""``zoo bench``: runs in onnxruntime, and what the FC head costs or saves against GAP."""

import argparse
import csv
import io
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from converters.export import export_onnx
from converters.files import write_text
from converters.graph import build_graph, net_state
from converters.network import Network
from eval.cost import CONVENTION
from prototxt.caffe_pb2 import NetParameter
from prototxt.errors import InputError
from prototxt.text import read_net
from zoo import catalogue
from zoo.bench_rows import Model, find_runs, measure_row
from zoo.console import cores, notice, stdout, table
from zoo.display import counting
from zoo.heads import head_of, set_fc
from zoo.variants import apply_variant

Row = dict[str, Any]


def run(args: argparse.Namespace) -> int:
    """Measure every run, print the tables, and write them where asked."""
    with tempfile.TemporaryDirectory(prefix="zoo-bench-") as scratch:
        models = untrained(args.untrained, Path(scratch)) if args.untrained else trained(Path(args.folder))
        rows = measure_all(models, args)
    print_rows(rows)
    print_pairs(models, rows)
    if args.json:
        write_text(Path(args.json), json.dumps(rows, indent=2, ensure_ascii=False) + "\n")
    if args.csv:
        write_text(Path(args.csv), as_csv(rows))
    return 0


def trained(folder: Path) -> list[Model]:
    """The finished runs of a folder; a notice about each other one."""
    models, left_out = find_runs(folder)
    for line in left_out:
        notice(line)
    return models


def untrained(variants: Sequence[str], scratch: Path) -> list[Model]:
    """Variants of the article's net as their fillers leave them."""
    article = read_net(catalogue.find(catalogue.ARTICLE)[0])
    models = []
    for variant in variants:
        message = apply_variant(article, variant)
        path = scratch / f"{message.name}-{variant}.onnx"
        export_onnx(Network(build_graph(message, net_state("TEST"))), path)
        models.append(Model(path.stem, path, message, record=None))
    return models


def measure_all(models: Sequence[Model], args: argparse.Namespace) -> list[Row]:
    """A row for every model and provider."""
    threads = args.threads or cores()
    jobs = [(model, provider) for provider in args.providers for model in models]
    rows = []
    with counting("measuring") as advance:
        for done, (model, provider) in enumerate(jobs, 1):
            row = measure_row(model, provider, threads, args.runs)
            rows.append(row | {"head": row["head"] or head_of(model.net)})
            advance(done, len(jobs))
    return rows


def print_rows(rows: Sequence[Row]) -> None:
    """The table of everything measured, and what all rows share."""
    columns = ["run", "head", "top-1", "95% interval", "top-5", "parameters", "MACs", "ONNX bytes"]
    columns += ["p50 ms", "p90 ms", "p99 ms", "images/s", "provider"]
    table(
        "onnxruntime: latency at batch 1, throughput at batch 64",
        columns,
        [_cells(row) for row in rows],
        left=2,
    )
    first = rows[0]
    out = stdout()
    out.print(
        f"{first['processor']}, {first['threads']} threads, {first['runs']} calls a model; {_versions(first)}"
    )
    if any(row["images"] for row in rows):
        images = sorted({row["images"] for row in rows if row["images"]})
        kind = " (SYNTHETIC demo images)" if any(row["synthetic"] for row in rows) else ""
        out.print(f"accuracy over the whole validation list: {', '.join(map(str, images))} images{kind}")
    out.print(CONVENTION)
    for row in rows:
        if row["macs_unknown"]:
            out.print(f"{row['name']}: MACs unknown for {', '.join(row['macs_unknown'])}")


def _versions(row: Row) -> str:
    names = ("python", "torch", "onnxruntime-gpu", "onnxruntime")
    return ", ".join(f"{name} {row[f'version_{name}']}" for name in names if f"version_{name}" in row)


def _cells(row: Row) -> list[str]:
    trained = row["top1"] is not None
    return [
        row["name"],
        row["head"],
        f"{row['top1']:.1%}" if trained else "untrained",
        f"{row['top1_low']:.1%}–{row['top1_high']:.1%}" if trained else "",
        f"{row['top5']:.1%}" if trained else "",
        f"{row['parameters']:,}",
        f"{row['macs']:,}",
        f"{row['onnx_bytes']:,}",
        *(f"{row[f'latency_{p}_ms']:.2f}" for p in ("p50", "p90", "p99")),
        f"{row['images_per_second']:.1f}",
        row["provider"].removesuffix("ExecutionProvider"),
    ]


def find_pairs(models: Sequence[Model]) -> tuple[list[tuple[Model, Model]], list[Model]]:
    """((GAP, FC) pairs equal in all but the head, the models without a partner).

    All but the head: the nets with GAP taken off, the solver, the data and the seed.
    """
    gaps = [model for model in models if head_of(model.net) == "gap"]
    fcs = [model for model in models if head_of(model.net) == "fc"]
    pairs = [(gap, fc) for gap in gaps for fc in fcs if _but_head(gap) == _but_head(fc)]
    paired = {id(model) for pair in pairs for model in pair}
    return pairs, [model for model in models if id(model) not in paired]


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


def print_pairs(models: Sequence[Model], rows: Sequence[Row]) -> None:
    """FC against GAP: differences of accuracy, ratios of the rest."""
    pairs, alone = find_pairs(models)
    lines = []
    for gap, fc in pairs:
        for provider in dict.fromkeys(row["provider"] for row in rows):
            sides = [_row_of(rows, model, provider) for model in (gap, fc)]
            lines.append(
                [
                    f"{fc.name} / {gap.name}",
                    *_compare(sides[1], sides[0]),
                    provider.removesuffix("ExecutionProvider"),
                ]
            )
    if lines:
        columns = [
            "FC / GAP",
            "Δ top-1",
            "Δ top-5",
            "parameters",
            "MACs",
            "ONNX bytes",
            "p50",
            "images/s",
            "provider",
        ]
        table("FC against GAP: accuracy as FC − GAP in points, the rest as FC ÷ GAP", columns, lines)
    for model in alone:
        stdout().print(f"no partner that differs in the head alone: {model.name}")


def _row_of(rows: Sequence[Row], model: Model, provider: str) -> Row:
    where = str(model.folder.path) if model.folder else None
    for row in rows:
        if (row["name"], row["run"], row["provider"]) == (model.name, where, provider):
            return row
    raise InputError(f"{model.name}: not measured on {provider}")


def _compare(fc: Row, gap: Row) -> list[str]:
    points = [f"{100 * (fc[k] - gap[k]):+.1f}" if fc[k] is not None else "" for k in ("top1", "top5")]
    ratios = ("parameters", "macs", "onnx_bytes", "latency_p50_ms", "images_per_second")
    return points + [f"{fc[key] / gap[key]:.3f}×" for key in ratios]


def as_csv(rows: Sequence[Row]) -> str:
    """The rows as CSV with a header."""
    text = io.StringIO()
    writer = csv.DictWriter(
        text, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n"
    )
    writer.writeheader()
    for row in rows:
        writer.writerow({key: ";".join(v) if isinstance(v, list) else v for key, v in row.items()})
    return text.getvalue()
