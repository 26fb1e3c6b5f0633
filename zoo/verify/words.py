"""What ``zoo verify`` says: the table of blobs, where an engine differs first, and the verdict."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from converters.graph import Value
from converters.network import Network
from eval.difference import Array, Difference, largest_of
from eval.verdict.held import Held, Verdict, sized
from prototxt.rawbytes import readable
from prototxt.text import locate, to_text
from zoo.terminal.console import table
from zoo.verify.net import Verified

OPENCV = "OpenCV"
RECORDING = "recording"
INDEPENDENT = (OPENCV, RECORDING)  # the others are made of our own reading of the net
_NAMED = 8
_WRONG, _ROUNDING = "  WRONG", "  rounding"


def print_blobs(net: Network, ours: Mapping[Value, Array], verdicts: Sequence[Verdict], name: str) -> None:
    """A row a blob as a layer leaves it, with the largest of our module's values and, for each engine that
    ran, how far it is off: by this layer alone, and so far.
    """
    ran = [verdict for verdict in verdicts if verdict.held]
    held = [{each.value: each for each in verdict.held} for verdict in ran]
    rows = []
    for node in net.graph.nodes:
        for value in node.outputs if not node.is_data else ():
            cells = [node.layer.name, node.layer.type, value.blob, sized(net.shapes[value])]
            rows.append(
                [*cells, f"{largest_of(ours[value]):.4g}", *(_cell(each.get(value)) for each in held)]
            )
    columns = ["layer", "type", "blob", "shape", "largest", *(verdict.engine for verdict in ran)]
    title = f"{name}: differences as a share of the largest value, by the layer alone / since the input"
    table(title, columns, rows, left=4)


def _cell(held: Held | None) -> str:
    if held is None:
        return "-"
    so_far = _short(held.so_far)
    text = f"{_short(held.alone)} / {so_far}" if held.alone else so_far
    return text + (_WRONG if held.is_wrong else _ROUNDING if held.is_rounding else "")


def _short(item: Difference) -> str:
    if not item.compared:
        return "shape"
    return f"{item.relative:.1e}" if item.largest else "0"


def details(it: Verified, ours: Mapping[Value, Array], verdicts: Sequence[Verdict]) -> Iterator[str]:
    """A line an engine: what it has, or why it has nothing; below it the first blob that is wrong. Then what
    these inputs cannot show.
    """
    made = [value for node in it.net.graph.nodes if not node.is_data for value in node.outputs]
    for verdict in verdicts:
        if verdict.held:
            yield _has(it.net, verdict, made)
            yield from _first_wrong(it, verdict)
        else:
            yield f"{verdict.engine}: not compared: {readable(verdict.reason or 'it has none of the blobs')}"
        if verdict.others:
            yield f"  blobs that the net has not: {_names(verdict.others)}"
    if zeros := [value.blob for value in made if not ours[value].any()]:
        yield f"0 everywhere for these inputs, so that they show nothing: {_names(zeros)}"


def _has(net: Network, verdict: Verdict, made: Sequence[Value]) -> str:
    have = {each.value for each in verdict.held}
    kinds = {value: node.layer.type for node in net.graph.nodes for value in node.outputs}
    if verdict.engine == RECORDING:  # which has a blob's last value alone
        last = {value.blob: value for value in made}
        lacks = _names([blob for blob, value in last.items() if value not in have])
        of = f"{len(have)} of {len(last)} blobs, as they are at the end"
    else:
        types = Counter(kinds[value] for value in made if value not in have)
        lacks = ", ".join(f"{count} {kind}" for kind, count in types.items())
        of = f"{len(have)} of {len(made)} blobs"
    alone, so_far = verdict.most
    most = f"at most {alone:.1e} by a layer alone, {so_far:.1e} since the input"
    if all(each.alone is None for each in verdict.held):
        most = f"at most {so_far:.1e} since the input"
    return readable(f"{verdict.engine}: {of}, {most}" + (f"; it lacks: {lacks}" if lacks else ""))


def _first_wrong(it: Verified, verdict: Verdict) -> Iterator[str]:
    wrong, drifted = verdict.wrong, verdict.drifted
    if noise := [each.value.blob for each in verdict.held if each.is_rounding]:
        yield f"  apart by what last places of what is read for them make, and so no fault: {_names(noise)}"
    if wrong is None:
        if drifted:
            yield (
                f"  since the input {drifted.so_far.relative:.1e} at {_named(drifted)}, and no layer alone "
                "differs: rounding that has added up"
            )
        return
    layer = wrong.node.layer
    line = locate(it.file.text, layer.name, layer)
    place = f"{it.file.name}:{line}" if line else it.file.name
    how = wrong.alone or wrong.so_far
    apart = f": {how.relative:.2g} of its largest value {how.scale:.4g}" if how.compared else ""
    yield readable(f"  first wrong: {_named(wrong)}, {place}{apart}")
    if wrong.where:
        yield f"    {wrong.where}"
    message = type(layer)()
    message.CopyFrom(layer)
    for field in ("name", "type", "bottom", "top", "param", "blobs", "include", "exclude"):
        message.ClearField(field)
    if text := " ".join(readable(to_text(message)).split()):
        yield f"    {text}"


def _named(held: Held) -> str:
    return f'blob "{held.value.blob}" of layer "{held.node.layer.name}" ({held.node.layer.type})'


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return readable(", ".join(names[:_NAMED]) + more)


def verdict_line(verdicts: Sequence[Verdict]) -> tuple[str, bool]:
    """The verdict in one line, and whether something agreed with our module and nothing differed."""
    ran = [verdict for verdict in verdicts if verdict.ran]
    wrong = [verdict for verdict in ran if verdict.wrong]
    agree = [verdict.engine for verdict in ran if not verdict.wrong]
    if not ran:
        return "verdict: NOTHING COMPARED: none but our module ran", False
    if wrong:
        first = "; ".join(f"{each.engine} first at {_named(each.wrong)}" for each in wrong if each.wrong)
        others = f"; with our module agree: {', '.join(agree)}" if agree else ""
        return readable(f"verdict: DIFFERENT: {first}{others}"), False
    line = f"verdict: the same: our module, {', '.join(agree)}"
    if not set(agree) & set(INDEPENDENT):
        line += (
            "; of these none reads the net by itself (OpenCV and a --reference do): Caffe may still differ"
        )
    return line, True
