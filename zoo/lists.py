"""The data layers of a run's nets, and the list files of those that read images."""

from pathlib import Path

from converters.graph import Graph
from converters.layers.registry import positive
from converters.load import located
from converters.places import missing, seek
from converters.solver_nets import NetSource
from converters.transform import check_resize
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError, of_layer
from prototxt.text import read_text


def data_layers(graph: Graph) -> list[LayerParameter]:
    """The layers that a net is fed by, in order."""
    return [node.layer for node in graph.nodes if node.is_data]


def check_data(graph: Graph, path: Path, key: str) -> None:
    """Raise InputError for a net that no file can feed, and for an ImageData that serves nothing."""
    for layer in data_layers(graph):
        with located(str(path), read_text(path)), of_layer(layer):
            if layer.type == "Input":
                raise InputError(
                    f'the {key} net has "{layer.name}" (Input), which no file feeds: training needs a data '
                    "layer, such as ImageData"
                )
            if layer.type == "ImageData":
                positive(layer, batch_size=layer.image_data_param.batch_size)
                check_resize(layer)


def sole_image_layer(graph: Graph) -> LayerParameter | None:
    """The net's ImageData layer where that alone feeds it: such images are decoded once, and kept."""
    layers = data_layers(graph)
    return layers[0] if len(layers) == 1 and layers[0].type == "ImageData" else None


def find_lists(
    layers: dict[str, LayerParameter], nets: dict[str, NetSource], places: tuple[Path, ...], may_be_demo: bool
) -> dict[str, Path]:
    """The list file of each net; where none is found and it may be, the demo data set's, drawn if need be."""
    found = {key: seek(layer.image_data_param.source, places) for key, layer in layers.items()}
    if layers and may_be_demo and not any(found.values()):
        from zoo.data import demo_folder, ensure_demo

        ensure_demo()
        return {key: demo_folder() / layer.image_data_param.source for key, layer in layers.items()}
    for key, layer in layers.items():
        if found[key] is None:
            with located(str(nets[key].path), read_text(nets[key].path)), of_layer(layer):
                raise missing("list", layer.image_data_param.source, places)
    return {key: path for key, path in found.items() if path}
