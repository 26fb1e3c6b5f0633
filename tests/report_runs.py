"""Finished runs made up for the report: their folders, what was measured of them, and a bench."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import NET, SOLVER

from eval.robustness import CONDITIONS, PLAIN, Condition
from prototxt.text import parse_net, parse_solver, to_text
from zoo.bench.models import Model
from zoo.report.measure.measured import Measured
from zoo.report.read import gather
from zoo.report.say import gallery
from zoo.train.planning.solver_changes import merged
from zoo.variants.edits import apply_variant

IMAGES, CLASSES = 60, 3
SHARES = {"baseline": 0.8, "dropout0.5": 0.75, "dropout0.9": 0.3, "bn": 0.85, "fc": 0.5}
NAMES = ["stripes", "<b>dots</b> & | `x`", "rings"]


def write_run(folder: Path, variant: str = "baseline", seed: int = 0, **changes: Any) -> Path:
    """A run folder named ``<variant>-seed<seed>``; ``changes`` go into run.json, those of options by name."""
    path = folder / changes.pop("name", f"{variant}-seed{seed}")
    path.mkdir(parents=True)
    options = {"variant": f"xavier+{variant}", "seed": seed, "root": "photos", "skip_bad": None}
    options |= changes.pop("options", {})
    record = {
        "name": f"tiny-xavier+{variant}",
        "net": "tiny",
        "variant": options["variant"],
        "head": "fc" if "fc" in variant.split("+") else "gap",
        "seed": seed,
        "classes": CLASSES,
        "class_names": NAMES,
        "data": {
            "TRAIN": {"list": "/far/photos/train.txt", "images": 120, "fingerprint": "aa"},
            "TEST": {"list": "/far/photos/val.txt", "images": IMAGES, "fingerprint": "bb"},
            "synthetic": False,
        },
        "departures": ["iterations 20 (article: 100,000)", "clip_gradients 1 (article: none)"],
        "options": options,
        "device": "CPU (made up)",
        "world_size": 1,
        "versions": {"python": "3.11", "torch": "2.13"},
        "iteration": 20,
        "started": "2020-01-01T10:00:00+00:00",
        "ended": "2020-01-01T10:03:00+00:00",
        "finished": True,
    }
    (path / "run.json").write_text(json.dumps(record | changes))
    write_texts(path, options)
    lines = [line(iteration, variant, seed) for iteration in range(0, 21, 2)]
    (path / "metrics.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    (path / "model.onnx").write_bytes(b"")
    return path


def write_texts(path: Path, options: dict[str, Any]) -> None:
    """Net and solver as a run of these options writes them."""
    text = NET.format(outputs=CLASSES, filler="xavier").replace("ratio: 0.5", "ratio: 0.25")
    net = apply_variant(parse_net(text), options["variant"])
    for name in ("net", "size", "batch_size"):  # what differs, whatever it is
        net.layer[0].image_data_param.rand_skip += sum(map(ord, str(options.get(name) or "")))
    solver = parse_solver(SOLVER.format(rate=0.01, max_iter=20))
    solver = merged(solver, parse_solver(options["set"])) if options.get("set") else solver
    solver.net = "net.prototxt"
    (path / "net.prototxt").write_text(to_text(net))
    (path / "solver.prototxt").write_text(to_text(solver))


def write_article(folder: Path) -> None:
    """The article's study: every variant, two seeds, and their bench."""
    for variant in SHARES:
        for seed in (0, 1):
            write_run(folder, variant, seed)
    write_bench(folder)


def line(iteration: int, variant: str, seed: int) -> dict[str, Any]:
    share = SHARES.get(variant, 0.6) * (1 - 0.5 ** (iteration / 4)) + 0.004 * ((iteration // 2 + seed) % 3)
    found: dict[str, Any] = {"iteration": iteration, "lr": 0.01, "loss": 2 - share}
    found["images_per_second"] = 60.0 + seed if iteration else None
    return found | {"accuracy_at_1": share, "accuracy_at_5": min(1.0, share + 0.2), "test_loss": 2.1 - share}


def measured(model: Model, conditions: Sequence[Condition] = CONDITIONS) -> Measured:
    """What a run of that variant and seed might have answered; the same whenever asked."""
    assert model.record is not None
    variant, seed = model.record["variant"].removeprefix("xavier+"), model.record["seed"]
    drawn = np.random.default_rng([seed, *map(ord, variant)])
    labels = [row % CLASSES for row in range(IMAGES)]
    right = drawn.random(IMAGES) < SHARES.get(variant, 0.6)
    rows = list(range(0, IMAGES, 2))
    keys = [
        PLAIN,
        *(item.key for item in conditions if item.kind != "size" or model.record["head"] == "gap"),
    ]
    return Measured(
        labels=labels,
        paths=[f"class {label}_{row}.png" for row, label in enumerate(labels)],
        predictions=[
            label if is_right else (label + 1) % CLASSES
            for label, is_right in zip(labels, right, strict=True)
        ],
        in_top5=[True] * IMAGES,
        confidence=drawn.random(IMAGES).tolist(),
        probability=drawn.random(IMAGES).tolist(),
        train_top1=0.9,
        train_images=120,
        rows=rows,
        robustness={key: "".join("01"[int(right[row])] for row in rows) for key in keys},
    )


def write_bench(folder: Path, noise: float = 0.02) -> None:
    """A bench.json of every run there, as zoo bench writes it."""
    rows = []
    for path in sorted(folder.glob("*/run.json")):
        record = json.loads(path.read_text())
        is_fc = record["head"] == "fc"
        for precision, scale in (("fp32", 1.0), ("int8", 0.25)):
            for batch in (1, 8):
                rows.append(
                    {
                        "name": record["name"],
                        "run": f"/moved/{path.parent.name}",
                        **{key: record[key] for key in ("variant", "head", "seed")},
                        "parameters": 400 if is_fc else 300,
                        "macs": 9000,
                        "model_bytes": int(scale * 4000),
                        "precision": precision,
                        "runtime": "onnxruntime",
                        "provider": "CPUExecutionProvider",
                        "processor": "made up",
                        "threads": 2,
                        "batch": batch,
                        "latency_p50_ms": batch * scale,
                        "latency_spread": noise,
                        "latency_floor": 0.01,
                        "images_per_second": 1000 / scale,
                        "latency_of": record["variant"],
                        "top1": 0.5 * scale,
                        "top1_low": 0.4 * scale,
                        "top1_high": 0.6 * scale,
                        "to_gap": 1.5 if is_fc else None,
                        "to_gap_low": 1.4 if is_fc else None,
                        "to_gap_high": 1.6 if is_fc else None,
                        "to_gap_told_apart": is_fc,
                        "version_onnxruntime": "1.31",
                    }
                )
    (folder / "bench.json").write_text(json.dumps(rows))


def stand_in(patch: pytest.MonkeyPatch) -> None:
    """Let made-up measurements and pictures stand in for those of real nets."""

    def pixels(model: Model, rows: Sequence[int]) -> Any:
        return np.full((len(rows), 24, 24, 3), 90, np.uint8)

    def maps(model: Model, rows: Sequence[int]) -> Any:
        assert model.record is not None
        return np.full((len(rows), 24, 24), 0.5, np.float32) if model.record["head"] == "gap" else None

    patch.setattr(gather, "measure_run", measured)
    patch.setattr(gallery, "validation_pixels", pixels)
    patch.setattr(gallery, "activation_maps", maps)
    patch.setattr(gallery, "first_filters", lambda model: np.full((8, 3, 3, 3), 200, np.uint8))
