"""Variants: the article's facts, composition, and nets that are not allconv6."""

import pytest

from converters.build import infer_shapes
from converters.graph import build_graph
from converters.net_state import net_state
from converters.network import Network
from prototxt.caffe_pb2 import TEST, NetParameter, PoolingParameter
from prototxt.errors import InputError
from prototxt.text import parse, read_net, to_text
from zoo.catalogue import find_prototxt
from zoo.variants.edits import apply_variant
from zoo.variants.heads import head_of

ARTICLE = read_net(find_prototxt("allconv6")[0])
LENET = """
name: "lenet"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 1 dim: 28 dim: 28 } } }
layer { name: "c1" type: "Convolution" bottom: "data" top: "c1" convolution_param { num_output: 4 kernel_size: 5 } }
layer { name: "p1" type: "Pooling" bottom: "c1" top: "p1" pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "c2" type: "Convolution" bottom: "p1" top: "c2" convolution_param { num_output: 6 kernel_size: 5 } }
layer { name: "r2" type: "ReLU" bottom: "c2" top: "r2" }
layer { name: "p2" type: "Pooling" bottom: "r2" top: "p2" pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "ip1" type: "InnerProduct" bottom: "p2" top: "ip1" inner_product_param { num_output: 9 } }
layer { name: "r3" type: "ReLU" bottom: "ip1" top: "ip1" }
layer { name: "ip2" type: "InnerProduct" bottom: "ip1" top: "ip2" inner_product_param { num_output: 3 } }
"""


def lenet() -> NetParameter:
    return parse(LENET, NetParameter)


def parameters(net: NetParameter) -> int:
    network = Network(build_graph(net, net_state("TEST")), fill_blobs=False)
    return sum(blob.numel() for blob in network.parameters())


def types(net: NetParameter) -> list[str]:
    return [layer.type for layer in net.layer]


@pytest.mark.parametrize(
    ("variant", "count"),
    [
        ("baseline", 560_468),
        ("dropout0.5", 560_468),
        ("bn", 560_468 + 1_280),
        ("fc", 806_228),
        ("bn+fc", 806_228 + 1_280),
        ("gap", 560_468),
        ("msra+bn+dropout0.9", 561_748),
    ],
)
def test_parameters_are_the_articles(variant: str, count: int) -> None:
    assert parameters(apply_variant(ARTICLE, variant)) == count


def test_the_edit_is_a_copy_and_baseline_is_empty() -> None:
    before = ARTICLE.SerializeToString(deterministic=True)
    assert apply_variant(ARTICLE, "baseline") == ARTICLE
    assert apply_variant(ARTICLE, "bn+fc+dropout0.5") != ARTICLE
    assert ARTICLE.SerializeToString(deterministic=True) == before


def test_dropout_stands_between_relu5_and_pool5_in_place() -> None:
    net = apply_variant(ARTICLE, "dropout0.9")
    names = [layer.name for layer in net.layer]
    drop = net.layer[names.index("relu5") + 1]
    assert drop.type == "Dropout" and net.layer[names.index("relu5") + 2].name == "pool5"
    assert list(drop.bottom) == list(drop.top) == ["conv5"]
    assert drop.dropout_param.dropout_ratio == pytest.approx(0.9)


@pytest.mark.parametrize("order", ["bn+dropout0.5+fc", "fc+dropout0.5+bn", "dropout0.5+bn+fc"])
def test_edits_give_one_net_in_any_order(order: str) -> None:
    assert apply_variant(ARTICLE, order) == apply_variant(ARTICLE, "bn+dropout0.5+fc")


@pytest.mark.parametrize("variant", ["bn", "fc", "gap", "msra", "dropout0.5", "bn+fc"])
def test_an_edit_made_twice_is_made_once(variant: str) -> None:
    once = apply_variant(ARTICLE, variant)
    assert apply_variant(once, variant) == once


def test_a_present_dropout_gets_the_ratio() -> None:
    net = apply_variant(apply_variant(ARTICLE, "dropout0.5"), "dropout0.9")
    ratios = [layer.dropout_param.dropout_ratio for layer in net.layer if layer.type == "Dropout"]
    assert ratios == [pytest.approx(0.9)]


def test_bn_follows_every_convolution_and_keeps_its_bias() -> None:
    net = apply_variant(ARTICLE, "bn")
    for index, layer in enumerate(net.layer):
        if layer.type != "Convolution":
            continue
        norm, scale, relu = net.layer[index + 1 : index + 4]
        assert [norm.type, scale.type, relu.type] == ["BatchNorm", "Scale", "ReLU"]
        assert list(norm.bottom) == list(norm.top) == list(scale.top) == list(layer.top)
        assert [(p.lr_mult, p.decay_mult) for p in norm.param] == [(0, 0)] * 3
        assert not norm.HasField("batch_norm_param") and layer.convolution_param.bias_term
        assert scale.scale_param.bias_term and scale.scale_param.filler.value == 1


def test_bn_with_a_fraction_is_bn_with_another_moving_average() -> None:
    net = apply_variant(ARTICLE, "bn0.99")
    norms = [layer for layer in net.layer if layer.type == "BatchNorm"]
    assert len(norms) == 5
    for layer in norms:
        assert layer.batch_norm_param.moving_average_fraction == pytest.approx(0.99)
        layer.ClearField("batch_norm_param")
    assert net == apply_variant(ARTICLE, "bn")
    assert apply_variant(ARTICLE, "bn+bn0.9") == apply_variant(ARTICLE, "bn0.9")


def test_bn_completes_a_batchnorm_without_a_scale() -> None:
    net = apply_variant(ARTICLE, "bn")
    bare = NetParameter()
    bare.CopyFrom(net)
    for index in reversed([i for i, layer in enumerate(bare.layer) if layer.type == "Scale"]):
        del bare.layer[index]
    assert apply_variant(bare, "bn") == net


def test_gap_is_the_reverse_of_fc() -> None:
    assert apply_variant(ARTICLE, "gap") == ARTICLE
    assert apply_variant(apply_variant(ARTICLE, "fc"), "gap") == ARTICLE
    assert [head_of(apply_variant(ARTICLE, v)) for v in ("baseline", "fc", "bn+fc")] == ["gap", "fc", "fc"]


def test_fillers_are_set_on_convolutions_alone() -> None:
    net = apply_variant(ARTICLE, "msra")
    kinds = {layer.convolution_param.weight_filler.type for layer in net.layer if layer.type == "Convolution"}
    assert kinds == {"msra"}
    assert next(x for x in net.layer if x.name == "fc").inner_product_param.weight_filler.type == "xavier"
    assert apply_variant(net, "gaussian") == ARTICLE


def test_a_net_that_is_not_allconv6() -> None:
    net = lenet()
    assert head_of(net) == "fc" and apply_variant(net, "fc") == net
    gap = apply_variant(net, "gap")
    pool = gap.layer[6]
    assert (pool.type, pool.pooling_param.pool, pool.pooling_param.kernel_size) == (
        "Pooling",
        PoolingParameter.AVE,
        4,
    )
    assert gap.layer[7].name == "ip1" and list(gap.layer[7].bottom) == list(pool.top)
    assert parameters(gap) == parameters(net) - 9 * 6 * 15
    assert types(apply_variant(net, "bn")).count("BatchNorm") == 2
    dropped = apply_variant(net, "dropout0.5")
    assert dropped.layer[5].type == "Dropout" and list(dropped.layer[5].bottom) == ["r2"]
    assert apply_variant(gap, "fc").layer[6:] == net.layer[6:]


def test_phase_rules_go_with_the_convolution() -> None:
    net = lenet()
    net.layer[3].include.add(phase=TEST)
    assert [rule.phase for rule in apply_variant(net, "bn").layer[5].include] == [TEST]


@pytest.mark.parametrize("variant", ["bn", "dropout0.5", "fc", "gap", "msra"])
def test_nothing_to_act_on_is_said(variant: str) -> None:
    with pytest.raises(InputError, match=rf'variant "{variant}" on net "empty": there is no Convolution'):
        apply_variant(NetParameter(name="empty"), variant)


@pytest.mark.parametrize("variant", ["fc", "gap"])
def test_a_head_needs_an_inner_product(variant: str) -> None:
    net = lenet()
    del net.layer[6:]
    with pytest.raises(InputError, match="no InnerProduct"):
        apply_variant(net, variant)


@pytest.mark.parametrize(
    ("variant", "says"),
    [
        ("droput0.5", 'did you mean "dropout0.5"'),
        ("dropout1.5", "from 0 to 1"),
        ("bn+", 'no variant ""'),
        ("", 'no variant ""'),
    ],
)
def test_a_wrong_name_is_refused(variant: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        apply_variant(ARTICLE, variant)


@pytest.mark.parametrize("variant", ["bn+fc", "dropout0.9", "msra+gap"])
def test_the_edited_text_reads_back(variant: str) -> None:
    net = apply_variant(ARTICLE, variant)
    assert parse(to_text(net), NetParameter) == net


def conv_tops(net: NetParameter) -> list[tuple[int, ...]]:
    """The shapes, without the batch, that the convolutions leave, and what the InnerProduct reads."""
    shapes = infer_shapes(build_graph(net, net_state("TEST")))
    tops = {layer.top[0] for layer in net.layer if layer.type == "Convolution"}
    first = next(layer.bottom[0] for layer in net.layer if layer.type == "InnerProduct")
    held = {value.blob: shape[1:] for value, shape in shapes.items()}
    return [held[blob] for blob in [*sorted(tops), first]]


@pytest.mark.parametrize("variant", ["stride1-2-2-2-2+bn", "bn+stride1-2-2-2-2"])
def test_strides_in_order_and_the_whole_map_pooled(variant: str) -> None:
    net = apply_variant(ARTICLE, variant)
    sides = [(64, 224, 224), (64, 112, 112), (128, 56, 56), (128, 28, 28), (256, 14, 14)]
    assert conv_tops(net) == [*sides, (256, 1, 1)] and head_of(net) == "gap"


def test_strides_under_an_fc_head_and_widths() -> None:
    fc = apply_variant(ARTICLE, "fc+stride2-2-2-2-1")
    assert conv_tops(fc)[-1] == (256, 14, 14) and head_of(fc) == "fc"
    wide = apply_variant(ARTICLE, "width8-8-16-16-32")
    assert [shape[0] for shape in conv_tops(wide)] == [8, 8, 16, 16, 32, 32]
    assert conv_tops(wide)[-1] == (32, 1, 1)


@pytest.mark.parametrize(
    ("variant", "says"),
    [
        ("stride2-2", 'variant "stride2-2" on net "allconv6": 2 numbers for 5 convolutions'),
        ("width1-2-3-4-5-6", "6 numbers for 5 convolutions"),
        ("stride2-0-2-2-2", 'no variant "stride2-0-2-2-2"; did you mean "stride2-2"?'),
        ("width64-64-", 'did you mean "width64-64"?'),
    ],
)
def test_numbers_that_do_not_fit(variant: str, says: str) -> None:
    with pytest.raises(InputError) as error:
        apply_variant(ARTICLE, variant)
    assert says in str(error.value)


@pytest.mark.parametrize("ratio", [0, 1])
def test_dropout_at_the_ends_is_a_variant(ratio: int) -> None:
    net = apply_variant(lenet(), f"dropout{ratio}")
    (drop,) = (layer for layer in net.layer if layer.type == "Dropout")
    assert drop.dropout_param.dropout_ratio == ratio
    with pytest.raises(InputError, match="the ratio must be from 0 to 1"):
        apply_variant(lenet(), "dropout1.1")
