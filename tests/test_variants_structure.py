"""Edits of a net's structure, each held to the prototxt that a hand writes for it."""

import pytest

from converters.build import infer_shapes
from converters.graph import build_graph
from converters.net_state import net_state
from converters.network import Network
from prototxt.caffe_pb2 import TEST, NetParameter
from prototxt.errors import InputError
from prototxt.text import parse, read_net, to_text
from zoo.catalogue import find_prototxt
from zoo.variants.edits import apply_variant
from zoo.variants.heads import head_of
from zoo.variants.sizing import resize_input

ARTICLE = read_net(find_prototxt("allconv6")[0])
HEAD = """
name: "small"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 dim: 9 dim: 9 } } }
layer { name: "c1" type: "Convolution" bottom: "data" top: "c1" convolution_param { num_output: 4 kernel_size: 3 pad: 1 } }
layer { name: "r1" type: "ReLU" bottom: "c1" top: "c1" }
"""
TAIL = """
layer { name: "p" type: "Pooling" bottom: "%s" top: "p" pooling_param { pool: AVE global_pooling: true } }
layer { name: "ip" type: "InnerProduct" bottom: "p" top: "ip" inner_product_param { num_output: 2 } }
"""
FILLED = 'param { lr_mult: 1 } param { lr_mult: 2 } convolution_param { %s weight_filler { type: "msra" } }'


def c2(numbers: str, name: str = "c2", bottom: str = "c1", top: str = "") -> str:
    layer = f'layer {{ name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{top or name}" '
    return layer + FILLED % numbers + " }\n"


def relu(name: str, blob: str) -> str:
    return f'layer {{ name: "{name}" type: "ReLU" bottom: "{blob}" top: "{blob}" }}\n'


def net(*layers: str, last: str = "c2") -> NetParameter:
    return parse(HEAD + "".join(layers) + TAIL % last, NetParameter)


def shape_of(message: NetParameter, blob: str) -> tuple[int, ...]:
    shapes = infer_shapes(build_graph(message, net_state("TEST")))
    return next(tuple(shape) for value, shape in shapes.items() if value.blob == blob)


PLAIN = net(c2("num_output: 6 kernel_size: 3 pad: 1 stride: 2"), relu("r2", "c2"))
SAME = net(c2("num_output: 4 kernel_size: 3 pad: 1"), relu("r2", "c2"))
SUM = 'layer { name: "c2_sum" type: "Eltwise" bottom: "c2" bottom: "%s" top: "c2_sum" eltwise_param { operation: SUM } }\n'
POOL = 'layer { name: "c2_pool" type: "Pooling" bottom: "c2" top: "c2_pool" pooling_param { pool: %s kernel_size: 2 stride: 2 } }\n'
BY_HAND = {
    "skip": net(
        c2("num_output: 6 kernel_size: 3 pad: 1 stride: 2"),
        c2("num_output: 6 kernel_size: 1 stride: 2", "c2_skip"),
        SUM % "c2_skip",
        relu("r2", "c2_sum"),
        last="c2_sum",
    ),
    "depthwise": net(
        c2("num_output: 4 kernel_size: 3 pad: 1 stride: 2 group: 4", "c2_dw"),
        relu("c2_dw_relu", "c2_dw"),
        c2("num_output: 6 kernel_size: 1", bottom="c2_dw"),
        relu("r2", "c2"),
    ),
    "bottleneck4-2": net(
        c2("num_output: 2 kernel_size: 1", "c2_reduce"),
        relu("c2_reduce_relu", "c2_reduce"),
        c2("num_output: 3 kernel_size: 3 pad: 1 stride: 2", "c2_narrow", "c2_reduce"),
        relu("c2_narrow_relu", "c2_narrow"),
        c2("num_output: 6 kernel_size: 1", bottom="c2_narrow"),
        relu("r2", "c2"),
    ),
    "nin0-2": net(
        c2("num_output: 6 kernel_size: 3 pad: 1 stride: 2"),
        relu("r2", "c2"),
        c2("num_output: 6 kernel_size: 1", "c2_nin1", "c2"),
        relu("c2_nin1_relu", "c2_nin1"),
        c2("num_output: 6 kernel_size: 1", "c2_nin2", "c2_nin1"),
        relu("c2_nin2_relu", "c2_nin2"),
        last="c2_nin2",
    ),
    "maxpool": net(c2("num_output: 6 kernel_size: 3 pad: 1"), relu("r2", "c2"), POOL % "MAX", last="c2_pool"),
    "avepool": net(c2("num_output: 6 kernel_size: 3 pad: 1"), relu("r2", "c2"), POOL % "AVE", last="c2_pool"),
}


@pytest.mark.parametrize("variant", BY_HAND)
def test_an_edit_is_the_net_that_a_hand_writes(variant: str) -> None:
    assert to_text(apply_variant(PLAIN, variant)) == to_text(BY_HAND[variant])


def test_a_skip_connection_between_equal_shapes_is_the_bottom_itself() -> None:
    by_hand = net(c2("num_output: 4 kernel_size: 3 pad: 1"), SUM % "c1", relu("r2", "c2_sum"), last="c2_sum")
    assert to_text(apply_variant(SAME, "skip")) == to_text(by_hand)


@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize("variant", ["skip", "maxpool", "avepool", "depthwise", "bottleneck4-2", "nin"])
def test_the_map_stays_as_large_whatever_size_comes_in(variant: str, size: int) -> None:
    base = NetParameter()
    base.CopyFrom(PLAIN)
    base.layer[0].input_param.shape[0].dim[2:] = [size, size]
    edited = apply_variant(base, variant)
    last = next(layer for layer in edited.layer if layer.name == "p").bottom[0]
    assert shape_of(edited, last) == shape_of(base, "c2")


def parameters(message: NetParameter) -> int:
    network = Network(build_graph(message, net_state("TEST")), fill_blobs=False)
    return sum(blob.numel() for blob in network.parameters())


CONVS = [(64, 3), (64, 64), (128, 64), (128, 128), (256, 128)]  # (outputs, channels) of allconv6
FC = 256 * 20 + 20


def test_parameters_of_the_articles_net_by_hand() -> None:
    first = 64 * 3 * 9 + 64
    rest = CONVS[1:]
    plain = first + sum(o * c * 9 + o for o, c in rest) + FC
    assert parameters(ARTICLE) == plain == 560_468
    counts = {
        "skip": plain + sum(o * c + o for o, c in rest),
        "maxpool": plain,
        "nin": plain + sum(o * o + o for o, _ in CONVS),
        "nin0-0-0-0-3": plain + 3 * (256 * 256 + 256),
        "depthwise": first + FC + sum(c * 9 + c + o * c + o for o, c in rest),
        "bottleneck4-2": first + FC + sum(
            (o // 4) * c + o // 4 + (o // 2) * (o // 4) * 9 + o // 2 + o * (o // 2) + o for o, c in rest
        ),
    }  # fmt: skip
    assert {variant: parameters(apply_variant(ARTICLE, variant)) for variant in counts} == counts


@pytest.mark.parametrize(
    "variant", ["skip+bn", "bn0.99+depthwise", "bottleneck2-2+bn", "bn+nin", "bn+maxpool"]
)
def test_batch_norm_stands_behind_every_convolution_that_an_edit_made(variant: str) -> None:
    edited = apply_variant(ARTICLE, variant)
    layers = list(edited.layer)
    for index, layer in enumerate(layers):
        if layer.type == "Convolution":
            assert [layers[index + 1].type, layers[index + 2].type] == ["BatchNorm", "Scale"], layer.name
            assert list(layers[index + 1].bottom) == list(layer.top)
    assert head_of(edited) == "gap"
    infer_shapes(build_graph(edited, net_state("TEST")))


def test_a_skip_connection_spans_a_bottleneck_and_a_separable_convolution() -> None:
    for variant, first in {"bottleneck4-4+skip": "conv2_reduce", "depthwise+skip": "conv2_dw"}.items():
        edited = apply_variant(ARTICLE, variant)
        named = {layer.name: layer for layer in edited.layer}
        assert list(named[first].bottom) == list(named["conv2_skip"].bottom) == ["conv1"]
        assert list(named["conv2_sum"].bottom) == ["conv2", "conv2_skip"]
        assert list(named["relu2"].bottom) == ["conv2_sum"] == list(named["conv3_skip"].bottom)
        assert list(named["conv3_skip"].convolution_param.stride) == [2]


@pytest.mark.parametrize(
    "names", [["skip", "bn", "dropout0.5@5", "stride2-1-2-1-2"], ["nin", "maxpool", "fc"],
              ["bottleneck4-4", "skip", "bn0.9@2", "xavier"]],
)  # fmt: skip
def test_the_order_of_names_is_no_matter(names: list[str]) -> None:
    forward, backward = apply_variant(ARTICLE, "+".join(names)), apply_variant(ARTICLE, "+".join(names[::-1]))
    assert forward == backward and forward != ARTICLE


def test_dropout_and_batch_norm_behind_numbered_convolutions() -> None:
    edited = apply_variant(ARTICLE, "dropout0.5@2-4+bn0.9@1+skip")
    names = [layer.name for layer in edited.layer]
    assert [layer.name for layer in edited.layer if layer.type == "Dropout"] == ["drop2", "drop4"]
    assert names[names.index("relu2") + 1] == "drop2" and names[names.index("relu4") + 1] == "drop4"
    (norm,) = (layer for layer in edited.layer if layer.type == "BatchNorm")
    assert list(norm.bottom) == ["conv1"] and norm.batch_norm_param.moving_average_fraction == pytest.approx(
        0.9
    )
    again = apply_variant(apply_variant(ARTICLE, "dropout0.5@2-4"), "dropout0.9@2")
    ratios = {x.name: x.dropout_param.dropout_ratio for x in again.layer if x.type == "Dropout"}
    assert ratios == pytest.approx({"drop2": 0.9, "drop4": 0.5})


def test_a_shared_blob_is_not_shared_with_the_layers_that_are_added() -> None:
    message = NetParameter()
    message.CopyFrom(PLAIN)
    message.layer[3].param[0].name = "w"
    edited = apply_variant(message, "bottleneck2-2+skip")
    assert [x.name for x in edited.layer for p in x.param if p.name] == ["c2"]


def test_added_layers_go_with_the_phase_of_their_convolution() -> None:
    message = NetParameter()
    message.CopyFrom(PLAIN)
    for layer in message.layer[3:5]:
        layer.include.add(phase=TEST)
    for variant in ("skip", "nin0-1", "depthwise", "bottleneck2-2", "maxpool"):
        added = [x for x in apply_variant(message, variant).layer if x.name.startswith("c2")]
        assert len(added) > 1 and all([rule.phase for rule in x.include] == [TEST] for x in added), variant


@pytest.mark.parametrize(
    ("variant", "says"),
    [
        ("nin1-1", "2 numbers for 5 convolutions"),
        ("dropout0.5@6", "there is no convolution 6 among 5"),
        ("bn@0", 'no variant "bn@0"; did you mean "bn'),
        ("maxpool+avepool", "there is no Convolution of a stride above 1"),
        ("depthwise+bottleneck0-2", 'no variant "bottleneck0-2"; did you mean "bottleneck4-4"?'),
        ("dropout1.5@2", "from 0 to 1"),
    ],
)
def test_what_cannot_be_done_is_said(variant: str, says: str) -> None:
    with pytest.raises(InputError) as error:
        apply_variant(ARTICLE, variant)
    assert says in str(error.value)


def test_a_convolution_that_shrinks_the_map_has_no_skip_connection() -> None:
    with pytest.raises(InputError, match="whose padding keeps the map"):
        apply_variant(net(c2("num_output: 4 kernel_size: 3"), relu("r2", "c2")), "skip")


def train_data(variant: str) -> tuple[int, int, bool]:
    edited = apply_variant(ARTICLE, variant)
    assert edited.layer[1] == ARTICLE.layer[1], "the validation data is touched"
    layer = edited.layer[0]
    return layer.image_data_param.new_height, layer.image_data_param.new_width, layer.transform_param.mirror


def test_augmentation_is_an_edit_of_the_training_data() -> None:
    assert train_data("baseline") == (256, 256, True)
    assert train_data("noaugment") == (224, 224, False)
    assert train_data("mirror+noaugment") == (224, 224, True)
    assert train_data("noaugment+crop") == (256, 256, False)
    assert apply_variant(ARTICLE, "mirror+crop+noaugment") == ARTICLE
    with pytest.raises(InputError, match="no ImageData layer of the TRAIN phase alone"):
        apply_variant(PLAIN, "noaugment")


def test_colour_and_rotation_are_fields_of_the_training_data() -> None:
    edited = apply_variant(ARTICLE, "colour+rotation+noaugment+crop")
    asked = edited.layer[0].transform_param
    assert (asked.max_rotation_angle, asked.max_color_shift, asked.contrast_brightness_adjustment) == (
        15,
        20,
        True,
    )
    assert (asked.min_side_min, asked.min_side_max, asked.mirror) == (256, 256, False)
    resize_input(edited, 64)
    assert (asked.min_side_min, asked.min_side_max, asked.crop_size) == (73, 73, 64)
    assert edited.layer[1].transform_param.crop_size == 64
    plain = apply_variant(edited, "noaugment").layer[0].transform_param
    assert plain == parse("crop_size: 64 mean_value: [104, 117, 124] mirror: false", type(plain))
