"""Detectors in ONNX files: SSD's heads and rows in onnxruntime against Caffe's recordings and our modules."""

import zlib
from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from docs_pages import ROOT
from golden_cases import arrays
from one_layer import one_layer
from recordings import OF_FORKS, load

from converters import Network, load_net
from converters.export.nodes import by_torch
from converters.export.nodes.free import Free
from converters.export.nodes.net import onnx_net
from converters.export.onnx_file import file_net
from eval.rows import rows_nearest

Arrays = dict[str, np.ndarray]
HEADS = (
    "permute_",
    "normalize_default",
    "normalize_ssd",
    "normalize_across",
    "normalize_zero",
    "priorbox_",
    "psroi_",
    "roi_",
)
FOUND = ("detection_output_", "yolo_output_", "yolov3_output_", "proposal_")
DETECTORS = [case for case in OF_FORKS if case.startswith(FOUND)]
MODELS = ROOT.parent / "shared" / "models"


def run(net: Network, free: Free, feeds: Arrays, opset: int = 18) -> tuple[onnx.ModelProto, Arrays]:
    """The net as a model, and every output of it."""
    model = onnx_net(file_net(net), free, opset)
    content = model.content()
    onnx.checker.check_model(content, full_check=True)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_outputs()]
    return model.proto, dict(zip(names, session.run(names, feeds), strict=True))


@pytest.mark.parametrize("case", [case for case in OF_FORKS if case.startswith(HEADS)] + DETECTORS)
@pytest.mark.parametrize("size", [False, True])
def test_what_caffe_recorded_comes_out_of_the_file(case: str, size: bool) -> None:
    net, inputs, data = load(case)
    feeds = {name: x.detach().numpy() for name, x in inputs.items()}
    read = {value.blob for value in file_net(net).graph.inputs}
    free = Free(size=size and not case.startswith(("detection", "yolo_output")))
    _, found = run(net, free, {name: x for name, x in feeds.items() if name in read})
    for name, ours in found.items():
        theirs = data[f"out/{name}"]
        assert ours.shape == theirs.shape
        assert abs(ours - theirs).max() <= 1e-6 * max(1.0, abs(theirs).max())


def detector(param: str, classes: int, located: int, stages: int = 1) -> Network:
    """A detector of 4 priors at each of 2 by 3 places, whose heads are its inputs."""
    widths = {"loc": 16 * located, "conf": 4 * classes, "arm": 8, "odm": 16}
    heads = list(widths)[: 2 * stages]
    text = 'input: "image" input_shape { dim: 2 dim: 1 dim: 60 dim: 90 }\n'
    for name in heads:
        text += f"""
            input: "{name}" input_shape {{ dim: 2 dim: {widths[name]} dim: 2 dim: 3 }}
            layer {{ name: "{name}_p" type: "Permute" bottom: "{name}" top: "{name}_p" permute_param {{
              order: 0 order: 2 order: 3 order: 1 }} }}
            layer {{ name: "{name}_f" type: "Flatten" bottom: "{name}_p" top: "{name}_f" }}"""
    bottoms = " ".join(
        f'bottom: "{name}"' for name in ["loc_f", "conf_f", "p", "arm_f", "odm_f"][: 2 * stages + 1]
    )
    return load_net(
        text
        + f"""
        layer {{ name: "p" type: "PriorBox" bottom: "loc" bottom: "image" top: "p" prior_box_param {{
          min_size: 30 max_size: 60 aspect_ratio: 2 variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2 }} }}
        layer {{ name: "d" type: "DetectionOutput" {bottoms} top: "rows" detection_output_param {{
          num_classes: {classes} {param} }} }}"""
    )


def drawn(net: Network, images: int, seed: int, size: tuple[int, int]) -> Arrays:
    """Locations, and scores of which many are equal."""
    random = np.random.default_rng(seed)
    feeds = {}
    for value in net.graph.inputs:
        blob, shape = value.blob, (images, net.shapes[value][1], *size)
        x = (
            np.round(random.random(shape) * 12) / 12
            if blob in ("conf", "arm")
            else random.standard_normal(shape)
        )
        feeds[blob] = x.astype(np.float32)
    return feeds | {"image": np.zeros((images, 1, 30 * size[0], 30 * size[1]), np.float32)}


RULES = {
    "as SSD": ("nms_param { nms_threshold: 0.45 top_k: 12 } keep_top_k: 20 confidence_threshold: 0.1", 4, 1, 1),
    "one class": ("nms_param { nms_threshold: 0.3 top_k: 9 } keep_top_k: 5", 2, 1, 1),
    "corners": ("code_type: CORNER nms_param { nms_threshold: 0.2 } keep_top_k: 11", 3, 1, 1),
    "shares": ("code_type: CORNER_SIZE variance_encoded_in_target: true", 3, 1, 1),
    "last is background": ("background_label_id: 2 nms_param { top_k: 7 } keep_top_k: 9", 3, 1, 1),
    "middle is background": ("background_label_id: 1 keep_top_k: 9", 3, 1, 1),
    "of each class": ("share_location: false nms_param { top_k: 10 } keep_top_k: 13", 3, 3, 1),
    "no background": ("share_location: false background_label_id: -1 keep_top_k: 13", 3, 3, 1),
    "a threshold that shrinks": ("nms_param { nms_threshold: 0.9 top_k: 12 eta: 0.7 } keep_top_k: 20 confidence_threshold: 0.1", 4, 1, 1),
    "one class, and shrinks": ("nms_param { nms_threshold: 0.8 eta: 0.8 } keep_top_k: 5", 2, 1, 1),
    "shrinks for each class": ("share_location: false nms_param { nms_threshold: 0.8 top_k: 9 eta: 0.6 } keep_top_k: 13", 3, 3, 1),
    "shrinks for none": ("nms_param { nms_threshold: 0.8 top_k: 0 eta: 0.6 } keep_top_k: 13", 3, 1, 1),
    "nothing": ("confidence_threshold: 2 keep_top_k: 5", 3, 1, 1),
    "none at the top": ("nms_param { top_k: 0 } keep_top_k: 5", 3, 1, 1),
    "none kept": ("keep_top_k: 0", 3, 1, 1),
    "two stages": ("objectness_score: 0.4 keep_top_k: 25 confidence_threshold: 0.05", 3, 1, 2),
    "two stages of classes": ("share_location: false objectness_score: 0.4 keep_top_k: 25", 3, 3, 2),
}  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_rows_are_the_modules(rule: str) -> None:
    """With equal scores in plenty, an image without rows, and crossed corners, at any batch and size."""
    net = detector(*RULES[rule])
    for seed, (images, size) in enumerate([(1, (2, 3)), (3, (2, 3)), (2, (5, 4)), (3, (1, 1))]):
        feeds = drawn(net, images, seed, size)
        if images == 3:
            feeds["conf"][1] = 0
        with torch.no_grad():
            theirs = net.all_blobs(**{name: torch.from_numpy(x) for name, x in feeds.items()})["rows"].numpy()
        for free in (Free(batch=True, size=True), *([Free(batch=True)] if size == (2, 3) else [])):
            _, found = run(net, free, feeds)
            assert found["rows"].shape == theirs.shape, (rule, seed)
            np.testing.assert_allclose(found["rows"], theirs, atol=2e-6, rtol=2e-6)


@pytest.mark.parametrize("opset", [13, 23])
def test_a_threshold_that_shrinks_is_of_any_opset(opset: int) -> None:
    """Where sizes are open, onnxruntime cannot tell itself how many axes a step of the Scan has."""
    net = detector(*RULES["a threshold that shrinks"])
    feeds = drawn(net, 2, 1, (3, 4))
    with torch.no_grad():
        theirs = net.all_blobs(**{name: torch.from_numpy(x) for name, x in feeds.items()})["rows"].numpy()
    _, found = run(net, Free(batch=True, size=True), feeds, opset)
    np.testing.assert_allclose(found["rows"], theirs, atol=2e-6, rtol=2e-6)


YOLO = {
    "yolov3": 'type: "Yolov3DetectionOutput" yolov3_detection_output_param { num_classes: 3 num_box: 2 mask_group_num: 2'
    " confidence_threshold: 0.4 nms_threshold: 0.3 mask: 0 mask: 1 mask: 2 mask: 3 anchors_scale: 8 anchors_scale: 4"
    " biases: 9 biases: 7 biases: 20 biases: 15 biases: 5 biases: 5 biases: 3 biases: 9 }",
    "yolov2": 'type: "YoloDetectionOutput" yolo_detection_output_param { num_classes: 3 num_box: 2'
    " confidence_threshold: 0.3 nms_threshold: 0.3 biases: 1 biases: 2 biases: 2 biases: 1 }",
}  # fmt: skip


@pytest.mark.parametrize("rule", YOLO)
def test_yolos_rows_are_the_modules(rule: str) -> None:
    """With equal scores, at other batches, with nothing found, and version 3 at other sizes."""
    net = one_layer(f'{YOLO[rule]} top: "y"', a=(2, 16, 4, 4), b=(2, 16, 8, 8))
    sizes = [(4, 4), (4, 4), (4, 4)] if rule == "yolov2" else [(4, 4), (3, 5), (1, 2)]
    for seed, ((height, width), images) in enumerate(zip(sizes, (1, 3, 2), strict=True)):
        random = np.random.default_rng(seed)
        shapes = {"a": (images, 16, height, width), "b": (images, 16, 2 * height, 2 * width)}
        feeds = {
            k: np.round(random.standard_normal(shape), 1).astype(np.float32) for k, shape in shapes.items()
        }
        if seed == 2:
            feeds = {k: x - 9 for k, x in feeds.items()}
        with torch.no_grad():
            theirs = net(*map(torch.from_numpy, feeds.values())).numpy()
        _, found = run(net, Free(batch=True, size=rule == "yolov3"), feeds)
        assert found["y"].shape == theirs.shape and (theirs[0, 0, 0, 1] == -1) == (seed == 2)
        np.testing.assert_allclose(found["y"], theirs, atol=1e-5)


@pytest.mark.skipif(not MODELS.exists(), reason="the trained models are not here")
@pytest.mark.parametrize("model", ["ultralight-face-rfb320", "yufacedetectnet-v1", "hyperlpr-mininet-ssd"])
def test_a_trained_detector_finds_what_caffe_did(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_torch, "by_torch", lambda *_: pytest.fail("a layer is torch's exporter's"))
    folder = MODELS / model
    net, data = (
        load_net(folder / "deploy.prototxt", folder / "weights.caffemodel"),
        arrays(folder / "blobs.npz"),
    )
    (blob,) = data["feeds"]
    random = np.random.default_rng(zlib.crc32(f"in/{blob}".encode()))
    x = 50 * random.standard_normal(data[f"shape/{blob}"])
    written, found = run(net, Free(batch=True), {blob: x.astype(np.float32)})
    for name, ours in found.items():
        assert [*ours.shape] == [*data[f"shape/{name}"]]
        probes = ours.reshape(-1)[np.linspace(0, ours.size - 1, 64).astype(int)]
        assert abs(probes - data[f"probe/{name}"]).max() <= 1e-4 * max(1, abs(probes).max())
    kinds = Counter(node.op_type for node in written.graph.node)
    assert kinds["Identity"] == 0 and kinds["Cast"] <= 3 and kinds["Shape"] <= 3


@pytest.mark.skipif(not MODELS.exists(), reason="the trained models are not here")
def test_one_file_detects_at_five_sizes() -> None:
    """Against nets that are built for each."""
    files = (
        MODELS / "yufacedetectnet-v1" / "deploy.prototxt",
        MODELS / "yufacedetectnet-v1" / "weights.caffemodel",
    )
    content = onnx_net(file_net(load_net(*files)), Free(batch=True, size=True), 18).content()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    for images, height, width in [(1, 96, 160), (2, 129, 257), (3, 200, 120), (1, 224, 224), (2, 301, 187)]:
        shape = (images, 3, height, width)
        x = (50 * np.random.default_rng(height).standard_normal(shape)).astype(np.float32)
        net = load_net(*files, input_shapes={"data": shape})
        with torch.no_grad():
            theirs = net.all_blobs(data=torch.from_numpy(x))["detection_out"].numpy()
        (ours,) = session.run(None, {"data": x})
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_a_choice_on_a_last_digit_is_either_and_no_other_row_is_missed() -> None:
    """Two boxes overlap by just the threshold, 0.5, a third by nothing."""
    net = one_layer(
        'type: "DetectionOutput" top: "rows" detection_output_param { num_classes: 2 code_type: CORNER'
        " nms_param { nms_threshold: 0.5 } }",
        loc=(1, 12), conf=(1, 6), priors=(1, 2, 12),
    )  # fmt: skip
    boxes = np.array([[0, 0, 1, 1], [0, 0, 1, 0.5], [2, 2, 3, 3]], np.float32)
    conf = np.array([[0, 0.9, 0, 0.8, 0, 0.7]], np.float32)
    priors = np.stack([boxes.reshape(-1), np.ones(12, np.float32)])[None]
    bottoms = [torch.from_numpy(x) for x in (np.zeros((1, 12), np.float32), conf, priors)]
    layer = net.module_of(net.graph.nodes[-1])
    rows = layer(*bottoms).numpy()
    fewer, other = rows[:, :, [0, 2]], rows * np.array([1, 1, 1, 1.01, 1, 1, 1], np.float32)
    assert rows.shape == (1, 1, 3, 7)
    assert np.array_equal(rows_nearest(layer, bottoms, 0, fewer), fewer)
    for wrong in (rows[:, :, :2], rows[:, :, 1:], other + 0.01):
        assert rows_nearest(layer, bottoms, 0, wrong) is None
    assert np.array_equal(layer(*bottoms), rows)
