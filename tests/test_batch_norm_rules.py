"""BatchNorm of NVIDIA's and Intel's forks beside Caffe's own: which is chosen, and what no recording shows."""

import pytest
import torch
from one_layer import one_layer, random, run

from converters import Network, load_net
from prototxt.errors import InputError
from prototxt.text import to_text

NET = """%s
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 4 dim: 2 dim: 3 dim: 3 } } }
layer { name: "a" type: "BatchNorm" bottom: "x" top: "a" %s }
layer { name: "b" type: "BatchNorm" bottom: "a" top: "b" %s }
"""
SCALE = "batch_norm_param { scale_bias: true }"
PARTS = "batch_norm_param { stats_batch_size: 2 }"


def dialects(net: Network) -> list[str]:
    return [node.layer.dialect for node in net.graph.nodes[1:]]


@pytest.mark.parametrize(
    ("head", "first", "second", "chosen"),
    [
        ("", "", "", ["", ""]),
        ("", SCALE, "", ["nvidia", "nvidia"]),
        ("", PARTS, PARTS, ["intel", "intel"]),
        ("", PARTS, "", ["intel", ""]),
        ("bn_stats_batch_size: 2", "", PARTS.replace("2", "4"), ["intel", "intel"]),
        ("# dialect: nvidia", "", "", ["nvidia", "nvidia"]),
        ("# dialect: caffe", "", "", ["caffe", "caffe"]),
    ],
)
def test_fields_choose_and_caffes_own_needs_no_word(
    head: str, first: str, second: str, chosen: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    net = load_net(NET % (head, first, second), phase="TRAIN")
    assert dialects(net) == chosen and not capsys.readouterr().err
    again = load_net(to_text(net.graph.file.message if net.graph.file else None))  # type: ignore[arg-type]
    assert dialects(again) == chosen


def test_a_net_says_how_many_images_count_where_a_layer_does_not() -> None:
    net = load_net(NET % ("bn_stats_batch_size: 2", "", PARTS.replace("2", "4")), phase="TRAIN")
    sizes = [node.layer.batch_norm_param.stats_batch_size for node in net.graph.nodes[1:]]
    assert sizes == [2, 4]


def test_nvidias_first_two_passes_copy_and_the_others_average() -> None:
    text = 'type: "BatchNorm" top: "y" dialect: "nvidia" batch_norm_param { moving_average_fraction: 0.75 }'
    net = one_layer(text, "TRAIN", x=(8, 3, 4, 4))
    batches = [random(8, 3, 4, 4, seed=seed) for seed in range(3)]
    for x in batches:
        run(net, x=x)
    means = [torch.from_numpy(x).mean((0, 2, 3)) for x in batches]
    torch.testing.assert_close(net.params["it"][0], 0.75 * means[1] + 0.25 * means[2])
    assert net.params["it"][2].tolist() == [1]


def test_parts_must_divide_the_batch() -> None:
    with pytest.raises(InputError, match="stats_batch_size 3 must divide 4 images"):
        load_net(NET % ("", PARTS.replace("2", "3"), ""), phase="TRAIN")
