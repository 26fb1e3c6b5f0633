"""Nets as one writes them in PyTorch, without a prototxt: what files and times of ours are held against.

Each has the arithmetic of the Caffe net of its name in TEST (ceil pooling, LRN, a bottleneck's stride in its
first 1×1), and its modules in the order of that net's layers, so that both can have the same weights
(pairs.py). ``python benchmarks/by_hand.py NAME FILE`` writes one of MADE as ONNX, which exporter.py times.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

WIDTHS = (3, 64, 64, 128, 128, 256)  # of allconv6
STAGES = {"ResNet-50": (3, 4, 6, 3), "ResNet-152": (3, 8, 36, 3)}  # blocks of each
SEPARABLE = (  # channels and stride of MobileNet's pairs
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1),
)  # fmt: skip
INCEPTIONS = {  # channels of 1×1; of 3×3, and 5×5, behind the 1×1 before each; of what is pooled
    "3a": (64, 96, 128, 16, 32, 32), "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64), "4b": (160, 112, 224, 24, 64, 64), "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64), "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128), "5b": (384, 192, 384, 48, 128, 128),
}  # fmt: skip
EXTRA = ((256, 512), (128, 256), (128, 256), (64, 128))  # channels of SSD's pairs behind MobileNet
SOURCES = (
    (512, 3),
    (1024, 6),
    (512, 6),
    (256, 6),
    (256, 6),
    (128, 6),
)  # channels and boxes of what heads read
CLASSES = 21


def convolved(
    inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1, bn: bool = False
) -> nn.Sequential:
    """Convolution and ReLU, or without a bias, BatchNorm and ReLU."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=not bn)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU()) if bn else nn.Sequential(conv, nn.ReLU())


def allconv6(bn: bool = True) -> nn.Sequential:
    """The series' net, with BatchNorm or without: (N, 3, 224, 224) to scores (N, 20)."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(WIDTHS):
        layers.append(nn.Conv2d(inputs, outputs, 3, 2, 1))
        layers += [nn.BatchNorm2d(outputs), nn.ReLU()] if bn else [nn.ReLU()]
    return nn.Sequential(*layers, nn.AvgPool2d(7), nn.Flatten(), nn.Linear(WIDTHS[-1], 20))


class Bottleneck(nn.Module):
    """1×1, 3×3, 1×1, added to what came in, which a 1×1 of its own widens where it must."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.shortcut = convolved(inputs, 4 * width, 1, stride, bn=True)[:2] if inputs != 4 * width else None
        self.a = convolved(inputs, width, 1, stride, bn=True)
        self.b = convolved(width, width, 3, bn=True)
        self.c = convolved(width, 4 * width, bn=True)[:2]

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, 4 · width, H / stride, W / stride)."""
        added = x if self.shortcut is None else self.shortcut(x)
        return torch.relu(added + self.c(self.b(self.a(x))))


def resnet(name: str) -> nn.Sequential:
    """ResNet-50 or -152 as their authors' prototxts have them: (N, 3, 224, 224) to shares (N, 1000)."""
    layers: list[nn.Module] = [convolved(3, 64, 7, 2, bn=True), nn.MaxPool2d(3, 2, ceil_mode=True)]
    inputs = 64
    for stage, blocks in enumerate(STAGES[name]):
        width = 64 << stage
        for block in range(blocks):
            layers.append(Bottleneck(inputs, width, 2 if stage and not block else 1))
            inputs = 4 * width
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 1000), nn.Softmax(1)]
    return nn.Sequential(*layers, *head)


def separable(bn: bool) -> Iterator[nn.Sequential]:
    """MobileNet v1's convolutions: 3×3, then a channel each and 1×1 by turns."""
    yield convolved(3, 32, 3, 2, bn=bn)
    inputs = 32
    for outputs, stride in SEPARABLE:
        yield convolved(inputs, inputs, 3, stride, groups=inputs, bn=bn)
        yield convolved(inputs, outputs, bn=bn)
        inputs = outputs


def mobilenet() -> nn.Sequential:
    """MobileNet v1 with its last convolution for a classifier: (N, 3, 224, 224) to shares (N, 1000, 1, 1)."""
    return nn.Sequential(
        *separable(bn=True), nn.AdaptiveAvgPool2d(1), nn.Conv2d(1024, 1000, 1), nn.Softmax(1)
    )


class Inception(nn.Module):
    """Four branches side by side."""

    def __init__(
        self, inputs: int, one: int, less3: int, three: int, less5: int, five: int, pool: int
    ) -> None:
        super().__init__()
        self.one = convolved(inputs, one)
        self.three = nn.Sequential(convolved(inputs, less3), convolved(less3, three, 3))
        self.five = nn.Sequential(convolved(inputs, less5), convolved(less5, five, 5))
        self.pool = nn.Sequential(nn.MaxPool2d(3, 1, 1), convolved(inputs, pool))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, one + three + five + pool, H, W)."""
        return torch.cat([self.one(x), self.three(x), self.five(x), self.pool(x)], 1)


def googlenet() -> nn.Sequential:
    """BVLC's GoogLeNet without its auxiliary heads: (N, 3, 224, 224) to shares (N, 1000)."""
    pools = [nn.MaxPool2d(3, 2, ceil_mode=True) for _ in range(4)]
    norms = [nn.LocalResponseNorm(5, 1e-4, 0.75) for _ in range(2)]
    layers = [convolved(3, 64, 7, 2), pools[0], norms[0]]
    layers += [convolved(64, 64), convolved(64, 192, 3), norms[1], pools[1]]
    inputs = 192
    for name, widths in INCEPTIONS.items():
        layers.append(Inception(inputs, *widths))
        inputs = widths[0] + widths[2] + widths[4] + widths[5]
        layers += {"3b": [pools[2]], "4e": [pools[3]]}.get(name, [])
    head = [nn.AvgPool2d(7), nn.Flatten(), nn.Dropout(0.4), nn.Linear(inputs, 1000), nn.Softmax(1)]
    return nn.Sequential(*layers, *head)


class MobileNetSSD(nn.Module):
    """MobileNet-SSD up to what DetectionOutput reads of an image: (N, 3, 300, 300) to offsets (N, 7668) and
    shares (N, 40257) of 1,917 boxes.
    """

    def __init__(self) -> None:
        super().__init__()
        parts = list(separable(bn=False))
        self.parts = nn.ModuleList([nn.Sequential(*parts[:23]), nn.Sequential(*parts[23:])])
        inputs = 1024
        for less, outputs in EXTRA:
            self.parts.append(nn.Sequential(convolved(inputs, less), convolved(less, outputs, 3, 2)))
            inputs = outputs
        self.heads = nn.ModuleList(
            nn.ModuleList([nn.Conv2d(channels, boxes * 4, 1), nn.Conv2d(channels, boxes * CLASSES, 1)])
            for channels, boxes in SOURCES
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Offsets and shares."""
        told: tuple[list[Tensor], list[Tensor]] = ([], [])
        for part, heads in zip(self.parts, self.heads, strict=True):
            x = part(x)
            for rows, head in zip(told, heads.children(), strict=True):
                rows.append(head(x).permute(0, 2, 3, 1).flatten(1))
        offsets, scores = torch.cat(told[0], 1), torch.cat(told[1], 1)
        shares = scores.unflatten(1, (-1, CLASSES)).softmax(2)  # type: ignore[no-untyped-call]
        return offsets, shares.flatten(1)


MADE: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "allconv6": (allconv6, "fc"),
    "ResNet-152": (partial(resnet, "ResNet-152"), "prob"),
}


def export(module: nn.Module, images: Tensor, outputs: Sequence[str], path: Path) -> None:
    """Write the module as torch's exporter does, of any batch; ``images`` are two or more."""
    program = torch.onnx.export(
        module.eval(),
        (images,),
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        input_names=["data"],
        output_names=list(outputs),
        verbose=False,
    )
    assert program is not None
    program.save(path)


if __name__ == "__main__":
    make, output = MADE[sys.argv[1]]
    export(make(), torch.zeros(2, 3, 224, 224), [output], Path(sys.argv[2]))
