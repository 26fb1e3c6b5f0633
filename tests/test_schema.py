"""The schema is Caffe's, and the generated code is the schema's."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from prototxt import caffe_pb2
from prototxt.caffe_pb2 import (
    ConvolutionParameter,
    LayerParameter,
    NetParameter,
    SolverParameter,
    V0LayerParameter,
    V1LayerParameter,
)

OURS = 10_000  # the first number of fields that Caffe 1.0 does not have
ROOT = Path(__file__).parents[1]
GOLDEN = ROOT.parent / "shared" / "golden"

# Field, its number, its default, and how Caffe 1.0 declares it.
FACTS = [
    (caffe_pb2.BlobProto, "data", 5, [], FieldDescriptor.TYPE_FLOAT),
    (caffe_pb2.BlobProto, "shape", 7, None, FieldDescriptor.TYPE_MESSAGE),
    (caffe_pb2.BlobShape, "dim", 1, [], FieldDescriptor.TYPE_INT64),
    (caffe_pb2.Datum, "label", 5, 0, FieldDescriptor.TYPE_INT32),
    (caffe_pb2.FillerParameter, "type", 1, "constant", FieldDescriptor.TYPE_STRING),
    (caffe_pb2.FillerParameter, "std", 6, 1.0, FieldDescriptor.TYPE_FLOAT),
    (NetParameter, "layer", 100, None, FieldDescriptor.TYPE_MESSAGE),
    (NetParameter, "layers", 2, None, FieldDescriptor.TYPE_MESSAGE),
    (SolverParameter, "solver_mode", 17, SolverParameter.GPU, FieldDescriptor.TYPE_ENUM),
    (SolverParameter, "random_seed", 20, -1, FieldDescriptor.TYPE_INT64),
    (SolverParameter, "type", 40, "SGD", FieldDescriptor.TYPE_STRING),
    (SolverParameter, "layer_wise_reduce", 41, True, FieldDescriptor.TYPE_BOOL),
    (SolverParameter, "weights", 42, [], FieldDescriptor.TYPE_STRING),
    (caffe_pb2.NetState, "phase", 1, caffe_pb2.TEST, FieldDescriptor.TYPE_ENUM),
    (caffe_pb2.LossParameter, "normalization", 3, caffe_pb2.LossParameter.VALID, FieldDescriptor.TYPE_ENUM),
    (LayerParameter, "convolution_param", 106, None, FieldDescriptor.TYPE_MESSAGE),
    (LayerParameter, "swish_param", 147, None, FieldDescriptor.TYPE_MESSAGE),
    (LayerParameter, "clip_param", 148, None, FieldDescriptor.TYPE_MESSAGE),
    (ConvolutionParameter, "kernel_size", 4, [], FieldDescriptor.TYPE_UINT32),
    (ConvolutionParameter, "dilation", 18, [], FieldDescriptor.TYPE_UINT32),
    (
        caffe_pb2.PoolingParameter,
        "round_mode",
        13,
        caffe_pb2.PoolingParameter.CEIL,
        FieldDescriptor.TYPE_ENUM,
    ),
    (caffe_pb2.LRNParameter, "beta", 3, 0.75, FieldDescriptor.TYPE_FLOAT),
    (caffe_pb2.ReshapeParameter, "num_axes", 3, -1, FieldDescriptor.TYPE_INT32),
    (V1LayerParameter, "param", 1001, [], FieldDescriptor.TYPE_STRING),
    (V0LayerParameter, "hdf5_output_param", 1001, None, FieldDescriptor.TYPE_MESSAGE),
]


@pytest.mark.parametrize(("message", "name", "number", "default", "kind"), FACTS)
def test_a_field_is_caffes(
    message: type[Message], name: str, number: int, default: object, kind: int
) -> None:
    field = message.DESCRIPTOR.fields_by_name[name]
    assert (field.number, field.type) == (number, kind)
    if kind != FieldDescriptor.TYPE_MESSAGE:
        assert getattr(message(), name) == default


def test_the_schema_is_whole() -> None:
    for message, count in (
        (LayerParameter, 60),
        (SolverParameter, 42),
        (V1LayerParameter, 43),
        (V0LayerParameter, 38),
    ):
        assert len([field for field in message.DESCRIPTOR.fields if field.number < OURS]) == count
    assert V1LayerParameter.LayerType.Value("DECONVOLUTION") == 39
    assert len([number for number in V1LayerParameter.LayerType.values() if number < OURS]) == 40


def messages() -> Iterator[Descriptor]:
    """Every message type of the schema, those within others too."""
    waiting = list(caffe_pb2.DESCRIPTOR.message_types_by_name.values())
    while waiting:
        kind = waiting.pop()
        waiting += kind.nested_types
        yield kind


CAFFES = """
    BlobShape BlobProto BlobProtoVector Datum NetParameter NetState NetStateRule SolverParameter
    SolverState LayerParameter ParamSpec FillerParameter LossParameter TransformationParameter
    AccuracyParameter ArgMaxParameter BatchNormParameter BiasParameter ClipParameter ConcatParameter
    ContrastiveLossParameter ConvolutionParameter CropParameter DataParameter DropoutParameter
    DummyDataParameter EltwiseParameter ELUParameter EmbedParameter ExpParameter FlattenParameter
    HDF5DataParameter HDF5OutputParameter HingeLossParameter ImageDataParameter InfogainLossParameter
    InnerProductParameter InputParameter LogParameter LRNParameter MemoryDataParameter MVNParameter
    ParameterParameter PoolingParameter PowerParameter PReLUParameter PythonParameter RecurrentParameter
    ReductionParameter ReLUParameter ReshapeParameter ScaleParameter SigmoidParameter SliceParameter
    SoftmaxParameter SPPParameter SwishParameter TanHParameter ThresholdParameter TileParameter
    WindowDataParameter V1LayerParameter V0LayerParameter
"""
# Messages that Caffe 1.0 lacks and whose bytes are read all the same, with their fork's own numbers.
OF_RECORDS = {"DatumLabels", "NormalizedBBox", "Annotation", "AnnotationGroup", "AnnotatedDatum"}


def test_layers_and_solvers_of_forks_have_numbers_of_our_own() -> None:
    """A field below 10000 is Caffe's, in a message of Caffe's."""
    kinds = {kind.name: kind for kind in messages()}
    low = {name for name, kind in kinds.items() if any(field.number < OURS for field in kind.fields)}
    assert low == {*CAFFES.split(), *OF_RECORDS}
    assert len(kinds) > len(low) + 50


def test_v1_has_what_its_layers_need_as_v2_has_it() -> None:
    """What V1 is upgraded by goes by name: a field of one name has one type."""
    for field in V1LayerParameter.DESCRIPTOR.fields:
        if field.name.endswith("_param"):
            today = LayerParameter.DESCRIPTOR.fields_by_name[field.name]
            assert field.message_type is today.message_type, field.name


def test_package_and_path_are_our_own() -> None:
    file = caffe_pb2.DESCRIPTOR
    assert (file.package, file.name) == ("caffezoo", "prototxt/caffe.proto")


BESIDE = """
import sys
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

def theirs():
    from google.protobuf import text_format
    file = descriptor_pb2.FileDescriptorProto()
    text_format.Parse(sys.argv[2], file)
    pool = descriptor_pool.Default()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("caffe.NetParameter"))

def ours():
    from prototxt.caffe_pb2 import NetParameter
    return NetParameter

def onnx():
    import onnx
    assert onnx.ModelProto(producer_name="a").SerializeToString()

def opencv():
    import cv2
    import numpy
    text = b'name: "n" input: "x" input_dim: [1, 1, 2, 2] layer { name: "r" type: "ReLU" bottom: "x" top: "r" }'
    read = cv2.dnn.readNetFromCaffe(numpy.frombuffer(text, numpy.uint8))
    assert tuple(read.getLayerNames()) == ("r",)

made = {name: globals()[name]() for name in sys.argv[1].split()}
data = made["ours"](name="n").SerializeToString()
again = made["theirs"].FromString(data)
assert (again.name, again.SerializeToString()) == ("n", data)
assert made["theirs"] is not made["ours"]
assert "layer" not in again.DESCRIPTOR.fields_by_name and "layer" in made["ours"].DESCRIPTOR.fields_by_name
print("both")
"""


@pytest.mark.parametrize("implementation", ["upb", "python"])
@pytest.mark.parametrize("order", ["ours theirs onnx opencv", "onnx opencv theirs ours"])
def test_another_caffe_proto_may_be_loaded_in_the_same_process(order: str, implementation: str) -> None:
    """As pycaffe's is, or another converter's: package caffe, with the same names of messages."""
    file = descriptor_pb2.FileDescriptorProto(name="caffe.proto", package="caffe", syntax="proto2")
    net = file.message_type.add(name="NetParameter")
    net.field.add(
        name="name", number=1, type=FieldDescriptor.TYPE_STRING, label=FieldDescriptor.LABEL_OPTIONAL
    )
    file.message_type.add(name="LayerParameter")
    run = subprocess.run(
        [sys.executable, "-c", BESIDE, order, str(file)],
        cwd=ROOT,
        env={**os.environ, "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": implementation},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.stdout, run.returncode) == ("both\n", 0), run.stderr


ENDS = """
import google.protobuf
from pathlib import Path
from prototxt.text import read_net, to_text, parse_net
paths = sorted(Path("prototxt/nets").glob("allconv?.prototxt"))
nets = [read_net(path) for path in paths]
assert len(nets) > 3 and all(parse_net(to_text(net)) == net for net in nets)
assert all(type(net).FromString(net.SerializeToString()) == net for net in nets)
print(google.protobuf.__version__)
"""


@pytest.mark.slow
@pytest.mark.parametrize("implementation", ["upb", "python"])
@pytest.mark.parametrize("version", ["==6.31.1", ">=7,<8"])
def test_both_ends_of_the_range_of_protobuf_read_and_write(
    version: str, implementation: str, tmp_path: Path
) -> None:
    """The range is pyproject.toml's; what the generated code needs of it is in the code itself."""
    assert "protobuf>=6.31.1,<8" in (ROOT / "pyproject.toml").read_text()
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path)]
    installed = subprocess.run([*pip, f"protobuf{version}"], capture_output=True, text=True, check=False)
    if installed.returncode:
        pytest.skip(f"protobuf{version} cannot be installed here: {installed.stderr.splitlines()[-1:]}")
    paths = os.pathsep.join([str(tmp_path), str(ROOT)])
    run = subprocess.run(
        [sys.executable, "-c", ENDS],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": paths, "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": implementation},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith(version.strip(">=").partition(",")[0])


def unknown_fields(message: Message) -> int:
    again = type(message).FromString(message.SerializeToString())
    again.DiscardUnknownFields()
    return message.ByteSize() - again.ByteSize()


def test_what_caffe_wrote_has_no_unknown_field() -> None:
    if not GOLDEN.is_dir():
        pytest.skip("the recorded Caffe files are not beside this checkout")
    files = {*GOLDEN.glob("legacy/*.caffemodel"), *GOLDEN.glob("solver/*/*.caffemodel")}
    assert len(files) > 10
    for file in files:
        net = NetParameter.FromString(file.read_bytes())
        assert net.layer or net.layers
        assert unknown_fields(net) == 0, file.name


def test_unknown_fields_would_be_seen() -> None:
    solver = SolverParameter(net="a", base_lr=1)
    assert unknown_fields(NetParameter.FromString(solver.SerializeToString())) > 0


def without_version(code: str) -> str:
    """What does not differ between the versions of the generator."""
    code = re.sub(r"Protobuf Python Version: .*|^ {4}\d+,$", "", code, flags=re.MULTILINE)
    return code.replace("_Optional[bool]", "bool").replace("_Mapping[str, _Any]", "_Mapping")


@pytest.mark.parametrize("name", ["caffe_pb2.py", "caffe_pb2.pyi"])
def test_the_generated_code_is_current(tmp_path: Path, name: str) -> None:
    pytest.importorskip("grpc_tools", reason="grpcio-tools generates the code; it is in the dev extra")
    protoc = [
        sys.executable,
        "-m",
        "grpc_tools.protoc",
        "-I.",
        f"--python_out={tmp_path}",
        f"--pyi_out={tmp_path}",
    ]
    subprocess.run([*protoc, "prototxt/caffe.proto"], cwd=ROOT, check=True)
    made = (tmp_path / "prototxt" / name).read_text()
    assert without_version(made) == without_version((ROOT / "prototxt" / name).read_text())


def test_the_generated_code_runs_on_the_oldest_protobuf_allowed() -> None:
    """Generated code refuses a runtime older than its generator, and pyproject.toml allows 6.33."""
    code = (ROOT / "prototxt" / "caffe_pb2.py").read_text()
    found = re.search(r"Protobuf Python Version: (\d+)\.(\d+)", code)
    assert found
    assert (6, 0) <= (int(found[1]), int(found[2])) <= (6, 33)
