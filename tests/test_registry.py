"""What a layer's registration says is what graph, net, export, cost and training go by."""

from collections.abc import Iterator
from importlib import import_module

import pytest
import torch
from one_layer import one_layer
from torch import Tensor, nn

from converters import load_net
from converters.data.opening import is_readable
from converters.data.source import DataSource
from converters.export.deploy import deploy, is_judge
from converters.layers import Layer, Shapes, registry
from converters.layers.registry import free, layer, record_of, records
from eval.cost import total_macs
from prototxt.caffe_pb2 import FillerParameter, LayerParameter

FED = (
    'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 3 dim: 2 } } } '
    'layer { name: "y" type: "Input" top: "y" input_param { shape { dim: 3 dim: 2 } } } '
    'layer { name: "fc" type: "InnerProduct" bottom: "x" top: "fc" inner_product_param { num_output: 2 } } '
)


class Apart(Layer):
    """The sum of the distance of two blobs."""

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """(N, C) twice to a scalar."""
        return (a - b).abs().sum()


class Mixed(Layer):
    """A buffer, a parameter and a buffer again, in that order in Caffe's files."""

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.empty(2))
        self.last = nn.Buffer(torch.empty(1))
        self.mean = nn.Buffer(torch.empty(2))
        self.fillers = {"slope": FillerParameter(value=2), "last": FillerParameter(value=5)}

    def forward(self, x: Tensor) -> Tensor:
        """(N, 2) to the same."""
        return x * self.slope


@pytest.fixture
def own() -> Iterator[None]:
    """Types that only these tests know."""
    before = dict(registry._RECORDS)
    layer("Apart", role="loss", bottoms=(2, 2), tops=(0, 1), labels=(1,), macs=free)(Apart)
    layer("Centers", role="loss", bottoms=(2, 2), default_loss_weight=0, macs=free)(Apart)
    layer("Mixed", blobs=("mean", "slope", "last"), macs=free)(Mixed)
    yield
    registry._RECORDS.clear()
    registry._RECORDS.update(before)


@pytest.mark.usefixtures("own")
def test_a_loss_need_not_be_called_one() -> None:
    net = load_net(FED + 'layer { name: "it" type: "Apart" bottom: "fc" bottom: "y" }', phase="TRAIN")
    values = net.values({"x": torch.ones(3, 2), "y": torch.zeros(3, 2)})
    assert net.loss(values) == values[net.graph.nodes[-1].outputs[0]].sum()
    assert [value.blob for value in deploy(net.graph).outputs] == ["fc"]
    assert total_macs(net) == (4, [])


@pytest.mark.usefixtures("own")
def test_a_loss_may_have_no_weight_of_its_own() -> None:
    text = FED + 'layer { name: "it" type: "Centers" bottom: "fc" bottom: "y" top: "l" %s }'
    for weight, factor in (("", 0), ("loss_weight: 3", 3)):
        net = load_net(text % weight, phase="TRAIN")
        values = net.values({"x": torch.ones(3, 2), "y": torch.ones(3, 2)})
        assert net.loss(values) == factor * values[net.graph.outputs[0]]
        assert is_judge(net.graph.nodes[-1].layer)


@pytest.mark.usefixtures("own")
def test_blobs_stand_in_caffes_order_whatever_is_learned() -> None:
    net = one_layer('type: "Mixed" top: "y"', x=(3, 2))
    assert [blob.name for blob in net.blobs] == ["it.mean", "it.slope", "it.last"]
    assert [blob.tolist() for blob in net.params["it"]] == [[0, 0], [2, 2], [5]]


@pytest.mark.usefixtures("own")
def test_a_blob_that_the_record_does_not_name_is_our_mistake() -> None:
    layer("Unnamed", blobs=("slope",))(Mixed)
    with pytest.raises(AssertionError, match="Unnamed does not name the blobs"):
        one_layer('type: "Unnamed" top: "y"', x=(3, 2))


def test_a_type_is_registered_once() -> None:
    with pytest.raises(AssertionError, match="ReLU is registered twice"):
        layer("ReLU")(Mixed)


def test_every_reader_is_a_source_of_data() -> None:
    feeds = [record.data_tops for record in records() if record.data_tops and record.data_tops.reader]
    assert len(feeds) >= 9
    for feed in feeds:
        module, _, name = feed.reader.partition(":")
        assert issubclass(getattr(import_module(module), name), DataSource)
        module, _, name = feed.names_of.partition(":")
        assert not name or callable(getattr(import_module(module), name))


def test_what_data_layers_say_of_themselves() -> None:
    own = [r for r in records() if r.role == "data" and not r.family.startswith("forks/")]
    data = {record.type: record.data_tops for record in own}
    batched = {name for name, feed in data.items() if feed and feed.has_field("batch_size")}
    assert batched == {"Data", "HDF5Data", "ImageData", "MemoryData", "WindowData"}
    named = {name for name in batched if (feed := data[name]) and feed.has_field(feed.source)}
    assert named == batched - {"MemoryData"}
    assert not is_readable(LayerParameter(type="Input")) and is_readable(LayerParameter(type="DummyData"))


def test_every_record_names_its_source_and_a_judge_its_labels() -> None:
    for record in records():
        assert record.source.endswith((".cpp", ".hpp", ".py")), record.type
        assert record.judges or not record.labels, record.type
    assert record_of(LayerParameter(type="Accuracy")).role == "metric"
    assert record_of(LayerParameter(type="NobodysLoss")).role == "loss"


def test_rows_that_values_decide_are_all_of_them_while_shapes_are_told() -> None:
    net = one_layer('type: "Filter" top: "y"', x=(4, 2), s=(4,))
    assert net.shapes[net.graph.outputs[0]] == (4, 2)
    y = net(torch.arange(8.0).reshape(4, 2), torch.tensor([0.0, 1, 0, 1]))
    assert isinstance(y, Tensor) and y.tolist() == [[2, 3], [6, 7]]
    far = net.to("meta")
    assert far(torch.empty(4, 2, device="meta"), torch.empty(4, device="meta")).shape == (4, 2)
