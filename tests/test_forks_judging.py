"""Losses and metrics of forks that no recording holds, by hand from the forks' sources."""

import itertools
import math

import numpy as np
import pytest
import torch
from one_layer import close, one_layer, random, run

from converters import Network, load_net
from converters.layers.registry import record_of
from prototxt.errors import InputError

LABELS = np.array([0.0, 2, 1, 2], np.float32)
WEIGHTS = np.array([0.5, 0, 2, 1], np.float32)


def by_hand(x: np.ndarray, weights: np.ndarray, class_weights: np.ndarray) -> tuple[float, np.ndarray]:
    """happynear's loss and gradient, label by label (softmax_loss_layer.cpp, the CPU code)."""
    loss, whole, own = 0.0, 0.0, 0.0
    gradient = np.zeros_like(x)
    for row, label, weight in zip(range(len(x)), LABELS.astype(int), weights, strict=True):
        p = np.exp(x[row] - x[row].max())
        p /= p.sum()
        both = weight * class_weights[label]
        loss -= both * math.log(p[label])
        gradient[row] = both * (p - np.eye(3)[label])
        whole, own = whole + both, own + weight
    return loss / max(1, whole), gradient / max(1, own)


@pytest.mark.parametrize(
    ("param", "class_weights"),
    [
        ("", [1, 1, 1]),
        ("softmax_param { class_weight: 2 class_weight: 0.5 class_weight: 3 }", [2, 0.5, 3]),
    ],
)
def test_a_third_bottom_weighs_samples_as_happynears_does(param: str, class_weights: list[float]) -> None:
    net = one_layer(f'type: "SoftmaxWithLoss" top: "y" {param}', x=(4, 3), label=(4,), weight=(4,))
    assert net.graph.nodes[-1].layer.dialect == "happynear"
    x = random(4, 3)
    blobs = run(net, x=x, label=LABELS, weight=WEIGHTS)
    blobs["y"].backward()
    loss, gradient = by_hand(x, WEIGHTS, np.array(class_weights))
    assert blobs["y"].item() == pytest.approx(loss, rel=1e-6)
    gradients = blobs["in/x"].grad
    assert gradients is not None
    close(gradients, gradient)


def test_weights_of_pixels_are_divided_by_their_sum_or_by_the_batch() -> None:
    for mode, count in (("VALID", 5.0), ("BATCH_SIZE", 1.0), ("FULL", 4.0), ("NONE", 1.0)):
        text = f'type: "SoftmaxWithLoss" top: "y" loss_param {{ normalization: {mode} }}'
        net = one_layer(text, x=(1, 2, 2, 2), label=(1, 1, 2, 2), weight=(1, 1, 2, 2))
        ones = np.ones((1, 1, 2, 2), np.float32)
        y = run(net, x=np.zeros((1, 2, 2, 2)), label=ones, weight=1.25 * ones)["y"]
        assert y.item() == pytest.approx(5 * math.log(2) / count, rel=1e-6), mode


def test_class_weights_do_nothing_without_the_third_bottom() -> None:
    text = 'type: "SoftmaxWithLoss" top: "y" %s'
    plain = one_layer(text % "", x=(4, 3), label=(4,))
    weighed = one_layer(
        text % "softmax_param { class_weight: 2 class_weight: 0.5 class_weight: 3 }", x=(4, 3), label=(4,)
    )
    x = random(4, 3)
    assert run(plain, x=x, label=LABELS)["y"] == run(weighed, x=x, label=LABELS)["y"]


def test_a_loss_over_no_pixel_is_segnets_nan() -> None:
    param = "loss_param { ignore_label: 0 weight_by_label_freqs: true class_weighting: 1 class_weighting: 2 }"
    net = one_layer(f'type: "SoftmaxWithLoss" top: "y" {param}', x=(2, 2), label=(2,))
    assert run(net, x=np.zeros((2, 2)), label=np.zeros(2))["y"].isnan()


def test_weights_of_another_number_are_refused() -> None:
    with pytest.raises(InputError, match='layer "it": 2 class weights for 3 classes'):
        param = "weight_by_label_freqs: true class_weighting: 1 class_weighting: 2"
        one_layer(f'type: "SoftmaxWithLoss" top: "y" loss_param {{ {param} }}', x=(4, 3), label=(4,))
    with pytest.raises(InputError, match='layer "it": 3 weights for 4 labels'):
        one_layer('type: "SoftmaxWithLoss" top: "y"', x=(4, 3), label=(4,), weight=(3,))


SCORES = np.array([[1, 3, 3, 0], [2, 2, 5, 2], [0, 0, 0, 0]], np.float32)


def accuracy(net: Network, labels: list[float], **more: np.ndarray) -> float:
    return float(run(net, x=SCORES, label=np.array(labels), **more)["y"])


def test_of_equal_scores_the_larger_class_leads_and_of_equal_distances_the_smaller() -> None:
    larger = one_layer('dialect: "ssd" type: "Accuracy" top: "y"', x=(3, 4), label=(3,))
    assert accuracy(larger, [2, 2, 3]) == 1 and accuracy(larger, [1, 2, 0]) == pytest.approx(1 / 3)
    least = one_layer(
        'type: "Accuracy" top: "y" accuracy_param { min_is_better: true }', x=(3, 4), label=(3,)
    )
    assert accuracy(least, [3, 0, 0]) == 1 and accuracy(least, [3, 1, 1]) == pytest.approx(1 / 3)


def test_a_label_whose_weight_is_zero_does_not_count() -> None:
    net = one_layer('type: "Accuracy" top: "y"', x=(3, 4), label=(3,), weight=(3,))
    assert accuracy(net, [2, 0, 3], weight=np.array([1.0, 0, 1])) == 1
    assert math.isnan(accuracy(net, [2, 0, 3], weight=np.zeros(3)))


def test_seg_accuracy_counts_on_where_it_is_not_reset() -> None:
    text = 'type: "SegAccuracy" top: "y" seg_accuracy_param { reset: false }'
    net = one_layer(text, x=(1, 2, 1, 2), label=(1, 1, 1, 2))
    right = torch.tensor([[[[1.0, 0]], [[0, 1.0]]]])
    for label, share in (([0.0, 1], 1.0), ([1.0, 0], 0.5)):
        y = net(right, torch.tensor(label).reshape(1, 1, 1, 2))
        assert isinstance(y, torch.Tensor) and y.flatten().tolist() == pytest.approx(
            [share, share, 1 / (2 / share - 1)]
        )
    net.module_of(net.graph.nodes[-1]).reset()
    assert net(right, torch.tensor([0.0, 1]).reshape(1, 1, 1, 2)).flatten().tolist() == [1, 1, 1]  # type: ignore[union-attr]


def test_seg_accuracy_takes_axes_that_lack_for_1() -> None:
    x, label = random(6, 3), np.array([0.0, 2, 1, 2, 0, 255])
    param = "seg_accuracy_param { ignore_label: 255 }"
    flat = one_layer(f'type: "SegAccuracy" top: "y" {param}', x=(6, 3), label=(6,))
    full = one_layer(f'type: "SegAccuracy" top: "y" {param}', x=(6, 3, 1, 1), label=(6, 1, 1, 1))
    theirs = run(full, x=x.reshape(6, 3, 1, 1), label=label.reshape(6, 1, 1, 1))["y"]
    assert run(flat, x=x, label=label)["y"].tolist() == theirs.tolist()
    assert theirs[0, 0, 0, 0].item() == pytest.approx((x.argmax(1) == label)[:5].mean())


def test_nets_of_caffe_are_told_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    net = load_net(
        'layer { name: "x" type: "Input" top: "x" top: "t" input_param { shape { dim: 2 dim: 2 } shape { dim: 2 } } } '
        'layer { name: "l" type: "SoftmaxWithLoss" bottom: "x" bottom: "t" top: "l" } '
        'layer { name: "a" type: "Accuracy" bottom: "x" bottom: "t" top: "a" }'
    )
    assert [record_of(node.layer).dialect_name for node in net.graph.nodes] == ["", "", ""]
    assert capsys.readouterr().err == ""


def ranks(param: str, items: int) -> Network:
    text = f'type: "RankHardLoss" top: "y" loss_weight: 3 rank_param {{ {param} }}'
    return one_layer(text, phase="TRAIN", x=(items, 4), label=(items,))


PAIRS = np.array([0.0, 0, 1, 1, 2, 2], np.float32)


def rank_loss(
    x: np.ndarray, chosen: set[tuple[int, int]], margin: float, count: int
) -> tuple[float, np.ndarray]:
    """The loss and its gradient of the pairs' chosen negatives, one by one (rank_hard_loss_layer.cpp)."""
    loss, gradient = 0.0, np.zeros_like(x)
    for first, negative in chosen:
        second = first + 1
        for one, other in ((first, second), (second, first)):
            lack = margin - x[one] @ x[other] + x[one] @ x[negative]
            if lack > 0:
                loss += lack
                gradient[one] += x[negative] - x[other]
                gradient[other] -= x[one]
                gradient[negative] += x[one]
    return loss / count, gradient / count


def near(x: np.ndarray, first: int, margin: float) -> list[int]:
    """The negatives within the margin of a pair's first item, the closest first."""
    own = x[first] @ x[first + 1]
    others = [j for j in range(len(x)) if PAIRS[j] != PAIRS[first] and margin - own + x[first] @ x[j] > 0]
    return sorted(others, key=lambda j: -x[first] @ x[j])


def test_rank_hard_loss_of_few_negatives_takes_all() -> None:
    x = random(6, 4, seed=3)
    chosen = {(i, j) for i in (0, 2, 4) for j in near(x, i, 0.7)}
    assert 0 < len(chosen) < 12
    blobs = run(ranks("neg_num: 4 pair_size: 2 margin: 0.7", 6), x=x, label=PAIRS)
    loss, gradient = rank_loss(x, chosen, 0.7, 4 * 6 // 2 * 2)
    assert blobs["y"].item() == pytest.approx(loss, rel=1e-5)
    (3 * blobs["y"]).backward()
    gradients = blobs["in/x"].grad
    assert gradients is not None
    close(gradients, gradient, 6e-6)  # a loss weight of 3 changes nothing


def test_rank_hard_loss_draws_among_the_closest_and_among_the_rest() -> None:
    x, seen = random(6, 4, seed=3), set()
    net = ranks("neg_num: 2 pair_size: 2 hard_ratio: 0.5 rand_ratio: 0.5 margin: 30", 6)
    layer = net.module_of(net.graph.nodes[-1])
    distance, every = -torch.tensor(x) @ torch.tensor(x).T, torch.tensor(PAIRS[:, None] != PAIRS)[[0, 2, 4]]
    for seed in range(30):
        torch.manual_seed(seed)
        chosen = layer._chosen(distance[[0, 2, 4]], every)  # type: ignore[operator]
        for first, row in zip((0, 2, 4), chosen.tolist(), strict=True):
            picked = {j for j, is_chosen in enumerate(row) if is_chosen}
            assert len(picked) == 2 and len(picked & set(near(x, first, 30)[:2])) >= 1
            seen.add((first, frozenset(picked)))
    assert len(seen) > 6


def test_rank_hard_loss_needs_pairs() -> None:
    with pytest.raises(InputError, match='layer "it": takes neg_num of at least 1'):
        ranks("pair_size: 2", 5)


@pytest.mark.parametrize(
    ("labels", "merges"), [([0, 1], True), ([1, 1], True), ([1, 1], False), ([0, 1], False)]
)
def test_ctc_is_the_sum_over_all_ways_to_say_the_labels(labels: list[int], merges: bool) -> None:
    """Of 4 steps and 3 classes, of which the last is the blank, by trying all 81 sayings."""
    text = f'type: "CTCLoss" top: "y" ctc_loss_param {{ ctc_merge_repeated: {str(merges).lower()} }}'
    net = one_layer(text, x=(4, 1, 3), marks=(4, 1), label=(4, 1))
    x = random(4, 1, 3, seed=2)
    p = np.exp(x[:, 0].astype(np.float64))
    p /= p.sum(1, keepdims=True)
    total = 0.0
    for way in itertools.product(range(3), repeat=4):
        said = [
            c for c, before in zip(way, (2, *way), strict=False) if c != 2 and not (merges and c == before)
        ]
        total += float(np.prod(p[range(4), way])) if said == labels else 0.0
    given = np.array([*labels, -1, -1], np.float32).reshape(4, 1)
    blobs = run(net, x=x, marks=np.array([[0.0], [1], [1], [1]]), label=given)
    assert blobs["y"].item() == pytest.approx(-math.log(total), rel=1e-5)


def uber(param: str, x: np.ndarray, marks: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    net = one_layer(
        f'type: "CTCLoss" top: "y" ctc_loss_param {{ {param} }}',
        x=x.shape,
        marks=marks.shape,
        label=labels.shape,
    )
    blobs = run(net, x=x, marks=marks, label=labels)
    blobs["y"].backward()
    gradient = blobs["in/x"].grad
    assert gradient is not None
    return blobs["y"].item(), gradient.numpy()


def test_ctc_of_uber_ends_a_sequence_delays_collapses_and_names_the_blank() -> None:
    x, ones = random(6, 2, 4, seed=5), np.array([[0, 0]] + [[1, 1]] * 5, np.float32)
    labels = np.array([[1, 2], [1, -1], [-1, -1]] + [[-1, -1]] * 3, np.float32)
    short = ones.copy()
    short[4, 1] = 0  # the second sequence ends after 4 steps
    whole, of_whole = uber("", x, ones, labels)
    ended, of_ended = uber("", x, short, labels)
    assert whole != ended and not of_ended[4:, 1].any() and of_ended[:4, 1].any()
    np.testing.assert_allclose(of_ended[:, 0], of_whole[:, 0], atol=1e-6)
    delayed, of_delayed = uber("output_delay: 2", x, ones, labels)
    assert delayed == pytest.approx(uber("", x[2:], ones[:4], labels[:4])[0], rel=1e-6)
    assert not of_delayed[:2].any()
    once = labels.copy()
    once[1, 0] = -1
    assert uber("preprocess_collapse_repeated: true", x, ones, labels)[0] == uber("", x, ones, once)[0]
    turned = np.roll(x, 1, 2)  # the blank stands first, and every label one further on
    assert uber("blank_index: 0", turned, ones, np.where(labels >= 0, labels + 1, -1)[:, :1].repeat(2, 1))[
        0
    ] == pytest.approx(uber("", x, ones, labels[:, :1].repeat(2, 1))[0], rel=1e-6)


def test_labels_too_long_for_their_steps_have_no_way() -> None:
    x, marks = random(2, 1, 3), np.array([[0.0], [1]])
    loss, gradient = uber("", x, marks, np.array([[1.0], [1]]))
    assert math.isinf(loss)
    close(torch.tensor(gradient), torch.tensor(x).softmax(2).numpy())
    net = one_layer(
        'type: "CtcLoss" top: "y" ctc_loss_param { alphabet_size: 3 time_step: 2 blank_label: 2 }',
        x=(2, 1, 3),
        label=(1, 2),
    )
    assert run(net, x=x, label=np.array([[1.0, 1]]))["y"].item() == 0


def test_marks_go_on_for_items_whose_number_is_1() -> None:
    text = (
        'type: "ContinuationIndicator" top: "y" continuation_indicator_param { time_step: 2 batch_size: 3 }'
    )
    net = one_layer(text, x=(3,))
    assert run(net, x=np.array([1.0, 0, 0.995]))["y"].tolist() == [[1, 0, 1], [1, 1, 1]]


def triplet(
    d: np.ndarray, margin: float, hardest: bool, center: bool, first: bool
) -> tuple[float, np.ndarray]:
    """The loss and its gradient, distance by distance (general_triplet_loss_layer.cpp); weights 2 and 0.5."""
    loss, slope = 0.0, np.zeros_like(d)
    for i, label in enumerate(LABELS.astype(int)):
        lacks = {j: d[i, label] + margin - d[i, j] for j in range(d.shape[1]) if j != label}
        lacks = {j: lack for j, lack in lacks.items() if lack > 0}
        if hardest and lacks:
            worst = max(lacks, key=lambda j: lacks[j])
            lacks = {worst: lacks[worst]}
        if first and d[i, label] > 1:
            slope[i, label] = 2
            continue
        loss += sum(0.5 * lack for lack in lacks.values())
        slope[i, list(lacks)] = -0.5
        slope[i, label] = 2 if center or lacks else 0
    return loss / len(d), slope / len(d)


@pytest.mark.parametrize("hardest", [True, False])
@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("first", [True, False])
def test_triplets_of_distances(hardest: bool, center: bool, first: bool) -> None:
    flags = {"hardest_only": hardest, "add_center_loss": center, "positive_first": first}
    param = " ".join(f"{name}: {str(flag).lower()}" for name, flag in flags.items())
    param += " margin: 0.1 positive_weight: 2 negative_weight: 0.5"
    text = f'type: "GeneralTripletLoss" top: "y" top: "m" loss_weight: 1 loss_weight: 0 general_triplet_loss_param {{ {param} }}'
    net = one_layer(text, phase="TRAIN", x=(4, 3), label=(4,), weight=(4,))
    d = np.abs(random(4, 3, seed=4))
    blobs = run(net, x=d, label=LABELS, weight=WEIGHTS)
    blobs["y"].backward()
    loss, slope = triplet(d, 0.1, hardest, center, first)
    assert blobs["y"].item() == pytest.approx(loss, rel=1e-5)
    gradients = blobs["in/x"].grad
    assert gradients is not None
    close(gradients, slope * WEIGHTS[:, None])
    own = d[range(4), LABELS.astype(int)].sum()
    close(blobs["m"], np.array([own / 4, (d.sum() - own) / 8], np.float32))


def test_accuracy_regression_is_half_the_mean_of_absolute_differences() -> None:
    net = one_layer('type: "AccuracyRegression" top: "y"', x=(2, 3), label=(2, 3))
    y = run(net, x=np.array([[1, 2, 3], [0, 0, 0]]), label=np.array([[0, 2, 5], [-1, 1, 2]]))["y"]
    assert y.shape == (1, 1, 1, 1) and y.item() == (1 + 2 + 1 + 1 + 2) / 2 / 2


@pytest.mark.parametrize(("kind", "side"), [("ORIGIN", -1), ("LINEAR", -1), ("ONEADDP", 1)])
def test_focal_loss_with_an_ignored_label_and_an_alpha_of_its_own(kind: str, side: int) -> None:
    param = f"focal_loss_param {{ type: {kind} alpha: 1.5 gamma: 3 }} loss_param {{ ignore_label: 1 }}"
    net = one_layer(f'type: "FocalLoss" top: "y" {param}', x=(4, 3), label=(4,))
    x = random(4, 3)
    blobs = run(net, x=x, label=LABELS)
    blobs["y"].backward()
    loss, slope = 0.0, np.zeros_like(x)
    for row in (0, 1, 3):
        label = int(LABELS[row])
        softmax = np.exp(x[row]) / np.exp(x[row]).sum()
        p = softmax[label]
        power = (1.5 + side * p) ** 3
        loss -= power * math.log(p) / 3
        steep = power + side * 3 * power / (1 + side * p) * math.log(p) * p
        slope[row] = steep * (softmax - np.eye(3)[label]) / 3
    assert blobs["y"].item() == pytest.approx(loss, rel=1e-5)
    gradients = blobs["in/x"].grad
    assert gradients is not None
    close(gradients, slope)


def test_centers_of_absolute_distances() -> None:
    param = 'center_loss_param { num_output: 3 distance_type: "L1" center_filler { type: "xavier" } }'
    net = one_layer(f'type: "CenterLoss" top: "y" loss_weight: 0.5 {param}', x=(4, 2), label=(4,))
    x = random(4, 2)
    blobs = run(net, x=x, label=LABELS)
    (0.5 * blobs["y"]).backward()
    center = net.params["it"][0]
    apart = x - center.detach().numpy()[LABELS.astype(int)]
    assert blobs["y"].item() == pytest.approx(np.abs(apart).sum() / 4, rel=1e-6)
    gradients = blobs["in/x"].grad
    assert gradients is not None and center.grad is not None
    close(gradients, 0.5 * np.sign(apart) / 4)
    counts = np.array([1, 1, 2])
    pulls = np.array([-np.sign(apart[label == LABELS]).sum(0) for label in range(3)])
    close(center.grad, pulls / (counts[:, None] + 1))  # whatever the loss weighs


def test_centers_that_do_not_learn_leave_absolute_distances_without_signs() -> None:
    param = 'center_loss_param { num_output: 3 distance_type: "L1" center_filler { type: "xavier" } }'
    net = one_layer(f'type: "CenterLoss" top: "y" param {{ lr_mult: 0 }} {param}', x=(4, 2), label=(4,))
    x = random(4, 2)
    blobs = run(net, x=x, label=LABELS)
    blobs["y"].backward()
    apart = x - net.params["it"][0].detach().numpy()[LABELS.astype(int)]
    assert blobs["y"].item() == pytest.approx(np.abs(apart).sum() / 4, rel=1e-6)
    gradients = blobs["in/x"].grad
    assert gradients is not None
    close(gradients, apart / 4)


EDGES = np.array([[1, 0, 0, 0], [1, 1, 0, 0.5], [0, 0, 0, 0]], np.float32)


def test_heds_loss_weighs_edges_as_the_rest_and_the_rest_as_edges() -> None:
    """Image by image and pixel by pixel (sigmoid_cross_entropy_loss_layer.cpp, the CPU code)."""
    net = one_layer('type: "SigmoidCrossEntropyLoss" top: "y" dialect: "hed"', x=(3, 4), label=(3, 4))
    x = random(3, 4)
    loss, gradient = 0.0, 1 / (1 + np.exp(-x)) - EDGES
    for image in range(3):
        edges, rest = int((EDGES[image] == 1).sum()), int((EDGES[image] == 0).sum())
        for pixel, (value, goal) in enumerate(zip(x[image], EDGES[image], strict=True)):
            weight = {1.0: rest, 0.0: edges}.get(float(goal))
            if weight is not None:
                share = weight / (edges + rest)
                loss += share * (math.log(1 + math.exp(-value)) if goal else math.log(1 + math.exp(value)))
                gradient[image, pixel] *= share
    blobs = run(net, x=x, label=EDGES)
    assert blobs["y"].item() == pytest.approx(loss / 3, rel=1e-6)
    blobs["y"].backward()
    assert blobs["in/x"].grad is not None
    close(blobs["in/x"].grad, gradient / 3)


def test_an_image_of_neither_edges_nor_rest_is_heds_nan() -> None:
    net = one_layer('type: "SigmoidCrossEntropyLoss" top: "y" dialect: "hed"', x=(1, 2), label=(1, 2))
    assert run(net, x=np.zeros((1, 2)), label=np.full((1, 2), 0.5))["y"].isnan()


HED_DATA = """layer { name: "d" type: "ImageLabelmapData" top: "x" top: "label"
  image_data_param { source: "l" batch_size: 1 new_height: 2 new_width: 2 } }"""
HED_LOSS = """layer { name: "it" type: "SigmoidCrossEntropyLoss" bottom: "x" bottom: "label" top: "y" }"""


def test_a_net_that_reads_as_hed_does_has_heds_loss(capsys: pytest.CaptureFixture[str]) -> None:
    net = load_net(
        HED_DATA + HED_LOSS, phase="TRAIN", input_shapes={"x": (1, 1, 2, 2), "label": (1, 1, 2, 2)}
    )
    assert net.graph.nodes[-1].layer.dialect == "hed"
    assert "SigmoidCrossEntropyLoss is taken as hed's" in capsys.readouterr().err
    asked = load_net(
        HED_DATA + HED_LOSS,
        phase="TRAIN",
        dialect="caffe",
        input_shapes={"x": (1, 1, 2, 2), "label": (1, 1, 2, 2)},
    )
    assert asked.graph.nodes[-1].layer.dialect == "caffe"
    assert "hed" not in capsys.readouterr().err
