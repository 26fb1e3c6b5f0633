"""What is measured of a finished run, against PyTorch and Caffe's rules, and the file that keeps it."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tiny import write_run

from converters import load_net
from converters.export.onnx_file import deploy_net
from eval.accuracy import judge
from eval.robustness import CONDITIONS
from prototxt.errors import InputError
from zoo.bench.files import measure_accuracy
from zoo.bench.models import Model, find_runs
from zoo.cli import main
from zoo.report.measure import measured, pictures
from zoo.report.measure.images import open_list, run_net, served
from zoo.report.measure.measured import Measured, measure_run


def train(folder: Path, variant: str, *options: str) -> Model:
    output = folder / "runs" / variant
    arguments = ["--solver", str(folder / "solver.prototxt"), "--variant", variant, "--output", str(output)]
    assert main(["train", *arguments, "--device", "cpu", *options]) == 0
    return find_runs(output)[0][0]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    """A GAP run, with dropout, and an FC run; the validation list is shuffled as it is served."""
    folder = tmp_path_factory.mktemp("measured")
    write_run(folder)
    net = folder / "tiny.prototxt"
    net.write_text(net.read_text().replace('source: "val.txt"', 'source: "val.txt" shuffle: true'))
    return {variant: train(folder, variant) for variant in ("dropout0.5", "fc")}


@pytest.fixture(scope="module")
def gap(models: dict[str, Model]) -> Measured:
    return measure_run(models["dropout0.5"])


def test_the_answers_are_the_nets_in_the_lists_order(models: dict[str, Model], gap: Measured) -> None:
    folder = models["dropout0.5"].path.parent
    net = load_net(folder / "net.prototxt", folder / "weights.safetensors")
    lines = (folder.parent.parent / "val.txt").read_text().splitlines()
    assert [f"{path} {label}" for path, label in zip(gap.paths, gap.labels, strict=True)] == lines
    for row, path in enumerate(gap.paths):
        pixels = cv2.resize(cv2.imread(str(folder.parent.parent / path)), (24, 24)).astype(np.float32)
        data = torch.from_numpy(pixels - [104, 117, 124]).float().permute(2, 0, 1)[None]
        with torch.no_grad():
            scores = net.all_blobs(data=data, label=torch.zeros(1))["fc"][0]
        assert gap.predictions[row] == scores.argmax()
        assert gap.confidence[row] == pytest.approx(scores.softmax(0).max().item(), abs=1e-5)
        assert gap.probability[row] == pytest.approx(scores.softmax(0)[gap.labels[row]].item(), abs=1e-5)
    assert gap.in_top5 == []  # of three classes
    assert np.mean(gap.right) == pytest.approx(measure_accuracy(models["dropout0.5"])["top1"])


def test_the_training_list_goes_through_the_test_transform(models: dict[str, Model], gap: Measured) -> None:
    model = models["dropout0.5"]
    net = deploy_net(run_net(model))
    images = open_list(model, "TRAIN")
    assert images.pixels.shape == (15, 24, 24, 3) and not images.layer.transform_param.mirror
    with torch.no_grad():
        named = net(served(images, images.pixels)).argmax(1).numpy()
    assert gap.train_images == 15
    assert gap.train_top1 == pytest.approx((named == images.labels).mean())


def test_every_condition_that_the_net_takes(models: dict[str, Model], gap: Measured) -> None:
    keys = {condition.key for condition in CONDITIONS}
    assert set(gap.robustness) == keys | {"plain"} and gap.rows == list(range(6))
    assert all(set(digits) <= {"0", "1"} and len(digits) == 6 for digits in gap.robustness.values())
    assert [digit == "1" for digit in gap.robustness["plain"]] == gap.right
    sizes = {condition.key for condition in CONDITIONS if condition.kind == "size"}
    assert set(measure_run(models["fc"]).robustness) == (keys | {"plain"}) - sizes


def test_long_lists_are_thinned_where_that_is_said(models: dict[str, Model], monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(measured, "ROBUSTNESS_IMAGES", 3)
    monkeypatch.setattr(measured, "TRAINING_IMAGES", 5)
    (models["fc"].path.parent / "measured.json").unlink(missing_ok=True)
    found = measure_run(models["fc"])
    assert found.rows == [0, 2, 4] and found.train_images == 5 and len(found.labels) == 6
    assert [found.right[row] for row in found.rows] == [digit == "1" for digit in found.robustness["plain"]]


def test_measured_once_and_again_where_anything_changed(
    models: dict[str, Model], gap: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, times = models["dropout0.5"], []
    kept = model.path.parent / "measured.json"
    whole = kept.read_text()
    counted = measured._measure
    monkeypatch.setattr(measured, "_measure", lambda *args: times.append(1) or counted(*args))
    assert measure_run(model) == gap and not times
    older, other = json.loads(whole), json.loads(whole)
    older["key"]["model"], other["key"]["validation"][1] = "another", "another"
    empty = {**json.loads(whole), "measured": {}}
    held = [json.dumps(older), json.dumps(other), json.dumps(empty), whole[:50], "[]", '{"key": 1}']
    for text in held:
        kept.write_text(text)
        assert measure_run(model) == gap and kept.read_text() == whole
    assert len(times) == len(held)


def test_broken_photographs_are_passed_over_as_in_training(tmp_path: Path) -> None:
    write_run(tmp_path)
    first = (tmp_path / "val.txt").read_text().splitlines()[0].rpartition(" ")[0]
    (tmp_path / first).write_bytes(b"no image")
    model = train(tmp_path, "baseline", "--skip-bad")
    found = measure_run(model)
    assert first not in found.paths and len(found.paths) == len(found.predictions) == 5


def test_runs_on_other_data_are_refused(models: dict[str, Model]) -> None:
    from dataclasses import replace

    model = models["fc"]
    assert model.record is not None
    with pytest.raises(InputError, match="no list of images"):
        measure_run(replace(model, record={**model.record, "data": {}}))


def test_ties_count_against_the_label_as_caffe_counts_them() -> None:
    scores = torch.tensor([[3.0, 3, 1], [1, 2, 0], [5, 5, 5]])
    found = judge(scores, torch.tensor([0, 1, 2]))
    assert found.predictions == [1, 1, 0] and found.in_top5 == []
    assert found.confidence[2] == found.probability[2] == pytest.approx(1 / 3)
    even = judge(scores.softmax(1), torch.tensor([0, 1, 2]))  # a net that ends in a softmax of its own
    assert even.probability == pytest.approx(found.probability)


def test_photographs_are_as_the_net_sees_them_in_rgb(models: dict[str, Model], gap: Measured) -> None:
    pixels = pictures.validation_pixels(models["fc"], [3, 0])
    image = cv2.imread(str(models["fc"].path.parents[2] / gap.paths[3]))
    assert pixels.shape == (2, 24, 24, 3)
    assert (pixels[0] == cv2.resize(image, (24, 24))[..., ::-1]).all()


def test_filters_share_one_scale_and_are_rgb(models: dict[str, Model]) -> None:
    filters = pictures.first_filters(models["dropout0.5"])
    assert filters is not None and filters.shape == (8, 3, 3, 3)
    weights = run_net(models["dropout0.5"]).params["conv1"][0].detach()
    assert abs(filters - 127.5).max() == 127.5
    scale = 127.5 / weights.abs().max()
    red = 127.5 + scale * weights[5, 2, 1, 0]  # Caffe's third channel
    assert filters[5, 1, 0, 0] == pytest.approx(red.item(), abs=0.51)


def test_a_class_activation_map_means_the_score_less_the_bias(models: dict[str, Model]) -> None:
    model = models["dropout0.5"]
    net, images = deploy_net(run_net(model)), open_list(model, "TEST")
    head = pictures.gap_head(model, net)
    assert head is not None
    maps, scores = pictures.class_maps(net, *head, served(images, images.pixels))
    assert maps.shape == (6, 12, 12)
    best = scores.argmax(1)
    bias = net.params["fc"][1].detach()[best]
    torch.testing.assert_close(maps.mean((1, 2)), scores.amax(1) - bias, rtol=1e-4, atol=1e-4)
    drawn = pictures.activation_maps(model, [2, 5])
    assert drawn is not None and drawn.shape == (2, 24, 24) and drawn.dtype == np.float32
    assert drawn.min((1, 2)).tolist() == [0, 0] and drawn.max((1, 2)).tolist() == [1, 1]
    assert pictures.activation_maps(models["fc"], [2]) is None


@pytest.mark.parametrize(("kind", "limit"), [("png", 0), ("jpeg", 12)])
def test_an_encoded_picture_holds_its_colours(kind: str, limit: int) -> None:
    pixels = np.zeros((16, 8, 3), np.uint8)
    pixels[..., 0] = 200  # red
    read = cv2.imdecode(np.frombuffer(pictures.encoded_picture(pixels, kind), np.uint8), cv2.IMREAD_COLOR)
    assert read is not None
    assert np.abs(read[..., ::-1].astype(int) - pixels).max() <= limit
