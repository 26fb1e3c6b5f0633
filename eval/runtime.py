"""onnxruntime sessions on the provider that really runs."""

import ctypes
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from eval.choices import AUTO, PROVIDERS
from prototxt.errors import InputError
from prototxt.rawbytes import is_utf8

Feeds = Mapping[str, np.ndarray[Any, np.dtype[np.float32]]]


def has_gpu() -> bool:
    """Whether an NVIDIA driver finds a GPU; onnxruntime lists CUDA without one too."""
    try:
        return bool(ctypes.CDLL("libcuda.so.1").cuInit(0) == 0)
    except OSError:
        return False


def resolve(provider: str) -> str:
    """``auto`` as cuda where there is a GPU and a build for it, else cpu; other names as they are."""
    if provider != AUTO:
        return provider
    usable = has_gpu() and PROVIDERS["cuda"] in onnxruntime.get_available_providers()
    return "cuda" if usable else "cpu"


def provider_name(provider: str) -> str:
    """onnxruntime's name of a provider. Raises InputError where this onnxruntime or machine has it not."""
    wanted = PROVIDERS[resolve(provider)]
    if wanted not in onnxruntime.get_available_providers():
        raise InputError(f"provider {provider}: this onnxruntime has no {wanted}")
    if wanted in (PROVIDERS["cuda"], PROVIDERS["tensorrt"]) and not has_gpu():
        raise InputError(f"provider {provider}: there is no GPU here")
    return wanted


def open_session(path: Path, provider: str = "cpu", threads: int = 0) -> Any:
    """A session of the model on ``provider`` with that many threads (0: onnxruntime's choice).

    Raises InputError where the provider is not there or the session fell back to another.
    """
    wanted = provider_name(provider)
    if wanted in (PROVIDERS["cuda"], PROVIDERS["tensorrt"]):
        import torch  # noqa: F401  a CUDA wheel of it brings the libraries; on a CPU none pays for it

        onnxruntime.preload_dlls()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    try:
        model = str(path) if is_utf8(path) else path.read_bytes()  # onnxruntime opens UTF-8 alone
        session = onnxruntime.InferenceSession(model, options, providers=[wanted])
    except Exception as error:
        raise InputError(f"{path}: onnxruntime cannot open it: {str(error).splitlines()[0]}") from None
    if session.get_providers()[0] != wanted:
        raise InputError(f"provider {provider}: onnxruntime fell back to {session.get_providers()[0]}")
    return session


def open_plain(model: bytes) -> Any:
    """A session of a file's content on the CPU that computes its nodes as they stand, none joined."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return onnxruntime.InferenceSession(model, options, providers=[PROVIDERS["cpu"]])
    except Exception as error:
        raise InputError(f"onnxruntime cannot open the ONNX file: {str(error).splitlines()[0]}") from None


def metadata_of(path: Path) -> dict[str, Any]:
    """The entries of an ONNX file's metadata that are JSON. Raises InputError for a file that is no model."""
    try:
        entries = onnx.load(path, load_external_data=False).metadata_props
    except Exception as error:
        raise InputError(f"{path}: is no ONNX model: {str(error).splitlines()[0]}") from None
    found: dict[str, Any] = {}
    for entry in entries:
        with suppress(ValueError):
            found[entry.key] = json.loads(entry.value)
    return found


def input_shapes(path: Path) -> tuple[dict[str, list[int]], int | None]:
    """(the shape of every input without its first axis, by name; the batch where the file has it fixed).

    Raises InputError for a file that is no model.
    """
    try:
        inputs = onnx.load(path, load_external_data=False).graph.input
    except Exception as error:
        raise InputError(f"{path}: is no ONNX model: {str(error).splitlines()[0]}") from None
    shapes = {item.name: list(item.type.tensor_type.shape.dim) for item in inputs}
    fixed = {axes[0].dim_value for axes in shapes.values() if axes and axes[0].HasField("dim_value")}
    return {name: [axis.dim_value for axis in axes[1:]] for name, axes in shapes.items()}, max(
        fixed, default=None
    )
