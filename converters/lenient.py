"""A net without the fields of forks that nothing here honours, where ``prototxt.lenient`` asks for that."""

from dataclasses import replace
from typing import TypeVar

from converters.layers.checks import unhonoured
from prototxt.caffe_pb2 import NetParameter
from prototxt.forks import clear, fields_of_forks
from prototxt.lenient import is_lenient
from prototxt.net_file import NetFile
from prototxt.text import Warn, locate

F = TypeVar("F", bound=NetFile)


def without_unhonoured(file: F, warn: Warn) -> F:
    """The net without such fields, a line to ``warn`` for each; ``file`` itself where they are refused."""
    if not is_lenient():
        return file
    net = NetParameter()
    net.CopyFrom(file.message)
    for path in list(fields_of_forks(net, apart=("layer",))):
        warn(f"{file.name}: the field {path} of forks is honoured by nothing here and left out")
        clear(net, path)
    for layer in net.layer:
        paths = dict.fromkeys(unhonoured(layer))
        line = locate(file.text, layer.name, layer) if paths else None
        for path in paths:
            where = f'{file.name}:{line}: layer "{layer.name}"'
            warn(f"{where}: the field {path} of forks is honoured by nothing here and left out")
            clear(layer, path)
    return replace(file, message=net)
