"""LSTM, RNN and LSTMUnit against loops over steps and streams, in float64, with central differences."""

import numpy as np
import pytest
import torch
from one_layer import close, one_layer, random, run

T, N, C, D = 4, 3, 2, 5
MARKS = np.array([[0, 0, 0], [1, 1, 0], [1, 0, 1], [1, 1, 1]], np.float32)
FILLERS = (
    'weight_filler { type: "uniform" min: -0.5 max: 0.5 } bias_filler { type: "uniform" min: -1 max: 1 }'
)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def lstm(x, marks, blobs, static=None, h=0.0, c=0.0):  # type: ignore[no-untyped-def]
    """(outputs, last h, last c)."""
    wx, b, *rest = blobs
    outputs = []
    h, c = (np.broadcast_to(np.float64(s), (x.shape[1], D)) for s in (h, c))
    for t in range(len(x)):
        mark = marks[t][:, None]
        gates = x[t].reshape(x.shape[1], -1) @ wx.T + b + (h * mark) @ rest[-1].T
        if static is not None:
            gates = gates + static.reshape(len(static), -1) @ rest[0].T
        i, f, o, g = np.split(gates, 4, 1)
        c = mark * sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs), h, c


def rnn(x, marks, blobs, static=None, h=0.0):  # type: ignore[no-untyped-def]
    wx, b, *rest = blobs
    ws, (wh, wo, bo) = (rest[0] if static is not None else None), rest[-3:]
    outputs = []
    h = np.broadcast_to(np.float64(h), (x.shape[1], D))
    for t in range(len(x)):
        inner = x[t].reshape(x.shape[1], -1) @ wx.T + b + (h * marks[t][:, None]) @ wh.T
        if ws is not None:
            inner = inner + static.reshape(len(static), -1) @ ws.T
        h = np.tanh(inner)
        outputs.append(np.tanh(h @ wo.T + bo))
    return np.stack(outputs), h


LOOPS = {"LSTM": lstm, "RNN": rnn}


@pytest.mark.parametrize("kind", ["LSTM", "RNN"])
@pytest.mark.parametrize("with_static", [False, True])
@pytest.mark.parametrize("exposed", [False, True])
@pytest.mark.parametrize("inner", [(C,), (C, 2)])
def test_recurrent(kind: str, with_static: bool, exposed: bool, inner: tuple) -> None:
    shapes: dict[str, tuple] = {"x": (T, N, *inner), "m": (T, N)}
    if with_static:
        shapes["s"] = (N, 2, 2)
    states = {"LSTM": ["h", "c"], "RNN": ["h"]}[kind] if exposed else []
    shapes.update(dict.fromkeys(states, (1, N, D)))
    tops = " ".join(f'top: "{name}_out"' for name in states)
    param = f"recurrent_param {{ num_output: {D} expose_hidden: {str(exposed).lower()} {FILLERS} }}"
    net = one_layer(f'type: "{kind}" top: "y" {tops} {param}', **shapes)
    arrays = {name: random(*shape, seed=i) for i, (name, shape) in enumerate(shapes.items())}
    arrays["m"] = MARKS.copy()
    if exposed:
        arrays["m"][0] = 1
    blobs = [blob.detach().double().numpy() for blob in net.params["it"]]
    assert len(blobs) == {"LSTM": 3, "RNN": 5}[kind] + with_static
    ours = run(net, **arrays)

    def loop(x: np.ndarray, static: np.ndarray | None) -> tuple:
        return LOOPS[kind](x, arrays["m"], blobs, static, **{name: arrays[name][0] for name in states})

    outputs, *last = loop(arrays["x"], arrays.get("s"))
    close(ours["y"], outputs)
    for name, state in zip(states, last, strict=False):
        close(ours[f"{name}_out"], state[None])
    dy = random(*outputs.shape, seed=9)
    ours["y"].backward(torch.from_numpy(dy))
    for name in ["x"] + ["s"] * with_static:
        theirs = np.zeros(shapes[name])
        for place in np.ndindex(*shapes[name]):
            moved = {key: arrays[key].astype(np.float64) for key in ("x", "s") if key in arrays}
            moved[name][place] += 1e-6
            up = loop(moved["x"], moved.get("s"))[0]
            moved[name][place] -= 2e-6
            theirs[place] = ((up - loop(moved["x"], moved.get("s"))[0]) / 2e-6 * dy).sum()
        close(ours[f"in/{name}"].grad, theirs, 1e-5)  # the differences themselves are good to 1e-6
    for name in states:
        assert not ours[f"in/{name}"].grad.any()


@pytest.mark.parametrize("kind", ["LSTM", "RNN"])
def test_a_pass_goes_on_where_the_last_one_ended(kind: str) -> None:
    net = one_layer(
        f'type: "{kind}" top: "y" recurrent_param {{ num_output: {D} {FILLERS} }}', x=(T, N, C), m=(T, N)
    )
    x, marks = torch.from_numpy(random(T, N, C)), torch.ones(T, N)
    first, second = net(x, marks), net(x, marks)
    assert not torch.allclose(first, second)
    blobs = [blob.detach().double().numpy() for blob in net.params["it"]]
    twice = LOOPS[kind](np.concatenate([x, x]), np.ones((2 * T, N)), blobs)[0]
    close(torch.cat([first, second]), twice)
    net.module_of(net.graph.nodes[-1]).reset()
    assert torch.equal(net(x, marks), first)
    marks[0] = 0
    assert torch.equal(net(x, marks), first)


def test_lstm_unit() -> None:
    """Its forget gate's slope is gate·(1 - gate), also where a mark is neither 0 nor 1."""
    shapes = {"c": (1, N, D), "g": (1, N, 4 * D), "m": (1, N)}
    net = one_layer('type: "LSTMUnit" top: "c1" top: "h1"', **shapes)
    cell, gates = random(*shapes["c"]), random(*shapes["g"], seed=1)
    marks = np.array([[1, 0, 0.5]], np.float32)
    blobs = run(net, c=cell, g=gates, m=marks)
    i, f, o, g = np.split(gates.astype(np.float64), 4, 2)
    forget, keep, new = marks[..., None] * sigmoid(f), sigmoid(i), np.tanh(g)
    c1 = forget * cell + keep * new
    close(blobs["c1"], c1)
    close(blobs["h1"], sigmoid(o) * np.tanh(c1))
    dc, dh = random(*shapes["c"], seed=2), random(*shapes["c"], seed=3)
    torch.autograd.backward([blobs["c1"], blobs["h1"]], [torch.from_numpy(dc), torch.from_numpy(dh)])
    inner = dc + dh * sigmoid(o) * (1 - np.tanh(c1) ** 2)
    close(blobs["in/c"].grad, inner * forget)
    wanted = [
        inner * new * keep * (1 - keep),
        inner * cell * forget * (1 - forget),
        dh * np.tanh(c1) * sigmoid(o) * (1 - sigmoid(o)),
        inner * keep * (1 - new**2),
    ]
    close(blobs["in/g"].grad, np.concatenate(wanted, 2))
    assert blobs["in/m"].grad is None
