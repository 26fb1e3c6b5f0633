"""``zoo check``: which of a folder's nets can be read, built and run, and why others cannot."""

import argparse
import json
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from converters.host.files import as_json, write_text
from converters.host.machine import cores
from prototxt.errors import InputError
from zoo.check.children import check_all
from zoo.check.row import CheckJob, Row
from zoo.ours import keep_others
from zoo.terminal.console import stdout, table
from zoo.terminal.progress import counting

_ENDINGS = (".pt", ".solver")  # of prototxts of R-CNN's and others, beside those with prototxt in their name


def run(args: argparse.Namespace) -> int:
    """Print a row a file; 1 where a net does not run or a file cannot be read."""
    if args.json:
        keep_others(Path(args.json), "check", _holds_rows)
    at_a_time = args.jobs or cores()
    rows = sorted(_checked(_jobs(args, at_a_time), at_a_time), key=lambda row: row.file)
    if args.json:
        write_text(Path(args.json), as_json({"files": [asdict(row) for row in rows]}, indent=1) + "\n")
    _print(args.folder, rows)
    return 0 if all(row.is_fine for row in rows) else 1


def _checked(jobs: Sequence[CheckJob], at_a_time: int) -> Iterable[Row]:
    rows = []
    with counting("checking") as advance, closing(check_all(jobs, at_a_time)) as ended:
        advance(0, len(jobs))
        for row in ended:
            rows.append(row)
            advance(len(rows), len(jobs))
    return rows


def _jobs(args: argparse.Namespace, at_a_time: int) -> list[CheckJob]:
    folder = Path(args.folder)
    return [
        CheckJob(
            path,
            str(path.relative_to(folder)) if path != folder else path.name,
            dict(args.input_shape),
            args.dialect,
            args.allow_python,
            args.seconds,
            int(args.memory * 2**30),
            max(1, cores() // at_a_time),
        )
        for path in prototxts(folder)
    ]


def prototxts(folder: Path) -> list[Path]:
    """The prototxts below a folder, by name; the file itself where it is one.

    Raises InputError where there is none.
    """
    if folder.is_file():
        return [folder]
    paths = sorted(path for path in folder.rglob("*") if _is_prototxt(path))
    if not paths:
        raise InputError(f"{folder}: {'holds no prototxt' if folder.is_dir() else 'no such folder'}")
    return paths


def _is_prototxt(path: Path) -> bool:
    if not path.is_file() or not ("prototxt" in path.name.lower() or path.suffix in _ENDINGS):
        return False
    with path.open("rb") as file:
        return path.suffix not in _ENDINGS or b"\0" not in file.read(4096)  # a .pt may be PyTorch's


def _holds_rows(path: Path) -> bool:
    written = json.loads(path.read_text(encoding="utf-8"))
    files = written.get("files", ()) if isinstance(written, dict) else ()
    return bool(files) and all(
        isinstance(row, dict) and row.keys() >= asdict(Row("")).keys() for row in files
    )


def _print(folder: str, rows: Sequence[Row]) -> None:
    cells = [
        [row.file, row.kind, ", ".join(row.phases), *map(_mark, (row.parsed, row.built, row.ran)), row.reason]
        for row in rows
    ]
    table(folder, ["file", "kind", "phases", "parsed", "built", "ran", "reason"], cells, left=7)
    nets = [row for row in rows if row.kind != "solver"]
    solvers = f", {len(rows) - len(nets)} solvers" if len(nets) < len(rows) else ""
    parsed, built, ran = (sum(getattr(row, step) for row in nets) for step in ("parsed", "built", "ran"))
    stdout().print(f"{len(nets)} files of nets: {parsed} parsed, {built} built, {ran} ran{solvers}")


def _mark(done: bool) -> str:
    return "yes" if done else "no"
