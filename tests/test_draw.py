"""``zoo draw``: what a picture shows, that names of others stay text in it, and what it looks like to a browser."""

import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from itertools import combinations
from pathlib import Path

import pytest
from chromium import Page, page

from converters.graph import build_graph
from converters.net_state import net_state
from converters.network import Network
from prototxt.text import parse_net
from zoo.cli import main
from zoo.draw.folding import folded
from zoo.draw.picture import Picture, picture_of
from zoo.draw.placing import place
from zoo.draw.words import clipped, columns, visible, wrapped

CORPUS = Path(__file__).parents[2] / "shared" / "corpus"
_DATA = 'name: "small" layer { name: "in" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 9 dim: 9 } } }'


def layer(kind: str, name: str, bottom: str, top: str, more: str = "") -> str:
    bottoms = " ".join(f'bottom: "{blob}"' for blob in bottom.split())
    tops = " ".join(f'top: "{blob}"' for blob in top.split())
    return f'layer {{ name: "{name}" type: "{kind}" {bottoms} {tops} {more} }}'


def conv(name: str, bottom: str, outputs: int = 4) -> str:
    param = f"convolution_param {{ num_output: {outputs} kernel_size: 3 pad: 1 }}"
    return layer("Convolution", name, bottom, name, param)


def picture(text: str) -> Picture:
    graph = build_graph(parse_net(text), net_state("TEST"))
    return picture_of(graph, Network(graph, fill_blobs=None))


def names(drawn: Picture) -> list[list[str]]:
    return [[part.name for part in box.parts] for box in drawn.boxes]


SMALL = "\n".join(
    [
        _DATA,
        conv("conv1", "data"),
        layer("ReLU", "relu1", "conv1", "conv1"),
        layer("Split", "two", "conv1", "a b"),
    ]
)


def test_a_layer_in_place_stands_on_its_blob_and_several_tops_are_boxes() -> None:
    drawn = picture(SMALL)
    assert names(drawn) == [["in"], ["conv1", "relu1"], ["two"], ["a"], ["b"]]
    assert drawn.links == ((0, 1), (1, 2), (2, 3), (2, 4))
    assert [box.exit for box in drawn.boxes] == ["data 2×3×9×9", "2×4×9×9", "", "", ""]
    assert [part.family.key for part in drawn.boxes[1].parts if part.family] == ["convolution", "elementwise"]


def test_numbers_and_costs_are_told_of_a_layer() -> None:
    part = picture(SMALL).boxes[1].parts[0]
    assert part.numbers == ("num_output=4", "kernel=3", "pad=1")
    lines = part.about.splitlines()
    assert lines[1] == "Convolution(num_output=4, kernel=3, pad=1)"
    assert lines[-2:] == [f"parameters {4 * 3 * 3 * 3 + 4}", f"MACs {4 * 3 * 3 * 3 * 9 * 9:,}"]


def test_an_input_that_is_read_far_below_stands_there_once_more() -> None:
    chain = [conv(f"c{n}", f"c{n - 1}" if n else "data") for n in range(10)]
    join = layer("Concat", "join", "c9 data", "join")
    drawn = picture("\n".join([_DATA, *chain, join]))
    assert names(drawn)[-3:] == [["data"], ["join"], ["join"]]
    assert (0, len(drawn.boxes) - 2) not in drawn.links


def block(number: int, bottom: str) -> list[str]:
    sums = layer("Eltwise", f"sum{number}", f"{bottom} b{number}", f"sum{number}")
    return [conv(f"a{number}", bottom), conv(f"b{number}", f"a{number}"), sums]


def test_blocks_alike_are_drawn_once() -> None:
    text = [_DATA, conv("sum0", "data"), *(line for n in (1, 2, 3) for line in block(n, f"sum{n - 1}"))]
    drawn = folded(picture("\n".join([*text, conv("last", "sum3", 5)])))
    assert names(drawn) == [["in"], ["sum0"], ["a1"], ["b1"], ["sum1"], ["last"], ["last"]]
    assert drawn.links == ((0, 1), (1, 2), (2, 3), (1, 4), (3, 4), (4, 5), (5, 6))
    assert drawn.panels == ((2, 4, "× 3, to sum3"),)


@pytest.mark.parametrize("odd", ["two", "other numbers", "read later"])
def test_what_only_looks_alike_is_drawn_whole(odd: str) -> None:
    count = 2 if odd == "two" else 3
    text = [
        _DATA,
        conv("sum0", "data"),
        *(line for n in range(1, count + 1) for line in block(n, f"sum{n - 1}")),
    ]
    if odd == "other numbers":
        text[6] = text[6].replace("kernel_size: 3 pad: 1", "kernel_size: 5 pad: 2")
    if odd == "read later":
        text.append(layer("Eltwise", "late", "sum1 sum3", "late"))
    drawn = picture("\n".join(text))
    assert folded(drawn) is drawn


def _nets() -> list[Path]:
    known = ("MobileNetSSD_deploy", "googlenet__deploy.prototxt", "ResNet-152-deploy", "lstm_im")
    return [path for name in known for path in sorted(CORPUS.rglob(f"*{name}*"))[:1]]


@pytest.mark.skipif(not _nets(), reason="no corpus beside the checkout")
@pytest.mark.parametrize("net", _nets(), ids=lambda path: path.stem[-20:])
def test_nothing_lies_on_anything_else(net: Path) -> None:
    drawn = picture(net.read_text(encoding="utf-8"))
    placing = place(drawn, 100)
    passing = [(at, link) for link, places in placing.links.items() for at in places]
    assert set(placing.links) == set(drawn.links) and len(placing.boxes) == len(drawn.boxes)
    for (x, rank), (other_x, other_rank) in combinations(placing.boxes.values(), 2):
        assert rank != other_rank or abs(x - other_x) >= 99
    for (x, rank), _ in passing:
        near = [abs(x - box_x) for box_x, box_rank in placing.boxes.values() if box_rank == rank]
        assert min(near, default=100) >= 49
    for start, end in drawn.links:  # downwards, through every rank between
        ranks = [
            placing.boxes[start][1],
            *(rank for _, rank in placing.links[start, end]),
            placing.boxes[end][1],
        ]
        assert ranks == list(range(ranks[0], ranks[-1] + 1)) and len(ranks) > 1


HOSTILE = (
    "<script>alert(1)</script>",
    "\\\"'><img src=x onerror=alert(2)>",
    "--> ]]> </title></svg>&amp;{title}%s",
    "a\\nb\\tc\\001\\r",
    "safe\u202etxt.exe\u2066\u200f\ufeff",
    "\U0001f600 卷积层 ﷽ é\u0301",
    "x" * 300,
)


class Elements(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, tuple(name for name, _ in attrs)))


def _hostile(folder: Path) -> Path:
    lines, bottom = [_DATA.replace('"small"', f'"{HOSTILE[0]}"')], "data"
    for number, name in enumerate(HOSTILE):
        top, kernel = name if number % 2 else f"{name}#", "convolution_param { num_output: 2 kernel_size: 1 }"
        wired = f'bottom: "{bottom}" top: "{top}"'
        lines += [f'layer {{ name: "{name}" type: "Convolution" {wired} {kernel} }}']
        lines += [f'layer {{ name: "{name}/relu" type: "ReLU" bottom: "{top}" top: "{top}" }}']
        bottom = top
    path = folder / "hostile.prototxt"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    assert main(["draw", str(_hostile(tmp_path)), "-o", str(tmp_path / "out")]) == 0
    svg, html = sorted((tmp_path / "out").iterdir(), key=lambda path: path.suffix, reverse=True)
    text, markup = html.read_text(encoding="utf-8"), svg.read_text(encoding="utf-8")
    root = ET.fromstring(markup)
    allowed = {"svg", "g", "rect", "path", "text", "title", "style"}
    assert {element.tag.rpartition("}")[2] for element in root.iter()} == allowed
    shown = "\n".join(root.itertext())
    for name in (
        "<script>alert(1)</script>",
        r"a\nb\tc\x01\r",
        r"safe\u202etxt.exe\u2066\u200f\ufeff",
        "卷积层",
    ):
        assert name in shown
    for letter in "\u202e\u2066\u200f\ufeff\x01\r":
        assert letter not in text + markup
    elements = Elements(text).found
    assert [tag for tag, _ in elements].count("script") == 1
    assert not [tag for tag, _ in elements if tag in ("img", "iframe", "object")]
    assert not [name for _, attributes in elements for name in attributes if name.startswith("on")]


def test_words_are_as_wide_as_they_look() -> None:
    assert columns("ab卷积") == 6
    assert clipped("卷积层一二", 6) == "卷积…" and clipped("abc", 3) == "abc"
    assert wrapped(["a=1", "b=2", "c=3"], 9) == ["a=1, b=2", "c=3"]
    assert wrapped(["aaaa", "bbbb", "cccc"], 6, lines=2) == ["aaaa", "bbbb,…"]
    assert visible("caf\udce9") == "café" and visible("a\u2028b") == "a\\u2028b"


def test_a_phase_a_file_and_never_over_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = tmp_path / "small.prototxt"
    net.write_text(SMALL, encoding="utf-8")
    for _ in range(2):  # over a drawing of ours
        assert main(["draw", str(net), "-o", str(tmp_path), "--phase", "TRAIN"]) == 0
    assert capsys.readouterr().out.split()[:2] == [
        f"{tmp_path}/small-train.{kind}" for kind in ("svg", "html")
    ]
    (tmp_path / "small.svg").write_text("<svg/>", encoding="utf-8")
    assert main(["draw", str(net), "-o", str(tmp_path)]) == 2
    assert (tmp_path / "small.svg").read_text(encoding="utf-8") == "<svg/>"
    assert not (tmp_path / "small.html").exists()


def test_a_net_without_shapes_is_drawn_without_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = tmp_path / "code.prototxt"
    code = layer("Python", "code", "data", "out", 'python_param { module: "os" layer: "abort" }')
    net.write_text(f"{SMALL}\n{code}", encoding="utf-8")
    assert main(["draw", str(net), "-o", str(tmp_path)]) == 0
    assert "drawn without shapes, numbers and costs: " in capsys.readouterr().err
    assert "2×3×9×9" not in (tmp_path / "small.svg").read_text(encoding="utf-8")


def test_without_the_library_one_line_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "fast_sugiyama", None)
    assert main(["draw", "allconv6", "-o", str(tmp_path)]) == 2
    assert "needs the package fast-sugiyama: pip install 'caffe-zoo[draw]'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Page:  # type: ignore[misc]
    with page(tmp_path_factory.mktemp("profile")) as found:
        yield found


_SIZES = "[...document.querySelectorAll('svg text')].map(text => parseFloat(getComputedStyle(text).fontSize))"
_OUT = """(() => [...document.querySelectorAll('.box')].filter(box => {
  const frame = box.querySelector('rect').getBoundingClientRect();
  return [...box.querySelectorAll('text')].some(text => {
    const words = text.getBoundingClientRect();
    return words.left < frame.left || words.right > frame.right;
  });
}).length)()"""
_TOUCH = "document.querySelectorAll('.box')[1].dispatchEvent(new MouseEvent('mouseover', {bubbles: true}))"


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_in_a_browser(tab: Page, tmp_path: Path, width: int, scheme: str) -> None:
    assert main(["draw", str(_hostile(tmp_path)), "-o", str(tmp_path / "out")]) == 0
    (html,) = (tmp_path / "out").glob("*.html")
    before = len(tab.requests)
    tab.open(html, width, scheme)
    assert tab.troubles == []
    assert all(address.startswith(("file:", "data:")) for address in tab.requests[before:])
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert min(tab.evaluate(_SIZES)) >= 12 and tab.evaluate(_OUT) == 0
    assert tab.evaluate("document.getElementById('about').textContent") == ""
    tab.evaluate(_TOUCH)
    assert "parameters 8\nMACs 486" in tab.evaluate("document.getElementById('about').innerText")
    dark = (
        tab.evaluate("getComputedStyle(document.querySelector('svg')).backgroundColor") == "rgb(20, 24, 28)"
    )
    assert dark == (scheme == "dark")
