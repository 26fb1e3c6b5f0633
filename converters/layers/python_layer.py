"""Layers that a user writes in Python, as pycaffe runs them."""

import importlib
import importlib.util
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Self, cast

import numpy as np
import torch
from torch import Tensor

from converters.layers.base import Placed
from converters.layers.checks import checked_size
from converters.layers.registry import Shapes, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError

Array = np.ndarray[Any, np.dtype[np.float32]]


class Blob:
    """A numpy ``data`` and ``diff`` of one shape, made when they are first looked at."""

    def __init__(self, *shape: int) -> None:
        self.shape = shape
        self._arrays: dict[str, Array] = {}

    def reshape(self, *shape: int) -> None:
        """Give the blob another shape; values go where the count changes."""
        arrays = {
            name: array.reshape(shape)
            for name, array in self._arrays.items()
            if array.size == math.prod(shape)
        }
        self.shape, self._arrays = shape, arrays

    @property
    def count(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def num(self) -> int:
        """The first axis's size."""
        return self.shape[0]

    @property
    def channels(self) -> int:
        """The second axis's size."""
        return self.shape[1]

    @property
    def height(self) -> int:
        """The third axis's size."""
        return self.shape[2]

    @property
    def width(self) -> int:
        """The fourth axis's size."""
        return self.shape[3]

    @property
    def data(self) -> Array:
        """The values, to be changed in place."""
        return self._array("data")

    @property
    def diff(self) -> Array:
        """The gradient, to be changed in place."""
        return self._array("diff")

    def _array(self, name: str) -> Array:
        return self._arrays.setdefault(name, np.zeros(self.shape, np.float32))

    def load(self, name: str, tensor: Tensor) -> None:
        """Put a tensor's values in ``data`` or ``diff``."""
        self.shape = tuple(tensor.shape)
        self._arrays[name] = tensor.detach().float().cpu().numpy().copy()


class PythonLayer:
    """What a user's class has to have; it may stand for ``caffe.Layer`` as its base.

    ``setup`` and ``reshape`` see bottoms of the right shapes and give the tops theirs; ``forward`` fills
    ``top[i].data``, ``backward`` fills ``bottom[i].diff`` from ``top[i].diff``.
    """

    param_str = ""
    phase = 1  # TEST; TRAIN is 0

    def setup(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Called once, before anything else."""

    def reshape(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Called before every pass: ``top[i].reshape(…)``."""

    def forward(self, bottom: list[Blob], top: list[Blob]) -> None:
        """Fill the tops' data."""
        raise NotImplementedError

    def backward(self, top: list[Blob], propagate_down: list[bool], bottom: list[Blob]) -> None:
        """Fill the bottoms' diff; left as it is, no gradient passes."""


class _Run(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, owner: "PythonModule", *bottoms: Tensor) -> tuple[Tensor, ...]:
        ctx.owner = owner
        ctx.bottoms, ctx.tops = owner.run(bottoms)
        return owner.tensors(ctx.tops)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor | None, ...]:
        for top, grad in zip(ctx.tops, grads, strict=True):
            top.load("diff", grad)
        needed = list(ctx.needs_input_grad[1:])
        ctx.owner.user.backward(ctx.tops, needed, ctx.bottoms)
        gradients = [torch.from_numpy(bottom.diff).to(grads[0]) for bottom in ctx.bottoms]
        return None, *(x if need else None for x, need in zip(gradients, needed, strict=True))


@dataclass(frozen=True)
class PythonSpec(Spec):
    """Of Python: the class, and what it is told."""

    module: str
    layer: str
    param_str: str = ""


@layer(
    "Python",
    source="python_layer.hpp",
    bottoms=(0, None),
    tops=(0, None),
    runs_code=True,
    export_limit="runs Python code, of which a file can hold what torch.export can trace",
    most=lambda module, bottoms: [torch.Size(top.shape) for top in cast("PythonModule", module).tops],
)
class PythonModule(Placed):
    """Runs ``python_param``'s class as pycaffe does (python_layer.hpp), on the CPU through numpy.

    The graph refuses the type unless its caller allows it: a prototxt would run code. The class has the
    methods of :class:`PythonLayer`; ``import caffe`` in its module finds that as ``caffe.Layer`` where
    pycaffe is not there. Parameter blobs of its own are not supported.
    """

    spec: PythonSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param = message.python_param
        self.spec = PythonSpec(param.module, param.layer, param.param_str)
        self.user = _user_layer(message)
        self.tops = [Blob() for _ in message.top]
        with _named(message):
            self.user.setup([Blob(*shape) for shape in bottoms], self.tops)
        self._fit(message, bottoms)

    def _fit(self, message: LayerParameter, bottoms: Shapes) -> None:
        """Let the user's class give the tops the shapes that go with the bottoms'."""
        with _named(message):
            self.user.reshape([Blob(*shape) for shape in bottoms], self.tops)
        for top in self.tops:
            checked_size(message, "top", top.shape)

    def reshape(self, bottoms: Shapes) -> None:
        """Raise InputError, naming the layer, where the user's ``reshape`` does not take the bottoms."""
        self._fit(self.message, bottoms)

    def train(self, mode: bool = True) -> Self:
        """Tell the user's class the phase, too."""
        super().train(mode)
        self.user.phase = 0 if self.training else 1
        return self

    def run(self, bottoms: tuple[Tensor, ...]) -> tuple[list[Blob], list[Blob]]:
        """(bottoms, tops) after the user's ``reshape`` and ``forward``."""
        blobs, tops = [Blob() for _ in bottoms], [Blob(*top.shape) for top in self.tops]
        for blob, tensor in zip(blobs, bottoms, strict=True):
            blob.load("data", tensor)
        self.user.reshape(blobs, tops)
        self.user.forward(blobs, tops)
        return blobs, tops

    def tensors(self, tops: list[Blob]) -> tuple[Tensor, ...]:
        """What the user's class filled, where the net is."""
        return tuple(torch.from_numpy(top.data.copy()).to(self.place) for top in tops)

    def forward(self, *bottoms: Tensor) -> tuple[Tensor, ...]:
        """What the user's class makes of them."""
        if not bottoms:
            return self.tensors(self.run(())[1])
        made: tuple[Tensor, ...] = _Run.apply(self, *bottoms)  # type: ignore[no-untyped-call]
        return made


@contextmanager
def _named(message: LayerParameter) -> Iterator[None]:
    """Turn what the user's class raises into one line that names the layer."""
    try:
        yield
    except Exception as error:
        raise InputError(f"{_class_name(message)}: {type(error).__name__}: {error}", message.name) from error


def _class_name(message: LayerParameter) -> str:
    return f"{message.python_param.module}.{message.python_param.layer}"


def _user_layer(message: LayerParameter) -> Any:
    """An instance of the class that ``python_param`` names, with its ``param_str``."""
    try:
        with _caffe_at_hand():
            module = importlib.import_module(message.python_param.module)
        made = getattr(module, message.python_param.layer)()
    except Exception as error:
        raise InputError(f"cannot make {_class_name(message)}: {error}", message.name) from error
    made.param_str = message.python_param.param_str
    made.phase = message.phase  # setup asks for it
    return made


@contextmanager
def _caffe_at_hand() -> Iterator[None]:
    """Let ``import caffe`` find a stand-in with ``Layer`` where pycaffe is not installed."""
    if "caffe" in sys.modules or importlib.util.find_spec("caffe"):
        yield
        return
    stand_in = ModuleType("caffe")
    vars(stand_in).update(Layer=PythonLayer, TRAIN=0, TEST=1)
    sys.modules["caffe"] = stand_in
    try:
        yield
    finally:
        del sys.modules["caffe"]
