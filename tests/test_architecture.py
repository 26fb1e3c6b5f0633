"""The house: prototxt <- converters <- eval <- zoo, and no import that hides a builtin."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ORDER = ("prototxt", "converters", "eval", "zoo")
TORCH_FREE = {"torch", "onnx", "onnxruntime", "rich"}


def imports(path: Path) -> Iterator[tuple[str, ast.stmt]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield node.module or "", node


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("package", ORDER)
def test_a_package_imports_only_what_stands_before_it(package: str) -> None:
    allowed = ORDER[: ORDER.index(package) + 1]
    for path in sources(package):
        for name, _ in imports(path):
            top = name.split(".")[0]
            assert top not in ORDER or top in allowed, f"{path.name} of {package} imports {name}"


# What a room of layer types is made of.
LAYER = "parts base checks choice data_tops facts registry spec"
# What each room may import of its own package; "" is the package's own modules beside the rooms.
ROOMS = {
    "prototxt": {"binary": "caffe_pb2 errors rawbytes byte_escapes forks"},
    "converters": {
        "host": "",
        "layers": "host filler",
        "weights": "host layers network blobs graph state_names",
        "data": "host layers weights graph net_state",
        "solver": "host layers weights data network load graph blobs dialects steps",
        "export": "host layers data weights network load graph net_state blobs in_place build dialects",
    },
    "converters.layers": {
        "parts": "base checks choice data_tops facts registry spec",
        "elementwise": LAYER,
        "normalising": LAYER,
        "spatial": LAYER,
        "connected": LAYER,
        "arranging": LAYER,
        "judging": LAYER,
        "forks": f"{LAYER} elementwise normalising spatial connected arranging judging",
    },
    "converters.layers.parts": {"boxes": "indexing geometry grid gradient windows"},
    "converters.layers.forks": {
        "elementwise": "",
        "normalising": "",
        "spatial": "",
        "connected": "",
        "judging": "",
        "ssd": "judging",
        "rcnn": "",
        "yolo": "",
        "mscnn": "judging rcnn",
    },
    "converters.solver": {"log": "update.rules", "update": "log net"},
    "eval": {"speed": "runtime environment choices", "verdict": "difference parity probe rounding runtime"},
    "zoo": {
        "plots": "",
        "terminal": "",
        "cli": "terminal",
        "variants": "catalogue",
        "data": "terminal cli catalogue train.images",
        "train": "terminal cli variants runs data catalogue ours",
        "runs": "terminal variants tasks train catalogue ours",
        "study": "terminal cli runs data train catalogue ours",
        "tasks": "variants ours",
        "bench": "terminal cli plots variants tasks runs train data catalogue ours classifier conversion preparation",
        "classify": "terminal cli bench tasks classifier conversion preparation",
        "check": "terminal ours",
        "verify": "terminal classify classifier conversion preparation ours",
        "draw": "terminal conversion ours",
        "report": "terminal cli plots variants tasks runs train study bench ours",
    },
    "zoo.train": {
        "images": "",
        "planning": "",
        "snapshots": "trainer",
        "running": "snapshots trainer",
    },
    "zoo.report": {
        "measure": "",
        "read": "measure say.wording",
        "write": "read.learning",
        "say": "measure read write",
    },
}


def modules_imported(path: Path) -> Iterator[str]:
    """Dotted names of the modules that a file imports, those imported by a package's name too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                inner = ROOT.joinpath(*f"{node.module}.{alias.name}".split(".")).with_suffix(".py")
                yield f"{node.module}.{alias.name}" if inner.is_file() else str(node.module)


@pytest.mark.parametrize(("package", "room"), [(each, room) for each in ROOMS for room in ROOMS[each]])
def test_a_room_imports_only_the_rooms_that_it_may(package: str, room: str) -> None:
    allowed = tuple(f"{package}.{name}" for name in (room, *ROOMS[package][room].split()))
    for path in sources(f"{package.replace('.', '/')}/{room}"):
        for name in modules_imported(path):
            if name.startswith(f"{package}."):
                fits = any(name == each or name.startswith(f"{each}.") for each in allowed)
                assert fits, f"{path.relative_to(ROOT)} imports {name}"


def test_every_room_has_its_direction() -> None:
    for package in {*ORDER, *ROOMS}:
        rooms = {path.parent.name for path in ROOT.joinpath(*package.split(".")).glob("*/__init__.py")}
        assert rooms - {"nets"} == set(ROOMS.get(package, ())), package


def test_prototxt_needs_neither_torch_nor_onnx_nor_rich() -> None:
    for path in sources("prototxt"):
        assert not TORCH_FREE & {name.split(".")[0] for name, _ in imports(path)}, path


@pytest.mark.parametrize("package", [*ORDER, "tests"])
def test_the_builtin_eval_is_never_hidden(package: str) -> None:
    for path in sources(package):
        for name, node in imports(path):
            hides = isinstance(node, ast.Import) and name.split(".")[0] == "eval"
            assert not hides, f"{path}:{node.lineno}: import {name}"


def test_no_module_is_named_after_a_dependency() -> None:
    taken = {"torch", "onnx", "onnxruntime", "numpy", "rich", "protobuf", "safetensors", "cv2"}
    assert not taken & {path.stem for package in ORDER for path in sources(package)}


@pytest.mark.parametrize(
    "command",
    [
        "",
        "convert",
        "train",
        "bench",
        "classify",
        "study",
        "report",
        "check",
        "verify",
        "record",
        "show",
        "draw",
        "list",
        "data",
        "data demo",
        "data import",
        "data lmdb",
    ],
)
def test_help_imports_nothing_heavy(command: str) -> None:
    code = (
        "import sys; from zoo.cli import main\n"
        f"try: main({[*command.split(), '--help']!r})\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'torch', 'numpy', 'onnx', 'onnxruntime', 'google.protobuf', 'cv2', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "usage: zoo" in done.stdout
