"""What the demo's time is told against, and its first line."""

from pathlib import Path
from types import ModuleType

import pytest
import torch
from benchmark_script import load_script

import zoo


@pytest.fixture(scope="module")
def demo_time() -> ModuleType:
    return load_script("demo_time")


def test_the_plain_steps_are_of_the_articles_net(demo_time: ModuleType) -> None:
    ours = [tuple(weight.shape) for weight in zoo.load("allconv6").parameters()]
    theirs = [tuple(weight.shape) for weight in demo_time.by_hand().parameters()]
    assert ours == theirs
    assert demo_time.by_hand()(torch.zeros(2, 3, demo_time.SIZE, demo_time.SIZE)).shape == (2, 20)


def test_the_first_line_goes_by_the_measured_ratio(
    demo_time: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    figures = tmp_path / "demo.json"
    figures.write_text('{"ratio": 12.0}')
    monkeypatch.setattr(demo_time, "FIGURES", figures)
    monkeypatch.setattr(demo_time, "plain_seconds", lambda steps: 0.5 * steps)
    assert demo_time.estimate() == "the demo takes about 10 min here (12.0 × 100 plain training steps)"
