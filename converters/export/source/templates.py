"""What instances of a block have in common: names, and the numbers in which they differ as parameters."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from converters.export.source.names import ATTRIBUTES, VARIABLES, identifier
from converters.export.source.part import Part
from converters.export.source.plan import UNREAD, Line
from converters.graph import Value

NUMBER = re.compile(r"(?<![\w.\"])-?\d+(?:\.\d*)?(?:e-?\d+)?(?![\w\"])")
_STRIDE = re.compile(r", stride=\d+")
_KERNEL = re.compile(r"(kernel_size=(?:\d+|\([\d, ]+\)))(?!, stride=)")
_SEPARATORS = re.compile(r"[^A-Za-z0-9]+")


def pattern(make: str) -> str:
    """What has to be equal in modules that are alike: all but numbers, and a convolution's stride, which is
    not said where it is 1.
    """
    return NUMBER.sub("#", _STRIDE.sub("", make) if make.startswith("nn.Conv") else make)


@dataclass(frozen=True)
class Template:
    """A block's class: a name for it, what its lines are made of, their attributes and what they are in it,
    its variables by those of the first instance, its parameters with their types, and of each instance a name
    and the parameters' values.
    """

    name: str
    makes: Sequence[str]
    attributes: Sequence[str]
    parts: Sequence[Part]
    variables: dict[str, str]
    parameters: dict[str, str]
    members: Sequence[str]
    values: Sequence[Sequence[str]]


def template_of(instances: Sequence[Sequence[Line]], entry: Value) -> Template | None:
    """The template of instances that are alike, of which the first reads ``entry``. None where the layers'
    names have too little in common to call them by in a class.
    """
    rows = list(zip(*instances, strict=True))
    taken = set(ATTRIBUTES)
    attributes = []
    members = _members(instances)
    shared = [_own(row, members) for row in rows]
    told = [name for name, row in zip(shared, rows, strict=True) if row[0].makes]
    if not all(told) or len(set(told)) < len(told):
        return None
    for row, name in zip(rows, shared, strict=True):
        own = identifier(name, taken, usual=_usual(row[0]))
        taken.add(own)
        attributes.append(own)
    variables = _variables(rows, members, entry)
    makes, parameters, values = _numbers(rows, attributes)
    parts = [
        line.part_as(f"self.{own}", [variables[name] for name in line.call.bottoms])
        for line, own in zip(instances[0], attributes, strict=True)
    ]
    name = re.sub(r"\d+$", "", in_common(members)) or "Block"
    return Template(name, makes, attributes, parts, variables, parameters, members, values)


def _usual(line: Line) -> str:
    """What a layer is called whose own name says nothing."""
    kind = re.match(r"(?:nn\.)?([A-Za-z]+)", line.part.make)
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind[1]).lower() if kind else "layer"


def _own(row: Sequence[Line], members: Sequence[str]) -> str:
    """What a line is called in a class: what its layers' names have in common, behind their instances'."""
    names = [line.names[0] for line in row]
    return in_common([rest_of(name, member) for name, member in zip(names, members, strict=True)])


def rest_of(name: str, member: str) -> str:
    """What is left of a layer's name behind its instance's; the name where that is nothing."""
    return name[len(member) :].strip("/_.- ") or name if name.startswith(member) else name


def in_common(names: Sequence[str]) -> str:
    """What names have in common, word by word: ``res_branch2a`` of res2a_branch2a and res3b_branch2a."""
    split = [_words(name) for name in names]
    if len({len(words) for words in split}) != 1:
        return ""
    kept = [_letters(words) for words in zip(*split, strict=True)]
    return "_".join(word for word in kept if word)


def _letters(words: Sequence[str]) -> str:
    """A word that is the same in all, else the letters that all begin with."""
    if len(set(words)) == 1:
        return words[0]
    heads = {re.match(r"[A-Za-z]*", word)[0] for word in words}  # type: ignore[index]
    return heads.pop() if len(heads) == 1 else ""


def _variables(rows: Sequence[tuple[Line, ...]], members: Sequence[str], entry: Value) -> dict[str, str]:
    """The first instance's variables as they are called in the class: its bottom ``x``."""
    bottoms = (pair for line, *_ in rows for pair in zip(line.node.inputs, line.call.bottoms, strict=True))
    names, taken = {dict(bottoms)[entry]: "x", UNREAD: UNREAD}, {*VARIABLES, "x"}
    own = [identifier(member, set(), lower=True) for member in members]
    for row in rows:
        for at, name in enumerate(row[0].variables):
            if name not in names:
                names[name] = identifier(_common_top(row, at, own), taken, lower=True, usual="y")
                taken.add(names[name])
    return names


def _common_top(row: Sequence[Line], at: int, members: Sequence[str]) -> str:
    """What the variables of a top have in common, behind their instances' names."""
    tops = [line.variables[at] for line in row]
    rests = [top.removeprefix(f"{member}_") for top, member in zip(tops, members, strict=True)]
    return in_common(rests) or in_common(tops)


def _numbers(
    rows: Sequence[tuple[Line, ...]], attributes: Sequence[str]
) -> tuple[list[str], dict[str, str], list[list[str]]]:
    """Each line's ``make`` with parameters for the numbers that differ, these with their types, and their
    values in each instance.
    """
    known: dict[tuple[str, ...], str] = {}
    makes: list[str] = []
    for row, own in zip(rows, attributes, strict=True):
        texts = _all_told([line.part.make for line in row])
        columns = list(zip(*(NUMBER.findall(text) for text in texts), strict=True))
        for at, column in enumerate(columns):
            if len(set(column)) > 1 and column not in known:
                known[column] = _parameter(texts[0], at, own, {*known.values(), *VARIABLES})
        makes.append(_with_names(texts[0], [known.get(column) for column in columns]))
    kinds = ("float" if any(not each.lstrip("-").isdigit() for each in column) else "int" for column in known)
    values = [list(each) for each in zip(*known, strict=True)] or [[] for _ in rows[0]]
    return makes, dict(zip(known.values(), kinds, strict=True)), values


def _all_told(makes: Sequence[str]) -> Sequence[str]:
    """Modules that are alike with the stride of each, where that of one is said."""
    if all(_STRIDE.search(make) is None for make in makes) or not makes[0].startswith("nn.Conv"):
        return makes
    return [_KERNEL.sub(r"\1, stride=1", make) for make in makes]


def _with_names(make: str, names: Sequence[str | None]) -> str:
    """The text with names in place of numbers that have one."""
    rest = iter(names)
    return NUMBER.sub(lambda number: next(rest) or number[0], make)


def _parameter(make: str, at: int, attribute: str, taken: set[str]) -> str:
    """A number's name: its keyword, ``inputs`` of the first, else that of the layer."""
    place = list(NUMBER.finditer(make))[at].start()
    word = re.search(r"(\w+)=\(?$", make[:place])
    name = word[1] if word else "inputs" if at == 0 else attribute
    return identifier(name, taken, True)


def _members(instances: Sequence[Sequence[Line]]) -> list[str]:
    """The instances' names: what their layers' names begin with, as ``inception_3a`` of inception_3a/1x1,
    else ``block`` and in what the names of their first layers differ.
    """
    begins = [_beginning([line.names[0] for line in lines]) for lines in instances]
    if all(begins) and len(set(begins)) == len(begins):
        return begins
    split = [_words(lines[0].names[0]) for lines in instances]
    if len({len(words) for words in split}) != 1:
        return [f"block_{number}" for number in range(1, len(instances) + 1)]
    heads = [_letters(words) for words in zip(*split, strict=True)]
    rests = [[word[len(head) :] for word, head in zip(words, heads, strict=True)] for words in split]
    return ["_".join(["block", *filter(None, rest)]) for rest in rests]


def _words(name: str) -> list[str]:
    return [part for part in _SEPARATORS.split(name) if part]


def _beginning(names: Sequence[str]) -> str:
    """What names begin with, no word cut in two; "" where that tells nothing apart."""
    begins = names[0]
    while not all(_begins(name, begins) for name in names):
        begins = begins[:-1]
    begins = begins.rstrip("/_.- ")
    return begins if any(sign.isdigit() for sign in begins) else ""


def _begins(name: str, begins: str) -> bool:
    rest = name[len(begins) :]
    cuts = begins and rest and rest[0].isalnum() and begins[-1].isalnum()
    return name.startswith(begins) and not cuts
