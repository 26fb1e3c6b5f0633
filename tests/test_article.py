"""What in a run is not the article's is said; the article's own run has nothing to say."""

from pathlib import Path

import pytest

from zoo.train.planning.options import Options
from zoo.train.planning.plan import make_plan


@pytest.mark.parametrize("variant", ["baseline", "dropout0.5", "bn+fc", "gap"])
def test_the_articles_run_departs_in_nothing(root: str, variant: str) -> None:
    assert make_plan(Options(root=root, variant=variant)).departures == []


def test_every_other_setting_is_named_with_the_articles_value(root: str) -> None:
    options = Options(root=root, variant="xavier+bn", solver="demo_solver", batch_size=16, classes=21)
    assert make_plan(options).departures == [
        "base_lr 0.02 (article: 0.01)",
        "lr_policy poly power 1 (article: step stepsize 10000 gamma 0.1)",
        "iterations 300 (article: 100,000)",
        "clip_gradients 1 (article: none)",
        "convolution filler xavier (article: gaussian 0.01)",
        "batch size 16 (article: 64)",
        "classes 21 (article: 20)",
    ]


def test_without_lists_the_shipped_solver_falls_back_on_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole command with no option but a short run; a small demo set stands in for the full one."""
    from functools import partial

    import zoo.data.command
    from zoo.cli import main
    from zoo.data.demo import make_demo

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(zoo.data.command, "make_demo", partial(make_demo, train=40, val=20))
    assert main(["train", "--variant", "dropout0.9", "--max-iter", "1", "--batch-size", "2"]) == 0
    err = capsys.readouterr().err
    assert "SYNTHETIC" in err
    assert "data: drawn (synthetic) images instead of photographs" in err
    assert "iterations 1 (article: 100,000)" in err
    assert (tmp_path / "runs" / "allconv6-dropout0.9" / "weights.safetensors").is_file()


def test_a_root_without_the_lists_is_no_reason_to_train_on_something_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from zoo.cli import main

    monkeypatch.chdir(tmp_path)
    assert main(["train", "--root", str(tmp_path)]) == 2
    assert 'layer "data": list "list_train_shuffle.txt" is in none of' in capsys.readouterr().err
