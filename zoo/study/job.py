"""A run of a study as a process of its own: ``zoo train`` with the run's options, its words in log.txt."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo.runs.run_folder import read_metrics, read_record
from zoo.study.expand import arguments
from zoo.train.planning.options import Options


@dataclass(frozen=True)
class Job:
    """A run, the folder that it goes to and how far; ``place`` is the folder that paths count from."""

    name: str
    options: Options
    folder: Path
    max_iter: int
    place: Path
    extra: tuple[str, ...] = ()

    @property
    def log(self) -> Path:
        """What the process says."""
        return self.folder / "log.txt"

    def start(self, environment: Mapping[str, str], keep: Sequence[int] = ()) -> subprocess.Popen[bytes]:
        """Begin or go on with the run, with these environment variables set anew and these files open."""
        # -P: a module in the user's folder must not stand in for one of ours.
        command = [sys.executable, "-P", "-m", "zoo", "train", *arguments(self.options), *self.extra]
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [*command, f"--output={self.folder}", "--resume"],
                cwd=self.place,
                env=environment_of(environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=keep,
            )

    def iteration(self) -> int:
        """How far the run has come, as its last line of metrics says."""
        path = self.folder / "metrics.jsonl"
        lines = read_metrics(path) if path.is_file() else []
        return int(lines[-1]["iteration"]) if lines else 0

    def left(self) -> int:
        """The iterations behind its last line of metrics; some more are left where its snapshot is older."""
        return max(0, self.max_iter - self.iteration())

    def state(self) -> tuple[str, str]:
        """(planned, begun, finished, diverged or failed; why) as the run's folder tells."""
        record = read_record(self.folder) or {}
        if record.get("finished") and record.get("iteration", 0) >= self.max_iter:
            return "finished", ""
        if reason := record.get("diverged"):
            return "diverged", str(reason)
        return ("begun", "") if record else ("planned", "")

    def last_words(self, code: int) -> str:
        """Why the process ended with ``code``, in one line."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").split("\n")
        said = [line.removeprefix("zoo: ") for line in lines if line.startswith("zoo: ")]
        if code == 2 and said:
            return said[-1]
        how = f"signal {-code}" if code < 0 else f"code {code}"
        return f"its process ended by {how}; {self.log} says more"


def environment_of(slot: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that finds this package, with a slot's variables set anew."""
    return {**os.environ, **slot, "PYTHONPATH": search_path()}


def search_path() -> str:
    """PYTHONPATH for a process that is to find this package."""
    ours = str(Path(__file__).parents[2])
    return os.pathsep.join(filter(None, (ours, os.environ.get("PYTHONPATH"))))
