"""A process that holds one net in one runtime and computes when it is asked: ``python -m eval.speed.worker``.

Each line on stdin is one JSON object, each answered by one on stdout: first the :class:`TimingJob`,
answered by what it really runs on, then ``{"batch": b, "calls": k}``, answered by ``{"seconds": [...]}``, or
``{"batch": b, "save": FILE}``, answered once the outputs lie in FILE (.npz). What cannot be done is answered
by ``{"error": LINE}``. The end of stdin, or of the parent, ends the process.
"""

import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from eval.speed.engines import TimedNet, TimingJob, open_timed

_FIRST_WARM_UP = 3  # memory is allotted and algorithms are chosen in a size's first calls
# Seconds of later ones: the other workers have had the caches in between, and the threads of the last one
# wait actively for some milliseconds more.
_WARM_UP = 0.05


class Server:
    """An engine and the batch that is loaded."""

    def __init__(self, job: TimingJob) -> None:
        self.job, self.engine = job, open_timed(job)
        self.loaded: int | None = None
        self.seen: set[int] = set()

    def answer(self, batch: int, calls: int = 0, save: str | None = None) -> dict[str, Any]:
        """Time ``calls`` calls at ``batch``, or run one and save its outputs."""
        self._warm(batch)
        if save is None:
            return {"seconds": [_seconds(self.engine) for _ in range(calls)]}
        self.engine.run()
        np.savez(Path(save), *self.engine.read())
        return {}

    def _warm(self, batch: int) -> None:
        if batch != self.loaded:
            self.engine.load(self.job.feeds(batch))
            self.loaded = batch
        for _ in range(0 if batch in self.seen else _FIRST_WARM_UP):
            self.engine.run()
        self.seen.add(batch)
        end = time.perf_counter() + _WARM_UP
        while time.perf_counter() < end:
            self.engine.run()


def _seconds(engine: TimedNet) -> float:
    start = time.perf_counter()
    engine.run()
    return time.perf_counter() - start


def serve(questions: TextIO, answers: TextIO) -> None:
    """Answer until the questions end."""
    server: Server | None = None
    for line in questions:
        asked = json.loads(line)
        try:
            if server is None:
                server = Server(TimingJob(**asked))
                answer = {"provider": server.engine.provider, "processor": server.engine.processor}
            else:
                answer = server.answer(**asked)
        except Exception as error:  # whatever a runtime raises is for the parent to tell
            reason = (str(error).strip().splitlines() or [""])[0]
            answer = {"error": reason or type(error).__name__}
        print(json.dumps(answer), file=answers, flush=True)


def _main() -> None:
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)  # what a library prints must not come between the answers
        with contextlib.suppress(BrokenPipeError):
            serve(sys.stdin, answers)


if __name__ == "__main__":
    _main()
