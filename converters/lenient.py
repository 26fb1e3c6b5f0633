"""A net without the fields of forks that nothing here honours, where ``prototxt.lenient`` asks for that."""

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeVar

from google.protobuf.message import Message

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
    _leave_out(net, fields_of_forks(net, apart=("layer",)), file.name, warn)
    for layer in net.layer:
        if paths := unhonoured(layer):
            line = locate(file.text, layer.name, layer)
            _leave_out(layer, paths, f'{file.name}:{line}: layer "{layer.name}"', warn)
    return replace(file, message=net)


def _leave_out(message: Message, paths: Iterable[str], where: str, warn: Warn) -> None:
    for path in dict.fromkeys(paths):
        warn(f"{where}: the field {path} of forks is honoured by nothing here and left out")
        clear(message, path)
