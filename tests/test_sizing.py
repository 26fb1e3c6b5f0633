"""--size: data layers serve another size, a GAP head pools the whole map, an FC head reads it."""

import pytest
import torch

from converters.build import infer_shapes
from converters.graph import build_graph
from converters.net_state import net_state
from converters.network import Network
from prototxt.caffe_pb2 import NetParameter
from prototxt.errors import InputError
from prototxt.text import parse, read_net
from zoo.catalogue import find_prototxt
from zoo.train.planning.options import Options
from zoo.train.planning.plan import make_plan
from zoo.variants.edits import apply_variant
from zoo.variants.heads import head_of
from zoo.variants.sizing import resize_input

ARTICLE = read_net(find_prototxt("allconv6")[0])


def sized(variant: str, size: int) -> NetParameter:
    net = apply_variant(ARTICLE, variant)
    resize_input(net, size)
    return net


def shapes(net: NetParameter, phase: str = "TEST") -> dict[str, tuple[int, ...]]:
    found = infer_shapes(build_graph(net, net_state(phase)), phase)
    return {value.blob: shape for value, shape in found.items()}


@pytest.mark.parametrize(("size", "side"), [(112, 4), (64, 2), (224, 7), (320, 10)])
def test_a_gap_head_pools_the_whole_map(size: int, side: int) -> None:
    found = shapes(sized("bn", size))
    assert found["data"][2:] == (size, size) and found["conv5"][2:] == (side, side)
    assert found["pool5"][1:] == (256, 1, 1) and head_of(sized("bn", size)) == "gap"


def test_an_fc_head_reads_the_whole_map() -> None:
    net = Network(build_graph(sized("fc", 112), net_state("TEST")), fill_blobs=False)
    assert net.params["fc"][0].shape == (20, 256 * 4 * 4) and head_of(sized("fc", 112)) == "fc"


def test_resizes_keep_their_proportion_to_the_crop() -> None:
    train, test = [layer for layer in sized("baseline", 112).layer if layer.type == "ImageData"]
    assert train.transform_param.crop_size == test.transform_param.crop_size == 112
    assert (train.image_data_param.new_height, train.image_data_param.new_width) == (128, 128)
    assert (test.image_data_param.new_height, test.image_data_param.new_width) == (112, 112)


def test_at_the_articles_size_the_net_computes_the_same() -> None:
    nets = [
        Network(build_graph(net, net_state("TEST")), seed=3)
        for net in (sized("baseline", 224), apply_variant(ARTICLE, "baseline"))
    ]
    inputs = {"data": torch.randn(2, 3, 224, 224) * 60, "label": torch.zeros(2)}
    one, other = (net.all_blobs(**inputs)["fc"] for net in nets)
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_a_net_without_such_a_layer_is_refused() -> None:
    net = parse('name: "n" layer { name: "d" type: "Input" top: "d" }', NetParameter)
    with pytest.raises(InputError, match="no data layer that crops or resizes"):
        resize_input(net, 32)


def test_a_run_of_another_size_says_so(root: str) -> None:
    plan = make_plan(Options(root=root, size=112))
    assert plan.departures == ["input size 112 (article: 224)"]
    assert "size" in plan.record()
