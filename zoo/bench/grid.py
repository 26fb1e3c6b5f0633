"""What the tables of ``zoo bench`` share: a table itself, which rows it has, and what it calls nets."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from zoo.bench.row import Row, by_key, is_judged


@dataclass(frozen=True)
class Grid:
    """A table: title, column heads, cells; the first ``left`` columns are text, the others numbers."""

    title: str
    columns: list[str]
    lines: list[list[str]]
    left: int = 1


def run_name(row: Row, rows: Sequence[Row]) -> str:
    """The run's name; with its seed where another run has the same name."""
    runs = {other["run"] for other in rows if other["name"] == row["name"]}
    return row["name"] if len(runs) < 2 else f"{row['name']}, seed {row['seed']}"


def engine_name(row: Row, rows: Sequence[Row]) -> str:
    """fp32, int8, opencv, …; with the provider where onnxruntime ran on several."""
    name: str = row["precision"] if row["runtime"] == "onnxruntime" else row["runtime"]
    providers = {other["provider"] for other in rows if other["runtime"] == "onnxruntime"}
    if len(providers) > 1 or (row["runtime"] == "onnxruntime" and providers != {"CPUExecutionProvider"}):
        return f"{name} {row['provider'].removesuffix('ExecutionProvider')}"
    return name


def other_lists(rows: Iterable[Row]) -> list[str]:
    """The lists that accuracies are of in place of the runs' own, as --list names them."""
    judged = (row for row in rows if is_judged(row))
    return list(dict.fromkeys(str(row["list"]) for row in judged if row.get("list")))


def distinct(rows: Iterable[Row], *keys: str) -> list[Row]:
    """The first row of each combination of the keys' values."""
    first: dict[object, Row] = {}
    for row in rows:
        first.setdefault(tuple(by_key(row)[key] for key in keys), row)
    return list(first.values())
