"""All trained models beside the checkout, accounted for in a table: ``make models`` prints it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from test_models import MODELS, drawn

from converters import Network, load_net
from converters.graph import Value
from eval.runtime import Feeds
from eval.verdict.engines import by_onnxruntime, by_opencv, by_source
from eval.verdict.held import Array, Verdict, hold, net_values
from eval.verdict.recording import Recording
from prototxt.errors import InputError
from zoo.terminal.console import table


@dataclass(frozen=True)
class Account:
    """A model: what its recording, source, ONNX file and OpenCV say of it, and whether each of the files
    has every output; ``reason`` why it does not convert.
    """

    name: str
    verdicts: Mapping[str, Verdict]
    has_outputs: bool = False
    reason: str = ""


def account(folder: Path) -> Account:
    """One model, fed what its recording was fed."""
    try:
        net = load_net(folder / "deploy.prototxt", folder / "weights.caffemodel")
    except InputError as error:
        return Account(folder.name, {}, reason=error.with_layer())
    feeds = {v.blob: drawn(v.blob, tuple(net.shapes[v])).numpy() for v in net.graph.inputs}
    ours = net_values(net, feeds)
    files = [folder / name for name in ("deploy.prototxt", "weights.caffemodel")]
    engines: dict[str, Callable[[], Mapping[Value, Array]]] = {
        "source": lambda: by_source(net, feeds),
        "onnxruntime": lambda: by_onnxruntime(net, feeds),
        "OpenCV": lambda: by_opencv(net, feeds, *files),
    }
    verdicts = {"recording": _recorded(folder / "blobs.npz", net, feeds, ours)}
    verdicts |= {name: _verdict(name, engine, net, feeds, ours) for name, engine in engines.items()}
    whole = all(
        set(net.graph.outputs) <= {each.value for each in verdicts[name].held}
        for name in ("source", "onnxruntime")
    )
    return Account(folder.name, verdicts, whole)


def _recorded(path: Path, net: Network, feeds: Feeds, ours: Mapping[Value, Array]) -> Verdict:
    if not path.is_file():
        return Verdict("recording", reason="there is none")
    return Verdict("recording", Recording.read(path).hold(net, feeds, ours))


def _verdict(
    name: str,
    engine: Callable[[], Mapping[Value, Array]],
    net: Network,
    feeds: Feeds,
    ours: Mapping[Value, Array],
) -> Verdict:
    try:
        return Verdict(name, hold(net, feeds, ours, engine()))
    except InputError as error:
        return Verdict(name, reason=error.with_layer())


def accounts() -> list[Account]:
    """Every model, by name."""
    torch.set_num_threads(1)
    return [account(path.parent) for path in sorted(MODELS.glob("*/deploy.prototxt"))]


def _cell(verdict: Verdict | None) -> str:
    if verdict is None:
        return ""
    if not verdict.held:
        return verdict.reason
    first = verdict.wrong or verdict.drifted
    text = f"{len(verdict.held)} blobs, {verdict.most[1]:.0e}"
    return f"{text}: differs from {first.value.blob} on" if first else text


def show(every: list[Account]) -> None:
    """The table: how many blobs each has, and how far they are off since the input."""
    columns = ("recording", "source", "onnxruntime", "OpenCV")
    rows = [
        [it.name, it.reason or ("yes" if it.has_outputs else "not every output")]
        + [_cell(it.verdicts.get(column)) for column in columns]
        for it in every
    ]
    title = (
        "Trained models: blobs compared, and the largest difference as a share of its blob's largest value"
    )
    table(title, ["model", "converts", *columns], rows, left=6)


if __name__ == "__main__":
    show(accounts())
