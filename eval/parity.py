"""Whether two runtimes compute the same."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from converters.export import deploy_net
from converters.graph import Value
from converters.network import Network
from eval.runtime import open_session

TOLERANCE = 1e-4  # of the output's largest absolute value
_BATCHES = (1, 3)  # more than one, so that a batch baked into a file that calls it dynamic shows


@dataclass(frozen=True)
class Difference:
    """The largest absolute difference of one output, and the output's largest absolute value."""

    output: str
    largest: float
    scale: float

    @property
    def is_close(self) -> bool:
        """Within TOLERANCE of the scale; never where a value is not a number."""
        return self.largest <= TOLERANCE * self.scale


def compare_onnx(net: Network, path: Path, seed: int = 0) -> list[Difference]:
    """onnxruntime on the CPU against PyTorch, on random pixels less a mean, over batches of 1 and 3 (a
    file of one batch: that)."""
    session = open_session(path)
    small = deploy_net(net).cpu()
    random = np.random.Generator(np.random.PCG64(seed))
    found: dict[str, list[Difference]] = {output: [] for output in small.outputs}
    fixed = {item.shape[0] for item in session.get_inputs() if item.shape and isinstance(item.shape[0], int)}
    for batch in [None] if fixed else _BATCHES:
        inputs = {
            value.blob: random.uniform(-128, 128, _shape(small, value, batch)).astype(np.float32)
            for value in small.graph.inputs
        }
        with torch.no_grad():
            ours = small.all_blobs(**{name: torch.from_numpy(x) for name, x in inputs.items()})
        for output, theirs in zip(small.outputs, session.run(small.outputs, inputs), strict=True):
            found[output].append(_difference(output, ours[output].numpy(), theirs))
    return [max(items, key=lambda d: np.nan_to_num(d.largest, nan=np.inf)) for items in found.values()]


def _shape(net: Network, value: Value, batch: int | None) -> tuple[int, ...]:
    shape = tuple(net.shapes[value])
    return shape if batch is None else (batch, *shape[1:])


def _difference(output: str, ours: np.ndarray, theirs: np.ndarray) -> Difference:
    with np.errstate(invalid="ignore"):  # infinity less infinity: not a number, and not close
        return Difference(output, float(np.abs(ours - theirs).max()), float(np.abs(ours).max()))
