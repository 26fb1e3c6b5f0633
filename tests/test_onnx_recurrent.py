"""Recurrent layers in ONNX files, in onnxruntime, at other times and batches than the prototxt's."""

import numpy as np
import onnx
import onnxruntime
import pytest
from one_layer import one_layer
from recordings import load
from test_layers_recurrent import FILLERS, LOOPS

from converters.export.nodes.free import Free
from converters.export.nodes.net import onnx_net
from converters.export.onnx_file import file_net

T, N, C, D = 4, 3, 2, 5


def axes(items: list[onnx.ValueInfoProto]) -> list[list[int | str]]:
    return [[dim.dim_param or dim.dim_value for dim in item.type.tensor_type.shape.dim] for item in items]


@pytest.mark.parametrize("case", ["lstm", "lstm_cont", "rnn"])
def test_what_caffe_recorded_comes_out_of_the_file(case: str) -> None:
    net, inputs, data = load(case)
    content = onnx_net(file_net(net), Free(batch=True), 18).content()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_outputs()]
    feeds = {name: x.detach().numpy() for name, x in inputs.items()}
    for name, ours in zip(names, session.run(names, feeds), strict=True):
        assert abs(ours - data[f"out/{name}"]).max() <= 3e-6 * abs(data[f"out/{name}"]).max()


@pytest.mark.parametrize("kind", ["LSTM", "RNN"])
@pytest.mark.parametrize("has_static", [False, True])
@pytest.mark.parametrize("exposed", [False, True])
@pytest.mark.parametrize("time", [T, 1])
def test_any_time_and_batch_will_do(kind: str, has_static: bool, exposed: bool, time: int) -> None:
    """Against a loop over steps in float64; where time is 1 hidden states look as inputs do."""
    states = "hc"[: (2 if kind == "LSTM" else 1) * exposed]
    shapes: dict[str, tuple[int, ...]] = {"x": (time, N, C, 2), "m": (time, N)}
    shapes |= {"s": (N, 2, 2)} if has_static else {}
    shapes |= dict.fromkeys(states, (1, N, D))
    tops = " ".join(f'top: "y{at}"' for at in range(1 + len(states)))
    expose = "expose_hidden: true" if exposed else ""
    net = one_layer(
        f'type: "{kind}" {tops} recurrent_param {{ num_output: {D} {expose} {FILLERS} }}', **shapes
    )
    model = onnx_net(file_net(net), Free(batch=True), 18)
    content = model.content()
    onnx.checker.check_model(content, full_check=True)
    assert axes(list(model.proto.graph.output))[0] == ["time", "batch", D]
    assert len(model.proto.graph.node) <= 15  # whatever the time
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    random = np.random.default_rng(0)
    for steps, batch in ((time, N), (7, 2), (1, 1)):
        sizes = {"x": (steps, batch, C, 2), "s": (batch, 2, 2), "h": (1, batch, D), "c": (1, batch, D)}
        feeds = {
            name: random.standard_normal(sizes[name]).astype(np.float32) for name in shapes if name != "m"
        }
        feeds["m"] = random.integers(0, 2, (steps, batch)).astype(np.float32)
        blobs = [blob.detach().double().numpy() for blob in net.params["it"]]
        first = {state: feeds[state][0] for state in states}
        sequence, *last = LOOPS[kind](feeds["x"], feeds["m"], blobs, feeds.get("s"), **first)
        theirs = [sequence, *(state[None] for state in last[: len(states)])]
        for ours, loops in zip(session.run(None, feeds), theirs, strict=True):
            np.testing.assert_allclose(ours, loops, atol=2e-6)


def test_a_unit_is_written_by_itself() -> None:
    net = one_layer('type: "LSTMUnit" top: "c1" top: "h1"', c=(1, N, D), g=(1, N, 4 * D), m=(1, N))
    content = onnx_net(file_net(net), Free(), 18).content()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    random = np.random.default_rng(0)
    c, g = (random.standard_normal((1, N, n)).astype(np.float32) for n in (D, 4 * D))
    mark = np.array([[1, 0, 1]], np.float32)
    i, f, o = (1 / (1 + np.exp(-part)) for part in np.split(g[..., : 3 * D].astype(np.float64), 3, -1))
    cell = mark[..., None] * f * c + i * np.tanh(g[..., 3 * D :])
    found = session.run(["c1", "h1"], {"c": c, "g": g, "m": mark})
    np.testing.assert_allclose(found[0], cell, atol=1e-6)
    np.testing.assert_allclose(found[1], o * np.tanh(cell), atol=1e-6)
