"""The runtimes that a deploy net can be timed in, each behind the same three steps: load, run, read."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from eval.environment import cpu_name, gpu_name
from eval.runtime import Feeds, open_session, resolve

Arrays = list[np.ndarray[Any, np.dtype[Any]]]


@dataclass(frozen=True)
class TimingJob:
    """What to run where: the files of one deploy net, and the machine's share that it may take.

    onnxruntime reads ``model``, the others ``prototxt`` and ``caffemodel``, OpenCV ``model`` where there are
    none; ``inputs`` are the inputs' shapes without the batch, by name, ``last`` the layers that make the
    outputs, in the model's order (of a ``model`` its outputs).
    """

    runtime: str
    provider: str
    threads: int
    model: str
    inputs: dict[str, list[int]]
    prototxt: str = ""
    caffemodel: str = ""
    last: tuple[str, ...] = ()

    def feeds(self, batch: int) -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
        """Random pixels less a mean for every input, the same at every call."""
        drawn = np.random.Generator(np.random.PCG64(0))
        return {
            name: drawn.uniform(-128, 128, (batch, *shape)).astype(np.float32)
            for name, shape in self.inputs.items()
        }


class TimedNet(Protocol):
    """A net in a runtime. ``provider`` is what it really runs on, ``processor`` that one's name."""

    provider: str
    processor: str

    def load(self, feeds: Feeds) -> None:
        """Put the inputs where the runtime wants them."""

    def run(self) -> None:
        """Compute once, and wait until it is done."""

    def read(self) -> Arrays:
        """The outputs of the last run."""


class OnnxNet:
    """onnxruntime with I/O binding: on a GPU inputs and outputs stay there, and no copy is timed."""

    def __init__(self, job: TimingJob) -> None:
        self.session = open_session(Path(job.model), job.provider, job.threads)
        self.provider: str = self.session.get_providers()[0]
        wanted = resolve(job.provider)
        self.place = "cuda" if wanted in ("cuda", "tensorrt") else "cpu"
        self.processor = _name_of(self.place)
        self.binding = self.session.io_binding()

    def load(self, feeds: Feeds) -> None:
        """Copy the inputs to the provider's memory, and have the outputs left there."""
        from onnxruntime import OrtValue

        self.binding.clear_binding_inputs()
        self.binding.clear_binding_outputs()
        for name, array in feeds.items():
            self.binding.bind_ortvalue_input(name, OrtValue.ortvalue_from_numpy(array, self.place, 0))
        for output in self.session.get_outputs():
            self.binding.bind_output(output.name, self.place)
        self.binding.synchronize_inputs()

    def run(self) -> None:
        """Compute, and wait for the GPU where there is one."""
        self.session.run_with_iobinding(self.binding)
        self.binding.synchronize_outputs()

    def read(self) -> Arrays:
        """The outputs, copied back."""
        arrays: Arrays = self.binding.copy_outputs_to_cpu()
        return arrays


class OpenCvNet:
    """OpenCV's dnn module, which reads Caffe's files itself, and ONNX; its wheels know the CPU alone."""

    provider = "CPU"

    def __init__(self, job: TimingJob) -> None:
        import cv2

        cv2.setNumThreads(job.threads)
        if job.prototxt:
            self.net = cv2.dnn.readNetFromCaffe(job.prototxt, job.caffemodel)
        else:
            self.net = cv2.dnn.readNetFromONNX(job.model)
        self.last = list(job.last)
        self.processor = cpu_name()
        self.outputs: Arrays = []

    def load(self, feeds: Feeds) -> None:
        """Set the inputs."""
        for name, array in feeds.items():
            self.net.setInput(array, name)

    def run(self) -> None:
        """Compute every output."""
        self.outputs = list(self.net.forward(self.last))

    def read(self) -> Arrays:
        """The outputs of the last run."""
        return self.outputs


class TorchNet:
    """PyTorch, channels last and without gradients; on the GPU where onnxruntime's provider is there."""

    def __init__(self, job: TimingJob) -> None:
        import torch

        from converters.load import load_net

        torch.set_num_threads(job.threads)
        on_gpu = resolve(job.provider) in ("cuda", "tensorrt")
        self.device = torch.device("cuda" if on_gpu else "cpu")
        self.provider, self.processor = self.device.type.upper(), _name_of(self.device.type)
        net = load_net(Path(job.prototxt), Path(job.caffemodel)).to(self.device)
        net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.net: Callable[..., Any] = net
        if job.runtime == "torch-compile":
            torch._dynamo.config.recompile_limit = 64  # one a batch size, each compiled for itself
            self.net = torch.compile(net, dynamic=False)
        self.inputs: list[Any] = []
        self.outputs: Any = None

    def load(self, feeds: Feeds) -> None:
        """Copy the inputs to the device, images channels last."""
        import torch

        tensors = [torch.from_numpy(array).to(self.device) for array in feeds.values()]
        self.inputs = [
            x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x for x in tensors
        ]

    def run(self) -> None:
        """Compute, and wait for the GPU where there is one."""
        import torch

        with torch.inference_mode():
            self.outputs = self.net(*self.inputs)
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def read(self) -> Arrays:
        """The outputs of the last run, copied back."""
        tensors = list(self.outputs.values()) if isinstance(self.outputs, dict) else [self.outputs]
        return [tensor.cpu().numpy() for tensor in tensors]


def open_timed(job: TimingJob) -> TimedNet:
    """The engine that a job asks for. Raises what the runtime raises where it cannot."""
    engines: dict[str, Callable[[TimingJob], TimedNet]] = {"onnxruntime": OnnxNet, "opencv": OpenCvNet}
    return engines.get(job.runtime, TorchNet)(job)


def _name_of(place: str) -> str:
    return cpu_name() if place == "cpu" else gpu_name() or "unnamed GPU"
