"""BN of forks beyond what the recordings hold, by hand from the forks' sources."""

import numpy as np
import pytest
import torch
from one_layer import close, one_layer, random, run

BN = 'type: "BN" dialect: "%s" bn_param { %s }'


def test_segnets_inference_scales_alone_and_leaves_its_other_tops_empty() -> None:
    tops = 'top: "y" top: "mean" top: "variance"'
    net = one_layer(f"{tops} {BN % ('segnet', 'bn_mode: INFERENCE')}", x=(3, 2))
    x = random(3, 2)
    with torch.no_grad():
        net.params["it"][0].copy_(torch.tensor([2.0, -3]).reshape(1, 2, 1, 1))
    blobs = run(net, x=x)
    close(blobs["y"], (x * [2, -3])[..., None, None].astype(np.float32))  # 4 axes, as SegNet's blobs have
    close(blobs["mean"], np.zeros((1, 2, 1, 1), np.float32))
    close(blobs["variance"], np.zeros((1, 2, 1, 1), np.float32))


@pytest.mark.parametrize("top", ["x", "y"])
def test_segnets_inference_in_place_takes_the_scales_gradient_from_the_top(top: str) -> None:
    x, dy = random(2, 3, 2, 2), random(2, 3, 2, 2, seed=1)
    net = one_layer(f'top: "{top}" {BN % ("segnet", "bn_mode: INFERENCE")}', phase="TRAIN", x=x.shape)
    scale, shift = net.params["it"]
    with torch.no_grad():
        scale.fill_(2)
        shift.add_(0.5)
    bottom = torch.from_numpy(x).requires_grad_()
    y = net(bottom)
    assert isinstance(y, torch.Tensor)
    close(y, 2 * x + np.float32(0.5))
    y.backward(torch.from_numpy(dy))
    read = 2 * x + 0.5 if top == "x" else x  # what Caffe finds in the bottom
    assert scale.grad is not None and shift.grad is not None and bottom.grad is not None
    close(scale.grad, (read * dy).sum((0, 2, 3)).reshape(1, 3, 1, 1))
    close(shift.grad, dy.sum((0, 2, 3)).reshape(1, 3, 1, 1))
    close(bottom.grad, 2 * dy)


@pytest.mark.parametrize(
    ("dialect", "frozen", "first"), [("happynear", 0, 1), ("pspnet", 0, 0), ("pspnet", 1, 1)]
)
def test_the_second_running_statistic_begins_where_the_forks_does(
    dialect: str, frozen: int, first: float
) -> None:
    fields = "frozen: true" if frozen else "eps: 1e-5"
    net = one_layer(f'top: "y" {BN % (dialect, fields)}', phase="TRAIN", x=(2, 3, 4, 4))
    assert [blob.unique().tolist() for blob in net.params["it"][2:]] == [[0], [first]]
