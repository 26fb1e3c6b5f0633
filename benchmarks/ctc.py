"""How long CtcLoss and CTCLoss take, forward and backward, against torch's ctc_loss on the same work.

Run from the repository root: ``python benchmarks/ctc.py``. Each figure is the best of several turns, in which
the two take theirs one after the other, in processor time of one thread. Exits 1 where ours takes over three
times as long, or they do not agree.
"""

import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from converters import load_net

LIMIT = 3.0
TURNS = 15
NEAR = 1e-3  # of the largest gradient; torch sums in float32, which loses four digits over many steps
SIZES = {"words": (26, 64, 37, 10), "lines of Chinese": (80, 16, 6000, 20)}  # steps, batch, classes, labels
HEAD = """input: "x" input_shape {{ dim: {steps} dim: {batch} dim: {classes} }}
input: "a" input_shape {{ {a} }}
"""
WARP = """layer {{ name: "y" type: "CtcLoss" bottom: "x" bottom: "a" top: "y"
  ctc_loss_param {{ alphabet_size: {classes} time_step: {steps} blank_label: {blank} }} }}"""
UBER = """input: "b" input_shape {{ {a} }}
layer {{ name: "y" type: "CTCLoss" bottom: "x" bottom: "a" bottom: "b" top: "y" }}"""

Call = Callable[[], Tensor]


def labels(batch: int, classes: int, length: int) -> Tensor:
    """(batch, length) of any class but the last, which is the blank."""
    return torch.randint(classes - 1, (batch, length), generator=torch.Generator().manual_seed(1))


def ours(kind: str, steps: int, batch: int, classes: int, length: int, x: Tensor) -> Call:
    """The layer's gradient to the scores ``x``."""
    a = f"dim: {batch} dim: {length}" if kind == "CtcLoss" else f"dim: {steps} dim: {batch}"
    text = (HEAD + (WARP if kind == "CtcLoss" else UBER)).format(
        steps=steps, batch=batch, classes=classes, blank=classes - 1, a=a
    )
    net = load_net(text, phase="TRAIN")
    rows = labels(batch, classes, length).float()
    marks = torch.ones(steps, batch)
    marks[0] = 0
    columns = torch.cat([rows.T, torch.full((steps - length, batch), -1.0)])
    inputs = [x, rows] if kind == "CtcLoss" else [x, marks, columns]

    def run() -> Tensor:
        top = net(*inputs)
        assert isinstance(top, Tensor)
        return torch.autograd.grad(top, x)[0]

    return run


def theirs(steps: int, batch: int, classes: int, length: int, x: Tensor) -> Call:
    """torch's gradient, of the sum as the forks have it."""
    rows = labels(batch, classes, length)
    times, lengths = torch.full((batch,), steps), torch.full((batch,), length)

    def run() -> Tensor:
        loss = F.ctc_loss(x.log_softmax(2), rows, times, lengths, classes - 1, "sum", zero_infinity=True)
        return torch.autograd.grad(loss, x)[0]

    return run


def best_of_turns(*calls: Call) -> list[float]:
    """The least seconds that each took."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(TURNS):
        for call, taken in zip(calls, times, strict=True):
            start = time.process_time()
            call()
            taken.append(time.process_time() - start)
    return [min(taken) for taken in times]


def main() -> int:
    """Print a line a layer and size."""
    torch.set_num_threads(1)
    is_good = True
    for name, size in SIZES.items():
        x = torch.randn(size[:3], generator=torch.Generator().manual_seed(0)).requires_grad_()
        for kind in ("CtcLoss", "CTCLoss"):
            mine, other = ours(kind, *size, x), theirs(*size, x)
            wanted = other()
            error = float((mine() - wanted).abs().max() / wanted.abs().max())
            took, took_other = best_of_turns(mine, other)
            is_good &= took <= LIMIT * took_other and error <= NEAR
            print(
                f"{kind}, {name} {size}: {took * 1e3:.1f} ms, torch's ctc_loss {took_other * 1e3:.1f} ms: "
                f"{took / took_other:.2f}x; differ by {error:.1e}"
            )
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
