"""What a prototxt leaves open of its images: what is assumed, what a weight file says, and what is said of it."""

from pathlib import Path

import pytest

from converters import load_net
from converters.weights.formats import write_safetensors
from prototxt.errors import InputError

DATA = 'layer {{ name: "d" type: "Data" top: "data" top: "label" data_param {{ batch_size: 2 }} {} }}\n'
CROP = "transform_param { crop_size: 8 %s }"
CONV = """layer { name: "bn" type: "BatchNorm" bottom: "data" top: "n" }
layer { name: "conv" type: "Convolution" bottom: "n" top: "c"
  convolution_param { num_output: 4 group: 2 kernel_size: 3 } }
"""
DENSE = (
    'layer { name: "ip" type: "InnerProduct" bottom: "data" top: "c" inner_product_param { num_output: 2 } }'
)


def shape(net, blob: str = "data") -> tuple[int, ...]:
    return next(tuple(net.shapes[value]) for value in net.graph.inputs if value.blob == blob)


@pytest.mark.parametrize(
    ("fields", "channels", "is_assumed"),
    [
        ("", 3, True),
        ("mean_value: 127", 1, True),
        ("mean_value: 1 mean_value: 2 mean_value: 3", 3, True),
        ("force_gray: true", 1, False),
        ("force_color: true mean_value: 5", 3, False),
    ],
)
def test_channels_that_only_the_records_know(
    fields: str, channels: int, is_assumed: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    net = load_net(DATA.format(CROP % fields))
    assert shape(net) == (2, channels, 8, 8) and shape(net, "label") == (2,)
    said = capsys.readouterr().err
    assert said.count("assumed") == is_assumed and said.count("\n") == is_assumed
    assert (
        not is_assumed or f'layer "d": not all of the shape of top "data" is said: 2×{channels}×8×8' in said
    )


def test_an_input_shape_beats_it_and_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    net = load_net(DATA.format(CROP % ""), input_shapes={"data": (5, 4, 6, 7)})
    assert shape(net) == (5, 4, 6, 7) and not capsys.readouterr().err


@pytest.mark.parametrize("suffix", ["caffemodel", "safetensors"])
@pytest.mark.parametrize(("layers", "name"), [(CONV, "conv"), (DENSE, "ip")])
def test_the_weights_of_the_first_layer_say_the_channels(
    suffix: str, layers: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, weights = DATA.format(CROP % "") + layers, tmp_path / f"w.{suffix}"
    donor = load_net(text, input_shapes={"data": (1, 4, 8, 8)})
    if suffix == "safetensors":
        write_safetensors(weights, donor.state_dict(), {})
    else:
        donor.save_caffemodel(weights)
    capsys.readouterr()
    assert shape(load_net(text, weights)) == (2, 4, 8, 8)
    said = capsys.readouterr().err
    assert (
        said.count("\n") == 1
        and f'4 channels taken for top "data", as the weights of layer "{name}" have' in said
    )
    with pytest.raises(InputError):  # what is asked for beats the file, which then does not fit
        load_net(text, weights, input_shapes={"data": (2, 3, 8, 8)})


def test_a_size_that_the_other_phase_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "net.prototxt"
    test = DATA.format("include { phase: TEST }").replace("batch_size: 2", "batch_size: 7")
    path.write_text(DATA.format(CROP % "" + " include { phase: TRAIN }") + test)
    assert shape(load_net(path)) == (7, 3, 8, 8)
    assert "7×3×8×8 assumed" in capsys.readouterr().err


def test_a_size_that_nothing_says_is_asked_for() -> None:
    with pytest.raises(InputError, match='layer "d": cannot tell the shape of top "data"'):
        load_net(DATA.format(""))
