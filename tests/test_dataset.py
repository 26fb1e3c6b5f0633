"""Lists, decoding, the cache and the batches made of it, against real Caffe's ImageData."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from golden_cases import GOLDEN, arrays
from tiny import write_images, write_run

from converters.data.images.lists import read_list
from converters.data.images.transform import choose_crops, draw, transform
from converters.data.opening import open_data
from converters.weights.mean_image import write_mean
from prototxt.caffe_pb2 import LayerParameter, NetParameter
from prototxt.errors import InputError
from prototxt.rawbytes import text_of, to_message
from prototxt.text import parse, read_net
from zoo.train.images.dataset import ImageSet, check_labels, open_images
from zoo.train.images.feed import ImageFeed
from zoo.train.images.names import class_names
from zoo.train.images.places import cache_folder
from zoo.train.planning.options import Options
from zoo.train.planning.plan import make_plan
from zoo.train.ranks import Ranks
from zoo.train.sources import open_feeds

CASES = ["image_article", "image_grey", "image_resize_crop_mean", "image_resize_scale", "image_upscale"]


def quiet(done: int, total: int) -> None:
    pass


def layer(text: str) -> LayerParameter:
    return parse(
        f'layer {{ name: "data" type: "ImageData" top: "data" top: "label" {text} }}', NetParameter
    ).layer[0]


def images(text: str, folder: Path, name: str = "train.txt") -> ImageSet:
    return open_images(layer(text), folder / name, [], quiet)


@pytest.mark.parametrize("case", CASES)
def test_batches_are_caffes(case: str) -> None:
    folder = GOLDEN / "data"
    message = read_net(folder / f"{case}.prototxt").layer[0]
    feed = ImageFeed(open_images(message, folder / "list.txt", [], quiet), False, 0, torch.device("cpu"))
    data = arrays(folder / f"{case}.npz")
    recorded = sorted({name.split("/")[0] for name in data})
    assert recorded
    for index, name in enumerate(recorded):
        batch = feed.batch(index)
        entries = read_list(folder / "list.txt")
        paths = [entries[row].path for row in feed.rows(index)]
        assert batch["label"].tolist() == data[f"{name}/label"].tolist()
        for ours, theirs, path in zip(batch["data"].numpy(), data[f"{name}/data"], paths, strict=True):
            scale = message.transform_param.scale
            # JPEG decoders may round a pixel differently; everything else is exact.
            limit = 3 * scale if path.endswith(".jpg") else 1e-6
            assert np.abs(ours - theirs).max() <= limit, path


def test_decoded_once_and_again_when_anything_changes(tmp_path: Path) -> None:
    write_images(tmp_path)
    text = "image_data_param { new_height: 10 new_width: 8 }"
    first = images(text, tmp_path)
    assert first.pixels.shape == (15, 10, 8, 3) and not first.pixels.flags.writeable

    def cached() -> int:
        return len(list((cache_folder() / "images").iterdir()))

    assert cached() == 1
    images(text, tmp_path)
    assert cached() == 1
    images("image_data_param { new_height: 10 new_width: 9 }", tmp_path)
    assert cached() == 2
    entry = read_list(tmp_path / "train.txt")[0]
    os.utime(tmp_path / entry.path, (1, 1))
    images(text, tmp_path)
    assert cached() == 3
    with (tmp_path / "train.txt").open("a") as file:
        file.write(f"{entry.path} 2\n")
    assert images(text, tmp_path).labels.tolist()[-1] == 2
    assert cached() == 4


def test_an_interrupted_decoding_leaves_nothing(tmp_path: Path) -> None:
    write_images(tmp_path)

    def stop(done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_images(layer("image_data_param { }"), tmp_path / "train.txt", [], stop)
    assert list((cache_folder() / "images").iterdir()) == []


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "train.txt: the list is empty"),
        ("\n  \n", "train.txt: the list is empty"),
        ("a.png 0\nb.png\n", 'train.txt:2: "b.png" is not "path label"'),
        ("a.png 1 \n", 'train.txt:1: "a.png 1" is not "path label"'),
        (" 1\n", 'train.txt:1: "1" is not "path label"'),
        ("missing.png 0\n", r"train.txt:1: image .*missing.png is missing"),
        ("class 0_0.png 0\n\nmissing.png 0\n", r"train.txt:3: image .*missing.png is missing"),
        ("class 0_0.png 0\nbroken.jpg 1\n", r"train.txt:2: image .*broken.jpg cannot be decoded"),
    ],
)
def test_a_bad_list_names_file_and_line(content: str, says: str, tmp_path: Path) -> None:
    write_images(tmp_path)
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff not an image")
    (tmp_path / "train.txt").write_text(content)
    with pytest.raises(InputError, match=says):
        images("image_data_param { new_height: 9 new_width: 9 }", tmp_path)


def test_images_of_two_sizes_need_a_resize(tmp_path: Path) -> None:
    import cv2

    write_images(tmp_path)
    cv2.imwrite(str(tmp_path / "wide.png"), np.zeros((32, 50, 3), np.uint8))
    with (tmp_path / "train.txt").open("a") as file:
        file.write("wide.png 0\n")
    with pytest.raises(
        InputError, match=r"train.txt:16: image .*wide.png is 32×50, the first is 32×30; give new_height"
    ):
        images("image_data_param { }", tmp_path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("transform_param { crop_size: 40 }", "crop_size 40 is larger than the image, 32×30"),
        ("transform_param { mean_value: 1 mean_value: 2 }", "2 mean_value entries for 3 channels"),
        ('transform_param { mean_file: "m" }', "mean_file"),
    ],
)
def test_a_transform_that_cannot_be(text: str, says: str, tmp_path: Path) -> None:
    write_images(tmp_path)
    with pytest.raises(InputError, match=says):
        images(text, tmp_path)


def test_labels_and_names(tmp_path: Path) -> None:
    write_images(tmp_path)
    check_labels(tmp_path / "train.txt", 3)
    with pytest.raises(InputError, match=r"train.txt:11: label 2 is out of range for 2 classes"):
        check_labels(tmp_path / "train.txt", 2)
    assert class_names(tmp_path / "train.txt", 3) == []
    (tmp_path / "classes.txt").write_text("red\ngreen\nblue\n")
    assert class_names(tmp_path / "train.txt", 3) == ["red", "green", "blue"]
    assert class_names(tmp_path / "train.txt", 4) == []


def test_root_folder_and_the_places_images_are_sought(tmp_path: Path) -> None:
    write_images(tmp_path)
    lists = tmp_path / "lists"
    lists.mkdir()
    (tmp_path / "train.txt").rename(lists / "train.txt")
    found = open_images(layer("image_data_param { }"), lists / "train.txt", [lists, tmp_path], quiet)
    assert len(found.labels) == 15
    root = f'image_data_param {{ root_folder: "{tmp_path}/" }}'
    assert len(open_images(layer(root), lists / "train.txt", [], quiet).labels) == 15


def test_a_root_folder_may_be_the_beginning_of_a_name(tmp_path: Path) -> None:
    """Caffe joins texts; one that ends without a slash is taken for a folder where no picture is so called."""
    for folder, colour in (("图形状", 10), ("图", 200)):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / "a.png"), np.full((2, 2, 3), colour, np.uint8))
        (tmp_path / "a.png").rename(tmp_path / folder / "a.png")
    own = layer('image_data_param { source: "l.txt" root_folder: "图" batch_size: 1 }')
    for name, colour in (("形状/a.png", 10), ("a.png", 200)):
        (tmp_path / "l.txt").write_text(f"{name} 0\n")
        found = open_images(own, tmp_path / "l.txt", [tmp_path], quiet)
        assert set(found.pixels.flat) == {colour}
    (tmp_path / "l.txt").write_text("b.png 0\n")
    with pytest.raises(InputError, match=f"l.txt:1: image {tmp_path}/图/b.png is missing"):
        open_images(own, tmp_path / "l.txt", [tmp_path], quiet)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("红\\a.png".encode(), r'红\\a\.png is missing; it is there with "/" for each backslash'),
        ("红/a.png".encode("gbk"), r"/pictures/红/a\.png is missing; the file's name is in UTF-8"),
        ("红\\a.png".encode("gbk"), r'is missing; it is there with "/" for each backslash'),
        ("红/图.png".encode("gbk"), r"is missing; the file's name is in UTF-8"),  # 图 is UTF-8, too
        (b"b.png", r"/here/pictures/b\.png is missing \("),  # beside the others, not beside the list
    ],
)
def test_lists_of_windows_are_told_of(name: bytes, says: str, tmp_path: Path) -> None:
    """A list in a folder of its own, whose images count from the current one."""
    for folder in ("here/pictures/红", "here/lists"):
        (tmp_path / folder).mkdir(parents=True)
    for picture in ("a.png", "图.png"):
        (tmp_path / "here/pictures/红" / picture).write_bytes(b"")
    (tmp_path / "here/lists/train.txt").write_bytes(name + b" 0\n")
    own = layer('image_data_param { source: "lists/train.txt" root_folder: "pictures/" }')
    with pytest.raises(InputError, match=says):
        open_images(own, tmp_path / "here/lists/train.txt", [tmp_path / "here"], quiet)


def test_a_root_folder_in_gbk_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "形状").mkdir()
    (tmp_path / "形状/a.png").write_bytes(b"")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/train.txt").write_text("a.png 0\n")
    own = layer('image_data_param { source: "lists/train.txt" }')
    own.image_data_param.root_folder = to_message(text_of("形状/".encode("gbk")))
    with pytest.raises(InputError, match=r"/形状/a\.png is missing; the file's name is in UTF-8"):
        open_images(own, tmp_path / "lists/train.txt", [tmp_path], quiet)


def test_images_belong_to_their_list(tmp_path: Path) -> None:
    """Two folders with lists and images of the same names: a list takes its own folder's, all of them."""
    for name, colour in (("b", 10), ("c", 200)):
        (tmp_path / name).mkdir()
        for number in range(3):
            cv2.imwrite(str(tmp_path / name / f"{number}.png"), np.full((2, 2, 3), colour, np.uint8))
        (tmp_path / name / "l.txt").write_text("0.png 0\n1.png 1\n2.png 2\n")
    (tmp_path / "b" / "0.png").unlink()  # the first image does not decide
    places = [tmp_path / "c", tmp_path / "b"]
    ours = layer('image_data_param { source: "l.txt" }')
    for name, colours in (("b", {10}), ("c", {200})):
        found = open_images(ours, tmp_path / name / "l.txt", places, quiet, skip_bad=True)
        assert (found.base.folder, set(found.pixels.flat)) == (tmp_path / name, colours)
    with pytest.raises(InputError, match=r"b/l\.txt:1: image .*/b/0\.png is missing"):
        open_images(ours, tmp_path / "b" / "l.txt", places, quiet)
    (tmp_path / "c" / "l.txt").unlink()
    several = layer('image_data_param { source: "l.txt" batch_size: 3 }')
    source = open_data(several, "TEST", places=places, skip_bad=True)
    assert set(source.batch(0)["data"].flatten().tolist()) == {10}
    (tmp_path / "b" / "l.txt").write_text("0.png 0\n")
    with pytest.raises(InputError, match="b/0"):  # no image there: it has to be c's
        open_images(ours, tmp_path / "b" / "l.txt", [tmp_path / "b"], quiet)
    assert open_images(ours, tmp_path / "b" / "l.txt", places, quiet).base.folder == tmp_path / "c"


def test_random_numbers_are_a_pure_function_of_seed_iteration_and_sample() -> None:
    assert np.array_equal(draw(1, 5, 8)[:4], draw(1, 5, 4))
    assert not np.array_equal(draw(1, 5, 4), draw(1, 6, 4))
    assert not np.array_equal(draw(1, 5, 4), draw(2, 5, 4))


def test_crops_and_mirrors_are_uniform() -> None:
    message = layer("transform_param { mirror: true crop_size: 5 }")
    drawn = np.concatenate([draw(0, i, 100) for i in range(200)])
    choices = choose_crops(message, True, (8, 9), drawn)
    for values, count in ((choices.row, 4), (choices.column, 5), (choices.mirror.long(), 2)):
        seen = torch.bincount(values, minlength=count).double() / len(values)
        assert len(seen) == count
        assert (seen - 1 / count).abs().max() < 5 * (1 / count / len(values)) ** 0.5
    assert abs(np.corrcoef(choices.row, choices.column)[0, 1]) < 0.03


def test_a_test_crop_is_central_and_a_mirror_is_the_crops_own() -> None:
    pixels = torch.arange(7 * 8 * 3).reshape(1, 7, 8, 3).to(torch.uint8)
    message = layer("transform_param { crop_size: 4 mean_value: 3 scale: 0.5 mirror: true }")
    straight = transform(message, pixels, choose_crops(message, False, (7, 8), np.array([[0.9, 0.9, 0.9]])))
    expected = (pixels[0, 1:5, 2:6].permute(2, 0, 1).float() - 3) * 0.5
    assert torch.equal(straight[0], expected)
    mirrored = transform(message, pixels, choose_crops(message, False, (7, 8), np.array([[0.9, 0.9, 0.1]])))
    assert torch.equal(mirrored[0], expected.flip(2))


def test_order_is_the_lists_or_a_new_shuffle_each_round(tmp_path: Path) -> None:
    write_images(tmp_path)
    plain = ImageFeed(images("image_data_param { batch_size: 4 }", tmp_path), True, 0, torch.device("cpu"))
    assert [list(plain.rows(i)) for i in (0, 3, 4)] == [[0, 1, 2, 3], [12, 13, 14, 0], [1, 2, 3, 4]]
    shuffled = images("image_data_param { batch_size: 5 shuffle: true }", tmp_path)
    feed = ImageFeed(shuffled, True, 0, torch.device("cpu"))
    rounds = [np.concatenate([feed.rows(3 * r + i) for i in range(3)]) for r in range(3)]
    assert all(sorted(rows) == list(range(15)) for rows in rounds)
    assert not np.array_equal(rounds[0], rounds[1]) and not np.array_equal(rounds[1], rounds[2])
    fresh = ImageFeed(shuffled, True, 0, torch.device("cpu"))
    assert np.array_equal(fresh.rows(7), feed.rows(7))
    assert not np.array_equal(ImageFeed(shuffled, True, 1, torch.device("cpu")).rows(0), rounds[0][:5])


def test_a_batch_is_channels_last_in_memory(tmp_path: Path) -> None:
    write_images(tmp_path)
    feed = ImageFeed(images("image_data_param { batch_size: 4 }", tmp_path), True, 0, torch.device("cpu"))
    data = feed.batch(0)["data"]
    assert data.shape == (4, 3, 32, 30) and data.is_contiguous(memory_format=torch.channels_last)


def test_a_mean_image_is_sought_beside_the_list(tmp_path: Path) -> None:
    write_images(tmp_path)
    mean = np.random.default_rng(0).normal(100, 9, (1, 3, 32, 30)).astype(np.float32)
    write_mean(tmp_path / "mean.binaryproto", mean)
    text = "transform_param {{ crop_size: 9 {} }} image_data_param {{ batch_size: 4 }}"
    plain, meant = (
        ImageFeed(images(text.format(each), tmp_path), False, 0, torch.device("cpu")).batch(1)["data"]
        for each in ("", 'mean_file: "mean.binaryproto"')
    )
    assert torch.equal(meant, plain - torch.from_numpy(mean[:, :, 11:20, 10:19]))
    write_mean(tmp_path / "mean.binaryproto", mean.transpose(0, 1, 3, 2))
    with pytest.raises(InputError, match=r"mean_file mean\.binaryproto is 3×30×32, the image 3×32×30"):
        images(text.format('mean_file: "mean.binaryproto"'), tmp_path)


def test_the_cache_serves_what_the_data_layer_does(tmp_path: Path) -> None:
    write_images(tmp_path)
    text = """transform_param { crop_size: 20 mirror: true mean_value: 9 scale: 0.5 }
      image_data_param { source: "train.txt" batch_size: 7 shuffle: true }"""
    feed = ImageFeed(images(text, tmp_path), True, 3, torch.device("cpu"))
    with open_data(layer(text), "TRAIN", 3, [tmp_path]) as source:
        for index in (0, 1, 5):
            batch = source.batch(index)
            assert all(torch.equal(values, batch[top]) for top, values in feed.batch(index).items())


@pytest.mark.skipif(
    not (Path(__file__).parents[2] / "shared" / "data" / "grocery-20").is_dir(),
    reason="no photographs beside the project",
)
def test_real_photographs(tmp_path: Path) -> None:
    folder = Path(__file__).parents[2] / "shared" / "data" / "grocery-20"
    short = tmp_path / "list.txt"
    lines = (folder / "list_val_shuffle.txt").read_text().splitlines()[:40]
    short.write_text("\n".join(lines))
    text = "image_data_param { new_height: 224 new_width: 224 }"
    found = open_images(layer(text), short, [folder], quiet)
    assert found.pixels.shape == (40, 224, 224, 3) and 60 < found.pixels.mean() < 200


def test_rand_skip_leaves_out_what_the_data_layer_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    solver = write_run(Path())
    net = Path("tiny.prototxt")
    net.write_text(net.read_text().replace("batch_size: 6", "batch_size: 6 rand_skip: 9"))
    starts = set()
    for seed in range(6):
        plan = make_plan(Options(solver=str(solver), seed=seed))
        feed = open_feeds(plan, torch.device("cpu"), Ranks()).feeds["TRAIN"]
        assert isinstance(feed, ImageFeed)
        starts.add(feed.skip)
        with open_data(plan.graphs["TRAIN"].nodes[0].layer, "TRAIN", seed) as source:
            for index in (0, 3):
                batch = source.batch(index)
                assert all(torch.equal(values, batch[top]) for top, values in feed.batch(index).items())
    assert len(starts) > 2 and max(starts) < 9
    net.write_text(net.read_text().replace("rand_skip: 9", "rand_skip: 4000000"))
    with pytest.raises(InputError, match=r'tiny\.prototxt:3: layer "data": rand_skip left out \d+ of \d+ im'):
        open_feeds(make_plan(Options(solver=str(solver))), torch.device("cpu"), Ranks())
