"""How long ResNet-152 takes from its prototxt to a module: ours against protobuf's own parse of the text and
the construction of a module of the same layers written by hand, with PyTorch's default values.

Run from the repository root: ``python benchmarks/build_net.py``. Each figure is the best of three processes
of one thread, taken in turn: the first net that one builds after its imports, and the best of four more. The
last lines say how the time grows up to 2,000 layers. Exits 1 where ours takes over four times the other's.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

LIMIT = 4.0
PROCESSES, REPEATS = 3, 5
BLOCKS = (3, 8, 36, 3)  # of each stage of ResNet-152


def input_text(size: int) -> str:
    """An Input layer of one image."""
    shape = f"shape {{ dim: 1 dim: 3 dim: {size} dim: {size} }}"
    return f'layer {{ name: "data" type: "Input" top: "data" input_param {{ {shape} }} }}'


def layer_text(name: str, kind: str, bottoms: list[str], top: str, param: str = "") -> str:
    """One layer as people write it."""
    read = "".join(f'\n\tbottom: "{bottom}"' for bottom in bottoms)
    return f'layer {{\n\tname: "{name}"\n\ttype: "{kind}"{read}\n\ttop: "{top}"\n\t{param}\n}}'


def convolution(name: str, bottom: str, outputs: int, kernel: int, stride: int, relu: bool) -> Iterator[str]:
    """A Convolution with its BatchNorm, Scale and ReLU."""
    param = (
        f"num_output: {outputs} kernel_size: {kernel} pad: {kernel // 2} stride: {stride} bias_term: false"
    )
    filler = 'weight_filler { type: "msra" }'
    yield layer_text(name, "Convolution", [bottom], name, f"convolution_param {{ {param} {filler} }}")
    yield layer_text(f"bn_{name}", "BatchNorm", [name], name, "batch_norm_param { use_global_stats: true }")
    yield layer_text(f"scale_{name}", "Scale", [name], name, "scale_param { bias_term: true }")
    if relu:
        yield layer_text(f"{name}_relu", "ReLU", [name], name)


def block(name: str, bottom: str, width: int, stride: int, widens: bool) -> Iterator[str]:
    """A bottleneck: 1×1, 3×3, 1×1, added to what came in."""
    if widens:
        yield from convolution(f"{name}_branch1", bottom, 4 * width, 1, stride, relu=False)
    yield from convolution(f"{name}_a", bottom, width, 1, stride, relu=True)
    yield from convolution(f"{name}_b", f"{name}_a", width, 3, 1, relu=True)
    yield from convolution(f"{name}_c", f"{name}_b", 4 * width, 1, 1, relu=False)
    yield layer_text(name, "Eltwise", [f"{name}_branch1" if widens else bottom, f"{name}_c"], name)
    yield layer_text(f"{name}_relu", "ReLU", [name], name)


def resnet_text(name: str = "ResNet-152", blocks: Sequence[int] = BLOCKS) -> str:
    """A ResNet's prototxt."""
    layers = [f'name: "{name}"', input_text(224), *convolution("conv1", "data", 64, 7, 2, relu=True)]
    layers.append(
        layer_text("pool1", "Pooling", ["conv1"], "pool1", "pooling_param { kernel_size: 3 stride: 2 }")
    )
    top = "pool1"
    for stage, count in enumerate(blocks):
        for number in range(count):
            name = f"res{stage + 2}_{number}"
            layers += block(name, top, 64 << stage, 2 if stage and not number else 1, widens=not number)
            top = name
    layers.append(
        layer_text("pool5", "Pooling", [top], "pool5", "pooling_param { pool: AVE global_pooling: true }")
    )
    layers.append(
        layer_text("fc", "InnerProduct", ["pool5"], "fc", "inner_product_param { num_output: 1000 }")
    )
    return "\n".join([*layers, layer_text("prob", "Softmax", ["fc"], "prob")])


def tasks() -> dict[str, Callable[[], object]]:
    """What is timed, by name, with its imports made."""
    import torch
    from by_hand import resnet
    from google.protobuf import text_format

    from converters import Network, load_net
    from converters.graph import graph_of
    from converters.net_state import net_state
    from prototxt.caffe_pb2 import NetParameter
    from prototxt.net_file import NetFile

    torch.set_num_threads(1)
    text = resnet_text()
    chain = [input_text(4)] + [
        layer_text(
            f"ip{after}", "InnerProduct", [above], f"ip{after}", "inner_product_param { num_output: 2 }"
        )
        for after, above in enumerate(["data", *(f"ip{number}" for number in range(1999))])
    ]
    return {
        "by hand": lambda: (text_format.Parse(text, NetParameter()), resnet("ResNet-152")),
        "ours": lambda: load_net(text),
        "ours, unfilled": lambda: Network(graph_of(NetFile.parse(text), net_state()), fill_blobs=None),
        **{f"{n} layers": lambda n=n: load_net("\n".join(chain[: n + 1])) for n in (500, 1000, 2000)},  # type: ignore[misc]
    }


def measure(name: str) -> list[float]:
    """Seconds of each of REPEATS calls in this process."""
    task, seconds = tasks()[name], []
    for _ in range(REPEATS):
        start = time.perf_counter()
        task()
        seconds.append(time.perf_counter() - start)
    return seconds


def in_process(name: str) -> list[float]:
    """:func:`measure` in a process of its own."""
    run = subprocess.run([sys.executable, __file__, name], capture_output=True, text=True, check=True)
    return list(map(float, json.loads(run.stdout)))


def main() -> int:
    """Print the figures."""
    names = list(tasks())
    runs = [{name: in_process(name) for name in names} for _ in range(PROCESSES)]
    first = {name: min(run[name][0] for run in runs) for name in names}
    later = {name: min(min(run[name][1:]) for run in runs) for name in names}
    worst = 0.0
    for name in names[:3]:
        for when, seconds in (("first", first), ("later", later)):
            ratio = seconds[name] / seconds["by hand"]
            worst = max(worst, ratio)
            print(f"{name}, {when}: {seconds[name]:.3f} s ({ratio:.2f} times)")
    for less, more in pairwise(names[3:]):
        print(f"{more}: {later[more]:.3f} s, {later[more] / later[less]:.2f} times that of {less}")
    return int(worst > LIMIT)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1])))
    else:
        sys.exit(main())
