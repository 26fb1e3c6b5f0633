"""What machine a figure comes from, and which versions computed it."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("torch", "onnx", "onnxruntime-gpu", "onnxruntime", "protobuf", "numpy", "opencv-python-headless")


def cpu_name() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def gpu_name() -> str | None:
    """The first NVIDIA GPU's name, or None."""
    try:
        command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.splitlines()[0].strip() if answer.stdout.strip() else None


def processor(device: str) -> str:
    """``cpu`` or ``cuda`` with the name of what that is here."""
    return f"CPU ({cpu_name()})" if device == "cpu" else f"GPU ({gpu_name() or 'unnamed'})"


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that compute."""
    numbers = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            numbers[package] = version(package)
        except ModuleNotFoundError:
            continue
    return numbers
