"""DummyData by itself: the layer's own values, drawn from (seed, index) (dummy_data_layer.cpp)."""

import numpy as np
import torch
from torch import Tensor

from converters.data.source import DataSource, SourceOptions
from converters.layers import build_layer
from converters.layers.source import DummyData
from prototxt.caffe_pb2 import LayerParameter


class DummySource(DataSource):
    """Batches of a DummyData layer. A net has that layer within it and needs no source for it."""

    def __init__(self, layer: LayerParameter, options: SourceOptions) -> None:
        super().__init__(layer)
        module = build_layer(layer, [])
        assert isinstance(module, DummyData)
        self.module, self.seed = module, options.seed
        self.shapes = dict(zip(layer.top, module.spec.shapes, strict=True))

    def batch(self, index: int) -> dict[str, Tensor]:
        """One tensor a top; torch's own generator is left as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(np.random.SeedSequence([self.seed, index]).generate_state(1)[0]))
            return dict(zip(self.layer.top, self.module(), strict=True))
