"""How a net is told to be of the tuning series' author's fork (longpeng2008/Caffe_Long): by a field or a type of
his anywhere in it, or by --dialect."""

import pytest

from converters.dialects import settled
from converters.layers.registry import record_of
from prototxt.errors import InputError
from prototxt.net_file import NetFile
from prototxt.text import parse_net, to_text

FIELD = "min_side_min: 30 min_side_max: 30"


def data(kind: str, transform: str = "", own: str = "", phase: str = "TRAIN", tops: int = 2) -> str:
    names = " ".join(f'top: "{top}"' for top in ("data", "label", "dim")[:tops])
    return (
        f'layer {{ name: "{kind}{phase}" type: "{kind}" {names} include {{ phase: {phase} }} '
        f"transform_param {{ {transform} }} {own} }}\n"
    )


def chosen(text: str, asked: str | None = None) -> tuple[dict[str, str], list[str]]:
    """The dialects of the layers, by name, and what was said."""
    said: list[str] = []
    net = settled(NetFile.parse(text, "net", lambda line: None), asked, warn=said.append).message
    return {layer.name: layer.dialect for layer in net.layer}, said


HIS = [
    data("ImageData", FIELD),
    data("ImageData", "debug_params: true"),
    data("ImageData", "", "image_data_param { label_size: 1 }"),
    data("Data", "max_color_shift: 3"),
    data("MemoryData", "", "memory_data_param { label_size: 1 }"),
    data("MemoryData", FIELD),
    data("ImageSegData", FIELD),
    data("ImageSegData", f"{FIELD} crop_h: 3"),
    data("ImageRegressionData"),
    data("ImageProbData"),
]


@pytest.mark.parametrize("text", HIS)
def test_a_field_or_a_type_of_his_tells_without_a_word(text: str) -> None:
    dialects, said = chosen(text)
    assert [*dialects.values()] == ["caffe-long"]
    assert said == ["net: ImageSegData: crop_h without effect: no code of caffe-long reads what it says"] * (
        "crop_h" in text
    )


def test_it_tells_of_the_other_phase_too() -> None:
    dialects, said = chosen(data("ImageData", FIELD) + data("ImageData", "mirror: true", phase="TEST"))
    assert [*dialects.values()] == ["caffe-long"] * 2 and not said


OTHERS = [
    (data("ImageRegressionData"), "ImageRegressionData"),
    (data("ImageData", FIELD), "min_side_min"),
    (data("ImageData", "min_side: 9"), "min_side"),
    ('layer { name: "s" type: "AsymEuclideanLoss" bottom: "a" bottom: "b" top: "c" }', "AsymEuclideanLoss"),
]


@pytest.mark.parametrize(("text", "sign"), OTHERS)
@pytest.mark.parametrize("kind", ["Data", "ImageSegData", "MemoryData"])
def test_another_layer_tells_and_that_is_said(text: str, sign: str, kind: str) -> None:
    dialects, said = chosen(text + data(kind, "mirror: true", phase="TEST"))
    assert dialects[f"{kind}TEST"] == "caffe-long"
    starts = [line for line in said if line.startswith(f"net: {kind} is taken as caffe-long's")]
    assert len(starts) == 1 and f"whose {sign} the net has; --dialect says otherwise" in starts[0]


@pytest.mark.parametrize("kind", ["ImageData", "Data", "MemoryData"])
def test_a_plain_net_is_caffes_and_nothing_is_said(kind: str) -> None:
    assert chosen(data(kind, "mirror: true crop_size: 9")) == ({f"{kind}TRAIN": ""}, [])
    assert chosen(data(kind, "mirror: true"), "caffe-long")[0] == {f"{kind}TRAIN": "caffe-long"}


def test_label_maps_are_the_other_forks_by_their_fields_and_tops() -> None:
    text = data("ImageRegressionData") + data(
        "ImageSegData", "", "image_data_param { label_type: PIXEL }", "TEST"
    )
    assert chosen(text)[0]["ImageSegDataTEST"] == "deeplab"
    assert chosen(data("ImageSegData", "crop_h: 9 crop_w: 9"))[0] == {"ImageSegDataTRAIN": "pspnet"}
    assert chosen(data("ImageSegData", tops=3))[0] == {"ImageSegDataTRAIN": "deeplab"}
    dialects, (line,) = chosen(data("ImageSegData", "crop_size: 9"))
    assert dialects == {"ImageSegDataTRAIN": "caffe-long"}
    assert "may be that of pspnet, caffe-long or deeplab" in line and "--dialect says otherwise" in line
    assert chosen(data("ImageSegData", "crop_size: 9"), "deeplab") == ({"ImageSegDataTRAIN": "deeplab"}, [])
    with pytest.raises(InputError, match=r"no rule of ImageSegData has .* together"):
        chosen(data("ImageSegData", FIELD, "image_data_param { ignore_label: 3 }"))


def test_what_he_never_reads_is_said_once() -> None:
    text = data("ImageData", "min_side: 20 crop_h: 20 crop_w: 20 min_scaling_factor: 0.5") + data(
        "ImageData", "min_side: 20 max_scaling_factor: 2", phase="TEST"
    )
    names = "min_side, min_scaling_factor, crop_h, crop_w and max_scaling_factor"
    line = f"net: ImageData: {names} without effect: no code of caffe-long reads what it says"
    assert chosen(text)[1] == chosen(text, "caffe-long")[1] == [line]
    written = to_text(settled(NetFile.parse(text), warn=lambda line: None).message)
    assert written.count("# dialect: caffe-long") == 2 and chosen(written)[1] == []


def test_what_caffe_is_asked_for_does_not_know_is_said() -> None:
    dialects, (line,) = chosen(data("ImageData", FIELD), "caffe")
    assert dialects == {"ImageDataTRAIN": "caffe"}
    assert (
        "transform_param.min_side_max and transform_param.min_side_min, without effect: caffe's ImageData"
        in line
    )


def test_the_records_rules_are_his() -> None:
    (layer,) = parse_net(data("ImageRegressionData")).layer
    assert record_of(layer).rule_name == "ImageRegressionData (caffe-long)"
