"""A net as the text of a Python file."""

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from converters.export.source.layout import WIDTH, broken
from converters.export.source.names import VARIABLES, quoted, shown, unused
from converters.export.source.part import Helper
from converters.export.source.plan import plan_of
from converters.export.source.rules import load_rules
from converters.export.source.scopes import Scope, Sets, Statement, classes_of
from converters.network import Network

MARK = "Written by zoo convert."
_INDENT = " " * 8
_ROOM = f"{__package__}.helpers"


@dataclass(frozen=True)
class Source:
    """A file's text, the names of its classes, the net's last, what ``load_state_dict`` takes, and what the
    statements of their ``forward`` set, by the module's path and the statement's number: the values in order,
    None for one that nobody reads.
    """

    text: str
    classes: Sequence[str]
    state: Mapping[str, Tensor]
    sets: Mapping[tuple[str, int], Sets]

    @property
    def name(self) -> str:
        """The net's class."""
        return self.classes[-1]


def source_of(net: Network, name: str = "", weights: str = "") -> Source:
    """The source of a deployed net (:func:`converters.export.onnx_file.deploy_net`). ``name`` is the net's,
    its own if it is not given, ``weights`` the file that has its state. Raises InputError, naming the layer,
    for one that no rule writes.
    """
    load_rules()
    taken = _helper_names()
    name = name or net.graph.name or "Net"
    classes = classes_of(plan_of(net, taken), name, {*taken, *VARIABLES})
    names = [scope.name for scope in classes.scopes]
    texts = [inspect.getsource(helper).rstrip() for helper in _with_those_below(classes.helpers)]
    body = "\n\n\n".join([*texts, *("\n".join(_class(scope)) for scope in classes.scopes)])
    text = "\n".join([*_title(name, names[-1], weights), "", *_imports(body), "", "", body, ""])
    return Source(text, names, classes.state, classes.sets)


def _helper_names() -> set[str]:
    """The names that a file's classes and variables leave to helpers: every helper's."""
    rooms = [module for name, module in sys.modules.items() if name.startswith(f"{_ROOM}.")]
    return {name for room in rooms for name, each in vars(room).items() if _is_helper(each)}


def _is_helper(each: object) -> bool:
    return callable(each) and str(getattr(each, "__module__", "")).startswith(_ROOM)


def _with_those_below(helpers: Iterable[Helper]) -> list[Helper]:
    """Each helper once, behind those that it uses."""
    done: dict[Helper, None] = {}

    def add(helper: Helper) -> None:
        names = vars(sys.modules[helper.__module__])
        tree = ast.parse(textwrap.dedent(inspect.getsource(helper)))
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        for other in (names[name] for name in sorted(used & names.keys())):
            if other is not helper and _is_helper(other):
                add(other)
        done.setdefault(helper)

    for helper in helpers:
        add(helper)
    return list(done)


def _title(name: str, title: str, weights: str) -> list[str]:
    said = f"{_in_docstring(shown(name))}: the Caffe net of that name as a PyTorch module."
    lines = _wrapped(f'"""{_apart(said)}', "")
    lines += ["", MARK]
    if weights:
        load = "torch.load({}, weights_only=True)" if weights.endswith(".pth") else "load_file({})"
        says = "" if weights.endswith(".pth") else ", with load_file from safetensors.torch"
        lines[-1] += f" Its weights{says}:"
        loads = f"model.load_state_dict({load.format(_in_docstring(quoted(weights)))})"
        lines += ["", f"    model = {title}()", f"    {loads}"]
    return [*lines, '"""']


def _apart(text: str) -> str:
    """A text that may stand behind a docstring's quotes."""
    return f" {text}" if text.startswith('"') else text


def _in_docstring(text: str) -> str:
    """A text in a docstring, where its backslashes count twice."""
    return text.replace("\\", "\\\\")


def _wrapped(text: str, indent: str) -> list[str]:
    wrapper = textwrap.TextWrapper(
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return wrapper.wrap(text)


def _imports(body: str) -> list[str]:
    names = {node.id for node in ast.walk(ast.parse(body)) if isinstance(node, ast.Name)}
    from_torch = sorted({"Tensor", "nn"} & names)
    return [*(["import torch"] if "torch" in names else []), f"from torch import {', '.join(from_torch)}"]


def _class(scope: Scope) -> list[str]:
    head = _wrapped(f'"""{_apart(scope.about)}"""', "    ")
    if len(head) > 1:
        head[-1] = head[-1].removesuffix('"""')
        head.append('    """')
    return [f"class {scope.name}(nn.Module):", *head, "", *_init(scope), *_forward(scope)]


def _init(scope: Scope) -> list[str]:
    if not scope.made:
        return []
    takes = "".join(f", {name}: {kind}" for name, kind in scope.parameters.items())
    head = [*broken(f"def __init__(self{takes}) -> None:", "    "), f"{_INDENT}super().__init__()"]
    return [*head, *(each for line in scope.made for each in broken(str(line), _INDENT)), ""]


def _forward(scope: Scope) -> list[str]:
    lines, end = list(map(str, scope.does)), f"return {scope.gives}"
    if isinstance(scope.gives, dict):
        end = f"return {{{', '.join(f'{blob}: {name}' for blob, name in scope.gives.items())}}}"
    else:
        lines[-1], end = _with_type(scope, scope.does[-1])
    takes = "".join(f", {name}: Tensor" for name in scope.takes)
    gives = "dict[str, Tensor]" if isinstance(scope.gives, dict) else "Tensor"
    head = broken(f"def forward(self{takes}) -> {gives}:", "    ")
    body = [each for line in (*lines, end) for each in broken(line, _INDENT)]
    return [*head, f'{_INDENT}"""Run the layers."""', *body]


def _with_type(scope: Scope, last: Statement) -> tuple[str, str]:
    """The last statement with its type said, for a module's call has none, and what is returned."""
    name, before = str(scope.gives), {*scope.takes, *(each.target for each in scope.does[:-1])}
    if last.target != name:  # one of several tops
        return str(last), f"return {name}"
    if name in before:
        name = unused("out", {*before, *VARIABLES})
    return str(Statement(f"{name}: Tensor", last.text, last.comment)), f"return {name}"
