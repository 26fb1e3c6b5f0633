"""Data layers of forks without their files: inputs of the net, of the shapes that the prototxt says."""

import pytest

from converters import load_net
from converters.layers.registry import records
from prototxt.errors import InputError

RESIZE = "resize_param { height: 30 width: 40 %s }"
SCALES = "downsample_rate: 8 field_w: 1 field_h: 1 downsample_rate: 16 field_w: 1 field_h: 1"
CASES = [
    ("AnnotatedData", 2, f"data_param {{ batch_size: 4 }} transform_param {{ {RESIZE % ''} }}",
     [(4, 3, 30, 40), (1, 1, 4, 8)]),
    ("AnnotatedData", 1, f"data_param {{ batch_size: 4 }} transform_param {{ force_gray: true crop_h: 5 crop_w: 6 {RESIZE % ''} }}",
     [(4, 1, 5, 6)]),
    ("AnnotatedData", 2, f"data_param {{ batch_size: 4 }} annotated_data_param {{ yolo_data_type: 1 }} "
     f"transform_param {{ {RESIZE % ''} }}", [(4, 3, 30, 40), (4, 300, 5)]),
    ("ImageSegData", 2, "image_data_param { batch_size: 2 } transform_param { crop_size: 9 }",
     [(2, 3, 9, 9), (2, 1, 9, 9)]),
    ("ImageSegData", 3, "image_data_param { is_color: false } transform_param { crop_height: 5 crop_width: 6 }",
     [(1, 1, 5, 6), (1, 1, 5, 6), (1, 1, 1, 2)]),
    ("ImageLabelmapData", 2, "image_data_param { new_height: 5 new_width: 6 }", [(1, 3, 5, 6), (1, 1, 5, 6)]),
    ("DenseImageData", 2, "dense_image_data_param { batch_size: 3 new_height: 5 new_width: 6 }",
     [(3, 3, 5, 6), (3, 1, 5, 6)]),
    ("DenseImageData", 2, "dense_image_data_param { new_height: 5 new_width: 6 crop_height: 2 crop_width: 3 }",
     [(1, 3, 2, 3), (1, 1, 2, 3)]),
    ("DenseImageData", 2, "dense_image_data_param { new_height: 16 new_width: 25 label_divide_factor: 8 }",
     [(1, 3, 16, 25), (1, 1, 2, 3)]),
    ("ImageLabelData", 2, "image_label_data_param { batch_size: 2 padding: REFLECT label_slice { dim: 4 dim: 5 "
     "stride: 8 stride: 8 offset: 3 offset: 3 } } transform_param { crop_size: 40 }", [(2, 3, 40, 40), (2, 1, 4, 5)]),
    ("ImageLabelData", 2, "image_label_data_param { threads: 1 backend: LMDB } transform_param { crop_size: 6 }",
     [(1, 3, 6, 6), (1, 1, 6, 6)]),
    ("ImageGtData", 4, f"image_gt_data_param {{ batch_size: 2 resize_width: 99 crop_width: 60 crop_height: 32 {SCALES} }}",
     [(2, 3, 32, 60), (2, 6, 4, 8), (2, 6, 2, 4), (2, 7, 1, 1)]),
    ("VideoData", 2, 'video_data_param { source: "l" batch_size: 2 new_length: 16 new_height: 8 new_width: 9 } '
     "transform_param { crop_size: 7 }", [(2, 3, 16, 7, 7), (2,)]),
    ("VideoData", 2, 'image_data_param { batch_size: 2 new_length: 16 new_height: 8 new_width: 9 crop_size: 7 }',
     [(2, 3, 16, 7, 7), (2, 1, 1, 1, 1)]),
    ("VideoData", 2, 'video_data_param { source: "l" batch_size: 2 new_length: 5 num_segments: 3 modality: FLOW new_height: 8 '
     "new_width: 9 }", [(2, 30, 8, 9), (2,)]),
    ("VideoData", 1, f"data_param {{ batch_size: 1 }} video_data_param {{ device_id: 0 }} transform_param {{ {RESIZE % ''} }}",
     [(1, 3, 30, 40)]),
    ("ImageData", 2, "image_data_param { batch_size: 2 new_height: 5 new_width: 6 } transform_param { max_color_shift: 3 }",
     [(2, 3, 5, 6), (2, 1, 1, 1)]),
    ("ImageData", 2, "image_data_param { label_size: 3 is_color: false } transform_param { crop_size: 7 }",
     [(1, 1, 7, 7), (1, 3, 1, 1)]),
    ("ImageRegressionData", 2, "image_data_param { batch_size: 2 label_size: 2 } transform_param { crop_size: 7 crop_h: 5 crop_w: 5 }",
     [(2, 3, 7, 7), (2, 2, 1, 1)]),
    ("ImageSegData", 2, "image_data_param { batch_size: 2 } transform_param { crop_size: 9 min_side_min: 8 min_side_max: 9 }",
     [(2, 3, 9, 9), (2, 1, 9, 9)]),
    ("ImageProbData", 2, "image_data_param { is_color: false new_height: 5 new_width: 6 }", [(1, 1, 5, 6), (1, 1, 5, 6)]),
    ("Data", 2, "data_param { batch_size: 4 } transform_param { crop_size: 9 min_side: 9 }", [(4, 3, 9, 9), (4,)]),
    ("Data", 1, "data_param { batch_size: 4 } transform_param { crop_size: 9 min_side: 9 force_gray: true }", [(4, 1, 9, 9)]),
    ("MemoryData", 2, "memory_data_param { batch_size: 4 channels: 1 height: 2 width: 3 label_size: 2 }",
     [(4, 1, 2, 3), (4, 1, 1, 1)]),
    ("CPMData", 2, "data_param { batch_size: 2 } cpm_transform_param { stride: 8 crop_size_x: 64 crop_size_y: 32 num_parts: 56 }",
     [(2, 6, 32, 64), (2, 114, 4, 8)]),
]  # fmt: skip
TOPS = ("a", "b", "c", "d")


@pytest.mark.parametrize(("kind", "tops", "fields", "shapes"), CASES)
def test_shapes_that_the_prototxt_says(kind: str, tops: int, fields: str, shapes: list) -> None:
    names = " ".join(f'top: "{top}"' for top in TOPS[:tops])
    net = load_net(f'layer {{ name: "it" type: "{kind}" {names} {fields} }}')
    assert [tuple(net.shapes[value]) for value in net.graph.inputs] == shapes


@pytest.mark.parametrize(
    ("kind", "size"), [("ImageLabelmapData", (321, 481)), ("DenseImageData", (360, 480))]
)
def test_a_size_that_is_usual_is_assumed(
    kind: str, size: tuple[int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    param = {"ImageLabelmapData": "image_data_param", "DenseImageData": "dense_image_data_param"}[kind]
    net = load_net(f'layer {{ name: "it" type: "{kind}" top: "a" top: "b" {param} {{ batch_size: 5 }} }}')
    assert [tuple(net.shapes[value]) for value in net.graph.inputs] == [(5, 3, *size), (5, 1, *size)]
    assert capsys.readouterr().err.count("assumed") == 2


def test_a_size_that_depends_on_the_image_is_asked_for() -> None:
    fields = f"data_param {{ batch_size: 1 }} transform_param {{ {RESIZE % 'resize_mode: FIT_SMALL_SIZE'} }}"
    with pytest.raises(InputError, match='cannot tell the shape of top "a"'):
        load_net(f'layer {{ name: "it" type: "AnnotatedData" top: "a" top: "b" {fields} }}')


def python_layer(tops: str, module: str, name: str, told: str = "") -> str:
    names = " ".join(f'top: "{top}"' for top in tops.split())
    param = f'module: "{module}" layer: "{name}" param_str: "{told}"'
    return f'layer {{ name: "it" type: "Python" {names} python_param {{ {param} }} }}'


ROIS = ("roi_data_layer.layer", "RoIDataLayer", "'num_classes': 5")
PYTHON = [
    ("data im_info gt_boxes", ROIS, [(1, 3, 608, 992), (1, 6), (1, 5)]),
    ("data rois labels", ROIS, [(2, 3, 608, 992), (128, 5), (128,)]),
    ("data rois labels t i o", ROIS, [(2, 3, 608, 992), (128, 5), (128,), *[(128, 20)] * 3]),
    ("data label", ("voc_layers", "SBDDSegDataLayer"), [(1, 3, 500, 500), (1, 1, 500, 500)]),
    ("data label cont", ("sequence_input_layer", "videoReadTest_flow"), [(48, 3, 227, 227), (48,), (48,)]),
]


@pytest.mark.parametrize(("tops", "named", "shapes"), PYTHON)
def test_known_python_layers_are_inputs_and_no_code_runs(
    tops: str, named: tuple[str, ...], shapes: list, capsys: pytest.CaptureFixture[str]
) -> None:
    net = load_net(python_layer(tops, *named))
    assert [tuple(net.shapes[value]) for value in net.graph.inputs] == shapes
    said = capsys.readouterr().err
    assert said.count("assumed") == len(shapes) == said.count("\n")


def test_a_python_layer_that_is_allowed_runs_and_another_is_refused() -> None:
    with pytest.raises(InputError, match=r"cannot make roi_data_layer\.layer\.RoIDataLayer"):
        load_net(python_layer("data rois labels", *ROIS), allow_python=True)
    with pytest.raises(InputError, match="is a Python layer"):
        load_net(python_layer("data", "roi_data_layer.layer", "Other"))


def test_every_data_layer_of_a_fork_has_a_case() -> None:
    fed = {r.type for r in records() if r.role == "data" and r.family.startswith("forks/")}
    assert {kind for kind, *_ in CASES} == {kind for kind in fed if "." not in kind}
