"""``zoo bench``: how right, big and fast runs and nets are, and what the FC head costs against GAP."""

import argparse
import csv
import io
import json
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from converters.graph import build_graph
from converters.host.files import as_json, write_text
from converters.host.machine import cores
from converters.host.places import existing_folder
from converters.load import build
from converters.net_state import net_state
from eval.parity import write_onnx
from prototxt.errors import InputError
from prototxt.rawbytes import readable
from prototxt.text import read_net
from zoo import catalogue
from zoo.bench.images import check_classes
from zoo.bench.measure import measure_models
from zoo.bench.models import HERE, Elsewhere, Model, find_runs
from zoo.bench.nets import given_nets
from zoo.bench.notes import noise_warning, notes
from zoo.bench.pairs import find_pairs
from zoo.bench.plots import figure_paths, write_bench_figures
from zoo.bench.row import Row
from zoo.bench.tables import grids
from zoo.bench.timing import Settings
from zoo.cli.choices import RUNS
from zoo.ours import keep_others
from zoo.plots.charts import is_chart
from zoo.preparation import asked_of
from zoo.tasks.classes import Classes
from zoo.terminal.console import notice, stdout, table
from zoo.variants.edits import apply_variant

_ROW = {"runtime", "batch", "latency_p50_ms"}  # what every row has, of whichever version


def run(args: argparse.Namespace) -> int:
    """Measure every run, print the tables, and write rows and figures where they belong."""
    settings = settings_of(args)
    check_places(args)  # a wrong name is told before minutes are spent
    with tempfile.TemporaryDirectory(prefix="zoo-bench-") as scratch:
        models = models_of(args, Path(scratch))
        rows = measure_models(models, settings)
    figures = write_rows(rows, args)
    print_tables(rows)
    print_alone(model for model in models if model.given is None and isinstance(model.task, Classes))
    for path in figures:
        stdout().print(str(path), markup=False)
    return 0


def models_of(args: argparse.Namespace, scratch: Path) -> list[Model]:
    """What the command line names: untrained variants, the runs of a folder, or nets; files that are made for
    them are in ``scratch``. Raises InputError for options that are of no use to these.
    """
    folder = runs_folder(args)
    if given := [name for name, value in _of_nets(args) if value and (folder or args.untrained)]:
        raise InputError(f"{given[0]}: is for nets; a run's own files say it")
    if args.untrained:
        return untrained(args.untrained, scratch)
    return trained(folder, elsewhere(args)) if folder else given_nets(args, scratch)


def runs_folder(args: argparse.Namespace) -> Path | None:
    """The folder of runs; None where variants or nets are to be measured. Raises InputError for a folder
    beside others.
    """
    if args.untrained:
        return None
    folders = [name for name in args.measured if Path(name).is_dir()]
    if folders and len(args.measured) > 1:
        raise InputError(f"{folders[0]}: is a folder: zoo bench measures one folder of runs, or nets")
    if folders or args.measured == [RUNS]:
        return Path(args.measured[0])
    return None


def _of_nets(args: argparse.Namespace) -> list[tuple[str, object]]:
    """The options that only nets take, with what was given."""
    asked = [(name, True) for name in asked_of(args).options]
    own = {"--weights": args.weights, "--data": args.data, "--until": args.output_blob}
    own |= {"--input-shape": args.input_shape, "--dialect": args.dialect}
    return [*own.items(), *asked]


def check_places(args: argparse.Namespace) -> None:
    """Raise InputError where a file that is asked for has a wrong name, or is there and is no benchmark's."""
    folder = runs_folder(args)
    tables = [folder / "bench.json"] if folder else []
    for path in [*tables, *([Path(args.json)] if args.json else [])]:
        keep_others(path, "benchmark", _holds_rows)
    if args.csv:
        keep_others(Path(args.csv), "benchmark", _holds_lines)
    for path in figure_paths(Path(args.plot)) if args.plot else ():
        keep_others(path, "benchmark", is_chart)


def _holds_rows(path: Path) -> bool:
    rows = json.loads(path.read_text(encoding="utf-8"))
    return (
        isinstance(rows, list)
        and bool(rows)
        and all(isinstance(row, dict) and row.keys() >= _ROW for row in rows)
    )


def _holds_lines(path: Path) -> bool:
    with path.open(encoding="utf-8") as file:
        return set(file.readline().strip().split(",")) >= _ROW


def write_rows(rows: Sequence[Row], args: argparse.Namespace) -> list[Path]:
    """Every file that the command line asks for, before a table is drawn; the figures' paths."""
    if folder := runs_folder(args):
        path = folder / "bench.json"
        write_json(path, [*rows, *rows_on_other_lists(path, rows)])
    if args.json:
        write_json(Path(args.json), rows)
    if args.csv:
        write_text(Path(args.csv), as_csv(rows))
    return write_bench_figures(rows, Path(args.plot)) if args.plot else []


def rows_on_other_lists(path: Path, rows: Sequence[Row]) -> list[Row]:
    """The rows of a bench.json that are of other lists than ``rows``: those that --list named, and the runs'
    own.
    """
    if not path.is_file():
        return []
    lists = {row.get("list") for row in rows}
    return [row for row in json.loads(path.read_text(encoding="utf-8")) if row.get("list") not in lists]


def settings_of(args: argparse.Namespace) -> Settings:
    """What the command line asks for, each thing once."""
    lists = (args.batch_sizes, args.precisions, args.providers, args.against)
    batches, precisions, providers, against = (list(dict.fromkeys(values)) for values in lists)
    return Settings(batches, precisions, providers, against, args.threads or cores(), args.runs)


def elsewhere(args: argparse.Namespace) -> Elsewhere:
    """Where --root and --list say that data is. Raises InputError where nothing is there."""
    if args.list and not Path(args.list).is_file():
        raise InputError(f"--list {args.list}: no such file")
    root = existing_folder(args.root, "--root ").absolute() if args.root else None
    return Elsewhere(root, Path(args.list).absolute() if args.list else None)


def trained(folder: Path, where: Elsewhere = HERE) -> list[Model]:
    """The finished runs of a folder; a notice about each other one. Raises InputError where --list names a
    list of other classes than a run's.
    """
    models, left_out = find_runs(folder)
    for line in left_out:
        notice(line)
    models = [replace(model, elsewhere=where) for model in models]
    for model in models:
        check_classes(model)
    return models


def untrained(variants: Sequence[str], scratch: Path) -> list[Model]:
    """Variants of the article's net as their fillers leave them."""
    article = read_net(catalogue.find_prototxt(catalogue.ARTICLE)[0])
    models = []
    for variant in dict.fromkeys(variants):
        message = apply_variant(article, variant)
        path = scratch / f"{message.name}-{variant}.onnx"
        write_onnx(build(build_graph(message, net_state("TEST"))), path)
        models.append(Model(path.stem, path, message, record=None))
    return models


def print_tables(rows: Sequence[Row]) -> None:
    """Every table, the notes under them, and a warning where the machine was too noisy."""
    for grid in grids(rows):
        table(grid.title, grid.columns, grid.lines, grid.left)
    for line in notes(rows):
        stdout().print(line, markup=False, soft_wrap=True)
    if warning := noise_warning(rows):
        notice(warning)


def print_alone(models: Iterable[Model]) -> None:
    """The models that no other differs from in the head alone."""
    for model in find_pairs(list(models))[1]:
        stdout().print(
            readable(f"no partner that differs in the head alone: {model.where or model.name}"), markup=False
        )


def write_json(path: Path, rows: Sequence[Row]) -> None:
    """The rows as a JSON list."""
    write_text(path, as_json(rows, indent=1) + "\n")


def as_csv(rows: Sequence[Row]) -> str:
    """The rows as CSV with a header."""
    text = io.StringIO()
    columns = list(dict.fromkeys(key for row in rows for key in row))
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: ";".join(map(str, v)) if isinstance(v, list) else v for key, v in row.items()})
    return text.getvalue()
