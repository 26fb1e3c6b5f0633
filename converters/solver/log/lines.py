"""Caffe's log, word for word, from what a solver tells: what people's log parsers look for.

Numbers are printed as C++ streams do it, with six digits. Each line goes with the place in Caffe's source
that glog prints before it.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from converters.solver.log import events
from converters.solver.log.events import Event, Output
from prototxt.caffe_pb2 import SolverParameter

Line = tuple[str, str]  # place in Caffe's source, text
Say = Callable[[str, str], object]


class CaffeLog:
    """Listens to a solver, and says Caffe's lines with ``say(place, text)``.

    ``is_timed``: a displayed loss has Caffe 1.0's speed in brackets, which older versions do not print.
    """

    def __init__(self, message: SolverParameter, say: Say, is_timed: bool = False) -> None:
        self.message, self.say, self.is_timed = message, say, is_timed
        self._steps, self._since = 0, time.perf_counter()  # since the last display

    def __call__(self, event: Event) -> None:
        """Say the lines of an event, if it has any."""
        self._steps += isinstance(event, events.Stepped)
        for place, text in self._lines(event):
            self.say(place, text)

    def _lines(self, event: Event) -> Iterable[Line]:
        match event:
            case events.Begun(net):
                return self._begun(net)
            case events.Restoring(state):
                return [("solver.cpp:285", f"Restoring previous solver status from {state}")]
            case events.Finetuning(weights):
                return [("caffe.cpp:155", f"Finetuning from {weights}")]
            case events.Testing(iteration, net):
                return [("solver.cpp:337", f"Iteration {iteration}, Testing net (#{net})")]
            case events.Tested():
                return self._tested(event)
            case events.Displayed(iteration, loss, outputs):
                return self._displayed(iteration, loss, outputs())
            case events.Debugged(lines):
                return [("net.cpp:609", line) for line in lines]
            case events.RateStepped(iteration, step):
                return [("sgd_solver.cpp:50", f"MultiStep Status: Iteration {iteration}, step = {step}")]
            case events.Rated(iteration, rate):
                return [("sgd_solver.cpp:105", f"Iteration {iteration}, lr = {rate:g}")]
            case events.Snapshotting():
                return _snapshotting(event)
            case events.LastLoss(iteration, loss):
                return [("solver.cpp:310", f"Iteration {iteration}, loss = {loss:g}")]
            case events.Ended(is_whole):
                return [_ENDED[is_whole]]
        return []

    def _begun(self, net: str) -> list[Line]:
        self._since = time.perf_counter()
        policy = f"Learning Rate Policy: {self.message.lr_policy}"
        return [("solver.cpp:279", f"Solving {net}"), ("solver.cpp:280", policy)]

    def _tested(self, event: events.Tested) -> Iterator[Line]:
        if self.message.test_compute_loss:
            yield "solver.cpp:398", f"Test loss: {event.loss:g}"
        yield from (("solver.cpp:404", line) for line in _output_lines(event.outputs, "Test"))

    def _displayed(self, iteration: int, loss: float, outputs: Sequence[Output]) -> Iterator[Line]:
        speed = self._speed() if self.is_timed else ""
        yield "solver.cpp:218", f"Iteration {iteration}{speed}, loss = {loss:g}"
        yield from (("solver.cpp:237", line) for line in _output_lines(outputs, "Train"))

    def _speed(self) -> str:
        """Iterations a second since the line before."""
        now = time.perf_counter()
        seconds, steps = now - self._since, self._steps
        self._steps, self._since = 0, now
        return f" ({steps / (seconds or 1):g} iter/s, {seconds:g}s/{self.message.display} iters)"


def _output_lines(outputs: Sequence[Output], phase: str) -> Iterator[str]:
    for index, (blob, value, weight) in enumerate(outputs):
        share = f" (* {weight:g} = {weight * value:g} loss)" if weight else ""
        yield f"    {phase} net output #{index}: {blob} = {value:g}{share}"


def _snapshotting(event: events.Snapshotting) -> list[Line]:
    kind = "HDF5" if event.model.suffix == ".h5" else "binary proto"
    return [
        ("solver.cpp:447", f"Snapshotting to {kind} file {event.model}"),
        ("sgd_solver.cpp:273", f"Snapshotting solver state to {kind} file {event.state}"),
    ]


_ENDED = {
    True: ("solver.cpp:315", "Optimization Done."),
    False: ("solver.cpp:295", "Optimization stopped early."),
}
