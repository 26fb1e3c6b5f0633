"""Layers of SSD's line, beyond their recordings."""

import numpy as np
import pytest
import torch
from one_layer import one_layer, random, run

from prototxt.errors import InputError


def test_r_fcns_smooth_l1_loss_is_the_one_with_ohem() -> None:
    rule = 'top: "y" top: "each" loss_weight: 1 loss_weight: 0 loss_param { normalization: BATCH_SIZE }'
    sizes = dict.fromkeys(("a", "b", "w"), (3, 4, 2, 1))
    arrays = {name: random(*shape, seed=i) for i, (name, shape) in enumerate(sizes.items())}
    found = []
    for kind in ("SmoothL1Loss", "SmoothL1LossOHEM"):
        net = one_layer(f'type: "{kind}" {rule}', **sizes)
        blobs = run(net, **arrays)
        blobs["y"].backward()
        found.append([blobs["y"], blobs["each"], blobs["in/a"].grad, blobs["in/b"].grad])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def boxes(count: int, seed: int) -> np.ndarray:
    r = np.random.default_rng(seed)
    corner = r.uniform(0, 0.7, (count, 2))
    return np.concatenate([corner, corner + r.uniform(0.1, 0.4, (count, 2))], 1)


def loss_of(param: str, labels: list[float] | None = None, seed: int = 0) -> tuple[float, dict]:  # type: ignore[type-arg]
    """A MultiBoxLoss of 2 images, 12 priors and 3 classes: its value and blobs, gradients worked out."""
    r = np.random.default_rng(seed)
    prior = np.stack([boxes(12, seed).ravel(), np.full(48, 0.1)])[None]
    truth = np.zeros((1, 1, 3, 8), np.float32)
    truth[0, 0, :, 0] = [0, 0, 1]
    truth[0, 0, :, 1] = labels or [1, 2, 1]
    truth[0, 0, :, 3:7] = boxes(3, seed + 1)
    located = 144 if "share_location: false" in param else 48
    arrays = {
        "loc": 0.3 * r.standard_normal((2, located)),
        "conf": r.standard_normal((2, 36)),
        "prior": prior,
        "label": truth,
    }
    net = one_layer(
        f'type: "MultiBoxLoss" top: "y" multibox_loss_param {{ num_classes: 3 {param} }}',
        **{name: x.shape for name, x in arrays.items()},
    )
    blobs = run(net, **arrays)
    blobs["y"].backward()
    return blobs["y"].item(), blobs


ALL_MINED = "code_type: CENTER_SIZE neg_overlap: 1.1 neg_pos_ratio: 100"


def test_without_a_limit_mining_takes_every_prior() -> None:
    mined, _ = loss_of(ALL_MINED)
    every, _ = loss_of("code_type: CENTER_SIZE mining_type: NONE")
    assert mined == pytest.approx(every, rel=1e-6)


def test_nms_param_without_top_k_leaves_no_negatives() -> None:
    _, blobs = loss_of(ALL_MINED + " nms_param { nms_threshold: 0.5 }")
    _, full = loss_of(ALL_MINED + " nms_param { nms_threshold: 0.99 top_k: 50 }")
    learned = [int(x["in/conf"].grad.reshape(2, 12, 3).abs().sum(2).gt(0).sum()) for x in (blobs, full)]
    positive = int(blobs["in/loc"].grad.reshape(2, 12, 4).abs().sum(2).gt(0).sum())
    assert learned[0] == positive and learned[1] == 24


def test_the_gradient_lacks_the_variance_where_it_is_in_the_target() -> None:
    apart = "code_type: CENTER_SIZE match_type: BIPARTITE loc_loss_type: L2"
    _, blobs = loss_of(apart)
    value, in_target = loss_of(f"{apart} encode_variance_in_target: true")
    assert value != loss_of(apart)[0]
    own = blobs["in/loc"].grad.abs().gt(0)
    shift = in_target["in/loc"].grad - blobs["in/loc"].grad  # x / 0.1 - x
    expected = 9 * blobs["in/loc"].detach() / (own.sum() / 4)
    assert torch.allclose(shift[own], expected[own], atol=1e-5)


def test_bp_inside_leaves_corners_outside_without_a_gradient() -> None:
    _, blobs = loss_of("bp_inside: true use_prior_for_matching: false overlap_threshold: 0.05")
    prior = torch.from_numpy(boxes(12, 0)).float()
    outside = prior + 0.1 * blobs["in/loc"].detach().reshape(2, 12, 4)
    gradient = blobs["in/loc"].grad.reshape(2, 12, 4)
    assert not gradient[(outside < 0) | (outside > 1)].any() and gradient.any()


def test_a_class_has_its_own_locations_where_they_are_not_shared() -> None:
    for how in ("true", "false"):
        param = f"share_location: false mining_type: NONE use_prior_for_matching: {how}"
        gradient = loss_of(param + " overlap_threshold: 0.1")[1]["in/loc"].grad.reshape(2, 12, 3, 4)
        learned = gradient.abs().sum((1, 3)) > 0
        assert learned[:, 1].all() and not learned[:, 0].any() and not learned[1, 2]


@pytest.mark.parametrize(
    "param, reason",
    [
        ("do_neg_mining: false", "do_neg_mining"),
        ("share_location: false", "share_location: true"),
        ("mining_type: HARD_EXAMPLE sample_size: 0", "sample_size"),
        ("background_label_id: 3", "background_label_id"),
        ("map_object_to_agnostic: true", "map_object_to_agnostic"),
    ],
)
def test_what_caffe_refuses_is_one_line(param: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason) as error:
        loss_of(param)
    assert "\n" not in str(error.value)


def test_labels_that_are_no_class_are_one_line() -> None:
    for labels, reason in (([1, 3, 1], "label 3"), ([1, 0, 1], "background's label")):
        with pytest.raises(InputError, match=reason):
            loss_of("", labels)


def detected(param: str, scores: np.ndarray) -> torch.Tensor:
    """Rows of a DetectionOutput of one image, as many priors as scores (P, 3), none overlapping another."""
    count = len(scores)
    left = np.arange(count) / count
    prior = np.stack([left, left * 0, left + 0.5 / count, left * 0 + 1], 1)
    arrays = {
        "loc": np.zeros((1, 4 * count)),
        "conf": scores.reshape(1, -1),
        "prior": np.stack([prior.ravel(), np.ones(4 * count)])[None],
    }
    net = one_layer(
        f'type: "DetectionOutput" top: "y" detection_output_param {{ num_classes: 3 {param} }}',
        **{name: x.shape for name, x in arrays.items()},
    )
    return run(net, **arrays)["y"][0, 0]


def test_equal_scores_stay_in_the_order_of_places() -> None:
    scores = np.full((6, 3), 0.5)
    rows = detected("nms_param { top_k: 2 } confidence_threshold: 0.1", scores)
    assert rows[:, :2].tolist() == [[0, 1], [0, 1], [0, 2], [0, 2]]
    assert np.allclose(rows[:, 3].numpy(), [0, 1 / 6, 0, 1 / 6])


def test_no_place_at_the_top_gives_a_row_an_image() -> None:
    for param in ("keep_top_k: 0", "nms_param { top_k: 0 }"):
        assert detected(param, random(4, 3)).tolist() == [[0.0, *[-1.0] * 6]]


def test_no_image_gives_no_row_and_no_loss() -> None:
    shapes = {"loc": (1, 48), "conf": (1, 36), "prior": (1, 2, 48), "label": (1, 1, 1, 8)}
    none = [torch.zeros(0, 48), torch.zeros(0, 36), torch.rand(1, 2, 48), torch.zeros(1, 1, 0, 8)]
    net = one_layer('type: "MultiBoxLoss" top: "y" multibox_loss_param { num_classes: 3 }', **shapes)
    assert net(*none).item() == 0
    del shapes["label"]
    net = one_layer('type: "DetectionOutput" top: "y" detection_output_param { num_classes: 3 }', **shapes)
    assert net(*none[:3]).shape == (1, 1, 0, 7)


def test_a_shared_location_has_a_background() -> None:
    with pytest.raises(InputError, match="background_label_id -1"):
        detected("background_label_id: -1", random(4, 3))


def evaluated(found: list[list[float]], true: list[list[float]], param: str = "") -> list[list[float]]:
    net = one_layer(
        f'type: "DetectionEvaluate" top: "y" detection_evaluate_param {{ num_classes: 3 {param} }}',
        found=(1, 1, len(found), 7),
        true=(1, 1, len(true), 8),
    )
    arrays = {"found": np.array(found)[None, None], "true": np.array(true)[None, None]}
    return run(net, **arrays)["y"][0, 0].tolist()  # type: ignore[no-any-return]


HERE, THERE = [0.0, 0, 1, 1], [5.0, 5, 6, 6]


def test_a_true_box_counts_once_and_a_difficult_one_not_at_all() -> None:
    found = [[0, 1, 0.25, *HERE], [0, 1, 0.75, *HERE], [0, 1, 0.5, *THERE], [0, 2, 0.125, *HERE]]
    true = [[0, 1, 0, *HERE, 0], [0, 1, 0, *THERE, 1], [-1] * 8, [0, 2, 0, *HERE, 0]]
    rows = evaluated(found, true, "evaluate_difficult_gt: false")
    assert rows[:2] == [[-1, 1, 1, -1, -1], [-1, 2, 0, -1, -1]]
    assert rows[2:] == [[0, 1, 0.75, 1, 0], [0, 1, 0.5, 0, 0], [0, 1, 0.25, 0, 1], [0, 2, 0.125, 0, 1]]


def test_the_backgrounds_label_is_one_line() -> None:
    with pytest.raises(InputError, match=r'layer "it": .*label 0'):
        evaluated([[0, 0, 1, *HERE]], [[0, 1, 0, *HERE, 0]])


def test_eval_detection_counts_true_boxes_and_says_what_finds_them() -> None:
    x = np.full((2, 14, 2, 2), -20.0, np.float32)  # 2 anchors of 2 classes, no object anywhere
    x[:, [2, 3, 9, 10]] = 0  # the sides are the anchors'
    for image, anchor, label in ((0, 0, 1), (0, 1, 1), (1, 0, 0)):
        x[image, 7 * anchor + 4, 0, 0] = 20 - anchor  # an object, the second anchor's score a little less
        x[image, [7 * anchor, 7 * anchor + 1], 0, 0] = 0  # in the middle of its cell
        x[image, 7 * anchor + 5 + label, 0, 0] = 20
    true = [[0, 2, 0, 0, 0, 0.5, 0.5, 0], [0, 1, 0, 0, 0, 0.5, 0.5, 0], [-1] * 8, [1, 2, 0, 0, 0, 1, 1, 0]]
    param = "side: 2 num_class: 2 num_object: 2 biases: 1 biases: 1 biases: 0.6 biases: 1 nms: 0.9"
    net = one_layer(
        f'type: "EvalDetection" top: "y" eval_detection_param {{ {param} }}', x=x.shape, true=(1, 1, 4, 8)
    )
    y = run(net, x=x, true=np.array(true)[None, None])["y"]
    assert y.shape == (2, 2 + 4 * 8)
    assert y[:, :2].tolist() == [[1, 1], [0, 1]]
    rows = y[:, 2:].reshape(2, 8, 4)
    assert rows[0, :2, [0, 2, 3]].tolist() == [[1, 1, 0], [1, 0, 1]] and not rows[0, 2:].any()
    assert rows[1, 0, [0, 2, 3]].tolist() == [0, 0, 1] and not rows[1, 1:].any()
    assert torch.allclose(rows[0, :2, 1], torch.ones(2))
