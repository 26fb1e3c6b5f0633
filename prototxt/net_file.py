"""A net with the name and the text of the file it was read from, which errors about its layers point into."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from prototxt.caffe_pb2 import NetParameter
from prototxt.encoding import read_text
from prototxt.text import Warn, located, parse_net, to_stderr


@dataclass(frozen=True)
class NetFile:
    """A net's ``message``, in today's syntax, as its ``text`` says it or as a variant changed it after.

    ``name`` is the file's path, "<text>" for a text that came by itself; of a net written out in a solver,
    ``name`` and ``text`` are the solver's.
    """

    message: NetParameter
    name: str
    text: str

    @classmethod
    def read(cls, path: Path | str, warn: Warn = to_stderr) -> Self:
        """The net of a file. Raises InputError: ``file:line:column: …`` for what is wrong with the text."""
        return cls.parse(read_text(path), str(path), warn)

    @classmethod
    def parse(cls, text: str, name: str = "<text>", warn: Warn = to_stderr) -> Self:
        """The net of a text. Raises InputError, with ``name`` and line."""
        return cls(parse_net(text, name, warn), name, text)

    @classmethod
    def of(cls, net: str | Path) -> Self:
        """The net of a path or of a text, whichever ``net`` is. Raises InputError for either."""
        is_text = isinstance(net, str) and ("{" in net or "\n" in net)
        return cls.parse(str(net)) if is_text else cls.read(net)

    @property
    def path(self) -> Path:
        """The file's path."""
        return Path(self.name)

    def located(self) -> AbstractContextManager[None]:
        """In the block an InputError about a layer gets the file and the layer's line."""
        return located(self.name, self.text)
