"""What of a net is deployed: the roles of bottoms decide, not the places of tops."""

import pytest

from converters.export.deploy import deploy, ending_in, with_softmax
from converters.graph import Graph, build_graph
from converters.net_state import filtered, net_state
from prototxt.errors import InputError
from prototxt.text import parse_net


def graph(*layers: str, phase: str = "TEST") -> Graph:
    """Layers as "name Type bottom,bottom > top,top { fields }"."""
    text = []
    for line in layers:
        head, _, fields = line.partition(" {")
        wiring, _, tops = head.partition(">")
        name, kind, *bottoms = wiring.split()
        read = "".join(f' bottom: "{b}"' for part in bottoms for b in part.split(","))
        made = "".join(f' top: "{t}"' for t in tops.strip().split(",") if t)
        text.append(f'layer {{ name: "{name}" type: "{kind}"{read}{made} {fields.removesuffix("}")} }}')
    return build_graph(parse_net("\n".join(text), "net"), net_state(phase), allow_python=True)


def ends(net: Graph) -> tuple[list[str], list[str]]:
    return [value.blob for value in net.inputs], [value.blob for value in net.outputs]


IP = "InnerProduct"
CASES = {
    "second input behind a Concat": (
        ["d HDF5Data >img,vec,label", "f Flatten img >f", "c Concat f,vec >c", f"ip {IP} c >ip", "l SoftmaxWithLoss ip,label"],
        (["img", "vec"], ["ip"]),
    ),
    "second input behind an Eltwise": (
        ["d HDF5Data >a,b,label", "e Eltwise a,b >e", f"ip {IP} e >ip", "l SoftmaxWithLoss ip,label >l"],
        (["a", "b"], ["ip"]),
    ),
    "second input that scales": (
        ["d HDF5Data >a,mask,label", "s Scale a,mask >s", f"ip {IP} s >ip", "l HingeLoss ip,label >l"],
        (["a", "mask"], ["ip"]),
    ),
    "labels of a data layer of their own, sliced": (
        ["d Data >data", "l Data >label", "sl Slice label >l1,l2", f"f1 {IP} data >f1", f"f2 {IP} data >f2",
         "loss1 SoftmaxWithLoss f1,l1 >loss1", "loss2 SoftmaxWithLoss f2,l2 >loss2"],
        (["data"], ["f1", "f2"]),
    ),
    "a label that layers change": (
        ["d Input >x", "t Input >y", "p Power y >p", "r Reshape p >r", f"ip {IP} x >ip", "l EuclideanLoss ip,r >l"],
        (["x"], ["ip"]),
    ),
    "sample weights are labels": (
        ["d HDF5Data >x,y,h", f"ip {IP} x >ip", "l InfogainLoss ip,y,h >l"],
        (["x"], ["ip"]),
    ),
    "the data is the target too": (
        ["d Data >x", "f Flatten x >flat", f"e {IP} flat >code", f"o {IP} code >out", "l EuclideanLoss out,flat >l"],
        (["x"], ["out"]),
    ),
    "the target stands first": (
        ["d HDF5Data >x,y", f"ip {IP} x >ip", "l EuclideanLoss y,ip >l"],
        (["x"], ["ip"]),
    ),
    "a distance of two predictions": (
        ["d HDF5Data >x,y", f"a {IP} x >a", f"b {IP} y >b", "l EuclideanLoss a,b >l"],
        (["x", "y"], ["a", "b"]),
    ),
    "siamese": (
        ["d Data >pair,sim", "s Slice pair >p,q", f"a {IP} p >a", f"b {IP} q >b", "l ContrastiveLoss a,b,sim >l"],
        (["pair"], ["a", "b"]),
    ),
    "a top that a label and a prediction are made of": (
        ["d HDF5Data >x,y", f"c {IP} y >c", "e Eltwise x,c >e", f"ip {IP} e >ip", "l SoftmaxWithLoss ip,y >l"],
        (["x", "y"], ["ip"]),
    ),
    "several losses and a metric": (
        ["d Data >x,y", f"a {IP} x >a", f"b {IP} a >b", "p Softmax b >p", "m ArgMax b >m", "acc Accuracy b,y >acc",
         "l1 SoftmaxWithLoss a,y >l1", "l2 SoftmaxWithLoss b,y >l2"],
        (["x"], ["m", "p"]),
    ),
    "no loss: nothing is a label": (
        ["d Data >x,y", f"e {IP} x >e", "r Reshape y >r"],
        (["x", "y"], ["e", "r"]),
    ),
    "a weighted top of another type": (
        ["d Data >x,y", f"ip {IP} x >ip", "s Eltwise ip,y >diff", "r Reduction diff >r { loss_weight: 1 }"],
        (["x"], ["ip"]),
    ),
    "a Python loss": (
        ["d Data >x,y", f"ip {IP} x >ip", "l Python ip,y >l { loss_weight: 1 }"],
        (["x"], ["ip"]),
    ),
    "Python that leads nowhere": (
        ["d Data >x,y", f"ip {IP} x >ip", "show Python ip", "l SoftmaxWithLoss ip,y >l"],
        (["x"], ["ip"]),
    ),
    "a silenced prediction": (
        ["d Data >x,y", f"a {IP} x >a", f"b {IP} x >b", "s Silence b,y", "l SoftmaxWithLoss a,y >l", "t Silence a"],
        (["x"], ["a"]),
    ),
    "what is written to a file": (
        ["d Data >x,y", f"a {IP} x >a", "o HDF5Output a,y"],
        (["x"], ["a"]),
    ),
    "a target that no data layer makes": (
        ["d Input >x", "t DummyData >t", "u Power t >u", f"a {IP} x >a", "l EuclideanLoss a,u >l"],
        (["x"], ["a"]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_roles_decide_what_is_deployed(case: str) -> None:
    layers, expected = CASES[case]
    part = deploy(graph(*layers))
    assert ends(part) == expected
    made = {value for node in part.nodes for value in node.outputs}
    assert all(set(node.inputs) <= made for node in part.nodes)


@pytest.mark.parametrize(
    ("layers", "says"),
    [
        (["d Input >x"], "it has data layers alone"),
        (["d Data >x,y", "l SoftmaxWithLoss x,y >l"], "every layer judges, or depends on a label"),
    ],
)
def test_nothing_to_deploy_says_why(layers: list[str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        deploy(graph(*layers))


TWO_HEADS = [
    "d Data >x,y",
    f"a {IP} x >a",
    f"b {IP} a >b",
    "l SoftmaxWithLoss b,y >l { softmax_param { axis: 2 } }",
]


def test_a_blob_by_name_ends_the_net() -> None:
    part = deploy(graph(*TWO_HEADS, f"c {IP} b >c"))
    shorter = ending_in(part, ["a"])
    assert ends(shorter) == (["x"], ["a"]) and [node.layer.name for node in shorter.nodes] == ["d", "a"]
    assert ends(ending_in(part, ["c", "a", "a"])) == (["x"], ["c", "a"])
    with pytest.raises(InputError, match='no layer of the deploy net makes the blob "l"'):
        ending_in(part, ["l"])


def test_softmax_in_place_of_the_loss() -> None:
    whole = graph(*TWO_HEADS)
    net = with_softmax(deploy(whole), whole)
    assert ends(net) == (["x"], ["prob"])
    assert net.nodes[-1].layer.type == "Softmax" and net.nodes[-1].layer.softmax_param.axis == 2
    two = graph(*TWO_HEADS, "m SoftmaxWithLoss a,y >m,p")
    assert ends(with_softmax(deploy(two), two)) == (["x"], ["p", "prob_b"])
    without = graph("d Data >x,y", f"a {IP} x >a", "l HingeLoss a,y >l")
    with pytest.raises(InputError, match="has no SoftmaxWithLoss"):
        with_softmax(deploy(without), without)


def test_filtered_nets_have_no_rules_left() -> None:
    text = (
        'layer { name: "a" type: "Input" top: "x" include { phase: TEST } }'
        'layer { name: "b" type: "ReLU" bottom: "x" top: "y" exclude { stage: "s" } }'
    )
    net = filtered(parse_net(text, "net"), net_state("TEST", stages=["s"]))
    assert [layer.name for layer in net.layer] == ["a"] and not net.layer[0].include
