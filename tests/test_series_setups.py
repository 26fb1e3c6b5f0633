"""Set-ups in the manner of the tuning series' author train as they are, and are judged, on pictures drawn
here: his fields, relative lists, Chinese names, ``solver_mode: GPU``, solver and net in one folder.
"""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from train_runs import lines, same, train, weights

from zoo.cli import main

SETUPS = Path(__file__).parent / "data" / "series_setups"
Told = Callable[
    [int, Path], str
]  # what stands behind a picture's name: of a number, and the pictures' folder


def class_of(count: int) -> Told:
    return lambda number, folder: f"{number % count}"


def mask(number: int, folder: Path) -> str:
    """The name of a label map of the size of the picture: background, a lip, an edge that does not count."""
    drawn = np.zeros((40 + number % 3, 44), np.uint8)
    cv2.ellipse(drawn, (20, 22), (12, 6 + number % 4), 0, 0, 360, 1 + number % 2, -1)
    drawn[:2] = 255
    cv2.imwrite(str(folder / f"标注_{number}.png"), drawn)
    return f"标注_{number}.png"


def age(number: int, folder: Path) -> str:
    return f"{5 + 7 * number % 60}"


def votes(number: int, folder: Path) -> str:
    """How ten marks are spread about one of them."""
    weights = np.exp(-((np.arange(10) - number % 10) ** 2) / 4)
    return " ".join(f"{share:.4f}" for share in weights / weights.sum())


KINDS: dict[str, tuple[Told, str, str]] = {  # what is told, and by which task and figure it is judged
    "场景分类": (class_of(3), "classes", "top1"),
    "表情NiN": (class_of(3), "classes", "top1"),
    "花卉移动网络": (class_of(4), "classes", "top1"),
    "嘴唇分割": (mask, "maps", "mean_iou"),
    "年龄回归": (age, "numbers", "mae"),
    "美学分布": (votes, "distributions", "emd"),
    "鸟类双线性": (class_of(3), "classes", "top1"),
}
QUICK = "嘴唇分割"  # of seven that take some 3 s each


def draw(setup: Path, told: Told) -> None:
    """Pictures of sizes of their own under 数据, and the lists that the set-up's net names."""
    folder = setup / "数据"
    folder.mkdir()
    generator = np.random.Generator(np.random.PCG64(0))
    rows = []
    for number in range(24):
        size = (40 + number % 3, 44, 3)
        cv2.imwrite(str(folder / f"图_{number}.png"), generator.integers(0, 256, size, np.uint8))
        rows.append(f"图_{number}.png {told(number, folder)}\n")
    prefix = "年龄_" if "年龄" in setup.name else ""
    end = "_shuffle" if not prefix else ""
    (setup / f"{prefix}train{end}.txt").write_text("".join(rows[:16]), encoding="utf-8")
    (setup / f"{prefix}val{end}.txt").write_text("".join(rows[16:]), encoding="utf-8")


@pytest.mark.parametrize(
    "kind", [kind if kind == QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]
)
def test_a_set_up_trains_to_its_end_and_is_judged(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, task, figure = KINDS[kind]
    shutil.copytree(SETUPS / kind, tmp_path / kind)
    draw(tmp_path / kind, told)
    monkeypatch.chdir(tmp_path / kind)
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    assert train(Path("solver.prototxt"), "--output", "runs/一") == 0
    record = json.loads(Path("runs/一/run.json").read_text(encoding="utf-8"))
    assert record["finished"] and record["data"]["TEST"]["images"] == 8
    for row in lines("runs/一"):
        assert all(math.isfinite(value) for value in row.values() if isinstance(value, float))
    assert (
        main(["bench", "runs", "--runs", "1", "--batch-sizes", "1", "--threads", "1", "--json", "rows.json"])
        == 0
    )
    (row,) = json.loads(Path("rows.json").read_text(encoding="utf-8"))
    assert row["task"] == task and row["failed"] is None and math.isfinite(row[figure])
    assert main(["report", "runs"]) == 0 and Path("runs/report.html").is_file()
    assert main(["classify", "数据/图_3.png", "--net", "runs/一"]) == 0


@pytest.mark.parametrize("kind", ["场景分类", pytest.param(QUICK, marks=pytest.mark.slow)])
def test_what_is_drawn_goes_on_after_a_snapshot_to_the_same_bits(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Angle, size, colour, contrast, smoothing, crop, mirror, Dropout: told by seed, iteration and sample."""
    shutil.copytree(SETUPS / kind, tmp_path / kind)
    draw(tmp_path / kind, KINDS[kind][0])
    monkeypatch.chdir(tmp_path / kind)
    assert train(Path("solver.prototxt"), "--output", "whole") == 0
    (half, _) = sorted(Path("whole").rglob("*_iter_*.safetensors"))
    assert train(Path("solver.prototxt"), "--resume", str(half), "--output", "halves") == 0
    assert same(weights("whole"), weights("halves"))


@pytest.mark.slow
def test_labels_of_which_no_figure_is_are_said_and_the_rest_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several marks a picture, each above or below 0: zoo train tells MultiLabelAccuracy's figures."""
    setup = tmp_path / "年龄回归"
    shutil.copytree(SETUPS / "年龄回归", setup)
    draw(setup, lambda number, folder: f"{1 if number % 2 else -1} {number % 3 - 1}")
    net = (setup / "train_val.prototxt").read_text(encoding="utf-8").replace("label_size: 1", "label_size: 2")
    net = net.replace("num_output: 1 ", "num_output: 2 ").replace("EuclideanLoss", "MultiLabelSigmoidLoss")
    metric = 'layer { name: "hits" type: "MultiLabelAccuracy" bottom: "age" bottom: "label" top: "hits" }'
    (setup / "train_val.prototxt").write_text(net + metric, encoding="utf-8")
    monkeypatch.chdir(setup)
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    assert train(Path("solver.prototxt"), "--output", "runs/一") == 0
    assert "hits[4]" in lines("runs/一")[-1]
    assert (
        main(["bench", "runs", "--runs", "1", "--batch-sizes", "1", "--threads", "1", "--json", "rows.json"])
        == 0
    )
    (row,) = json.loads(Path("rows.json").read_text(encoding="utf-8"))
    assert row["unjudged"] == "pictures of 2 labels each are not judged" and row["latency_p50_ms"] > 0


LEARNING = """name: "学生" layer { name: "d" type: "DummyData" top: "x" top: "marks" dummy_data_param {
  shape { dim: 8 dim: 3 } shape { dim: 8 dim: 2 } data_filler { type: "gaussian" } data_filler { type: "constant" value: -1 } } }
layer { name: "teacher" type: "InnerProduct" bottom: "x" top: "teacher" param { lr_mult: 0 } param { lr_mult: 0 }
  inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }
layer { name: "student" type: "InnerProduct" bottom: "x" top: "student" inner_product_param { num_output: 2 } }
layer { name: "soft" type: "KnowledgeDistillation" bottom: "student" bottom: "teacher" top: "soft"
  knowledge_distillation_param { temperature: 2 } }
layer { name: "hard" type: "MultiLabelSigmoidLoss" bottom: "student" bottom: "marks" top: "hard" loss_weight: 0.5 }
layer { name: "told" type: "MultiLabelAccuracy" bottom: "student" bottom: "marks" top: "told" }
"""


def test_a_student_learns_and_each_figure_of_its_metric_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.prototxt").write_text(LEARNING, encoding="utf-8")
    rules = "net: 'net.prototxt' base_lr: 0.5 lr_policy: 'fixed' max_iter: 6 test_iter: 1 test_interval: 3"
    Path("solver.prototxt").write_text(rules)
    assert train(Path("solver.prototxt"), "--output", "run") == 0
    first, *_, last = lines("run")
    # At first all scores are 0, which tells positives, and the loss is half of two log(2).
    assert [first[f"told[{place}]"] for place in (0, 1, 3, 4)] == [0] * 4 and math.isnan(first["told[2]"])
    assert first["hard"] == pytest.approx(2 * math.log(2))
    assert first["soft"] > 0.001 and first["loss"] > math.log(2) + 0.001  # what is soft counts, too
    assert last["told[1]"] == 1 and last["hard"] < 1
