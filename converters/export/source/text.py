"""The lines of a net as the text of a Python file."""

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from converters.export.source.layout import WIDTH, broken
from converters.export.source.names import VARIABLES, class_name, identifier, quoted, shown
from converters.export.source.part import Helper
from converters.export.source.plan import Line, Plan, plan_of
from converters.export.source.rules import load_rules
from converters.graph import Value
from converters.network import Network

MARK = "Written by zoo convert."
_INDENT = " " * 8


@dataclass(frozen=True)
class Source:
    """A file's text, the name of its class, what ``load_state_dict`` takes, and what each statement of
    ``forward`` sets: the values in order, None for one that nobody reads.
    """

    text: str
    name: str
    state: dict[str, Tensor]
    sets: Sequence[tuple[Value | None, ...]]


def source_of(net: Network, name: str = "", weights: str = "") -> Source:
    """The source of a deployed net (:func:`converters.export.onnx_file.deploy_net`). ``name`` is the net's,
    its own if it is not given, ``weights`` the file that has its state. Raises InputError, naming the layer,
    for one that no rule writes.
    """
    load_rules()
    plan = plan_of(net, _helper_names())
    helpers = list(_with_those_below(helper for line in plan.lines for helper in line.part.helpers))
    name = name or net.graph.name or "Net"
    title = class_name(name, {*_helper_names(), *VARIABLES})
    forward, sets = _forward(plan)
    parts = [*(inspect.getsource(helper).rstrip() for helper in helpers)]
    parts.append("\n".join([f"class {title}(nn.Module):", *_about(plan), "", *_init(plan.lines), *forward]))
    body = "\n\n\n".join(parts)
    text = "\n".join([*_title(name, title, weights), "", *_imports(body), "", "", body, ""])
    return Source(text, title, _state(plan.lines), sets)


def _helper_names() -> set[str]:
    """The names that a net's class and variables leave to helpers: every helper's."""
    from converters.export.source import helpers

    rooms = (module for name, module in sys.modules.items() if name.startswith(f"{helpers.__name__}."))
    return {name for room in rooms for name, each in vars(room).items() if _is_of(room.__name__, each)}


def _is_of(room: str, each: object) -> bool:
    return inspect.isroutine(each) or (inspect.isclass(each) and each.__module__ == room)


def _with_those_below(helpers: Iterable[Helper]) -> Iterator[Helper]:
    """Each helper once, behind those that it uses."""
    done: dict[Helper, None] = {}

    def add(helper: Helper) -> None:
        names = vars(sys.modules[helper.__module__])
        used = {node.id for node in ast.walk(_tree(helper)) if isinstance(node, ast.Name)}
        for other in (names[name] for name in sorted(used & names.keys())):
            if other is not helper and str(getattr(other, "__module__", "")).startswith(_ROOM):
                add(other)
        done.setdefault(helper)

    for helper in helpers:
        add(helper)
    return iter(done)


_ROOM = f"{__package__}.helpers"


def _tree(helper: Helper) -> ast.AST:
    return ast.parse(textwrap.dedent(inspect.getsource(helper)))


def _title(name: str, title: str, weights: str) -> list[str]:
    lines = _wrapped(f'"""{shown(name)}: the Caffe net of that name as a PyTorch module.', "")
    lines += ["", MARK]
    if weights:
        load = "torch.load({}, weights_only=True)" if weights.endswith(".pth") else "load_file({})"
        says = "" if weights.endswith(".pth") else ", with load_file from safetensors.torch"
        lines[-1] += f" Its weights{says}:"
        loads = f"model.load_state_dict({load.format(_in_docstring(weights))})"
        lines += ["", f"    model = {title}()", f"    {loads}"]
    return [*lines, '"""']


def _in_docstring(text: str) -> str:
    """A string in a docstring, where its backslashes count twice."""
    return quoted(text).replace("\\", "\\\\")


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _imports(body: str) -> list[str]:
    names = {node.id for node in ast.walk(ast.parse(body)) if isinstance(node, ast.Name)}
    from_torch = sorted({"Tensor", "nn"} & names)
    return [*(["import torch"] if "torch" in names else []), f"from torch import {', '.join(from_torch)}"]


def _about(plan: Plan) -> list[str]:
    """The class's docstring: what goes in and what comes out."""
    net = plan.net
    sides = [
        ", ".join(_described(net, value) for value in values)
        for values in (net.graph.inputs, net.graph.outputs)
    ]
    return [*_wrapped(f'"""{sides[0] or "Nothing"} to {sides[1]}."""', "    ")]


def _described(net: Network, value: Value) -> str:
    return f"{shown(value.blob)} {tuple(net.shapes[value])}".replace("\\", "\\\\")


def _init(lines: Sequence[Line]) -> list[str]:
    made = [f"self.{line.attribute} = {line.part.make}{_comment(line)}" for line in lines if line.makes]
    if not made:
        return []
    head = ["    def __init__(self) -> None:", f"{_INDENT}super().__init__()"]
    return [*head, *(each for line in made for each in broken(line, _INDENT)), ""]


def _comment(line: Line) -> str:
    """The layer's own name where the attribute is another, and that of a Scale in it."""
    own, *taken = line.names
    said = [shown(own)] if own != line.attribute else []
    said += [f"with {shown(name)}" for name in taken]
    return f"  # {' '.join(said)}" if said else ""


def _forward(plan: Plan) -> tuple[list[str], list[tuple[Value | None, ...]]]:
    """The method's lines, and what each of its statements sets."""
    graph, variables = plan.net.graph, plan.variables
    statements = [(text, line, sets) for line in plan.lines for text, sets in line.statements()]
    lines = [f"{text}{_functional(line)}" for text, line, _ in statements]
    if len(graph.outputs) == 1:
        lines[-1], end = _with_type(plan, lines[-1])
    else:
        pairs = (f"{quoted(value.blob)}: {variables[value]}" for value in graph.outputs)
        end = f"return {{{', '.join(pairs)}}}"
    takes = "".join(f", {variables[value]}: Tensor" for value in graph.inputs)
    gives = "Tensor" if len(graph.outputs) == 1 else "dict[str, Tensor]"
    head = broken(f"def forward(self{takes}) -> {gives}:", "    ")
    body = [each for line in (*lines, end) for each in broken(line, _INDENT)]
    return [*head, f'{_INDENT}"""Run the layers."""', *body], [sets for _, _, sets in statements]


def _functional(line: Line) -> str:
    """The name of a layer that ``__init__`` has no line of, where no variable shows it."""
    if line.makes or line.names[0] in line.variables or line.names[0] == line.attribute:
        return ""
    return f"  # {shown(line.names[0])}"


def _with_type(plan: Plan, last: str) -> tuple[str, str]:
    """The last statement with its type said, for a module's call has none, and what is returned."""
    (value,) = plan.net.graph.outputs
    name = plan.variables[value]
    target, _, call = last.partition(" = ")
    if target != name:  # one of several tops
        return last, f"return {name}"
    if list(plan.variables.values()).count(name) > 1:
        name = identifier("out", {*plan.variables.values(), *VARIABLES})
    return f"{name}: Tensor = {call}", f"return {name}"


def _state(lines: Sequence[Line]) -> dict[str, Tensor]:
    return {
        f"{line.attribute}.{entry}" if entry else line.attribute: tensor.detach()
        for line in lines
        if line.makes
        for entry, tensor in line.part.state.items()
    }
