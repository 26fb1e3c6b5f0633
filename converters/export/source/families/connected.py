"""Layers with a weight matrix."""

import torch

from converters.export.source.helpers.embedding import BiasedEmbedding
from converters.export.source.helpers.recurrent import LSTM as LSTMHelper  # noqa: N811
from converters.export.source.helpers.recurrent import RNN as RNNHelper  # noqa: N811
from converters.export.source.helpers.recurrent import lstm_unit
from converters.export.source.part import Call, Part, make, tensors
from converters.export.source.rules import to_source
from converters.layers.connected.dense import Embed, InnerProduct, TransposedInnerProduct
from converters.layers.connected.recurrent import LSTM, RNN, LSTMUnit, Recurrent


@to_source.register
def _(layer: InnerProduct, c: Call) -> Part:
    return _linear(layer, c, layer.weight)


@to_source.register
def _(layer: TransposedInnerProduct, c: Call) -> Part:
    return _linear(layer, c, layer.weight.t())


def _linear(layer: InnerProduct | TransposedInnerProduct, c: Call, weight: torch.Tensor) -> Part:
    spec = layer.spec
    text = make("nn.Linear", weight.shape[1], spec.num_output, bias=None if spec.bias_term else False)
    last = c.axes - 1
    x = c.x if spec.axis == last else f"{c.x}.flatten({spec.axis})"
    return Part([f"{c.me}({x})"], text, tensors(layer, "bias") | {"weight": weight})


@to_source.register
def _(layer: Embed, c: Call) -> Part:
    spec, helpers = layer.spec, [BiasedEmbedding] if layer.spec.bias_term else []
    text = make("BiasedEmbedding" if helpers else "nn.Embedding", spec.input_dim, spec.num_output)
    return Part([f"{c.me}({c.x}.long())"], text, tensors(layer, "weight", "bias"), helpers)


@to_source.register
def _(layer: LSTM, c: Call) -> Part:
    return _recurrent(layer, c, LSTMHelper)


@to_source.register
def _(layer: RNN, c: Call) -> Part:
    return _recurrent(layer, c, RNNHelper)


def _recurrent(layer: Recurrent, c: Call, helper: type[torch.nn.Module]) -> Part:
    static = layer.weight_static.shape[1] if layer.has_static else None
    text = make(
        helper.__name__,
        layer.weight_x.shape[1],
        layer.spec.num_output,
        static=static,
        exposes_state=True if layer.spec.expose_hidden else None,
    )
    return c.module(text, tensors(layer, *layer.slots), helper)


@to_source.register
def _(layer: LSTMUnit, c: Call) -> Part:
    return Part([f"lstm_unit({', '.join(c.bottoms)})"], helpers=[lstm_unit])
