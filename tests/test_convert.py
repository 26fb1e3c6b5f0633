"""zoo convert: the table, the ONNX file, its metadata, and --verify."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors.torch import save_file

from converters import load_net
from converters.export.onnx_file import deploy_net, export_onnx
from eval.cost import layer_costs, parameters, total_macs
from eval.parity import compare_onnx
from prototxt.errors import InputError
from zoo.catalogue import find_prototxt
from zoo.cli import main

DATA = Path(__file__).parent / "data"


def test_the_article_as_pasted_converts_with_one_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["convert", str(DATA / "article_pasted.prototxt"), "--output", str(tmp_path), "--verify"])
    out, err = capsys.readouterr()
    assert code == 0
    assert err.count("outside strings taken as") == 1
    assert "560,468" in out and "verify fc:" in out
    assert (tmp_path / "allconv6.onnx").is_file()


def test_a_shipped_net_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["convert", "allconv6.prototxt", "--variant", "bn+fc"]) == 0
    out, err = capsys.readouterr()
    assert "the shipped net allconv6" in err
    assert "807,508" in out and "…" not in out
    assert Path("converted/allconv6-bn+fc/allconv6-bn+fc.onnx").is_file()


def test_the_file_is_the_deploy_net(tmp_path: Path) -> None:
    net = load_net(find_prototxt("allconv6")[0])
    with torch.no_grad():  # equal blobs, such as biases of zeros, become one initializer
        for blob in net.parameters():
            blob.normal_()
    export_onnx(net, tmp_path / "a.onnx", ["a", "ß"])
    model = onnx.load(tmp_path / "a.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert [value.name for value in model.graph.input] == ["data"]
    assert [value.name for value in model.graph.output] == ["fc"]
    shape = [d.dim_param or d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    assert shape == ["batch", 3, 224, 224]
    assert {t.name for t in model.graph.initializer} >= {"conv1.weight", "conv1.bias", "fc.weight", "fc.bias"}
    metadata = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert metadata == {
        "channel_order": "BGR", "mean": [104, 117, 124], "scale": 1, "input_size": [224, 224], "classes": ["a", "ß"],
    }  # fmt: skip


def test_onnxruntime_agrees_on_trained_statistics(tmp_path: Path) -> None:
    """BatchNorm's sums, a scale factor that is not 1 and Scale are what the file computes with."""
    from converters import Network
    from converters.graph import build_graph
    from converters.net_state import net_state
    from prototxt.text import read_net
    from zoo.variants.edits import apply_variant

    message = apply_variant(read_net(find_prototxt("allconv6")[0]), "bn+msra+dropout0.5")
    net = Network(build_graph(message, net_state("TEST")))
    torch.manual_seed(0)
    for name, blob in net.state_dict().items():
        if name.startswith(("bn_", "scale_")):
            blob.copy_(torch.rand_like(blob) + 0.5)
    export_onnx(net, tmp_path / "a.onnx")
    differences = compare_onnx(net, tmp_path / "a.onnx")
    assert all(item.is_close for item in differences)
    found = differences[-1]
    assert found.output == "fc" and found.scale > 1
    session = onnxruntime.InferenceSession(str(tmp_path / "a.onnx"), providers=["CPUExecutionProvider"])
    x = torch.randn(5, 3, 224, 224) * 50
    with torch.no_grad():
        ours = deploy_net(net)(x)
    np.testing.assert_allclose(
        ours, session.run(None, {"data": x.numpy()})[0], rtol=0, atol=1e-4 * found.scale
    )


def test_weights_are_taken_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = load_net(find_prototxt("allconv6")[0])
    state = {name: torch.full_like(blob, 0.01) for name, blob in net.state_dict().items()}
    save_file(state, tmp_path / "w.safetensors")
    arguments = [
        "convert",
        "allconv6",
        "--weights",
        str(tmp_path / "w.safetensors"),
        "--output",
        str(tmp_path / "o"),
    ]
    assert main(arguments) == 0
    again = load_net(find_prototxt("allconv6")[0], tmp_path / "o" / "allconv6.safetensors")
    assert all(torch.equal(again.state_dict()[name], blob) for name, blob in state.items())
    model = onnx.load(tmp_path / "o" / "allconv6.onnx")
    weight = next(t for t in model.graph.initializer if t.name == "conv1.weight")
    assert np.all(onnx.numpy_helper.to_array(weight) == np.float32(0.01))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_failed_verify_exits_1_and_leaves_no_file(
    value: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = load_net(find_prototxt("allconv6")[0]).state_dict()
    state["fc.bias"] = torch.full_like(state["fc.bias"], value)
    save_file(state, tmp_path / "w.safetensors")
    output = tmp_path / "o"
    assert (
        main(
            [
                "convert",
                "allconv6",
                "--weights",
                str(tmp_path / "w.safetensors"),
                "--verify",
                "--output",
                str(output),
            ]
        )
        == 1
    )
    assert "DIFFERENT" in capsys.readouterr().out
    assert list(output.iterdir()) == []


def test_verify_sees_other_weights(tmp_path: Path) -> None:
    net = load_net(find_prototxt("allconv6")[0])
    export_onnx(net, tmp_path / "a.onnx")
    with torch.no_grad():
        net.params["fc"][1].add_(0.001)
    apart = {item.output for item in compare_onnx(net, tmp_path / "a.onnx") if not item.is_close}
    assert apart == {"fc.bias", "fc"}


@pytest.mark.parametrize(
    ("tensors", "says"),
    [
        (
            {"conv1.weight": (64, 3, 5, 5)},
            r'blob "conv1.weight" has shape \(64, 3, 5, 5\), in the net \(64, 3, 3, 3\)',
        ),
        ({"features.0.weight": (64, 3, 3, 3)}, "none of its 1 tensors"),
    ],
)
def test_weights_that_do_not_fit(tensors: dict[str, tuple[int, ...]], says: str, tmp_path: Path) -> None:
    from prototxt.errors import InputError

    save_file({name: torch.zeros(shape) for name, shape in tensors.items()}, tmp_path / "w.safetensors")
    with pytest.raises(InputError, match=says):
        load_net(find_prototxt("allconv6")[0], tmp_path / "w.safetensors")


@pytest.mark.parametrize("content", [b"", b"\x00" * 100, b"not weights at all", b"\xff" * 8 + b"{}"])
def test_weights_that_are_no_safetensors(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "w.safetensors").write_bytes(content)
    assert (
        main(
            [
                "convert",
                "allconv6",
                "--weights",
                str(tmp_path / "w.safetensors"),
                "--output",
                str(tmp_path / "o"),
            ]
        )
        == 2
    )
    err = capsys.readouterr().err.splitlines()
    assert err[-1].startswith(f"zoo: {tmp_path / 'w.safetensors'}: not a readable .safetensors file")
    assert not (tmp_path / "o").exists()


def test_costs_of_the_articles_net() -> None:
    net = load_net(find_prototxt("allconv6")[0])
    rows = {row.name: row for row in layer_costs(net)}
    assert rows["conv1"].macs == 112 * 112 * 64 * 3 * 9 and rows["conv1"].parameters == 64 * 27 + 64
    assert rows["fc"].macs == 256 * 20
    assert parameters(net) == 560_468
    assert total_macs(net) == (sum(row.macs or 0 for row in rows.values()), [])


def test_an_unknown_cost_is_listed_and_never_zero() -> None:
    """A type the convention does not name is reported, here one that a test registers for itself."""
    from converters.layers import registry

    name = "NotInTheConvention"
    registry.layer(name)(registry.rules_of("ReLU")[0].builder)
    try:
        net = load_net(
            'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 } } }'
            f'layer {{ name: "odd" type: "{name}" bottom: "x" top: "y" }}'
        )
        assert total_macs(net) == (0, [f"odd ({name})"])
        assert layer_costs(net)[1].macs is None
    finally:
        del registry._RECORDS[name]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["convert", "missing.prototxt"], "missing.prototxt: no such file"),
        (["convert", "allconv6", "--variant", "gpa"], 'did you mean "gap"'),
        (["show", "allconv6", "--variant", "dropout2"], "from 0 to 1"),
        (["convert", "allconv6", "--weights", "missing.safetensors"], "missing.safetensors"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: list[str],
    says: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.splitlines()[-1].startswith("zoo: ") and says in err.splitlines()[-1]


def test_show_prints_the_prototxt_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    from prototxt.caffe_pb2 import NetParameter
    from prototxt.text import parse, read_net
    from zoo.variants.edits import apply_variant

    assert main(["show", "allconv6", "--variant", "bn+fc"]) == 0
    out = capsys.readouterr().out
    assert parse(out, NetParameter) == apply_variant(read_net(find_prototxt("allconv6")[0]), "bn+fc")


def test_a_shape_that_the_prototxt_does_not_tell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = tmp_path / "net.prototxt"
    net.write_text(
        'layer { name: "d" type: "Data" top: "data" top: "label" data_param { batch_size: 4 } }\n'
        'layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 2 } }\n'
    )
    assert main(["convert", str(net), "--output", str(tmp_path / "o")]) == 2
    assert 'cannot tell the shape of top "data"' in capsys.readouterr().err
    shape = ["--input-shape", "data=4,1,28,28"]
    assert main(["convert", str(net), "--output", str(tmp_path / "o"), "--verify", *shape]) == 0
    assert "1,570" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(["convert", str(net), "--input-shape", "data=4,x"])
    assert ended.value.code == 2


def test_a_shape_for_an_input_that_is_not_there_is_refused(tmp_path: Path) -> None:
    net = tmp_path / "net.prototxt"
    net.write_text(
        'layer { name: "d" type: "Input" top: "data" }\nlayer { name: "r" type: "ReLU" bottom: "data" top: "y" }'
    )
    says = r'the net has no input "dta" to give a shape to; its inputs are data; did you mean "data"\?'
    with pytest.raises(InputError, match=says):
        load_net(net, input_shapes={"data": (1, 7), "dta": (1, 7)})
    no_inputs = 'layer { name: "p" type: "Parameter" top: "p" parameter_param { shape { dim: 1 } } }'
    with pytest.raises(InputError, match='no input "x" to give a shape to; it has none'):
        load_net(no_inputs, input_shapes={"x": (1,)})


def test_zoo_convert_refuses_a_shape_for_an_input_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = tmp_path / "net.prototxt"
    net.write_text(
        'layer { name: "d" type: "Input" top: "data" input_param { shape { dim: 1 } } }\n'
        'layer { name: "r" type: "ReLU" bottom: "data" top: "y" }'
    )
    assert main(["convert", str(net), "--input-shape", "dta=1,7"]) == 2
    assert 'no input "dta"' in capsys.readouterr().err


def test_two_nets_of_one_name_do_not_go_over_each_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same file may be converted again, and edited before."""
    text = 'name: "deploy" input: "x" input_shape { dim: 1 dim: 4 }\n'
    text += 'layer { name: "r" type: "Power" bottom: "x" top: "y" power_param { scale: %d } }'
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "deploy.prototxt").write_text(text % 2)
    first, second = (["convert", str(tmp_path / name / "deploy.prototxt")] for name in ("one", "other"))
    out = ["--output", str(tmp_path / "out")]
    assert main([*first, *out]) == 0
    (tmp_path / "one" / "deploy.prototxt").write_text(text % 3)
    assert main([*first, *out]) == 0
    before = (tmp_path / "out" / "deploy.onnx").read_bytes()
    capsys.readouterr()
    assert main([*second, *out]) == 2
    said = capsys.readouterr().err
    assert "deploy.onnx: was converted from another file than" in said and said.count("\n") == 1
    assert (tmp_path / "out" / "deploy.onnx").read_bytes() == before
    assert str(tmp_path).encode() not in before
    assert main([*second, "--output", str(tmp_path / "more")]) == 0
