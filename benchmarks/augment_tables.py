"""The tables of what benchmarks/augment.py measured, for the pages."""

from collections.abc import Mapping, Sequence
from typing import Any

from exporter_tables import ratio_cell

from zoo.bench.grid import Grid

_QUIET = 0.5  # a load below which nothing else is at work
ENGLISH = {
    "fed": "Images a second, from decoded pictures of 256 to 400 pixels to float32 batches of 32 at 224×224",
    "fed columns": ["what happens to an image", "`zoo train`", "OpenCV by hand", "ratio, 99% interval"],
    "sides": "shorter side, colours, crop, mirror",
    "all": "these, and rotation and smoothing",
    "trained": "Images a second of training allconv6",
    "trained columns": ["all of these", "crop and mirror alone", "ratio, 99% interval"],
    "machine": "On {processor}, {threads} threads, by turns: `python benchmarks/augment.py`.",
    "busy": "Other programs were at work there (a load of {load:.0f} before it began): speeds are too low.",
}
CHINESE = {
    "fed": "每秒图像数：从已解码、边长 256 到 400 像素的图像，到一批 32 张 224×224 的 float32 数据",
    "fed columns": ["对图像做什么", "`zoo train`", "手写 OpenCV", "比值与 99% 区间"],
    "sides": "短边缩放、颜色、裁剪、镜像",
    "all": "以上各项，加旋转与平滑",
    "trained": "训练 allconv6 时每秒图像数",
    "trained columns": ["全部增强", "只裁剪和镜像", "比值与 99% 区间"],
    "machine": "{processor}，{threads} 线程，轮流测量：`python benchmarks/augment.py`。",
    "busy": "当时机器上有其他程序（开始前的负载为 {load:.0f}）：速度偏低。",
}


def tables(figures: Mapping[str, Any], words: Mapping[str, Any]) -> list[Grid]:
    """How fast augmented images are served, and how fast a net trains on them."""
    fed = [[words[way], *_speeds(figures[way], ("ours", "by hand"))] for way in ("sides", "all")]
    trained = [_speeds(figures["training"], ("augmented", "plain"))]
    return [
        Grid(words["fed"], words["fed columns"], fed),
        Grid(words["trained"], words["trained columns"], trained),
    ]


def measured(figures: Mapping[str, Any], words: Mapping[str, Any]) -> str:
    """On what, and whether anything else was at work there."""
    lines = [words["machine"], *([words["busy"]] if figures["load"] > _QUIET else [])]
    return "\n".join(line.format(**figures) for line in lines)


def _speeds(found: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    return [*(f"{found[name]:.0f}" for name in names), ratio_cell(found["ratio"])]
