"""MS-CNN's layers, place by place and box by box from the fork's CPU code: no recording holds them."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from one_layer import close, one_layer, random, run

from converters import load_net
from eval.probe import random_inputs
from prototxt.errors import InputError

Box = Sequence[float]
MEANS, STDS = (0.01, -0.02, 0.03, 0.04), (0.1, 0.2, 0.3, 0.4)
REG = (
    f"bbox_reg_param {{ {' '.join(f'bbox_mean: {x}' for x in MEANS)} "
    f"{' '.join(f'bbox_std: {x}' for x in STDS)} }}"
)


def iou(a: Box, b: Box) -> float:
    """Of left, top, width and height."""
    if min(a[2], a[3], b[2], b[3]) <= 0:
        return 0
    sides = [max(min(a[k] + a[k + 2], b[k] + b[k + 2]) - max(a[k], b[k]), 0) for k in (0, 1)]
    return sides[0] * sides[1] / (a[2] * a[3] + b[2] * b[3] - sides[0] * sides[1])


BOX_OUTPUT = """type: "BoxOutput" top: "rois" top: "scored" %s box_output_param { fg_thr: -0.5 iou_thr: 0.4
  field_w: 30 field_w: 50 field_h: 20 field_h: 60 downsample_rate: 8 downsample_rate: 16 field_whr: 2 field_xyr: 4
  %s }"""


def proposals(maps: Sequence[np.ndarray], image: int, most: int, after: int) -> list[list[float]]:
    """Rows of image, corners and score."""
    found: list[tuple[float, int, list[float]]] = []
    for x, (fw, fh, rate) in zip(maps, ((30, 20, 8), (50, 60, 16)), strict=True):
        for h in range(x.shape[2]):
            for w in range(x.shape[3]):
                cell = x[image, :, h, w].astype(float)
                score = max(cell[1:-4]) - cell[0]
                dx, dy, dw, dh = cell[-4:] * STDS + MEANS
                dx, dy = np.clip([dx, dy], -1 / 4, 1 / 4)
                dw, dh = np.clip([dw, dh], -math.log(2), math.log(2))
                bw, bh = fw * math.exp(dw), fh * math.exp(dh)
                left = max(dx * fw + (w + 0.5) * rate - bw / 2, 0)
                top = max(dy * fh + (h + 0.5) * rate - bh / 2, 0)
                bw, bh = min(bw, x.shape[3] * rate - left), min(bh, x.shape[2] * rate - top)
                if score >= -0.5 and min(bw, bh) >= 15:
                    found.append((score, len(found), [left, top, bw, bh]))
    found.sort(reverse=True)
    stays: list[tuple[float, list[float]]] = []
    for score, _, box in found[: most or None]:
        if all(iou(box, other) <= 0.4 for _, other in stays):
            stays.append((score, box))
    return [[image, b[0], b[1], b[0] + b[2], b[1] + b[3], s] for s, b in stays[: after or None]]


@pytest.mark.parametrize(("most", "after"), [(0, 0), (12, 0), (0, 3), (12, 3)])
def test_proposals_of_all_maps_are_suppressed_together(most: int, after: int) -> None:
    shapes = ((2, 7, 6, 9), (2, 7, 3, 5))
    limits = f"max_nms_num: {most} max_post_nms_num: {after}"
    net = one_layer(BOX_OUTPUT % (REG, limits), **dict(zip("ab", shapes, strict=True)))
    maps = [random(*shape, seed=k) for k, shape in enumerate(shapes)]
    maps[0][0, 1, 2, :4] = maps[0][0, 2, 2, :4] = 3.25  # equal scores: the later place goes first
    maps[0][0, 0, 2, :4] = 1
    rows = [row for image in (0, 1) for row in proposals(maps, image, most, after)]
    blobs = run(net, a=maps[0], b=maps[1])
    assert len(rows) > 4
    close(blobs["scored"][..., 0, 0], np.array(rows, np.float32))
    close(blobs["rois"][..., 0, 0], np.array(rows, np.float32)[:, :5])
    assert blobs["rois"].shape == (len(rows), 5, 1, 1)


def test_a_batch_without_proposals_has_one_of_its_own() -> None:
    shapes = {"a": (2, 6, 2, 2), "b": (2, 6, 1, 1)}
    net = one_layer(BOX_OUTPUT % ("", ""), **shapes)
    low = {
        name: np.stack([np.full(s[2:], 9.0 * (k == 0)) for k in range(6)])[None].repeat(2, 0)
        for name, s in shapes.items()
    }
    blobs = run(net, **low)
    assert blobs["rois"].flatten().tolist() == [0, 1, 1, 10, 10]
    assert blobs["scored"].flatten().tolist() == [0] * 6


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('nms_type: "IOMU"', "IOU, which alone"),
        ("field_w: 3", "for each of 2 bottoms"),
        ("field_whr: 0.5", "must be at least 1"),
    ],
)
def test_box_outputs_that_are_refused(text: str, reason: str) -> None:
    with pytest.raises(InputError, match=f'layer "it": .*{reason}'):
        one_layer(
            (BOX_OUTPUT % ("", text)).replace(
                "field_whr: 2 field_xyr: 4\n  field_whr", "field_xyr: 4\n field_whr"
            ),
            a=(2, 6, 2, 2),
            b=(2, 6, 1, 1),
        )


ROIS = np.array(
    [[0, 10, 10, 49, 39], [1, 0, 20, 59, 99], [0, 5.5, 7, 80.25, 66], [1, 30, 30, 61, 61]], np.float32
)


@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
def test_decoded_boxes(phase: str) -> None:
    deltas = random(4, 8)
    deltas[3, 6] = -40  # narrower than a pixel: its corners cross
    match = np.zeros((4, 6), np.float32)
    match[0, 5] = 0.96
    text = f'type: "DecodeBBox" top: "y" {REG}'
    shapes: dict[str, tuple[int, ...]] = {"d": (4, 8), "r": (4, 5, 1, 1)}
    arrays = {"d": deltas, "r": ROIS[..., None, None]}
    if phase == "TRAIN":
        shapes["m"], arrays["m"] = (4, 6, 1, 1), match[..., None, None]
    rows = []
    for k, (image, x1, y1, x2, y2) in enumerate(ROIS.tolist()):
        dx, dy, dw, dh = deltas[k, 4:] * STDS + MEANS
        w, h = (x2 - x1 + 1) * math.exp(dw), (y2 - y1 + 1) * math.exp(dh)
        left = dx * (x2 - x1 + 1) + (x1 + x2) / 2 - (w - 1) / 2
        top = dy * (y2 - y1 + 1) + (y1 + y2) / 2 - (h - 1) / 2
        if phase == "TEST" or (w >= 1 and h >= 1 and match[k, 5] < 0.95):
            rows.append([image, left, top, left + w - 1, top + h - 1])
    assert len(rows) == (4 if phase == "TEST" else 2)
    y = run(one_layer(text, phase=phase, **shapes), **arrays)["y"]
    close(y[..., 0, 0], np.array(rows, np.float32))


def test_a_third_bottom_is_for_training() -> None:
    net = one_layer('type: "DecodeBBox" top: "y"', d=(4, 8), r=(4, 5, 1, 1), m=(4, 6, 1, 1))
    with pytest.raises(InputError, match='layer "it": takes a third bottom in TRAIN alone'):
        run(net, d=random(4, 8), r=ROIS[..., None, None], m=np.zeros((4, 6, 1, 1)))


TARGET = """type: "ProposalTarget" top: "rois" top: "labels" top: "targets" top: "inside" top: "outside" top: "match"
  top: "weights" proposal_target_param { cls_num: 3 batch_size: %d fg_fraction: 0.5 num_img_per_batch: 2 fg_thr: 0.5
  bg_thr_hg: 0.5 bg_thr_lw: 0.1 img_width: 200 img_height: 100 %s } %s"""
# Image, corners, label, whether to ignore it.
TRUTHS = np.array(
    [[0, 10, 10, 49, 39, 2, 0], [1, 0, 20, 59, 99, 1, 0], [1, 100, 10, 139, 49, 2, 1]], np.float32
)
AROUND = np.array(
    [
        [0, 12, 12, 49, 39],  # an object
        [1, 105, 12, 139, 49],  # what it overlaps is to be ignored: goes
        [0, 10, 10, 29, 24],  # background: a quarter
        [0, 150, 50, 190, 90],  # nothing: of the rest
        [1, 12, 12, 49, 39],  # in the other image
    ],
    np.float32,
)


def targets(batch: int, aware: bool, extra: str = "") -> dict[str, np.ndarray]:
    torch.manual_seed(1)
    reg = REG.replace("{", "{" if aware else "{ cls_aware: false")
    net = one_layer(TARGET % (batch, extra, reg), phase="TRAIN", r=(5, 5, 1, 1), t=(3, 7, 1, 1))
    blobs = run(net, r=AROUND[..., None, None], t=TRUTHS[..., None, None])
    names = ("rois", "labels", "targets", "inside", "outside", "match", "weights")
    assert all(blobs[name].shape[2:] == (1, 1) for name in names)
    return {name: blobs[name][..., 0, 0].detach().numpy() for name in names}


@pytest.mark.parametrize("aware", [True, False])
def test_all_rois_that_count_are_targets(aware: bool) -> None:
    tops = targets(-1, aware)
    # The objects among the rois and the true boxes themselves, then what is background.
    objects = [(AROUND[0], 0), (TRUTHS[0, :5], 0), (TRUTHS[1, :5], 1)]
    np.testing.assert_allclose(tops["rois"], [row for row, _ in objects] + [AROUND[2], AROUND[4]], rtol=1e-6)
    assert tops["labels"][:, 0].tolist() == [2, 2, 1, 0, 0]
    columns = 3 if aware else 2
    for k, (roi, at) in enumerate(objects):
        x1, y1, x2, y2 = roi[1:].tolist()
        gx1, gy1, gx2, gy2 = TRUTHS[at, 1:5].tolist()
        w, h, gw, gh = x2 - x1 + 1, y2 - y1 + 1, gx2 - gx1 + 1, gy2 - gy1 + 1
        deltas = [
            (gx1 + gw / 2 - x1 - w / 2) / w,
            (gy1 + gh / 2 - y1 - h / 2) / h,
            math.log(gw / w),
            math.log(gh / h),
        ]
        expected, mark = np.zeros((columns, 4)), np.zeros((columns, 4))
        column = int(TRUTHS[at, 5]) if aware else 1
        expected[column], mark[column] = (np.array(deltas) - MEANS) / STDS, 1
        np.testing.assert_allclose(tops["targets"][k], expected.ravel(), atol=1e-5)
        assert (tops["inside"][k] == mark.ravel()).all() and (tops["outside"][k] == mark.ravel()).all()
        shared = iou([x1, y1, w, h], [gx1, gy1, gw, gh])
        np.testing.assert_allclose(tops["match"][k], [TRUTHS[at, 5], *TRUTHS[at, 1:5], shared], rtol=1e-5)
    assert not tops["targets"][3:].any() and not tops["match"][3:].any()
    np.testing.assert_allclose(tops["weights"][:, 0], [2.5 / 3] * 3 + [2.5 / 2] * 2, rtol=1e-6)
    shares = targets(-1, aware, "iou_weighted: true")
    np.testing.assert_allclose(
        shares["weights"][:3, 0], tops["match"][:3, 5] * 2.5 / tops["match"][:3, 5].sum(), rtol=1e-5
    )


def test_a_batch_is_filled_up_and_drawn_from() -> None:
    full = targets(20, False)
    assert full["labels"][:, 0].tolist() == [2, 2, 1] + [0] * 17
    np.testing.assert_allclose(
        full["rois"][3:6], AROUND[[2, 4, 3]]
    )  # then what overlaps less, then drawn ones
    drawn = full["rois"][6:]
    sides = drawn[:, 3:] - drawn[:, 1:3] + 1
    assert (sides >= 32).all() and (drawn[:, 1] <= 168).all() and (drawn[:, 2] <= 68).all()
    assert {0, 1} == {*drawn[:, 0].tolist()}
    for image, x1, y1, x2, y2 in drawn.tolist():
        for truth in TRUTHS[TRUTHS[:, 0] == image].tolist():
            goal = [*truth[1:3], truth[3] - truth[1] + 1, truth[4] - truth[2] + 1]
            assert iou([x1, y1, x2 - x1 + 1, y2 - y1 + 1], goal) < 0.5
    few = targets(2, False)
    assert (few["labels"][:, 0] > 0).tolist() == [True, False]


def test_images_without_a_true_box_are_all_background() -> None:
    net = one_layer(TARGET % (8, "", ""), phase="TRAIN", r=(5, 5, 1, 1), t=(3, 7, 1, 1))
    tops = net(torch.from_numpy(AROUND[..., None, None]), torch.zeros(0, 7, 1, 1))
    assert isinstance(tops, dict)
    assert torch.equal(tops["rois"][:5, :, 0, 0], torch.from_numpy(AROUND)) and len(tops["rois"]) == 8
    assert not any(tops[name].any() for name in ("labels", "targets", "inside", "match"))


@pytest.mark.parametrize("share", ["-0.5", "1.5", "inf", "nan"])
def test_objects_are_a_share_of_a_batch(share: str) -> None:
    with pytest.raises(InputError, match=f'layer "it": fg_fraction {share} is not between 0 and 1'):
        text = TARGET.replace("fg_fraction: 0.5", f"fg_fraction: {share}")
        one_layer(text % (4, "", ""), phase="TRAIN", r=(5, 5, 1, 1), t=(3, 7, 1, 1))


def test_true_boxes_that_cannot_be_are_refused() -> None:
    net = one_layer(TARGET % (-1, "", ""), phase="TRAIN", r=(5, 5, 1, 1), t=(3, 7, 1, 1))
    for column, value, reason in (
        (5, 0, "label 0, which"),
        (5, 3, "label 3 .* out of range"),
        (0, 2, "image 2"),
    ):
        truths = TRUTHS.copy()
        truths[1, column] = value
        with pytest.raises(InputError, match=f'layer "it": .*{reason}'):
            run(net, r=AROUND[..., None, None], t=truths[..., None, None])


def label_map(classes: int, seed: int = 0) -> np.ndarray:
    draw = np.random.Generator(np.random.PCG64(seed))
    shape = (2, 1, 5, 6)
    label = draw.integers(1, classes, shape) * (draw.random(shape) < 0.3)
    middles, sides = draw.uniform(0, 48, (2, 2, 5, 6)), draw.uniform(1, 60, (2, 2, 5, 6))
    return np.concatenate([label, middles, sides, draw.random(shape)], 1).astype(np.float32)


LOSS = """type: "DetectionLoss" top: "y" %s detection_loss_param { cls_num: %d lambda: 0.5 field_w: 30 field_h: 20
  downsample_rate: 8 field_whr: 2 field_xyr: 2 bg_threshold: 0.6 bg_multiple: 2 sample_mode: "%s" %s }"""


def test_more_places_than_can_be_drawn_are_refused() -> None:
    text = LOSS.replace("bg_multiple: 2", "bg_multiple: 2147483647") % ("", 3, "random", "")
    with pytest.raises(InputError, match='layer "it": bg_multiple 2147483647'):
        one_layer(text, x=(2, 7, 5, 6), t=(2, 6, 5, 6))


def ranked(x: np.ndarray, label: np.ndarray, ground: np.ndarray, classes: int) -> np.ndarray:
    """Of every image and class the places that score best."""
    chosen = np.zeros_like(ground)
    for image in range(len(x)):
        for k in range(1, classes):
            places = [
                (x[image, k, h, w], h * 6 + w) for h in range(5) for w in range(6) if ground[image, h, w]
            ]
            count = max(4, int((label[image] == k).sum() * 2))
            for _, place in sorted(places, reverse=True)[:count]:
                chosen[image, place // 6, place % 6] = True
    return chosen


@pytest.mark.parametrize("mode", ["bootstrap", "everything"])
@pytest.mark.parametrize("extra", ["", "iou_weighted: true pos_neg_weighted: true", "bb_smooth: false"])
@pytest.mark.parametrize("objectness", [False, True])
@pytest.mark.parametrize("reg", ["", REG])
def test_detection_loss(mode: str, extra: str, objectness: bool, reg: str) -> None:
    classes = 2 if objectness else 4
    labels, x = label_map(4), random(2, classes + 4, 5, 6)
    text = extra + (" objectness: true" if objectness else "")
    net = one_layer(LOSS % (reg, classes, mode, text), phase="TRAIN", x=x.shape, t=labels.shape)
    means, stds = (MEANS, STDS) if reg else ((0, 0, 0, 0), (1, 1, 1, 1))
    raw = labels[:, 0].astype(int)
    label = np.minimum(raw, 1) if objectness else raw
    ground = (raw == 0) & (labels[:, 5] < 0.6)
    kept = ground if mode == "everything" else ranked(x, label, ground, classes)
    weight = np.where((raw != 0) & ("iou" in extra), labels[:, 5], 1).astype(float)
    if "pos_neg" in extra:
        count = kept.sum() + (raw != 0).sum()
        objects, others = weight[raw != 0].sum(), weight[kept].sum()
        weight[raw != 0] *= count / 3 / objects
        weight[raw == 0] *= (1 - 1 / 3) * count / others
    slope, by_class, by_box = np.zeros(x.shape), 0.0, 0.0
    counts, boxes = (kept | (raw != 0)).sum(), (raw != 0).sum() * 4
    spread = math.sqrt(stds[0] * stds[1]), math.sqrt(stds[2] * stds[3])
    off = (means[0] + means[1]) / 2, (means[2] + means[3]) / 2
    for n, h, w in np.ndindex(2, 5, 6):
        if kept[n, h, w] or raw[n, h, w]:
            p = np.exp(x[n, :classes, h, w].astype(float))
            p /= p.sum()
            by_class -= math.log(p[label[n, h, w]]) * weight[n, h, w]
            p[label[n, h, w]] -= 1
            slope[n, :classes, h, w] = p * weight[n, h, w] / counts
        if raw[n, h, w]:
            mx, my, sx, sy = labels[n, 1:5, h, w].tolist()
            goal = [
                (mx - (w + 0.5) * 8) / 30,
                (my - (h + 0.5) * 8) / 20,
                math.log(max(sx, 2) / 30),
                math.log(max(sy, 2) / 20),
            ]
            for k, value in enumerate(x[n, classes:, h, w].tolist()):
                bound, at = (0.5, 0) if k < 2 else (math.log(2), 1)
                low, high = ((side - off[at]) / spread[at] for side in (-bound, bound))
                apart = min(max(value, low), high) - (goal[k] - means[k]) / stds[k]
                smooth = "bb_smooth" not in extra
                by_box += abs(apart) - 0.5 if smooth and abs(apart) >= 1 else apart * apart / 2
                slope[n, classes + k, h, w] = (np.clip(apart, -1, 1) if smooth else apart) * 0.5 / boxes
    by_box *= 0.5 / boxes
    blobs = run(net, x=x, t=labels)
    close(blobs["y"], np.array([by_class / counts + by_box, by_box]).reshape(1, 1, 1, 2))
    (3 * blobs["y"]).sum().backward()
    assert blobs["in/x"].grad is not None
    close(blobs["in/x"].grad, 3 * slope)


@pytest.mark.parametrize("mode", ["random", "mixture"])
def test_places_of_the_background_are_drawn(mode: str) -> None:
    """A place that counts has a gradient; objects always do."""
    labels, x = label_map(4), random(2, 8, 5, 6)
    net = one_layer(LOSS % ("", 4, mode, ""), phase="TRAIN", x=x.shape, t=labels.shape)
    raw = labels[:, 0].astype(int)
    ground = (raw == 0) & (labels[:, 5] < 0.6)
    seen = set()
    for seed in range(3):
        torch.manual_seed(seed)
        blobs = run(net, x=x, t=labels)
        blobs["y"].sum().backward()
        assert blobs["in/x"].grad is not None
        counts = (blobs["in/x"].grad[:, :4] != 0).any(1).numpy()
        assert counts[raw != 0].all() and not counts[(raw == 0) & ~ground].any()
        assert 0 < counts[ground].sum() < ground.sum()
        seen.add(counts.tobytes())
    assert len(seen) > 1


ACCURACY = """type: "DetectionAccuracy" top: "y" top: "z" %s detection_accuracy_param { cls_num: 4 field_w: 30 field_h: 20
  downsample_rate: 8 field_whr: 2 field_xyr: 4 bg_threshold: 0.6 top_k: %d }"""


@pytest.mark.parametrize("top_k", [1, 2])
@pytest.mark.parametrize("ignored", [None, 2])
@pytest.mark.parametrize("reg", ["", REG])
def test_detection_accuracy(top_k: int, ignored: int | None, reg: str) -> None:
    labels, x = label_map(4), random(2, 8, 5, 6)
    x[0, 0] = x[0, 1] = x[0, 3] = 1  # equal scores: the larger class first
    skip = "" if ignored is None else f"loss_param {{ ignore_label: {ignored} }}"
    net = one_layer(ACCURACY % (skip + reg, top_k), x=x.shape, t=labels.shape)
    means, stds = (MEANS, STDS) if reg else (0, 1)
    hits, shared = [], []
    for n, h, w in np.ndindex(2, 5, 6):
        label = int(labels[n, 0, h, w])
        if label == ignored or (label == 0 and labels[n, 5, h, w] >= 0.6):
            continue
        order = sorted(((x[n, k, h, w], k) for k in range(4)), reverse=True)
        hits.append((label, label in [k for _, k in order[:top_k]]))
        if label:
            deltas = x[n, 4:, h, w].astype(float) * stds + means
            dx, dy = np.clip(deltas[:2], -0.25, 0.25)
            bw, bh = np.exp(np.clip(deltas[2:], -math.log(2), math.log(2))) * (30, 20)
            ours = [dx * 30 + (w + 0.5) * 8 - bw / 2, dy * 20 + (h + 0.5) * 8 - bh / 2, bw, bh]
            mx, my, sx, sy = labels[n, 1:5, h, w].tolist()
            shared.append(iou(ours, [mx - sx / 2, my - sy / 2, sx, sy]))
    blobs = run(net, x=x, t=labels)
    expected = [np.mean([hit for _, hit in hits]), np.mean([hit for label, hit in hits if label])]
    close(blobs["y"], np.array(expected).reshape(1, 1, 1, 2))
    close(blobs["z"], np.array(np.mean(shared)).reshape(1, 1, 1, 1))


def test_what_no_place_is_of_is_minus_one() -> None:
    labels = np.zeros((2, 6, 5, 6), np.float32)
    labels[:, 5] = 1
    net = one_layer(ACCURACY % ("", 1), x=(2, 8, 5, 6), t=labels.shape)
    blobs = run(net, x=random(2, 8, 5, 6), t=labels)
    assert blobs["y"].flatten().tolist() == [-1, -1] and blobs["z"].item() == -1


@pytest.mark.parametrize("aware", [True, False])
def test_overlaps_of_rois_after_and_before(aware: bool) -> None:
    deltas = 0.3 * random(4, 16 if aware else 8)
    match = np.array(
        [
            [3, 12, 12, 55, 40, 0.7],
            [0, 0, 0, 0, 0, 0],  # no object
            [1, 0, 0, 70, 60, 0.6],
            [2, 30, 30, 61, 61, 0.98],  # too near before
        ],
        np.float32,
    )
    reg = REG.replace("{", "{" if aware else "{ cls_aware: false")
    net = one_layer(
        f'type: "BboxAccuracy" top: "y" top: "z" {reg}', d=deltas.shape, r=(4, 5, 1, 1), m=(4, 6, 1, 1)
    )
    after, before = [], []
    for k in (0, 2):
        at = 4 * (int(match[k, 0]) if aware else 1)
        dx, dy, dw, dh = deltas[k, at : at + 4].astype(float) * STDS + MEANS
        x1, y1, x2, y2 = ROIS[k, 1:].tolist()
        w, h = x2 - x1 + 1, y2 - y1 + 1
        bw, bh = w * math.exp(dw), h * math.exp(dh)
        truth = [*match[k, 1:3], match[k, 3] - match[k, 1] + 1, match[k, 4] - match[k, 2] + 1]
        after.append(iou([dx * w + x1 + w / 2 - bw / 2, dy * h + y1 + h / 2 - bh / 2, bw, bh], truth))
        before.append(iou([x1, y1, w, h], truth))
    blobs = run(net, d=deltas, r=ROIS[..., None, None], m=match[..., None, None])
    close(blobs["y"], np.array(np.mean(after)).reshape(1, 1, 1, 1))
    close(blobs["z"], np.array(np.mean(before)).reshape(1, 1, 1, 1))


def test_rois_that_are_padded() -> None:
    """A roi of 16 by 8 pixels, a quarter of that more at every edge, is one of 24 by 12."""
    text = 'type: "ROIPooling" top: "y" roi_pooling_param { pooled_h: 3 pooled_w: 3 spatial_scale: 0.5 %s }'
    x = random(1, 2, 20, 20)
    padded = one_layer(text % "pad_ratio: 0.25", x=x.shape, r=(1, 5))
    plain = one_layer(text % "", x=x.shape, r=(1, 5))
    ours = run(padded, x=x, r=np.array([[0, 10, 10, 25, 17]]))["y"]
    assert torch.equal(ours, run(plain, x=x, r=np.array([[0, 6, 8, 29, 19]]))["y"])
    assert not torch.equal(ours, run(plain, x=x, r=np.array([[0, 10, 10, 25, 17]]))["y"])


LAYER = 'layer { name: "%s" type: "%s" %s }\n'
DATA = """top: "data" top: "labels" top: "truths" image_gt_data_param { source: "l" batch_size: 2 crop_width: 96
  crop_height: 64 downsample_rate: 8 field_w: 30 field_h: 30 output_gt_boxes: true }"""
CASCADE = "bbox_reg_param { cls_aware: false }"
ROWS = ("rois", "label", "target", "inside", "outside", "match")


def stage(name: str, rois: str) -> str:
    """Targets, pooling and a detector."""
    tops = " ".join(f'top: "{row}{name}"' for row in ROWS)
    param = (
        "proposal_target_param { cls_num: 3 batch_size: 8 num_img_per_batch: 2 img_width: 96 img_height: 64 }"
    )
    pooled = (
        f'bottom: "map" bottom: "rois{name}" top: "pool{name}" roi_pooling_param {{ pooled_w: 2 pooled_h: 2'
    )
    fc = f'bottom: "pool{name}" top: "%s{name}" inner_product_param {{ num_output: %d weight_filler {{ type: "xavier" }} }}'
    box = " ".join(f'bottom: "{row}{name}"' for row in ("box", "target", "inside", "outside"))
    return "".join(
        [
            LAYER
            % (f"t{name}", "ProposalTarget", f'bottom: "{rois}" bottom: "truths" {tops} {param} {CASCADE}'),
            LAYER % (f"p{name}", "ROIPooling", f"{pooled} spatial_scale: 0.125 pad_ratio: 0.25 }}"),
            LAYER % (f"c{name}", "InnerProduct", fc % ("class", 3)),
            LAYER % (f"b{name}", "InnerProduct", fc % ("box", 8)),
            LAYER
            % (f"l{name}", "SoftmaxWithLoss", f'bottom: "class{name}" bottom: "label{name}" top: "lc{name}"'),
            LAYER % (f"s{name}", "SmoothL1Loss", f'{box} top: "lb{name}" loss_weight: 1'),
        ]
    )


def test_a_cascade_is_built_and_has_gradients() -> None:
    conv = 'bottom: "%s" top: "%s" convolution_param { num_output: %d kernel_size: %d stride: %d %s }'
    fill = 'weight_filler { type: "gaussian" std: 0.05 }'
    loss = """bottom: "out" bottom: "labels" top: "loss" detection_loss_param { cls_num: 3 field_w: 30 field_h: 30
      downsample_rate: 8 sample_mode: "bootstrap" pos_neg_weighted: true }"""
    output = """bottom: "out" top: "boxes" box_output_param { fg_thr: -5 field_w: 30 field_h: 30 downsample_rate: 8
      max_nms_num: 20 }"""
    match = 'bottom: "box1" bottom: "rois1" bottom: "match1" top: "boxes2"'
    text = "".join(
        [
            LAYER % ("data", "ImageGtData", DATA),
            LAYER % ("map", "Convolution", conv % ("data", "map", 4, 8, 8, fill)),
            LAYER % ("out", "Convolution", conv % ("map", "out", 7, 1, 1, fill)),
            LAYER % ("loss", "DetectionLoss", loss),
            LAYER % ("boxes", "BoxOutput", output),
            stage("1", "boxes"),
            LAYER % ("again", "DecodeBBox", match),
            stage("2", "boxes2"),
        ]
    )
    net = load_net(text, phase="TRAIN")
    inputs = {name: torch.from_numpy(x) for name, x in random_inputs(net).items()}
    assert {name: tuple(x.shape) for name, x in inputs.items()} == {
        "data": (2, 3, 64, 96),
        "labels": (2, 6, 8, 12),
        "truths": (2, 7, 1, 1),
    }
    values = net.values(inputs)
    total = net.loss(values)
    total.backward()
    assert total.isfinite()
    assert all(blob.grad is not None and blob.grad.isfinite().all() for blob in net.parameters())


ALIGN = 'type: "ROIAlign" top: "y" roi_pooling_param { pooled_h: 2 pooled_w: 3 spatial_scale: 0.5 %s }'


@pytest.mark.parametrize("pad", [0, 0.25])
def test_the_corners_of_bins_are_interpolated(pad: float) -> None:
    """Corner by corner; a roi that ends before it begins is 0, and so is what lies outside."""
    rois = np.array([[0, 3, 2, 12.5, 11], [1, -6, 0, 30, 22], [1, 9, 4, 7, 12], [0, 0, 0, 0, 5]], np.float32)
    x = random(2, 3, 9, 10)
    net = one_layer(ALIGN % f"pad_ratio: {pad}", x=x.shape, r=(4, 5))
    expected, slope = np.zeros((4, 3, 3, 4)), np.zeros(x.shape)
    for r, (image, x1, y1, x2, y2) in enumerate(rois.tolist()):
        dx, dy = (x2 - x1 + 1) * pad, (y2 - y1 + 1) * pad
        left, right = (x1 - dx) * 0.5 - 0.5, (x2 + dx) * 0.5 - 0.5
        top, bottom = (y1 - dy) * 0.5 - 0.5, (y2 + dy) * 0.5 - 0.5
        for i, j in np.ndindex(3, 4):
            h, w = top + i * (bottom - top) / 2, left + j * (right - left) / 3
            outside = h < -0.5 or h > 8.5 or w < -0.5 or w > 9.5
            if outside or bottom <= top or right <= left:
                continue
            h, w = min(max(h, 0), 8), min(max(w, 0), 9)
            for row, by_row in ((int(h), 1 - h % 1), (min(int(h) + 1, 8), h % 1)):
                for column, by_column in ((int(w), 1 - w % 1), (min(int(w) + 1, 9), w % 1)):
                    expected[r, :, i, j] += x[int(image), :, row, column] * by_row * by_column
                    slope[int(image), :, row, column] += by_row * by_column
    blobs = run(net, x=x, r=rois)
    close(blobs["y"], expected)
    blobs["y"].sum().backward()
    assert blobs["in/x"].grad is not None
    close(blobs["in/x"].grad, slope)
    assert not expected[2].any() and expected[1, 0].astype(bool).any() and not expected[1, 0, :, 0].any()


def test_other_forks_roi_align_is_refused() -> None:
    with pytest.raises(InputError, match='layer "it": forks differ in what ROIAlign is'):
        one_layer(ALIGN % "", x=(1, 2, 9, 9), r=(1, 5))
