"""GeneralContrastiveLoss, distance by distance as happynear's general_constrastive_loss_layer.cpp goes."""

import math

import numpy as np
import pytest
import torch
from one_layer import close, one_layer, random, run

LABELS = np.array([0, 2, 1, 0])
NUMBERS = {"positive_margin": 0.2, "negative_margin": 1.3, "positive_weight": 0.7, "negative_weight": 0.4}


class ByHand:
    """The fork's two loops, with the running mean that goes on from pass to pass."""

    def __init__(self, **flags: float) -> None:
        self.flags, self.excess = flags, 0.0

    def loss(self, d: np.ndarray) -> tuple[float, np.ndarray, list[float]]:
        """(loss, gradient, means) of one pass."""
        get = {**NUMBERS, "positive_outlier_thresh": 4.0, "positive_upper_bound": 1.0, **self.flags}.get
        margin = NUMBERS["negative_margin"] + (self.excess if get("add_intra_mae") else 0)
        terms, beyond, lacking, largest, least = np.zeros_like(d), 0.0, 0.0, [0] * len(d), 0
        for i, label in enumerate(LABELS):
            for j in range(d.shape[1]):
                if j == label:
                    excess = min(
                        get("positive_outlier_thresh"), max(0.0, d[i, j] - NUMBERS["positive_margin"])
                    )
                    terms[i, j] = excess * NUMBERS["positive_weight"]
                    beyond += excess
                    least = i if terms[i, j] < terms[least, LABELS[least]] else least
                elif d[i, j] < margin:
                    lack = math.exp(-d[i, j]) if get("exp_negative_weight") else margin - d[i, j]
                    terms[i, j] = lack * NUMBERS["negative_weight"]
                    lacking += margin - d[i, j]
                    largest[i] = j if terms[i, j] > terms[i, largest[i]] else largest[i]
        slope = np.zeros_like(d)
        for i, label in enumerate(LABELS):
            far = bool(get("positive_first")) and d[i, label] > get("positive_upper_bound")
            for j in range(d.shape[1]):
                if j == label:
                    lost = bool(get("max_positive_only")) and i != least
                    within = NUMBERS["positive_margin"] < d[i, j] < get("positive_outlier_thresh")
                    slope[i, j] = NUMBERS["positive_weight"] if far or (within and not lost) else 0
                else:
                    lost = far or (bool(get("max_negative_only")) and j != largest[i])
                    steep = math.exp(-d[i, j]) if get("exp_negative_weight") else 1
                    slope[i, j] = -NUMBERS["negative_weight"] * steep if d[i, j] < margin and not lost else 0
                terms[i, j] = 0 if lost else terms[i, j]
        self._normalise(slope, get("normalize_negative"))
        self.excess = min(0.99 * self.excess + 0.01 * beyond / len(d), 1.2)
        means = [beyond / len(d), lacking / len(d) / (d.shape[1] - 1)]
        means += [self.excess] if get("add_intra_mae") else []
        return float(np.abs(terms).sum()) / len(d), slope / len(d), means

    def _normalise(self, slope: np.ndarray, norm: float | None) -> None:
        others = np.arange(slope.shape[1]) != LABELS[:, None]
        if norm is not None and (total := abs(slope[others].sum()) / norm / len(slope)) > 0.7:
            slope[others] /= total


FLAGS: list[dict[str, float]] = [
    {},
    {"max_positive_only": True},
    {"max_negative_only": True},
    {"max_negative_only": True, "max_positive_only": True, "exp_negative_weight": True},
    {"positive_first": True, "positive_upper_bound": 0.6},
    {"positive_first": True, "max_negative_only": True, "max_positive_only": True},
    {"exp_negative_weight": True},
    {"normalize_negative": 0.1},
    {"normalize_negative": 5},
    {"positive_outlier_thresh": 0.8},
    {"add_intra_mae": True},
]


@pytest.mark.parametrize("flags", FLAGS)
def test_every_field(flags: dict[str, float]) -> None:
    param = " ".join(f"{name}: {str(value).lower()}" for name, value in {**NUMBERS, **flags}.items())
    text = 'type: "GeneralContrastiveLoss" top: "y" top: "m" loss_weight: 1 loss_weight: 0'
    net = one_layer(
        f"{text} general_contrastive_loss_param {{ {param} }}", phase="TRAIN", x=(4, 5), label=(4,)
    )
    theirs = ByHand(**flags)
    for seed in range(4):
        d = np.abs(random(4, 5, seed=seed))
        blobs = run(net, x=d, label=LABELS)
        blobs["y"].backward()
        loss, slope, means = theirs.loss(d.astype(np.float64))
        assert blobs["y"].item() == pytest.approx(loss, rel=1e-5)
        close(blobs["m"], np.array(means, np.float32))
        gradients = blobs["in/x"].grad
        assert gradients is not None
        close(gradients, slope)


def test_a_third_bottom_holds_the_distances() -> None:
    text = 'type: "GeneralContrastiveLoss" top: "y"'
    three = one_layer(text, x=(4, 5), label=(4,), d=(4, 5))
    d = np.abs(random(4, 5))
    blobs = run(three, x=random(4, 5, seed=9), label=LABELS, d=d)
    two = run(one_layer(text, x=(4, 5), label=(4,)), x=d, label=LABELS)
    blobs["y"].backward()
    two["y"].backward()
    assert torch.equal(blobs["y"], two["y"]) and blobs["in/d"].grad is None
    gradients, others = blobs["in/x"].grad, two["in/x"].grad
    assert gradients is not None and others is not None and torch.equal(gradients, others)
