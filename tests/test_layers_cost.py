"""The multiply-accumulates of the layers that have any, counted by hand."""

import pytest
from one_layer import one_layer

from eval.cost import layer_costs, total_macs

COSTS = [
    ("Convolution", "convolution_param { num_output: 6 kernel_size: 3 group: 2 }", {"x": (5, 4, 8, 7)},
     6 * 6 * 5 * 2 * 9),
    ("Deconvolution", "convolution_param { num_output: 6 kernel_size: 3 group: 2 }", {"x": (5, 4, 8, 7)},
     4 * 8 * 7 * 3 * 9),
    ("InnerProduct", "inner_product_param { num_output: 6 }", {"x": (5, 4, 2)}, 6 * 8),
    ("InnerProduct", "inner_product_param { num_output: 6 axis: 2 transpose: true }", {"x": (5, 4, 2)},
     4 * 6 * 2),
    ("LSTM", "recurrent_param { num_output: 3 }", {"x": (7, 5, 2), "m": (7, 5)}, 7 * (12 * 2 + 12 * 3)),
    ("LSTM", "recurrent_param { num_output: 3 }", {"x": (7, 5, 2), "m": (7, 5), "s": (5, 4)},
     7 * (12 * 2 + 12 * 3) + 12 * 4),
    ("RNN", "recurrent_param { num_output: 3 }", {"x": (7, 5, 2), "m": (7, 5)}, 7 * (3 * 2 + 3 * 3 + 3 * 3)),
    ("Embed", "embed_param { num_output: 3 input_dim: 9 }", {"x": (5,)}, 0),
    ("SPP", "spp_param { pyramid_height: 2 }", {"x": (1, 1, 4, 4)}, 0),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "param", "inputs", "macs"), COSTS)
def test_macs_of_one_image(kind: str, param: str, inputs: dict, macs: int) -> None:
    net = one_layer(f'type: "{kind}" top: "y" {param}', **inputs)
    assert layer_costs(net)[-1].macs == macs and total_macs(net) == (macs, [])
