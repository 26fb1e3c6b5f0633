"""onnxruntime sessions on the provider that really runs."""

import ctypes
from pathlib import Path
from typing import Any

import onnxruntime

from prototxt.errors import InputError

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}


def has_gpu() -> bool:
    """Whether an NVIDIA driver finds a GPU; onnxruntime lists CUDA without one too."""
    try:
        return bool(ctypes.CDLL("libcuda.so.1").cuInit(0) == 0)
    except OSError:
        return False


def resolve(provider: str) -> str:
    """``auto`` as cuda where there is a GPU and a build for it, else cpu; other names as they are."""
    if provider != "auto":
        return provider
    usable = has_gpu() and PROVIDERS["cuda"] in onnxruntime.get_available_providers()
    return "cuda" if usable else "cpu"


def open_session(path: Path, provider: str = "cpu", threads: int = 0) -> Any:
    """A session of the model on ``provider`` with that many threads (0: onnxruntime's choice).

    Raises InputError where the provider is not there or the session fell back to another.
    """
    wanted = PROVIDERS[resolve(provider)]
    if wanted not in onnxruntime.get_available_providers():
        raise InputError(f"provider {provider}: this onnxruntime has no {wanted}")
    if wanted == PROVIDERS["cuda"]:
        _load_cuda(provider)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=[wanted])
    except Exception as error:
        raise InputError(f"{path}: onnxruntime cannot open it: {str(error).splitlines()[0]}") from None
    if session.get_providers()[0] != wanted:
        raise InputError(f"provider {provider}: onnxruntime fell back to {session.get_providers()[0]}")
    return session


def _load_cuda(provider: str) -> None:
    if not has_gpu():
        raise InputError(f"provider {provider}: there is no GPU here")
    onnxruntime.preload_dlls()
