"""Trained models that people published, against what their Caffe computes at every blob."""

from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import torch
from golden_cases import arrays, error, named
from test_nets import PROBES, SHARED, TOLERANCE, rng
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, conv_transpose2d, leaky_relu, linear

from converters import load_net
from converters.weights.stored import stored_blobs

MODELS = SHARED / "models"
ABSENT = "other people's trained models, which may not be copied into the repository"


def recorded() -> list[object]:
    names = sorted(path.parent.name for path in MODELS.glob("*/blobs.npz"))
    return names or [pytest.param("none", marks=pytest.mark.skip(f"no {MODELS}: {ABSENT}"))]


def folder_of(name: str) -> Path:
    if not (MODELS / name).is_dir():
        pytest.skip(f"no {MODELS / name}: {ABSENT}")
    return MODELS / name


def drawn(blob: str, shape: tuple[int, ...]) -> Tensor:
    """What the recording was fed (the README beside the models)."""
    return torch.from_numpy((50 * rng(f"in/{blob}").standard_normal(shape)).astype(np.float32))


@pytest.mark.parametrize("name", recorded())
def test_every_blob_of_a_trained_model_is_caffes(name: str) -> None:
    folder = MODELS / name
    data = arrays(folder / "blobs.npz")
    net = load_net(folder / "deploy.prototxt", folder / "weights.caffemodel")
    inputs = {str(blob): drawn(str(blob), tuple(data[f"shape/{blob}"])) for blob in data["feeds"]}
    with torch.no_grad():
        blobs = net.all_blobs(**inputs)
    assert blobs.keys() == {blob for blob in named(data, "shape") if "_split_" not in blob}
    for blob, ours in blobs.items():
        assert tuple(ours.shape) == tuple(data[f"shape/{blob}"]), blob
        places = np.linspace(0, ours.numel() - 1, PROBES).astype(int)
        assert (
            error(ours.flatten()[torch.from_numpy(places)], torch.from_numpy(data[f"probe/{blob}"]))
            <= TOLERANCE
        )


def test_the_hdf5_file_of_a_model_has_its_own_weights() -> None:
    """Its README calls it the same snapshot; the two were trained apart."""
    folder = folder_of("cifar10-full")
    net = load_net(folder / "deploy.prototxt", folder / "weights.caffemodel.h5")
    with h5py.File(folder / "weights.caffemodel.h5") as file:
        for name in ("conv1", "conv2", "conv3", "ip1"):
            for index, blob in enumerate(net.params[name]):
                assert np.array_equal(blob.detach().numpy(), file[f"data/{name}/{index}"][()]), name


def test_nvidias_16_bit_weights_are_as_opencv_reads_them() -> None:
    folder = folder_of("hyperlpr-finemapping")
    files = folder / "deploy.prototxt", folder / "weights.caffemodel"
    theirs = cv2.dnn.readNetFromCaffe(*map(str, files))
    x = drawn("data", (1, 3, 16, 66))
    theirs.setInput(x.numpy())
    net = load_net(*files)
    with torch.no_grad():
        assert error(net(x), torch.from_numpy(theirs.forward())) <= 1e-5
    ours = {name: blobs[0].detach().flatten().numpy() for name, blobs in net.params.items() if blobs}
    for name, weights in ours.items():
        assert np.array_equal(weights, np.ravel(theirs.getParam(name, 0))), name


SLOPE = float(np.float32(0.1))  # as a prototxt holds it


class UpResNet:
    """The net of waifu2x's upresnet10, written by hand: residual blocks that weigh their channels (squeeze
    and excitation), without padding, so that what is passed by is cropped; then twice the size.
    """

    def __init__(self, weights: dict[str, list[Tensor]]) -> None:
        self.weights = weights

    def conv(self, name: str, x: Tensor) -> Tensor:
        return leaky_relu(conv2d(x, *self.weights[name]), SLOPE)

    def block(self, name: str, x: Tensor) -> Tensor:
        y = self.conv(f"{name}/conv2", self.conv(f"{name}/conv1", x))
        means = avg_pool2d(y, y.shape[2:]).flatten(1)
        hidden = linear(means, *self.weights[f"{name}/fc1"]).relu()
        scale = linear(hidden, *self.weights[f"{name}/fc2"]).sigmoid()
        return scale[:, :, None, None] * y + x[:, :, 2:-2, 2:-2]

    def __call__(self, x: Tensor) -> Tensor:
        first = y = self.conv("/conv_pre", x)
        for number in range(1, 6):
            y = self.block(f"/res{number}", y)
        y = self.conv("/conv_bridge", y) + first[:, :, 11:-11, 11:-11]
        return conv_transpose2d(y, *self.weights["/conv_post"], stride=2, padding=3)


def test_waifu2x_is_the_net_written_by_hand() -> None:
    folder = folder_of("waifu2x-upresnet10-noise0-2x")
    files = folder / "deploy.prototxt", folder / "weights.caffemodel"
    stored = stored_blobs(files[1])
    weights = {
        layer: [torch.from_numpy(blob.read().reshape(blob.shape)).double() for blob in blobs]
        for layer, blobs in stored.items()
        if blobs
    }
    x = drawn("input", (1, 3, 90, 90)).double()
    with torch.no_grad():
        ours, by_hand = load_net(*files).double()(x), UpResNet(weights)(x)
    # In float64: in float32 the net by hand is 2e-5 from it, and ours 6e-6.
    assert ours.shape == by_hand.shape and error(ours, by_hand) <= 1e-12
