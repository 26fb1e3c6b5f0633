"""Layer rules, wiring, deployment, and the errors that name file, line, layer and blob."""

from pathlib import Path

import pytest
import torch

from converters import load_net
from converters.export.deploy import deploy
from converters.graph import Value, build_graph
from converters.net_state import net_state
from prototxt.caffe_pb2 import NetParameter
from prototxt.errors import InputError
from prototxt.text import parse, read_net
from zoo.catalogue import find_prototxt

INPUT = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }\n'


def graph(text: str, phase: str = "TEST", level: int = 0, stages: tuple[str, ...] = ()):  # type: ignore[no-untyped-def]
    return build_graph(parse(text, NetParameter), net_state(phase, level, stages))


def relu(name: str, bottom: str, top: str, rules: str = "") -> str:
    return f'layer {{ name: "{name}" type: "ReLU" bottom: "{bottom}" top: "{top}" {rules} }}\n'


@pytest.mark.parametrize(
    ("rules", "kept"),
    [
        ("", True),
        ("include { phase: TEST }", True),
        ("include { phase: TRAIN }", False),
        ("exclude { phase: TEST }", False),
        ("exclude { phase: TRAIN }", True),
        ("include { phase: TRAIN } include { min_level: 1 }", True),
        ("include { min_level: 3 }", False),
        ("include { max_level: 1 }", False),
        ('include { stage: "deploy" }', True),
        ('include { stage: "deploy" stage: "other" }', False),
        ('include { not_stage: "deploy" }', False),
        ('exclude { stage: "deploy" not_stage: "other" }', False),
    ],
)
def test_rules_are_judged_as_caffe_judges_them(rules: str, kept: bool) -> None:
    nodes = graph(INPUT + relu("r", "x", "y", rules), level=2, stages=("deploy",)).nodes
    assert [node.layer.name for node in nodes] == (["in", "r"] if kept else ["in"])


def test_an_in_place_layer_makes_a_new_value_of_the_blob() -> None:
    wired = graph(INPUT + relu("a", "x", "x") + relu("b", "x", "y"))
    assert wired.nodes[1].outputs == (Value("x", "a"),)
    assert wired.nodes[2].inputs == (Value("x", "a"),)
    assert [value.blob for value in wired.outputs] == ["y"]


def test_layers_of_one_name_in_two_phases() -> None:
    net = read_net(find_prototxt("allconv6")[0])
    for phase, size in (("TRAIN", 256), ("TEST", 224)):
        wired = build_graph(net, net_state(phase))
        data = [node.layer for node in wired.nodes if node.layer.name == "data"]
        assert [layer.image_data_param.new_height for layer in data] == [size]


def test_deploy_keeps_the_logits_and_drops_the_label() -> None:
    net = deploy(build_graph(read_net(find_prototxt("allconv6")[0]), net_state("TEST")))
    assert [value.blob for value in net.inputs] == ["data"]
    assert [value.blob for value in net.outputs] == ["fc"]
    assert [node.layer.name for node in net.nodes][-1] == "fc"


def test_deploy_drops_what_is_made_of_the_label() -> None:
    text = (
        'layer { name: "d" type: "MemoryData" top: "data" top: "label"'
        " memory_data_param { batch_size: 2 channels: 3 height: 4 width: 4 } }\n"
        + 'layer { name: "f" type: "Flatten" bottom: "label" top: "flat" }\n'
        + 'layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 1 } }\n'
        + 'layer { name: "l" type: "EuclideanLoss" bottom: "ip" bottom: "flat" top: "l" }'
    )
    net = deploy(graph(text))
    assert [node.layer.name for node in net.nodes] == ["d", "ip"]
    assert [value.blob for value in net.inputs] == ["data"]
    assert [value.blob for value in net.outputs] == ["ip"]


CONV = 'layer {{ name: "c" type: "Convolution" bottom: "x" top: "c" convolution_param {{ {} }} }}'
IMAGE = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 dim: 3 dim: 4 dim: 4 } } }\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (INPUT + relu("r", "y", "z"), r'net:2: layer "r": bottom "y" is written by no layer'),
        (
            INPUT + relu("a", "x", "y") + relu("b", "x", "y"),
            r'net:3: layer "b": top "y" is written by layer "a" too',
        ),
        (INPUT + relu("r", "x", "y", "include { } exclude { }"), r"net:2: .*include and exclude"),
        (INPUT + 'layer { name: "r" type: "Relu" bottom: "x" top: "y" }', r'net:2: .*did you mean "ReLU"'),
        (
            INPUT + 'layer { name: "c" type: "Concat" bottom: "x" top: "y" concat_param { axis: 5 } }',
            "out of range",
        ),
        (
            INPUT + 'layer { name: "s" type: "Softmax" bottom: "x" bottom: "x" top: "y" }',
            "takes 1 bottom, not 2",
        ),
        (
            IMAGE + CONV.format("num_output: 2 kernel_size: 7"),
            r'net:2: layer "c": kernel 7 .* is larger than 4',
        ),
        (IMAGE + CONV.format("num_output: 2 kernel_size: 3 group: 2"), "group 2 must divide 3 channels"),
        (IMAGE + CONV.format("kernel_size: 3"), "num_output must be at least 1"),
        (IMAGE + CONV.format("num_output: 2"), "kernel must be at least 1"),
        (IMAGE + CONV.format("num_output: 2 kernel_size: 3 kernel_h: 3"), "kernel_h and kernel_w"),
        ('layer { name: "d" type: "Data" top: "x" }', r'cannot tell the shape of top "x"'),
        ('name: "empty"', "has no layer in this phase"),
    ],
)
def test_bad_nets_are_one_line_with_their_place(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "net"
    path.write_text(text)
    with pytest.raises(InputError, match=says) as caught:
        load_net(path)
    assert "\n" not in str(caught.value)


def test_shared_params_are_one_tensor_of_the_first_owner() -> None:
    ip = (
        'layer {{ name: "{0}" type: "InnerProduct" bottom: "x" top: "{0}" param {{ name: "w" }} param {{ name: "b" }}'
        ' inner_product_param {{ num_output: 3 weight_filler {{ type: "gaussian" }} }} }}\n'
    )
    net = load_net(INPUT + ip.format("a") + ip.format("b"))
    assert net.params["a"][0] is net.params["b"][0] and net.params["a"][1] is net.params["b"][1]
    assert len(list(net.parameters())) == 2
    out = net(torch.randn(2, 3))
    assert torch.equal(out["a"], out["b"])


def test_shared_params_of_unequal_shape_are_refused() -> None:
    ip = (
        'layer {{ name: "{0}" type: "InnerProduct" bottom: "x" top: "{0}" param {{ name: "w" }}'
        " inner_product_param {{ num_output: {1} }} }}\n"
    )
    with pytest.raises(
        InputError, match=r'layer "b": param "w" has shape \(4, 3\) here and \(3, 3\) in layer "a"'
    ):
        load_net(INPUT + ip.format("a", 3) + ip.format("b", 4))


def test_the_first_weights_are_a_pure_function_of_seed_layer_and_index() -> None:
    from converters import Network
    from zoo.variants.edits import apply_variant

    article = read_net(find_prototxt("allconv6")[0])

    def weights(variant: str, seed: int) -> dict[str, torch.Tensor]:
        wired = build_graph(apply_variant(article, variant), net_state("TRAIN"))
        return Network(wired, "TRAIN", seed=seed).state_dict()

    plain, bn, other = weights("baseline", 1), weights("bn", 1), weights("baseline", 2)
    assert all(torch.equal(plain[name], bn[name]) for name in plain)
    assert not torch.equal(plain["conv1.weight"], other["conv1.weight"])
    assert not torch.equal(plain["conv4.weight"][:64, :64], plain["conv2.weight"])


def test_state_dict_has_readable_names_whatever_the_layers_are_called() -> None:
    names = ["conv.1", "forward", "res/a", "type"]
    text = INPUT
    for name in names:
        text += (
            f'layer {{ name: "{name}" type: "InnerProduct" bottom: "x" top: "{name}"'
            " inner_product_param { num_output: 2 bias_term: false } }\n"
        )
    net = load_net(text)
    assert list(net.state_dict()) == [f"{name}.weight" for name in names]
    assert list(net.params) == names


def test_an_input_layers_second_top_is_data() -> None:
    text = (
        'layer { name: "in" type: "Input" top: "a" top: "b" input_param { shape { dim: 2 dim: 3 } } }\n'
        'layer { name: "sum" type: "Eltwise" bottom: "a" bottom: "b" top: "sum" }\n'
        'layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 2 } } }\n'
        'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "sum" bottom: "label" top: "loss" }\n'
    )
    net = deploy(graph(text))
    assert [value.blob for value in net.inputs] == ["a", "b"]
    assert [value.blob for value in net.outputs] == ["sum"]


def test_a_graph_prints_itself() -> None:
    wired = graph(
        'layer { name: "data" type: "ImageData" top: "x" top: "label" }\n'
        'layer { name: "a" type: "ReLU" bottom: "x" top: "a" }\n'
        'layer { name: "inside" type: "ReLU" bottom: "a" top: "a" }\n'
        'layer { name: "cut" type: "Slice" bottom: "a" top: "b" top: "c" }\n'
        'layer { name: "late" type: "Input" top: "late" }\n'
        'layer { type: "Eltwise" bottom: "b" bottom: "late" top: "sum" }\n'
        'layer { name: "quiet" type: "Silence" bottom: "c" }\n'
        'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "sum" bottom: "label" }\n'
    )
    assert str(wired).splitlines() == [
        "x, label = ImageData()  # data",
        "late = Input()",
        "a = ReLU(x)",
        "a = ReLU(a)  # inside",
        "b, c = Slice(a)  # cut",
        "sum = Eltwise(b, late)",
        "Silence(c)  # quiet",
        "SoftmaxWithLoss(sum, label)  # loss",
    ]
    assert repr(wired) == '<Graph "": 8 layers, x, label, late → >'
    assert str(deploy(wired)).splitlines()[0] == "x = ImageData()  # data"
    assert repr(deploy(wired)) == '<Graph "": 6 layers, x, late → sum>'
