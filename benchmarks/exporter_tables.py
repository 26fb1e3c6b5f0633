"""The tables of what benchmarks/exporter.py measured, for it and for the pages."""

from collections.abc import Mapping, Sequence
from typing import Any

from zoo.bench.grid import Grid

Figures = Mapping[str, Any]
WAYS, NETS = ("convert", "export"), ("allconv6", "ResNet-152")
ENGLISH = {
    "title": "Processor seconds of a whole command, and its multiple of `import torch`",
    "columns": ["net", "`zoo convert`", "torch's exporter, of a net by hand"],
    "latency": "Our file in onnxruntime: milliseconds, and its time ÷ another's with a 99% interval",
    "latency columns": ["net", "batch", "ms", "÷ by hand", "÷ OpenCV"],
    "machine": "`import torch` took {import_s:.1f} s there: {processor}, {threads} threads.",
}
CHINESE = {
    "title": "整条命令的处理器时间（秒），以及它是 `import torch` 的几倍",
    "columns": ["网络", "`zoo convert`", "PyTorch 导出器（手写的网络）"],
    "latency": "我们的文件在 onnxruntime 中：毫秒数，以及与另一者的时间之比和 99% 区间",
    "latency columns": ["网络", "批量", "毫秒", "÷ 手写", "÷ OpenCV"],
    "machine": "当时 `import torch` 用了 {import_s:.1f} 秒：{processor}，{threads} 线程。",
}


def exporter_tables(figures: Figures, words: Mapping[str, Any] = ENGLISH) -> list[Grid]:
    """What commands cost, and how fast the files are."""
    speed = [
        [
            net,
            batch,
            f"{found['ours_ms']:.1f}",
            *(ratio_cell(found[other]) for other in ("by hand", "OpenCV")),
        ]
        for net, batches in figures["latency"].items()
        for batch, found in batches.items()
    ]
    cost = [[net, *(_cost(figures, f"{way} {net}") for way in WAYS)] for net in NETS]
    return [
        Grid(words["title"], words["columns"], cost),
        Grid(words["latency"], words["latency columns"], speed),
    ]


def measured(figures: Figures, words: Mapping[str, Any] = ENGLISH) -> str:
    """On what."""
    text: str = words["machine"]
    return text.format(import_s=figures["processor_s"]["import torch"], **figures)


def _cost(figures: Figures, command: str) -> str:
    seconds = figures["processor_s"]
    return f"{seconds[command]:.1f} ({seconds[command] / seconds['import torch']:.1f}×)"


def ratio_cell(found: Sequence[float]) -> str:
    """A ratio with its interval, for a table in Markdown."""
    value, low, high = found
    return f"{value:.2f}× \\[{low:.2f}, {high:.2f}\\]"
