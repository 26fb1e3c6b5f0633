"""Crop without crop_param, as FCN's fork has it: the offsets follow from the layers between its bottoms."""

import pytest

from converters import Network, load_net
from prototxt.errors import InputError
from prototxt.text import to_text

INPUT = 'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 2 dim: 20 dim: 24 } } }\n'
CONVOLUTION = (
    'layer {{ name: "{0}" type: "{1}" bottom: "{2}" top: "{0}" convolution_param {{ num_output: 2 {3} }} }}\n'
)
CROP = 'layer {{ name: "crop" type: "Crop" bottom: "{}" bottom: "x" top: "y" {} }}\n'
TWO_SIDES = "kernel_h: 3 kernel_w: 5 pad_h: 4 pad_w: 6"


def net(*layers: str) -> Network:
    return load_net(INPUT + "".join(layers))


def offsets(of: Network) -> list[int]:
    (crop,) = (node.layer for node in of.graph.nodes if node.layer.name == "crop")
    return list(crop.crop_param.offset)


def test_windows_and_what_undoes_them_shift_pixels() -> None:
    padded = CONVOLUTION.format("a", "Convolution", "x", TWO_SIDES)
    assert offsets(net(padded, CROP.format("a", ""))) == [3, 4]
    down = CONVOLUTION.format("b", "Convolution", "a", "kernel_size: 2 stride: 2 dilation: 1")
    up = CONVOLUTION.format("c", "Deconvolution", "b", "kernel_size: 4 stride: 2")
    assert offsets(net(padded, down, up, CROP.format("c", ""))) == [4, 5]


def test_the_fork_does_not_know_of_dilation() -> None:
    dilated = CONVOLUTION.format("a", "Convolution", "x", "kernel_size: 3 pad: 6 dilation: 2")
    assert offsets(net(dilated, CROP.format("a", ""))) == [5, 5]


def test_it_is_said_once_and_written_out_for_caffe(capsys: pytest.CaptureFixture[str]) -> None:
    of = net(CONVOLUTION.format("a", "Convolution", "x", TWO_SIDES), CROP.format("a", ""))
    (line,) = capsys.readouterr().err.splitlines()
    assert "Crop may be that of caffe or fcn" in line and "taken as fcn's" in line
    assert [node.layer.dialect for node in of.graph.nodes] == ["", "", ""]
    file = of.graph.file
    assert file is not None and "# dialect: fcn" in to_text(file.message)


def test_caffes_own_is_asked_for_or_told_by_its_field(capsys: pytest.CaptureFixture[str]) -> None:
    padded = CONVOLUTION.format("a", "Convolution", "x", TWO_SIDES)
    assert offsets(net(padded, CROP.format("a", "crop_param { axis: 2 }"))) == []
    assert offsets(load_net(INPUT + padded + CROP.format("a", ""), dialect="caffe")) == []
    assert not capsys.readouterr().err


def test_a_crop_is_a_layer_between_others() -> None:
    padded = CONVOLUTION.format("a", "Convolution", "x", "kernel_size: 3 pad: 4")
    other = INPUT.replace('"x"', '"z"').replace("dim: 20 dim: 24", "dim: 24 dim: 28")
    first = 'layer { name: "b" type: "Crop" bottom: "a" bottom: "z" top: "b" crop_param { offset: 1 } }\n'
    assert offsets(net(padded, other, first, CROP.format("b", 'dialect: "fcn"'))) == [2, 2]


def test_bottoms_with_nothing_in_common_are_cropped_from_0() -> None:
    other = INPUT.replace('"x"', '"z"').replace("dim: 20", "dim: 22")
    assert offsets(net(other, CROP.format("z", ""))) == []


REFUSED = [
    (
        CONVOLUTION.format("a", "Convolution", "x", "kernel_size: 2 stride: 2"),
        "bottoms differ in scale, by 2",
    ),
    (CONVOLUTION.format("a", "Convolution", "x", "kernel_size: 3"), "-1, is no whole number"),
    (CONVOLUTION.format("a", "Convolution", "x", "kernel_size: 2 pad: 1"), "0.5, is no whole number"),
    ('layer { name: "a" type: "Flatten" bottom: "x" top: "a" }', 'nothing tells where layer "a" puts pixels'),
]
CUT = 'layer { name: "a" type: "Crop" bottom: "x" bottom: "x" top: "a" crop_param { axis: 1 %s } }\n'


@pytest.mark.parametrize(("layer", "message"), REFUSED)
def test_what_cannot_be_aligned_is_refused(layer: str, message: str) -> None:
    with pytest.raises(InputError, match=f'layer "crop": .*{message}'):
        net(layer, CROP.format("a", ""))


def test_a_crop_between_others_is_held_to_its_own_rule() -> None:
    with pytest.raises(InputError, match='layer "a": 2 offset for 3 axes from axis 1 on'):
        net(CUT % "offset: 0 offset: 0", CROP.format("a", 'dialect: "fcn"'))
    assert offsets(net(CUT % "offset: 0", CROP.format("a", 'dialect: "fcn"'))) == [0, 0]
