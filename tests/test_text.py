"""Reading prototxts: what the web did to them, errors that say where, and the way back to text."""

import csv
import time
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from hypothesis import example, given, settings
from hypothesis import strategies as st

from prototxt.caffe_pb2 import LayerParameter, NetParameter, PoolingParameter, SolverParameter
from prototxt.clean import BLANKS, clean, describe
from prototxt.encoding import read_text
from prototxt.errors import InputError
from prototxt.lenient import lenient
from prototxt.text import locate, parse, read_net, read_solver, to_text
from zoo.cli import main

DATA = Path(__file__).parent / "data"
SHARED = Path(__file__).parents[2] / "shared"

SOLVER = """net: "allconv6.prototxt" test_iter: 15 test_interval: 100 base_lr: 0.01 lr_policy: "step"
stepsize: 10000 gamma: 0.1 momentum: 0.9 weight_decay: 0.005 display: 100 max_iter: 100000
snapshot: 10000 snapshot_prefix: "models/allconv6_" solver_mode: GPU"""


def net(text: str) -> NetParameter:
    """A net from text that needs no warning."""
    return parse(text, NetParameter, "f", pytest.fail)


def solver(text: str) -> SolverParameter:
    return parse(text, SolverParameter, "f", pytest.fail)


def error(text: str, kind: type[Message] = NetParameter) -> str:
    """The one line that a wrong text is refused with."""
    with pytest.raises(InputError) as caught:
        parse(text, kind, "f", lambda line: None)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def cleaned(text: str) -> str:
    result = clean(text).text
    assert len(result) == len(text)
    return result


# What the web did to it.


def test_the_pasted_article_is_the_article() -> None:
    warnings: list[str] = []
    pasted = read_net(DATA / "article_pasted.prototxt", warnings.append)
    assert pasted == read_net(DATA / "article_pasted_clean.prototxt", pytest.fail)
    assert len(pasted.layer) == 18
    assert pasted.layer[12].dropout_param.dropout_ratio == 0.5
    assert len(warnings) == 1
    assert "1 byte-order mark" in warnings[0]
    assert "characters outside strings taken as blanks, quotes or punctuation (" in warnings[0]


@pytest.mark.parametrize(
    "damage", ["\ufeff", "\r\n", "? ?", "\u00a0", "\u3000", "\u200b", "\u202f", "“", "”", "："]
)
def test_the_pasted_article_holds_every_damage(damage: str) -> None:
    assert damage.encode() in (DATA / "article_pasted.prototxt").read_bytes()


def test_a_pasted_solver() -> None:
    warnings: list[str] = []
    assert read_solver(DATA / "article_pasted_solver.prototxt", warnings.append) == solver(SOLVER)
    assert len(warnings) == 1


def test_the_warning_counts_by_kind() -> None:
    text = "\ufeff? ?name:\u00a0“a”\n"
    counts = clean(text).counts
    expected = "2 '?', 2 typographic quotes, 1 byte-order mark, 1 no-break space"
    assert describe("f", counts) == f"f: 6 characters outside strings taken as blanks or quotes ({expected})"
    assert describe("f", clean("a:\u00a01").counts).startswith("f: 1 character outside")


@pytest.mark.parametrize(
    "blank", "?？\u00a0\u1680\u2000\u200a\u202f\u205f\u3000\u200b\u200d\u200f\u2060\ufeff\u00ad\ufffd"
)
def test_a_blank_in_disguise(blank: str) -> None:
    text = f'{blank}name{blank}:{blank}"a{blank}b"{blank}'
    assert cleaned(text) == f' name : "a{blank}b" '
    assert clean(text).counts.total() == 4


@pytest.mark.parametrize("opening", '"“”„‟＂')
@pytest.mark.parametrize("closing", '"“”„‟＂')
def test_double_quotes(opening: str, closing: str) -> None:
    assert net(cleaned(f"name: {opening}it's a{closing}")).name == "it's a"


@pytest.mark.parametrize("opening", "'‘’‚‛＇")
@pytest.mark.parametrize("closing", "'‘’‚‛＇")
def test_single_quotes(opening: str, closing: str) -> None:
    assert net(cleaned(f'name: {opening}a"b?{closing}')).name == 'a"b?'


def test_strings_keep_what_they_hold() -> None:
    text = 'name: "a\u3000？“b”：｛#\u200b" # “ ? \u00a0'
    assert clean(text) == (text, {})
    assert net(text).name == "a\u3000？“b”：｛#\u200b"


def test_an_escaped_quote_closes_nothing() -> None:
    assert net(r'name: "a\"b”"').name == 'a"b”'
    assert net(cleaned(r"name: “a\”b”")).name == 'a"b'
    assert net(cleaned("name: “a\\\\”")).name == "a\\"


def test_a_quote_ends_on_its_line() -> None:
    assert cleaned('name: "a”\ntype: "b"') == 'name: "a"\ntype: "b"'
    assert error("name: “a\ninput: “b”") == 'f:1:7: this string has no closing " on its line'


def test_full_width_punctuation() -> None:
    text = "layer ｛ name： “a”； loss_weight: ［1，2］ ｝ ＃ “"
    layer = net(cleaned(text)).layer[0]
    assert (layer.name, layer.loss_weight) == ("a", [1, 2])


def test_comments_may_hold_anything() -> None:
    assert clean("# it's “a ? \u3000\nname: 'b'").counts.total() == 0
    assert net("# it's \"a { ? \u3000\nname: 'b' # {").name == "b"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends(end: str) -> None:
    text = f'# c{end}layer {{{end}name: "a"{end}}}{end}'
    assert net(text).layer[0].name == "a"
    assert error(text + "x: 1").startswith("f:5:1: ")


# What is wrong with it, and where.

ERRORS = [
    (
        'name: "n"\nlayer { name: "c" }\nlayer {\n  name: "conv1"\n  convolution_param { kernal_size: 3 } }',
        'f:5:23: NetParameter layer[1] "conv1" convolution_param: no field "kernal_size"'
        ' in ConvolutionParameter; did you mean "kernel_size"?',
    ),
    (
        'layer { Name: "a" }',
        'f:1:9: NetParameter layer[0]: no field "Name" in LayerParameter; did you mean "name"?',
    ),
    ("layer { num_output: 3 }", "it belongs in convolution_param or inner_product_param or"),
    ('layer { type: "InnerProduct" num_output: 3 }', "it belongs in inner_product_param"),
    ("layer { convolution_param { lr_mult: 3 } }", "it belongs in param"),
    ('layer { convolution_param { bottom: "a" } }', "it belongs outside, in layer"),
    (
        "layer { pooling_param { pool: AVG } }",
        'f:1:31: NetParameter layer[0] pooling_param: pool cannot be "AVG"; did you mean "AVE"?'
        " It takes MAX, AVE, STOCHASTIC",
    ),
    ("layer { pooling_param { pool: 7 } }", 'pool cannot be "7". It takes MAX, AVE, STOCHASTIC'),
    ('layer { pooling_param { pool: "AVE" } }', "pool takes AVE without quotes"),
    ("layers { type: CONVOLUTON }", 'type cannot be "CONVOLUTON"; did you mean "CONVOLUTION"?'),
    ("layer { pooling_param { kernel_size: 3.5 } }", 'takes a whole number from 0 to 4294967295, not "3.5"'),
    ("layer { pooling_param { kernel_size: -3 } }", 'takes a whole number from 0 to 4294967295, not "-3"'),
    ('layer { pooling_param { kernel_size: "3" } }', 'from 0 to 4294967295, not the string "3"'),
    (
        "layer { convolution_param { kernel_size: [3, x] } }",
        "f:1:46: NetParameter layer[0] convolution_param: kernel",
    ),
    ("layer { convolution_param { kernel_size: [3 } }", '"," or "]" is expected in this list, not "}"'),
    ("layer { pooling_param { kernel_size 3 } }", '":" is expected after kernel_size, not "3"'),
    (
        "layer { pooling_param { kernel_size { } } }",
        "kernel_size takes a whole number from 0 to 4294967295, not a b",
    ),
    ("layer { pooling_param { kernel_size: } }", "kernel_size has no value; it takes a whole number"),
    ("layer { pooling_param: 3 }", 'pooling_param is a block, pooling_param { … }; it cannot be "3"'),
    ("input_dim: 9999999999", "input_dim takes a whole number from -2147483648 to 2147483647"),
    ("force_backward: yes", 'force_backward takes true or false, not "yes"'),
    ("name: conv1", 'f:1:7: NetParameter: name takes a string in quotes, not "conv1"'),
    ("name:", "name has no value; it takes a string in quotes"),
    ("name", '":" is expected after name, not the end of the file'),
    ('layer { name: "c"\nname: "d" }', 'f:2:7: NetParameter layer[0] "c": name is given twice'),
    ("layer { relu_param { } relu_param { } }", "f:1:35: NetParameter layer[0]: relu_param is given twice"),
    (
        'layer {\n  name: "c"\n  relu_param {\n  }\n',
        'f:5:1: layer "c", opened with "{" in line 1, is not closed',
    ),
    ('layer { name: "c" } }', "f:1:21: this } closes nothing"),
    ("layer {\n>", 'f:2:1: > where layer, opened with "{" in line 1, is not closed'),
    ('layer {\n name: "c }', 'f:2:8: this string has no closing " on its line'),
    ("。", 'f:1:1: NetParameter: a field name is expected, not "。"'),
    ("[a.b]: 3", 'unexpected "["'),
    ("layer { clip_param { min: 3 } }", "f: NetParameter: layer[0].clip_param.max is required and not given"),
    ("\n <!DOCTYPE html><p>layer {", "f: is a web page, not a prototxt"),
    (
        'net: "a" base_lr: 1',
        "no field \"net\" in NetParameter; this looks like a solver's text; a net's is expected here",
    ),
]


@pytest.mark.parametrize(("text", "message"), ERRORS)
def test_an_error_says_what_and_where(text: str, message: str) -> None:
    said = error(text)
    assert message in said
    assert said.startswith("f:")


def test_a_net_where_a_solver_is_expected() -> None:
    assert "this looks like a net's text" in error('name: "a" layer { }', SolverParameter)


def test_positions_are_those_of_the_file() -> None:
    assert error("layer {\r\n? ?x： “\u3000”\r\n}").startswith("f:2:4: NetParameter layer[0]: no field")


def test_deep_nesting_is_refused_quickly() -> None:
    started = time.process_time()  # not the clock, on which other processes count
    assert error("\n".join(["layer {"] * 10_000)) == "f:101:7: blocks are nested deeper than 100 levels"
    assert error("a<" * 10_000).endswith("deeper than 100 levels")
    assert time.process_time() - started < 1


def test_a_hundred_levels_are_not_too_deep() -> None:
    assert "no field" in error("layer {" * 100 + "}" * 100)


# Files.


def refused(tmp_path: Path, data: bytes) -> str:
    file = tmp_path / "a.prototxt"
    file.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_net(file)
    return str(caught.value).removeprefix(str(file))


def test_files_that_are_no_prototxt(tmp_path: Path) -> None:
    weights = NetParameter(layer=[LayerParameter(name="a")])
    weights.layer[0].blobs.add().data.extend([0.0, 1.5])
    assert (
        refused(tmp_path, weights.SerializeToString())
        == ": is binary, and not a prototxt; weights are given with --weights"
    )
    assert (
        refused(tmp_path, b'name: "\xb0"\n\xb0')
        == ":2:1: the byte 0xb0, outside strings and comments, is not UTF-8; save the file as UTF-8"
    )
    assert refused(tmp_path, "name: 'a'".encode("utf-16-le")).startswith(
        ": is in UTF-16 without a byte-order"
    )
    assert refused(tmp_path, "name: 'a'".encode("utf-16-be")).startswith(
        ": is in UTF-16 without a byte-order"
    )
    assert refused(tmp_path, "name: 'a'".encode("utf-32")) == ": is in UTF-32; save the file as UTF-8"
    assert refused(tmp_path, b"\xff\xfea").startswith(":1: byte 2 (0x61) is not UTF-16")
    assert refused(tmp_path, b"<HTML>") == ": is a web page, not a prototxt; save the file itself"
    assert refused(tmp_path, b"\n# nothing\n") == ": is empty"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path, message in (
        (tmp_path, "is a folder"),
        (tmp_path / "no", "no such file"),
        ("a\0b", "cannot be read"),
    ):
        with pytest.raises(InputError, match=message):
            read_text(path)


def test_utf16_with_a_mark(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes('name: "卷积"'.encode("utf-16"))
    assert read_net(tmp_path / "a", pytest.fail).name == "卷积"


def test_the_default_warning_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    parse("name:?'a'", NetParameter, "f")
    written = capsys.readouterr()
    assert written.err == "f: 1 character outside strings taken as blanks or quotes (1 '?')\n"
    assert written.out == ""


# Fields that the schema lacks.

LACKING = """name: "n" weird: 3 odd { a { b: "}" } c: [1, { x: 2 }] } input: 'x'
layer: [{ name: "a" hm < k: 1 > }, { name: "b" pooling_param {
  pool: AVE strange: "a" # {
    'b' why: FOO; kernel_size: 2 } }] end: -1
"""


def test_unknown_fields_are_refused() -> None:
    assert error(LACKING).startswith('f:1:11: NetParameter: no field "weird"')


def test_unknown_fields_are_left_out_where_that_is_asked_for() -> None:
    said: list[str] = []
    with lenient():
        read = parse(LACKING, NetParameter, "f", said.append)
    plain = """name: "n" input: "x" layer { name: "a" }
        layer { name: "b" pooling_param { pool: AVE kernel_size: 2 } }"""
    assert read == net(plain)
    assert said == [
        f'f:{line}: the field "{field}" of {kind} is unknown and left out'
        for line, field, kind in [
            (1, "weird", "NetParameter"),
            (1, "odd", "NetParameter"),
            (2, "hm", "LayerParameter"),
            (3, "strange", "PoolingParameter"),
            (4, "why", "PoolingParameter"),
            (4, "end", "NetParameter"),
        ]
    ]


def test_leniency_ends_with_its_block_and_keeps_every_place() -> None:
    with lenient(), pytest.raises(InputError, match=r"^f:1:26: NetParameter: input_dim takes"):
        parse("who: [1, 2 ] \tinput_dim: x", NetParameter, "f", lambda line: None)
    with lenient(False):
        assert "no field" in error("who: 1")
    assert "no field" in error("who: 1")


@pytest.mark.parametrize("command", ["upgrade", "show"])
def test_the_command_line_is_lenient_where_it_is_told(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "net.prototxt"
    file.write_text('name: "n" weird: 3\nlayer { name: "r" type: "ReLU" odd { } }')
    assert main([command, str(file)]) == 2
    assert 'no field "weird"' in capsys.readouterr().err
    assert main([command, str(file), "--lenient"]) == 0
    printed = capsys.readouterr()
    assert 'type: "ReLU"' in printed.out and "weird" not in printed.out
    assert [line.partition(": the field ")[0] for line in printed.err.splitlines()] == [
        f"{file}:1",
        f"{file}:2",
    ]


# Syntax that protobuf has and few people write.


def test_rare_syntax() -> None:
    read = solver(
        "test_interval:100;max_iter:0x10,base_lr:1e-3f display: 010 gamma: inf power:-.5 net:'a' \"b\""
    )
    assert (read.test_interval, read.max_iter, read.display, read.net) == (100, 16, 8, "ab")
    assert (round(read.base_lr, 9), read.gamma, read.power) == (0.001, float("inf"), -0.5)
    assert solver("gamma: nan").gamma != solver("gamma: nan").gamma
    assert [layer.name for layer in net('layer: { name: "a" } layer < name: "b" >').layer] == ["a", "b"]
    assert [layer.name for layer in net('layer: [{ name: "a" }, { name: "b" }]').layer] == ["a", "b"]


@pytest.mark.parametrize("minus", ["-", "- ", "-  ", "-\n ", "-\t"])
def test_blanks_behind_a_minus(minus: str) -> None:
    text = f"layer {{ loss_weight: {minus}1.5 loss_weight: [{minus}2,{minus}.5] }} layer {{ x: 1 }}"
    layer = net(text[: text.index(" layer { x")]).layer[0]
    assert layer.loss_weight == [-1.5, -2, -0.5]
    assert error(text).startswith(f"f:{1 + 3 * minus.count(chr(10))}:") and "no field" in error(text)
    assert net('name: "a - 1" # - 1').name == "a - 1"


def test_an_error_in_a_list_of_blocks_names_the_right_one() -> None:
    assert 'layer[1] "b": no field' in error('layer: [{ name: "a" }, { name: "b" x: 1 }]')


def test_older_syntax_is_left_as_it_is() -> None:
    old = net('layers { layer { name: "a" type: "conv" kernelsize: 3 } } layers { type: RELU }')
    assert (old.layers[0].layer.kernelsize, len(old.layer)) == (3, 0)


def test_locate() -> None:
    text = '# layer { name: "b" }\nlayer { name: "a" }\nlayers {\n layer { name: "b" } }\n'
    text += '?layer { name: “c” }\nlayer { name: "c" }'
    assert [locate(text, name) for name in "abcd"] == [2, 3, 5, None]
    assert locate('layer { param { name: "a" } }', "a") is None


# And back.


def test_text_is_as_caffes_users_know_it() -> None:
    layer = LayerParameter(name="卷积", loss_weight=[0.01, 1e-8])
    layer.pooling_param.pool = PoolingParameter.AVE
    written = """layer {
  name: "卷积"
  loss_weight: 0.01
  loss_weight: 1e-08
  pooling_param {
    pool: AVE
  }
}
"""
    assert to_text(NetParameter(layer=[layer])) == written


def scalars(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    if field.enum_type:
        return st.sampled_from([value.number for value in field.enum_type.values])
    strategies: dict[int, st.SearchStrategy[Any]] = {
        FieldDescriptor.CPPTYPE_INT32: st.integers(-(2**31), 2**31 - 1),
        FieldDescriptor.CPPTYPE_UINT32: st.integers(0, 2**32 - 1),
        FieldDescriptor.CPPTYPE_INT64: st.integers(-(2**63), 2**63 - 1),
        FieldDescriptor.CPPTYPE_FLOAT: st.floats(width=32, allow_nan=False),
        FieldDescriptor.CPPTYPE_DOUBLE: st.floats(allow_nan=False),
        FieldDescriptor.CPPTYPE_BOOL: st.booleans(),
        FieldDescriptor.CPPTYPE_STRING: st.binary() if field.type == field.TYPE_BYTES else st.text(),
    }
    return strategies[field.cpp_type]


@st.composite
def contents(draw: st.DrawFn, kind: Descriptor, depth: int = 3) -> dict[str, Any]:
    """Arguments that make any message of a type."""
    fields = draw(
        st.lists(st.sampled_from(list(kind.fields)), max_size=4, unique_by=lambda field: field.number)
    )
    made = {}
    for field in {
        field.name: field for field in [*fields, *(f for f in kind.fields if f.is_required)]
    }.values():
        if field.message_type and not depth:
            continue
        value = contents(field.message_type, depth - 1) if field.message_type else scalars(field)
        made[field.name] = draw(st.lists(value, max_size=3) if field.is_repeated else value)
    return made


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_message_survives_its_text(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from([NetParameter, SolverParameter]))
    message = kind(**data.draw(contents(kind.DESCRIPTOR)))
    assert parse(to_text(message), kind, "f", lambda line: None) == message


NET = (DATA / "article_pasted_clean.prototxt").read_text().split("\n", 1)[1][:1500].rsplit("layer {", 1)[0]
INVISIBLE = [*BLANKS, "\u2003", "\u1680", "\u200b", "\u2060", "\u00ad"]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, NET.count(" ") - 1), st.sampled_from(INVISIBLE)), max_size=40))
def test_damage_outside_strings_changes_nothing_and_is_counted(damage: list[tuple[int, str]]) -> None:
    parts = NET.split(" ")
    for index, odd in damage:
        parts[index] += odd
    text = " ".join(parts)
    warnings: list[str] = []
    assert parse(text, NetParameter, "f", warnings.append) == net(NET)
    assert clean(text).counts.total() == len(damage)
    assert [line.split()[1] for line in warnings] == ([str(len(damage))] if damage else [])


FRAGMENTS = st.lists(
    st.sampled_from(
        [
            *"{}<>[]:,;\"'#\\?\n\r \u3000“”‘",
            *("layer", "name", "pool", "type", "3", "-1.5", "1e9", "0x1g", "AVE"),
            "pooling_param",
            '"a"',
            "\0",
        ]
    ),
    max_size=30,
).map(" ".join)


@settings(max_examples=400, deadline=None)
@example("name: \ud800")
@example('name: "\ud800"')
@example("input_dim: " + "9" * 5000)
@given(st.text() | FRAGMENTS)
def test_any_text_is_read_or_refused(text: str) -> None:
    for kind, wanted in product((NetParameter, SolverParameter), (False, True)):
        try:
            with lenient(wanted):
                parse(text, kind, "f", lambda line: None)
        except InputError as refusal:
            assert str(refusal).startswith("f:") and "\n" not in str(refusal)


@settings(max_examples=100, deadline=None)
@given(st.binary())
def test_any_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any"
    file.write_bytes(data)
    try:
        read_net(file, lambda line: None)
    except InputError as refusal:
        assert str(refusal).startswith(f"{file}:")


# Real files.


def corpus() -> list[dict[str, str]]:
    with (SHARED / "corpus" / "manifest.tsv").open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines, delimiter="\t"))


def read_row(row: dict[str, str]) -> Message:
    """A corpus file as what it is; some solvers hold their net."""
    read = read_solver if "solver" in row["kind"] else read_net
    return read(SHARED / "corpus" / row["file"], lambda line: None)


# Of the corpus' files the one that no fork's parser reads, and why.
BROKEN = {
    "chuanqi305__MobileNet-SSD/template__MobileNetSSD_train_template.prototxt": "a template: num_output: cls3x",
}


def test_every_real_file_reads_and_survives() -> None:
    if not (SHARED / "corpus").is_dir():
        pytest.skip("the corpus of real prototxts is not beside this checkout")
    rows = [row for row in corpus() if row["file"] not in BROKEN]
    assert len(rows) == 377
    for row in rows:
        message = read_row(row)
        assert parse(to_text(message), type(message), row["file"], lambda line: None) == message
