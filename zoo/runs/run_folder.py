"""The layout of a run folder.

net.prototxt  solver.prototxt  run.json  metrics.jsonl  <snapshot_prefix>_iter_<n>.safetensors
weights.safetensors  model.onnx  rows.safetensors; where the solver sets snapshot_format, also
<snapshot_prefix>_iter_<n>.caffemodel and .solverstate, or their .h5
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, cast
from uuid import uuid4

from converters.host.files import alone_in, as_json, encoded, naming, owned, sweep, write_text
from converters.layers.plugins import plugin_sums
from prototxt.caffe_pb2 import SolverParameter
from prototxt.errors import InputError
from prototxt.rawbytes import from_message
from zoo.ours import digest, keep_others
from zoo.runs.run_json import RunRecord
from zoo.runs.snapshot_files import numbered, snapshot_writer
from zoo.terminal.console import notice_once

NET, SOLVER = "net.prototxt", "solver.prototxt"
# Of run.json: the names of the snapshots in Caffe's format, as snapshot_prefix has them.
CAFFE_SNAPSHOTS: Final = "caffe_snapshots"


@dataclass(frozen=True)
class RunFolder:
    """A run's files; ``prefix`` is the solver's snapshot_prefix, counted from the folder."""

    path: Path
    prefix: str

    @classmethod
    def of(cls, path: Path, solver: SolverParameter) -> "RunFolder":
        """The folder at ``path`` for the run of ``solver``."""
        return cls(path, from_message(solver.snapshot_prefix) or "snapshot")

    @property
    def net(self) -> Path:
        """The net that was trained, variants applied."""
        return self.path / NET

    @property
    def solver(self) -> Path:
        """The solver as it ran."""
        return self.path / SOLVER

    @property
    def weights(self) -> Path:
        """The final weights."""
        return self.path / "weights.safetensors"

    @property
    def model(self) -> Path:
        """The deploy net."""
        return self.path / "model.onnx"

    @property
    def rows(self) -> Path:
        """Two short sums of every row of the lists, by which the first other row is known."""
        return self.path / "rows.safetensors"

    @property
    def _own(self) -> tuple[Path, ...]:
        """What a run writes besides texts and snapshots."""
        return self.path / "run.json", self.metrics, self.weights, self.model, self.rows

    @property
    def metrics(self) -> Path:
        """One JSON line per display or test point."""
        return self.path / "metrics.jsonl"

    def snapshot(self, iteration: int) -> Path:
        """Where the snapshot after ``iteration`` updates goes, named as Caffe names it."""
        return self.path / f"{self.prefix}_iter_{iteration}.safetensors"

    def snapshots(self) -> list[Path]:
        """Every snapshot in the folder, newest first."""
        by_iteration = numbered(self.snapshot(0))
        return [by_iteration[iteration] for iteration in sorted(by_iteration, reverse=True)]

    @property
    def run_id(self) -> str | None:
        """The id of the folder's run; None where no run, or one of an earlier version, has begun in it."""
        return (read_record(self.path) or {}).get("id")

    def newest_whole(self) -> tuple[Path | None, list[Path], list[Path]]:
        """(the newest snapshot of the folder's run that can be read; of the newer ones those that cannot, and
        those of other runs, which have the same snapshot_prefix).
        """
        broken: list[Path] = []
        others: list[Path] = []
        for path in self.snapshots():
            try:
                writer = snapshot_writer(path)
            except InputError:
                broken.append(path)
                continue
            if self.may_own(path, writer):
                return path, broken, others
            others.append(path)
        return None, broken, others

    def may_own(self, path: Path, writer: str | None) -> bool:
        """Whether a snapshot that the run ``writer`` wrote is the folder's own; one that names no writer, of
        an earlier version, is taken to be, and so is what lies in a folder that has lost its run.json.
        """
        own = self.run_id
        return writer in (None, own) or (own is None and path.is_relative_to(self.path))

    def write_record(self, record: RunRecord) -> None:
        """Write run.json: what was run, where and with which versions."""
        write_text(self.path / "run.json", as_json(record) + "\n")

    def append(self, entry: dict[str, Any]) -> None:
        """Add a line to metrics.jsonl."""
        with naming(self.metrics), self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    @contextmanager
    def writing(self) -> Iterator[str]:
        """In the block this process alone carries the run on: the run's id, which its temporary files carry.

        What killed processes of this very run left half-written goes. A new folder in which nothing came to
        be goes with the block. Raises InputError where another process carries the run on.
        """
        is_new = not self.path.exists()
        with alone_in(self.path) as lock:
            try:
                run = self.run_id or uuid4().hex
                for folder in {self.path, self.snapshot(0).parent}:
                    sweep(folder, run)
                with owned(run):
                    yield run
            finally:
                Path(lock.name).unlink(missing_ok=True)  # nobody else can have taken it
                if is_new:
                    with suppress(OSError):  # not empty
                        self.path.rmdir()

    def clear(self) -> None:
        """Remove what a run that begins afresh must not find of the run before; other files stay."""
        record = read_record(self.path)
        caffes = (self.path / name for name in (record or {}).get(CAFFE_SNAPSHOTS, ()))
        own = [path for path in (*self.snapshots(), *caffes) if path.is_relative_to(self.path)]
        own += [path for path in self.path.glob("*.prototxt") if _wrote(record, path)]
        for path in (*self._own, *own):
            path.unlink(missing_ok=True)

    def keep_others(self, texts: Mapping[str, str], record: RunRecord | None) -> None:
        """Raise InputError where a run that writes ``texts`` (by name) would write over a file that none
        wrote: any of its names in a folder whose ``record`` is no run's, and a text that the run there did
        not write as it is, unless it says the same.
        """
        for name, text in texts.items():
            keep_others(self.path / name, "run", partial(_may_go, record, encoded(text)))
        if not is_runs(record):
            for path in self._own:
                keep_others(path, "run", lambda _: False)

    def forget_from(self, iteration: int) -> None:
        """Drop the lines of metrics.jsonl at or after ``iteration``, which a resumed run writes anew."""
        if self.metrics.is_file():
            earlier = [line for line in read_metrics(self.metrics) if line["iteration"] < iteration]
            write_text(self.metrics, "".join(json.dumps(line) + "\n" for line in earlier))


def _may_go(record: RunRecord | None, data: bytes, path: Path) -> bool:
    return path.read_bytes() == data or _wrote(record, path)


def _wrote(record: RunRecord | None, path: Path) -> bool:
    """Whether the run of ``record`` wrote this text as it is; one of a version that kept no digests is taken
    to have written its names.
    """
    if record is None or not is_runs(record):
        return False
    if "texts" not in record:
        return bool(re.fullmatch(r"(net|solver|test_net\d*)\.prototxt", path.name))
    return bool(record["texts"].get(path.name) == digest(path.read_bytes()))


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a metrics.jsonl; a last line that a kill cut short is left out.

    So is a broken line among the others, or one that names no iteration, with a notice: what follows it
    stands.
    """
    entries = []
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    for number, line in enumerate(lines, 1):
        entry = _entry(line)
        if entry is not None:
            entries.append(entry)
        elif number < len(lines):
            notice_once(f"{path}:{number}: a broken line, passed over")
    return entries


def _entry(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and type(entry.get("iteration")) is int else None


def read_record(folder: Path) -> RunRecord | None:
    """What run.json says, or None where the folder holds none. Raises InputError for no JSON object."""
    path = folder / "run.json"
    if not path.is_file():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: is not JSON ({error})") from None
    if not isinstance(record, dict):
        raise InputError(f"{path}: is no record of a run")
    return cast(RunRecord, record)


def check_plugins(folder: Path, record: RunRecord) -> None:
    """Raise InputError where a run has layers of its user's own whose file is not loaded: only who runs the
    command may say that it be run. One line where it has changed since.
    """
    sums, loaded = record.get("plugins") or {}, plugin_sums()
    if lacking := sorted(sums.keys() - loaded.keys()):
        named = " ".join(f"--plugin {name}" for name in lacking)
        raise InputError(f"{folder}: was begun with layers of {', '.join(lacking)}: give {named} again")
    for name, total in sums.items():
        if loaded[name] != total:
            notice_once(f"{folder}: {name} has changed since the run was begun")


def is_runs(record: RunRecord | None) -> bool:
    """Whether run.json is that of ``zoo train``."""
    return record is not None and isinstance(record.get("options"), dict)
