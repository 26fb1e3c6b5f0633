"""Photographs shifted and zoomed, and nets at other input sizes."""

import numpy as np
import pytest
import torch
from tiny import write_run

from eval.accuracy import run_scores
from eval.robustness import CONDITIONS, evenly, shifted, zoomed
from eval.runtime import open_session
from zoo.bench.models import Model, find_runs
from zoo.cli import main
from zoo.report.measure.conditions import net_at_size
from zoo.report.measure.images import at_size, open_list, served


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    """A GAP run and an FC run."""
    folder = tmp_path_factory.mktemp("robustness")
    solver = write_run(folder)
    for variant in ("bn", "fc"):
        output = ["--output", str(folder / "runs" / variant)]
        assert main(["train", "--solver", str(solver), "--variant", variant, *output, "--device", "cpu"]) == 0
    return {model.path.parent.name: model for model in find_runs(folder / "runs")[0]}


def test_a_shift_moves_each_image_one_way_and_repeats_the_edge() -> None:
    image = np.arange(25, dtype=np.uint8).reshape(5, 5, 1)
    left, right, up, down, again = shifted(np.stack([image] * 5), range(5), 2)[..., 0]
    assert left[1].tolist() == [7, 8, 9, 9, 9] and right[1].tolist() == [5, 5, 5, 6, 7]
    assert up[:, 1].tolist() == [11, 16, 21, 21, 21] and down[:, 1].tolist() == [1, 1, 1, 6, 11]
    assert (again == left).all()
    assert (shifted(image[None], [1], 0) == image).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_zoom_keeps_the_centre_and_the_size(channels: int) -> None:
    across = np.linspace(0, 240, 81).astype(np.uint8)
    image = np.broadcast_to(across[None, :, None], (1, 61, 81, channels)).copy()
    assert (zoomed(image, 1) == image).all()
    near, far = zoomed(image, 2.0), zoomed(image, 0.5)
    assert near.shape == far.shape == image.shape
    middle = [int(x[0, 30, 40, 0]) for x in (image, near, far)]
    assert middle == [120, 120, 120]
    assert near[0, 30, 0, 0] == pytest.approx(60, abs=1) and near[0, 30, 80, 0] == pytest.approx(180, abs=1)
    assert (
        far[0, 30, 5, 0] == 0 and far[0, 30, 30, 0] == pytest.approx(60, abs=1) and far[0, 30, 75, 0] == 240
    )


def test_rows_are_evenly_spaced() -> None:
    assert evenly(5, 5) == evenly(5, 9) == [0, 1, 2, 3, 4]
    assert evenly(1000, 4) == [0, 250, 500, 750]
    assert len(set(evenly(1228, 400))) == 400


def test_conditions_are_named_once() -> None:
    assert len({c.key for c in CONDITIONS}) == len(CONDITIONS)
    assert {c.kind for c in CONDITIONS} == {"shift", "scale", "size"}


def test_global_pooling_at_the_training_size_is_the_model_itself(models: dict[str, Model]) -> None:
    images, model = open_list(models["bn"], "TEST"), models["bn"]
    sized = net_at_size(model, 1, images)
    assert sized is not None
    net, layer = sized
    pools = [node.layer.pooling_param for node in net.graph.nodes if node.layer.type == "Pooling"]
    assert [(pool.global_pooling, pool.kernel_size) for pool in pools] == [(True, 0)]
    resized = at_size(images, layer, range(6), 1)
    assert (resized.pixels == images.pixels).all()
    data = served(resized, resized.pixels)
    with torch.no_grad():
        scores = net(data)
    torch.testing.assert_close(scores, run_scores(open_session(model.path), data), rtol=1e-4, atol=1e-4)


def test_another_size_is_read_from_the_photographs_themselves(models: dict[str, Model]) -> None:
    images = open_list(models["bn"], "TEST")
    sized = net_at_size(models["bn"], 1.5, images)
    assert sized is not None
    resized = at_size(images, sized[1], [4, 1], 1.5)
    data = served(resized, resized.pixels)
    assert data.shape == (2, 3, 36, 36) and sized[0](data).shape == (2, 3)
    import cv2

    image = cv2.imread(str(images.base.path(images.paths[4])))
    assert (resized.pixels[0] == cv2.resize(image, (36, 36))).all()


def test_a_size_that_a_net_cannot_take(models: dict[str, Model]) -> None:
    images = open_list(models["fc"], "TEST")
    assert net_at_size(models["fc"], 1.5, images) is None
    assert net_at_size(models["bn"], 0.01, images) is None
