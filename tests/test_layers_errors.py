"""Bad input: one error that names the layer, and no allocation."""

import resource

import pytest
import torch
from one_layer import one_layer

from converters import load_net
from prototxt.errors import InputError

X, Y = (2, 3, 6, 6), (2, 4, 6, 6)
BAD = [
    # type, parameters and tops; bottoms; what the error says
    ('type: "ReLU" top: "y"', {"a": X, "b": X}, "takes 1 bottom, not 2"),
    ('type: "ReLU" top: "y" top: "z"', {"a": X}, "takes 1 top, not 2"),
    ('type: "ReLU"', {"a": X}, "takes 1 top, not 0"),
    ('type: "Silence" top: "y"', {"a": X}, "takes 0 tops, not 1"),
    ('type: "Softmax" top: "y"', {}, "takes 1 bottom, not 0"),
    ('type: "Eltwise" top: "y"', {"a": X}, "takes at least 2 bottoms, not 1"),
    ('type: "SoftmaxWithLoss" top: "y"', {"a": X}, "takes 2 bottoms, not 1"),
    ('type: "SoftmaxWithLoss" top: "y" top: "p" top: "q" top: "r"', {"a": (2, 3), "t": (2,)},
     "takes 0 to 2 tops, not 4"),
    ('type: "Accuracy" top: "a" top: "b" top: "c"', {"s": (2, 3), "t": (2,)}, "takes 1 to 2 tops, not 3"),
    ('type: "ContrastiveLoss" top: "y"', {"a": (2, 3), "b": (2, 3)}, "takes 3 bottoms, not 2"),
    ('type: "LSTM" top: "y" recurrent_param { num_output: 2 }', {"a": (2, 3, 4)}, "takes 2 to 5 bottoms, not 1"),
    ('type: "Convolution" top: "y" top: "z" convolution_param { num_output: 1 kernel_size: 1 }', {"a": X},
     "one top per bottom"),
    ('type: "Relu" top: "y"', {"a": X}, 'did you mean "ReLU"'),
    ('type: "Convolutoin" top: "y"', {"a": X}, 'did you mean "Convolution"'),
    ('type: "Convolution" top: "y" convolution_param { kernel_size: 3 }', {"a": X}, "num_output must be at least"),
    ('type: "Convolution" top: "y" convolution_param { num_output: 4 }', {"a": X}, "kernel must be at least 1"),
    ('type: "Convolution" top: "y" convolution_param { num_output: 4 kernel_size: 3 stride: 0 }', {"a": X},
     "stride must be at least 1"),
    ('type: "Convolution" top: "y" convolution_param { num_output: 4 kernel_size: 9 pad: 1 }', {"a": X},
     "kernel 9"),
    ('type: "Convolution" top: "y" convolution_param { num_output: 4 kernel_size: 3 dilation: 4 }', {"a": X},
     "larger than 6"),
    ('type: "Convolution" top: "y" convolution_param { num_output: 4 kernel_size: 3 group: 2 }', {"a": X},
     "group 2 must divide 3 channels"),
    ('type: "Convolution" top: "y" convolution_param { num_output: 4 kernel_size: 3 group: 3 }', {"a": X},
     "and 4 outputs"),
    ('type: "Convolution" top: "y" convolution_param { num_output: 4 kernel_size: 3 group: 0 }', {"a": X},
     "group must be at least 1"),
    ('type: "Convolution" top: "y" convolution_param { num_output: 4 kernel_size: 3 kernel_h: 3 }', {"a": X},
     "kernel_h and kernel_w"),
    ('type: "Convolution" top: "y" convolution_param { num_output: 4 kernel_size: [3, 3, 3] }', {"a": X},
     "3 kernel values for 2"),
    ('type: "Convolution" top: "y" convolution_param { num_output: 4 kernel_size: 3 axis: 7 }', {"a": X},
     "axis 7 is out of range"),
    ('type: "Convolution" top: "y" top: "z" convolution_param { num_output: 4 kernel_size: 3 }', {"a": X, "b": Y},
     "differ in shape"),
    ('type: "Deconvolution" top: "y" convolution_param { num_output: 4 kernel_size: 1 pad: 5 }', {"a": X},
     "leaves nothing"),
    ('type: "Pooling" top: "y" pooling_param { kernel_size: 9 }', {"a": X}, "is larger than"),
    ('type: "Pooling" top: "y" pooling_param { }', {"a": X}, "kernel_size must be at least 1"),
    ('type: "Pooling" top: "y" pooling_param { kernel_size: 2 pad: 2 }', {"a": X}, "smaller than the kernel"),
    ('type: "Pooling" top: "y" pooling_param { kernel_size: 2 kernel_h: 2 }', {"a": X}, "takes kernel_size, or"),
    ('type: "Pooling" top: "y" pooling_param { kernel_size: 2 }', {"a": (2, 3)}, "not 2 axes"),
    ('type: "Pooling" top: "y" top: "m" pooling_param { kernel_size: 2 pool: AVE }', {"a": X}, "only MAX"),
    ('type: "Pooling" top: "y" pooling_param { kernel_size: 2 global_pooling: true }', {"a": X}, "no kernel"),
    ('type: "Pooling" top: "y" pooling_param { kernel_size: 2 pad: 1 pool: STOCHASTIC }', {"a": X}, "no padding"),
    ('type: "SPP" top: "y"', {"a": X}, "pyramid_height must be at least 1"),
    ('type: "InnerProduct" top: "y"', {"a": X}, "num_output must be at least 1"),
    ('type: "InnerProduct" top: "y" inner_product_param { num_output: 4 axis: 4 }', {"a": X}, "axis 4 is out"),
    ('type: "Embed" top: "y" embed_param { num_output: 4 }', {"a": (2,)}, "input_dim must be at least 1"),
    ('type: "Concat" top: "y"', {"a": X, "b": (2, 4, 6, 5)}, "differ beside axis 1"),
    ('type: "Concat" top: "y" concat_param { axis: 1 concat_dim: 1 }', {"a": X}, "not both"),
    ('type: "Slice" top: "y" top: "z"', {"a": X}, "3 cannot be cut into 2"),
    ('type: "Slice" top: "y" top: "z" slice_param { slice_point: 1 slice_point: 2 }', {"a": X}, "2 slice_point"),
    ('type: "Slice" top: "y" top: "z" slice_param { slice_point: 3 }', {"a": X}, "below 3"),
    ('type: "Eltwise" top: "y"', {"a": X, "b": Y}, "differ in shape"),
    ('type: "Eltwise" top: "y" eltwise_param { coeff: 1 }', {"a": X, "b": X}, "1 coeff for 2"),
    ('type: "Eltwise" top: "y" eltwise_param { operation: PROD coeff: [1, 1] }', {"a": X, "b": X}, "not PROD"),
    ('type: "Reshape" top: "y" reshape_param { shape { dim: -1 dim: -1 } }', {"a": X}, "at most one -1"),
    ('type: "Reshape" top: "y" reshape_param { shape { dim: -2 } }', {"a": X}, "at most one -1"),
    ('type: "Reshape" top: "y" reshape_param { shape { dim: 5 dim: -1 } }', {"a": X}, "cannot be given the shape"),
    ('type: "Reshape" top: "y" reshape_param { shape { dim: 5 } }', {"a": X}, "cannot be given the shape"),
    ('type: "Reshape" top: "y" reshape_param { shape { dim: 0 dim: 0 } }', {"a": (4,)}, "copies an axis"),
    ('type: "Reshape" top: "y" reshape_param { axis: 2 num_axes: 3 }', {"a": X}, "passes 4 axes"),
    ('type: "Reshape" top: "y" reshape_param { axis: 5 }', {"a": X}, "axis 5 is out of range"),
    ('type: "Reshape" top: "a" reshape_param { shape { dim: -1 } }', {"a": X}, "does not work in place"),
    ('type: "Flatten" top: "y" flatten_param { axis: 3 end_axis: 1 }', {"a": X}, "lies before axis 3"),
    ('type: "Tile" top: "y"', {"a": X}, "tiles must be at least 1"),
    ('type: "Crop" top: "y" crop_param { offset: 3 }', {"a": X, "b": (2, 3, 4, 4)}, "pass 6 on axis 2"),
    ('type: "Crop" top: "y" crop_param { offset: [1, 1, 1] }', {"a": X, "b": X}, "3 offset for 2 axes"),
    ('type: "Filter" top: "y"', {"a": X, "b": (3,)}, "differ in axis 0"),
    ('type: "Filter" top: "y" top: "z"', {"a": X, "b": (2,)}, "2 tops for 1"),
    ('type: "BatchReindex" top: "y"', {"a": X, "b": (2, 1)}, "a list of indices"),
    ('type: "ArgMax" top: "y" argmax_param { top_k: 4 axis: 1 }', {"a": X}, "top_k 4 is more than the 3"),
    ('type: "Accuracy" top: "y" accuracy_param { top_k: 5 }', {"a": (2, 3), "t": (2,)}, "top_k 5 is more"),
    ('type: "Accuracy" top: "y"', {"a": X, "t": (2,)}, "do not match"),
    ('type: "SoftmaxWithLoss" top: "y"', {"a": (2, 3), "t": (3,)}, "differ in axis 0"),
    ('type: "EuclideanLoss" top: "y"', {"a": (2, 3), "b": (2, 4)}, "bottoms differ"),
    ('type: "SigmoidCrossEntropyLoss" top: "y"', {"a": (2, 3), "b": (2, 4)}, "bottoms differ"),
    ('type: "ContrastiveLoss" top: "y"', {"a": (2, 3), "b": (2, 4), "s": (2,)}, "takes two blobs"),
    ('type: "InfogainLoss" top: "y"', {"a": (2, 3), "t": (2,)}, "needs a third bottom"),
    ('type: "InfogainLoss" top: "y"', {"a": (2, 3), "t": (2,), "h": (2, 2)}, "has 4 values, not 3²"),
    ('type: "HingeLoss" top: "y"', {"a": X, "t": (2, 6)}, "one label a sample"),
    ('type: "Scale" top: "y" scale_param { axis: 2 num_axes: 3 }', {"a": X}, "passes the bottom's axes"),
    ('type: "Bias" top: "y"', {"a": X, "b": (4,)}, "does not fit"),
    ('type: "LRN" top: "y" lrn_param { local_size: 4 }', {"a": X}, "must be odd"),
    ('type: "LRN" top: "y"', {"a": (2, 3)}, "not 2 axes"),
    ('type: "MVN" top: "y"', {"a": (1, 2, 1, 2, 1)}, "at most 4 axes"),
    ('type: "PReLU" top: "y"', {"a": (3,)}, "2 axes or more"),
    ('type: "Exp" top: "y" exp_param { base: 0 }', {"a": X}, "base 0 must be above 0"),
    ('type: "Log" top: "y" log_param { base: 1 }', {"a": X}, "base 1 has no logarithm"),
    ('type: "Reduction" top: "y" reduction_param { axis: 4 }', {"a": X}, "axis 4 is out of range"),
    ('type: "Softmax" top: "y" softmax_param { axis: -5 }', {"a": X}, "axis -5 is out of range"),
    ('type: "LSTM" top: "y"', {"a": (2, 3, 4), "m": (2, 3)}, "num_output must be at least 1"),
    ('type: "LSTM" top: "y" recurrent_param { num_output: 2 }', {"a": (2, 3, 4), "m": (3, 2)}, "takes (T, N, …)"),
    ('type: "RNN" top: "y" recurrent_param { num_output: 2 expose_hidden: true }', {"a": (2, 3, 4), "m": (2, 3)},
     "takes 3 or 4 bottoms and 2 tops here"),
    ('type: "LSTMUnit" top: "c" top: "h"', {"a": (1, 3, 2), "g": (1, 3, 6), "m": (1, 3)}, "4·D"),
    ('type: "ReLU" top: "y" loss_weight: 1 loss_weight: 1', {"a": X}, "2 loss_weight where"),
    ('type: "ReLU" top: "y" propagate_down: true propagate_down: true', {"a": X}, "2 propagate_down where"),
    ('type: "ReLU" top: "y" param { lr_mult: 1 }', {"a": X}, "1 param for a layer of 0 blobs"),
    ('type: "DummyData" top: "y"', {}, "0 shape for 1 tops"),
    ('type: "DummyData" top: "y" dummy_data_param { num: 1 }', {}, "0 channels for 1 tops"),
    ('type: "DummyData" top: "y" dummy_data_param { shape { dim: -1 } }', {}, "has the dim -1"),
    ('type: "DummyData" top: "y" dummy_data_param { shape { dim: 2 } data_filler { type: "gauss" } }', {},
     'filler type "gauss"'),
    ('type: "Input" top: "y" input_param { shape { dim: 2 dim: -3 } }', {}, "has the dim -3"),
    ('type: "Input" bottom: "a" top: "y" input_param { shape { dim: 2 } }', {"a": X}, "takes 0 bottoms"),
    ('type: "ImageData" top: "y" image_data_param { new_height: 4 new_width: 4 }', {}, "takes 2 tops, not 1"),
]  # fmt: skip
HUGE = [
    ('type: "DummyData" top: "y" dummy_data_param { shape { dim: 1048576 dim: 1048576 } }', {}),
    ('type: "DummyData" top: "y" dummy_data_param { shape { dim: 9223372036854775807 dim: 9223372036854775807 } }', {}),
    ('type: "Input" top: "y" input_param { shape { dim: 1099511627776 } }', {}),
    ('type: "Parameter" top: "y" parameter_param { shape { dim: 1099511627776 } }', {}),
    ('type: "InnerProduct" top: "y" inner_product_param { num_output: 1073741824 }', {"x": (1, 1024)}),
    ('type: "Convolution" top: "y" convolution_param { num_output: 4294967295 kernel_size: 3 }', {"x": (1, 3, 9, 9)}),
    ('type: "Deconvolution" top: "y" convolution_param { num_output: 1 kernel_size: 1 stride: 4294967295 }',
     {"x": (1, 3, 9, 9)}),
    ('type: "Embed" top: "y" embed_param { num_output: 1048576 input_dim: 1048576 }', {"x": (1,)}),
    ('type: "Tile" top: "y" tile_param { axis: 0 tiles: 2147483647 }', {"x": (1024,)}),
    ('type: "Reshape" top: "y" reshape_param { shape { dim: 1099511627776 dim: -1 } }', {"x": (2,)}),
    ('type: "LSTM" top: "y" recurrent_param { num_output: 1073741824 }', {"x": (1, 1, 1), "m": (1, 1)}),
    ('type: "Pooling" top: "y" pooling_param { kernel_size: 100000 pad: 99999 stride: 100000 }', {"x": (1, 1, 6, 6)}),
    ('type: "SPP" top: "y" spp_param { pyramid_height: 4294967295 }', {"x": (1, 1, 2, 2)}),
]  # fmt: skip


@pytest.mark.parametrize(("layer", "bottoms", "says"), BAD)
def test_bad_input_is_an_error_that_names_the_layer(layer: str, bottoms: dict, says: str) -> None:
    with pytest.raises(InputError) as error:
        one_layer(layer, **bottoms)
    assert says in str(error.value) and 'layer "it"' in str(error.value)


@pytest.mark.parametrize(("layer", "bottoms"), HUGE)
def test_a_huge_blob_is_refused_before_it_is_allocated(layer: str, bottoms: dict) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError) as error:
        one_layer(layer, **bottoms)
    assert 'layer "it"' in str(error.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 256 * 1024  # KiB


def test_a_given_input_shape_is_checked_too() -> None:
    text = 'layer { name: "it" type: "Input" top: "x" }'
    for shape in ((2, -1), (2**40,)):
        with pytest.raises(InputError, match='layer "it"'):
            load_net(text, input_shapes={"x": shape})


@pytest.mark.parametrize("count", [0, 1, 3])
def test_another_number_of_tensors_names_the_inputs(count: int) -> None:
    net = one_layer('type: "Eltwise" top: "y"', a=(2, 3), b=(2, 3))
    with pytest.raises(InputError, match=f"{count} tensors for 2 inputs: a, b"):
        net(*[torch.zeros(2, 3)] * count)
