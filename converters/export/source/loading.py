"""A net's source, run: what it computes, blob by blob, beside what the net does."""

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from converters.export.onnx_file import deploy_net
from converters.export.source.text import Source, source_of
from converters.graph import Graph, Value
from converters.network import Network

_SEE = "_see_"  # no name in a file begins with an underscore


@dataclass(frozen=True)
class LoadedSource:
    """The module that a source's text makes, with its weights, in evaluation mode, and the source."""

    module: nn.Module
    source: Source
    graph: Graph
    seen: dict[Value, Tensor]

    def values(self, inputs: Mapping[str, Tensor]) -> dict[Value, Tensor]:
        """Every value that a pass sets, from tensors by the blobs' names: without those that the source does
        not have, such as what a BatchNorm hands to a Scale.
        """
        self.seen.clear()
        self.module(*(inputs[value.blob] for value in self.graph.inputs))
        return {**{value: inputs[value.blob] for value in self.graph.inputs}, **self.seen}


def load_source(net: Network, graph: Graph | None = None) -> LoadedSource:
    """Make the source of the deployed ``net``, or of ``graph``, a part of it, run its text in a namespace of
    its own and load its weights. Raises InputError, naming the layer, for one that no rule writes.
    """
    deployed = deploy_net(net, graph)
    return run_source(source_of(deployed), deployed.graph)


def run_source(source: Source, graph: Graph) -> LoadedSource:
    """The module of a source's text."""
    seen: dict[Value, Tensor] = {}

    paths: dict[nn.Module, str] = {}

    def see(module: nn.Module, statement: int, *tensors: Tensor) -> None:
        pairs = zip(source.sets.get((paths[module], statement), ()), tensors, strict=False)
        seen.update({value: tensor for value, tensor in pairs if value is not None})

    module = _executed(source, see)
    paths |= {part: path for path, part in module.named_modules()}
    module.load_state_dict(source.state)
    return LoadedSource(module.eval(), source, graph, seen)


def _executed(source: Source, see: Callable[..., None]) -> nn.Module:
    space = ModuleType("source")
    tree = ast.parse(source.text)
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name in source.classes:
            _watch(node)
    exec(compile(ast.fix_missing_locations(tree), "source", "exec"), vars(space))
    vars(space)[_SEE] = see
    with torch.device("cpu"):
        module: nn.Module = getattr(space, source.name)()
    return module


def _watch(cls: ast.ClassDef) -> None:
    """Have each statement of ``forward`` that sets variables show them."""
    method = next(node for node in cls.body if isinstance(node, ast.FunctionDef) and node.name == "forward")
    body: list[ast.stmt] = []
    count = 0
    for node in method.body:
        body.append(node)
        if isinstance(node, ast.Assign | ast.AnnAssign):
            body.append(_shown(node, count))
            count += 1
    method.body = body


def _shown(node: ast.Assign | ast.AnnAssign, number: int) -> ast.stmt:
    target: Any = node.targets[0] if isinstance(node, ast.Assign) else node.target
    targets: list[Any] = target.elts if isinstance(target, ast.Tuple) else [target]
    call = f"{_SEE}({', '.join(['self', str(number), *(each.id for each in targets)])})"
    return ast.parse(call).body[0]
