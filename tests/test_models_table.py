"""The facts of the table that ``make models`` prints."""

import pytest
from models_table import Account, accounts, show
from test_models import ABSENT, MODELS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not MODELS.is_dir(), reason=f"no {MODELS}: {ABSENT}"),
]

UNRECORDED = {"hyperlpr-finemapping", "waifu2x-upresnet10-noise0-2x"}
# What OpenCV 4 does not take, and where it differs: the recordings agree with us there.
NOT_TAKEN = {
    "cifar10-full-ternary": "Failed to parse NetParameter",
    "mobilenet-yolov3-lite-tusimple": '"DepthwiseConvolution"',
    "mobilenetv2-yolov3-nano-voc": '"Upsample"',
    "waifu2x-upresnet10-noise0-2x": '"CropCenter"',
}
OPENCV_DIFFERS = {"hyperlpr-mininet-ssd": "ssd0_mobilenet0_relu22_fwd_priorbox"}


@pytest.fixture(scope="module")
def every() -> list[Account]:
    return accounts()


def test_every_model_converts_with_all_its_outputs(every: list[Account]) -> None:
    assert [it.name for it in every] == sorted(path.parent.name for path in MODELS.glob("*/deploy.prototxt"))
    assert [(it.name, it.reason) for it in every if it.reason or not it.has_outputs] == []


@pytest.mark.parametrize("engine", ["recording", "source", "onnxruntime"])
def test_they_agree_at_every_blob_that_they_have(every: list[Account], engine: str) -> None:
    for it in every:
        verdict = it.verdicts[engine]
        assert verdict.wrong is None and verdict.drifted is None, it.name
        assert verdict.ran != (engine == "recording" and it.name in UNRECORDED), it.name


def test_opencv_agrees_where_it_takes_the_net(every: list[Account]) -> None:
    for it in every:
        verdict = it.verdicts["OpenCV"]
        assert verdict.ran == (it.name not in NOT_TAKEN), it.name
        assert NOT_TAKEN.get(it.name, "") in verdict.reason
        wrong = verdict.wrong
        assert (wrong.value.blob if wrong else None) == OPENCV_DIFFERS.get(it.name), it.name


def test_the_table_has_a_row_a_model(every: list[Account], capsys: pytest.CaptureFixture[str]) -> None:
    show(every)
    shown = capsys.readouterr().out
    assert all(f"│ {it.name} " in shown for it in every)
