"""Lists of images of sizes of their own: cached so, mapped, whole or not at all, and served as without."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from converters.data.images.cut import Cutter
from converters.data.images.transform import choose_crops, draw, transform
from converters.data.opening import open_data
from converters.weights.mean_image import write_mean
from prototxt.caffe_pb2 import LayerParameter, NetParameter
from prototxt.errors import InputError
from prototxt.text import parse
from zoo.train.images.dataset import ImageSet, fingerprint, open_images
from zoo.train.images.feed import ImageFeed
from zoo.train.images.places import cache_folder
from zoo.train.images.ragged import Ragged

SIZES = [(20, 31), (25, 22), (20, 31), (40, 40), (21, 20)]
CROP = "transform_param { crop_size: 19 mirror: true mean_value: 9 mean_value: 8 mean_value: 7 scale: 0.5 }"
LIST = 'image_data_param { source: "list.txt" batch_size: 4 shuffle: true }'


@pytest.fixture
def pictures(tmp_path: Path) -> list[np.ndarray]:
    """Pictures of several sizes, listed in the current test's folder."""
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (*size, 3), np.uint8) for size in SIZES]
    for number, image in enumerate(images):
        cv2.imwrite(str(tmp_path / f"{number}.png"), image)
    (tmp_path / "list.txt").write_text("".join(f"{n}.png {n}\n" for n in range(len(images))))
    return images


def layer(text: str) -> LayerParameter:
    head = 'layer { name: "data" type: "ImageData" top: "data" top: "label"'
    return parse(f"{head} {text} }}", NetParameter).layer[0]


def opened(folder: Path, text: str, told: list[int] | None = None, skip_bad: bool = False) -> ImageSet:
    def advance(done: int, total: int) -> None:
        if told is not None:
            told.append(done)

    return open_images(layer(text), folder / "list.txt", [folder], advance, skip_bad)


def test_the_cache_holds_each_as_it_is(pictures: list[np.ndarray], tmp_path: Path) -> None:
    told: list[int] = []
    for expected in ([1, 2, 3, 4, 5], []):  # decoded, then mapped
        told.clear()
        images = opened(tmp_path, CROP + LIST, told)
        assert told == expected and isinstance(images.pixels, Ragged)
        assert len(images.pixels) == 5 and images.pixels.nbytes == sum(image.nbytes for image in pictures)
        for ours, image in zip(images.pixels, pictures, strict=True):
            assert np.array_equal(ours, image) and not ours.flags.writeable
        some = images.pixels[np.array([3, 1])]
        assert [np.array_equal(ours, pictures[n]) for ours, n in zip(some, (3, 1), strict=True)] == [True] * 2
    one = fingerprint(images)
    cv2.imwrite(str(tmp_path / "0.png"), pictures[0] + 1)
    assert fingerprint(opened(tmp_path, CROP + LIST)) != one


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("mean", [False, True])
def test_they_are_served_as_the_data_layer_serves_them(
    train: bool, mean: bool, pictures: list[np.ndarray], tmp_path: Path
) -> None:
    text = CROP + LIST
    if mean:  # which all must be as large as
        for number in range(5):
            cv2.imwrite(str(tmp_path / f"{number}.png"), pictures[0] + number)
        write_mean(tmp_path / "mean.binaryproto", np.full((1, 3, 20, 31), 99, np.float32))
        text = f'transform_param {{ crop_size: 19 mirror: true mean_file: "mean.binaryproto" }} {LIST}'
    feed = ImageFeed(opened(tmp_path, text), train, 3, torch.device("cpu"))
    with open_data(layer(text), "TRAIN" if train else "TEST", 3, [tmp_path]) as source:
        for index in (0, 1, 5):
            batch = source.batch(index)
            assert all(torch.equal(values, batch[top]) for top, values in feed.batch(index).items())
    assert feed.batch(0)["data"].is_contiguous(memory_format=torch.channels_last)
    feed.close()


@pytest.mark.parametrize(
    "text", [CROP, "transform_param { crop_size: 20 }", "transform_param { mirror: true }"]
)
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("channels", [1, 3, 6])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_one_by_one_is_as_all_at_once(text: str, train: bool, channels: int, kind: type) -> None:
    images = np.random.default_rng(0).integers(0, 256, (50, 23, 29, channels)).astype(kind)
    mean = torch.from_numpy(np.random.default_rng(1).normal(99, 9, (23, 29, channels)).astype(np.float32))
    text = text.replace("mean_value: 9 mean_value: 8 mean_value: 7", "mean_value: 8.7 " * channels)
    message, drawn = layer(text), draw(1, 2, 50)
    for each in (None, mean):
        choices = choose_crops(message, train, (23, 29), drawn)
        wanted = transform(message, torch.from_numpy(images), choices, each)
        cutter = Cutter(message, train, each)
        ours = np.empty((50, *cutter.size(images[0].shape), channels), np.float32)
        for place in range(50):
            cutter.serve(images[place], drawn[place], ours[place])
        assert torch.equal(torch.from_numpy(ours).permute(0, 3, 1, 2), wanted)


def test_a_layer_without_a_crop_refuses_the_cache_too(pictures: list[np.ndarray], tmp_path: Path) -> None:
    says = r"list\.txt:2: image .*1\.png is 25×22, the first is 20×31; give new_height and new_width"
    for _ in range(2):
        with pytest.raises(InputError, match=says):
            opened(tmp_path, LIST)
        opened(tmp_path, CROP + LIST)
    with pytest.raises(
        InputError, match=r"list\.txt:1: image .*0\.png: crop_size 21 is larger than .* 20×31"
    ):
        opened(tmp_path, "transform_param { crop_size: 21 }" + LIST)


def test_those_of_one_size_lie_as_ever(tmp_path: Path) -> None:
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((9, 8, 3), number, np.uint8))
    (tmp_path / "list.txt").write_text("0.png 0\nnone.png 0\n1.png 0\n2.png 1\n")
    images = opened(tmp_path, "transform_param { crop_size: 7 }", skip_bad=True)
    assert images.array.shape == (3, 9, 8, 3) and images.lines == (1, 3, 4)
    (path,) = (cache_folder() / "images").glob("*.npy")
    assert np.load(path).shape == (4, 9, 8, 3)  # as many rows as the list, the last ones empty


@pytest.mark.parametrize("suffix", ["skipping.npy", ".sizes.npy", ".bad.json"])
@pytest.mark.parametrize(
    "broken", [lambda data: b"", lambda data: data[:-9], lambda data: b"\0" * len(data), None]
)
def test_what_is_not_whole_is_decoded_anew(
    suffix: str, broken: Callable[[bytes], bytes] | None, pictures: list[np.ndarray], tmp_path: Path
) -> None:
    (tmp_path / "2.png").write_bytes(b"nothing")
    first = opened(tmp_path, CROP + LIST, skip_bad=True)
    (path,) = (cache_folder() / "images").glob(f"*{suffix}")
    data = path.read_bytes()
    path.unlink()  # the first's pixels are mapped from it
    if broken:
        path.write_bytes(broken(data))
    told: list[int] = []
    again = opened(tmp_path, CROP + LIST, told, skip_bad=True)
    assert told == [1, 2, 3, 4, 5] and path.read_bytes() == data and again.bad == first.bad == (3,)
    assert all(np.array_equal(one, other) for one, other in zip(first.pixels, again.pixels, strict=True))


def test_sizes_of_another_list_are_no_cache(pictures: list[np.ndarray], tmp_path: Path) -> None:
    opened(tmp_path, CROP + LIST)
    (path,) = (cache_folder() / "images").glob("*.sizes.npy")
    sizes = np.load(path)
    for wrong in (sizes[:-1], sizes[:, :2], sizes.astype(float), sizes * 2, -sizes):
        np.save(path, wrong)
        told: list[int] = []
        opened(tmp_path, CROP + LIST, told)
        assert told and np.array_equal(np.load(path), sizes)


def test_an_interrupted_decoding_leaves_nothing(pictures: list[np.ndarray], tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_images(layer(CROP + LIST), tmp_path / "list.txt", [], stop)
    assert list((cache_folder() / "images").iterdir()) == []
