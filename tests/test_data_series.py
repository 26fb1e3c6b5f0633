"""The data layers of the tuning series' author (longpeng2008/Caffe_Long), against recordings of his fork and
its rules (the recordings' RULES.md). What is drawn is in test_augment.py, for images alone."""

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from golden_cases import GOLDEN, arrays

from converters import load_data
from converters.data.forks.label_lists import read_labelled
from converters.data.memory import MemorySource
from converters.data.opening import open_data
from converters.data.source import DataSource
from converters.dialects import settled
from converters.graph import graph_of
from converters.net_state import net_state
from converters.solver.feed import open_feed
from converters.weights.mean_image import write_mean
from prototxt.caffe_pb2 import LayerParameter, NetParameter
from prototxt.errors import InputError
from prototxt.net_file import NetFile
from prototxt.text import parse, read_net

DATA = GOLDEN / "series" / "data"
CASES = sorted(path.stem for path in DATA.glob("*.prototxt"))
LISTED = ("ImageData", "ImageRegressionData", "ImageSegData", "ImageProbData")


def test_all_recordings_are_here() -> None:
    assert len(CASES) == 35


@pytest.mark.parametrize("case", CASES)
def test_batches_are_his_to_the_bit(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(DATA)
    recorded = arrays(Path(f"{case}.npz"))
    with load_data(f"{case}.prototxt", phase="TEST") as batches:
        for index in range(len({name.split("/")[0] for name in recorded})):
            batch = next(batches)
            assert list(batch) == ["data", "label"]
            for top, ours in batch.items():
                theirs = recorded[f"batch{index}/{top}"]
                assert ours.dtype == torch.float32 and ours.shape == theirs.shape
                assert np.array_equal(ours, theirs), (index, top)


@pytest.mark.parametrize("case", CASES)
def test_shapes_are_known_before_the_first_batch(case: str) -> None:
    with open_data(read_net(DATA / f"{case}.prototxt").layer[0], "TEST", places=[DATA]) as source:
        assert source.shapes == {top: tuple(values.shape) for top, values in source.batch(0).items()}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with two images of other sizes, their label maps, and lists of them."""
    monkeypatch.chdir(tmp_path)
    for name, shape in (("a", (12, 15)), ("b", (14, 13))):
        values = np.random.default_rng(len(name)).integers(0, 256, (*shape, 3), np.uint8)
        cv2.imwrite(f"{name}.png", values)
        cv2.imwrite(f"{name}_map.png", values[:, :, 0])
    Path("list.txt").write_text("a.png 3\nb.png 4\n")
    Path("maps.txt").write_text("a.png a_map.png\nb.png b_map.png\n")
    return tmp_path


def image(name: str, flag: int = cv2.IMREAD_COLOR) -> np.ndarray:
    return cv2.imread(f"{name}.png", flag)


def message(
    transform: str = "", own: str = "", kind: str = "ImageData", dialect: str = "caffe-long"
) -> LayerParameter:
    tops = 'top: "data" top: "label"'
    source = "maps.txt" if kind in LISTED[2:] else "list.txt"
    param = f'image_data_param {{ source: "{source}" {own} }}' if kind in LISTED else own
    text = f'layer {{ name: "d" type: "{kind}" {tops} {param} transform_param {{ {transform} }} }}'
    made = parse(text, NetParameter, warn=lambda line: None).layer[0]
    made.dialect = dialect
    return made


def opened(
    transform: str = "", own: str = "", kind: str = "ImageData", phase: str = "TEST", seed: int = 0
) -> DataSource:
    return open_data(message(transform, own, kind), phase, seed)


def planes(pixels: np.ndarray) -> np.ndarray:
    return pixels.transpose(2, 0, 1).astype(np.float32)


LISTS = [
    ("int", b"a.png 1 2\r\nb.png\t-3\v+4\r\n", 2, [(1, 2), (-3, 4)]),
    ("int", b"a.png 3.9 8\nb.png 7 x 9\n", 1, [(3,), (7,)]),
    ("int", b"a.png 010 0x1f 5\nb.png 1-2\n", 2, [(10, 0), (1, -2)]),
    ("int", b"a.png 2147483647 2147483648 5\nb.png -2147483648\n", 1, [(2147483647,), (-2147483648,)]),
    ("int", b"a.png 0000000000000007 " + b"9" * 9999 + b"\nb.png 8", 1, [(7,), (8,)]),
    ("int", b"a.png 1 2 3\nb.png 4 5 6", 2, [(1, 2), (4, 5)]),
    ("float", b"a.png 1e-2 +3.25\nb.png .5 5.\n", 2, [(np.float32(0.01), 3.25), (0.5, 5)]),
    ("float", b"a.png 1.5.25\nb.png 3-4\n", 2, [(1.5, 0.25), (3, -4)]),
    ("float", b"a.png 1 1e 5\nb.png 2 nan 5\n", 1, [(1,), (2,)]),
    ("float", b"a.png 1 1e39 5\nb.png 2e-3x\n", 1, [(1,), (np.float32(2e-3),)]),
    ("float", b"a.png 1 . 5\nb.png 2 .e3 5\n", 1, [(1,), (2,)]),
]


@pytest.mark.parametrize(("kind", "content", "size", "labels"), LISTS)
def test_labels_are_read_as_a_stream_reads_numbers(
    kind: str, content: bytes, size: int, labels: list[tuple[float, ...]], tmp_path: Path
) -> None:
    """libstdc++'s operator>>, on a line whose end, or whose first text that is no number, ends it."""
    (tmp_path / "list.txt").write_bytes(content)
    entries = read_labelled(tmp_path / "list.txt", size, kind)  # type: ignore[arg-type]
    assert [entry.path for entry in entries] == ["a.png", "b.png"]
    assert [entry.labels for entry in entries] == labels


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a.png 1\n\nb.png 2\n", r"list\.txt:2: 0 labels, the first line 1: all lines have as many"),
        ("a.png 1\nb.png 2 3\n", r"list\.txt:2: 2 labels, the first line 1"),
        ("a.png 1\n \n", r"list\.txt:2: 0 labels"),
        ("a.png\nb.png\n", r"list\.txt:1: 0 labels, and label_size asks for 1"),
        ("", "the list is empty"),
    ],
)
def test_a_list_that_he_aborts_on_is_one_error(content: str, said: str, folder: Path) -> None:
    Path("list.txt").write_text(content)
    with pytest.raises(InputError, match=said):
        opened("crop_size: 9")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            "Sour Cream/a.png 1\n",
            r'asks for 1; the name is "Sour", and "Cream/a.png 1" the rest: no name has a',
        ),
        ("a.png 1\nSour Cream/a.png 1\n", r':2: 0 labels, .*; the name is "Sour"'),
        ("Juice 2/a.png 1\n", r'image Juice is missing; "2/a.png 1" stands behind it: no name has a blank'),
    ],
)
def test_a_name_with_a_blank_is_told_of(content: str, said: str, folder: Path) -> None:
    Path("list.txt").write_text(content)
    with pytest.raises(InputError, match=said):
        opened("crop_size: 9").batch(0)


def test_more_labels_than_a_line_has_are_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="1 labels, and label_size asks for 2"):
        opened("crop_size: 9", "label_size: 2")
    with pytest.raises(InputError, match="label_size must be at least 1"):
        opened("crop_size: 9", "label_size: 0")


def test_without_a_crop_each_image_gives_its_upper_left_corner(folder: Path) -> None:
    cv2.imwrite("b.png", image("b")[:, [*range(13), 0, 1, 2]])  # 14×16: larger both ways
    with opened("mean_value: 7", "batch_size: 2") as source:
        batch = source.batch(0)
        assert np.array_equal(batch["data"], [planes(image("a")) - 7, planes(image("b")[:12, :15]) - 7])
        assert batch["label"].tolist() == [[[[3]]], [[[4]]]]
    Path("list.txt").write_text("b.png 4\na.png 3\n")
    with opened("", "batch_size: 2") as source:
        said = r"list\.txt:2: .*a\.png is 3×12×15, the first of its batch, .*b\.png, was 3×14×16 when it was read"
        with pytest.raises(InputError, match=said):
            source.batch(0)


def test_without_a_crop_images_are_resized_beneath_the_corner_of_the_first(folder: Path) -> None:
    """TRAIN with mirror: the top is as the first was read, and what is left of each image after resizing."""
    Path("list.txt").write_text("a.png 3\n")
    larger = cv2.resize(image("a"), (25, 20))[:12, :15]
    with opened("mirror: true min_side_min: 20 min_side_max: 20", "batch_size: 40", phase="TRAIN") as source:
        seen = Counter(each.numpy().tobytes() for each in source.batch(0)["data"])
    assert set(seen) == {planes(each).tobytes() for each in (larger, larger[:, ::-1])}
    with pytest.raises(InputError, match=r"a\.png is 3×11×14, the first of its batch, .* they do not fit"):
        opened("mirror: true min_side_min: 11 min_side_max: 11", phase="TRAIN")


@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
def test_a_grey_image_of_four_by_one_is_an_image_and_no_row_of_means(phase: str, folder: Path) -> None:
    """OpenCV takes four numbers for pixels of such an image, and subtracts 7, 0, 0 and 0."""
    column = np.array([[21], [51], [81], [111]], np.uint8)
    cv2.imwrite("a.png", column)
    Path("list.txt").write_text("a.png 3\n")
    with opened("mean_value: 7 min_side: 9", "is_color: false", phase=phase) as source:
        assert np.array_equal(source.batch(0)["data"], planes(column[:, :, None] - 7)[None])


def test_images_are_mirrored_in_train_alone(folder: Path) -> None:
    Path("list.txt").write_text("a.png 3\n")
    straight = planes(image("a"))
    for phase in ("TRAIN", "TEST"):
        with opened("mirror: true", "batch_size: 400", phase=phase) as source:
            seen = Counter(each.numpy().tobytes() for each in source.batch(0)["data"])
        expected = [straight, straight[:, :, ::-1]] if phase == "TRAIN" else [straight]
        assert set(seen) == {np.ascontiguousarray(each).tobytes() for each in expected}
        assert phase == "TEST" or all(abs(count - 200) <= 50 for count in seen.values())
    theirs = open_data(message("mirror: true", "batch_size: 99", dialect="caffe"), "TEST")
    assert len({each.numpy().tobytes() for each in theirs.batch(0)["data"]}) == 2


def test_the_crop_is_anywhere_in_train(folder: Path) -> None:
    Path("list.txt").write_text("a.png 3\n")
    corners = [(row, column) for row in range(3) for column in range(6)]
    expected = {planes(image("a")[r : r + 10, c : c + 10]).tobytes() for r, c in corners}
    with opened("crop_size: 10", "batch_size: 900", phase="TRAIN") as source:
        seen = Counter(each.numpy().tobytes() for each in source.batch(0)["data"])
    assert set(seen) == expected and all(abs(count - 50) <= 45 for count in seen.values())


def test_a_mean_file_is_as_large_as_the_resized_image_and_goes_with_the_crop(folder: Path) -> None:
    Path("list.txt").write_text("a.png 3\n")
    resized = cv2.resize(image("a"), (25, 20))
    write_mean(Path("mean.binaryproto"), planes(resized)[None] - 3)
    fields = 'mean_file: "mean.binaryproto" scale: 0.5 mirror: true'
    with opened(
        f"crop_size: 11 min_side_min: 20 min_side_max: 20 {fields}", "batch_size: 9", phase="TRAIN"
    ) as source:
        assert (source.batch(0)["data"] == 1.5).all()
    with pytest.raises(InputError, match=r"mean_file .* is 3×20×25, the image 3×12×15"):
        opened(f"crop_size: 11 {fields}")


@pytest.mark.parametrize("case", [case for case in CASES if "_train_" in case])
def test_a_net_built_for_test_takes_a_layers_own_phase(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The recordings were made so; the layers say phase: TRAIN."""
    monkeypatch.chdir(DATA)
    recorded = arrays(Path(f"{case}.npz"))
    graph = graph_of(settled(NetFile.read(f"{case}.prototxt")), net_state("TEST"))
    feed = open_feed(graph, "TEST", 0, [DATA])
    for top, ours in feed.batch(0).items():
        assert np.array_equal(ours, recorded[f"batch0/{top}"])
    feed.close()
    plain = read_net(f"{case}.prototxt").layer[0]
    plain.ClearField("phase")
    if "Seg" in plain.type or "Prob" in plain.type:
        with pytest.raises(InputError, match="draws at random"):  # as his TEST does without mirror
            open_data(plain, "TEST")


def test_memory_data_has_labels_of_four_axes_and_32_items_at_most() -> None:
    param = "memory_data_param { batch_size: %d channels: 1 height: 1 width: 3 label_size: 2 }"
    source = opened("", param % 2, kind="MemoryData")
    assert isinstance(source, MemorySource) and source.shapes == {"data": (2, 1, 1, 3), "label": (2, 1, 1, 1)}
    source.set(np.zeros((4, 1, 1, 3)), [5, 6, 7, 8])
    assert source.batch(1)["label"].tolist() == [[[[7]]], [[[8]]]]
    with pytest.raises(InputError, match="takes a batch_size of 32 at most"):
        opened("", param % 33, kind="MemoryData")
