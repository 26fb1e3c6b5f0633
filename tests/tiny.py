"""A small net, its solver and a small set of images: enough to train in a second."""

from pathlib import Path

import cv2
import numpy as np

NET = """
name: "tiny"
layer {{ name: "data" type: "ImageData" top: "data" top: "label" include {{ phase: TRAIN }}
  transform_param {{ mirror: true crop_size: 24 mean_value: 104 mean_value: 117 mean_value: 124 }}
  image_data_param {{ source: "train.txt" batch_size: 6 shuffle: true new_height: 28 new_width: 28 }} }}
layer {{ name: "data" type: "ImageData" top: "data" top: "label" include {{ phase: TEST }}
  transform_param {{ crop_size: 24 mean_value: 104 mean_value: 117 mean_value: 124 }}
  image_data_param {{ source: "val.txt" batch_size: 5 new_height: 24 new_width: 24 }} }}
layer {{ name: "conv1" type: "Convolution" bottom: "data" top: "conv1" param {{ lr_mult: 1 }} param {{ lr_mult: 2 }}
  convolution_param {{ num_output: 8 kernel_size: 3 stride: 2 pad: 1 weight_filler {{ type: "{filler}" }} }} }}
layer {{ name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }}
layer {{ name: "drop1" type: "Dropout" bottom: "conv1" top: "conv1" dropout_param {{ dropout_ratio: 0.5 }} }}
layer {{ name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1" pooling_param {{ pool: AVE kernel_size: 12 }} }}
layer {{ name: "fc" type: "InnerProduct" bottom: "pool1" top: "fc"
  inner_product_param {{ num_output: {outputs} weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "accuracy_at_1" type: "Accuracy" bottom: "fc" bottom: "label" top: "accuracy_at_1" include {{ phase: TEST }} }}
layer {{ name: "accuracy_at_5" type: "Accuracy" bottom: "fc" bottom: "label" top: "accuracy_at_5" include {{ phase: TEST }}
  accuracy_param {{ top_k: 5 }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }}
"""
SOLVER = """
net: "tiny.prototxt" test_iter: 2 test_interval: 4 base_lr: {rate} lr_policy: "step" stepsize: 7 gamma: 0.5
momentum: 0.9 weight_decay: 0.005 display: 2 average_loss: 3 max_iter: {max_iter} snapshot: 3
snapshot_prefix: "models/tiny_"
"""


def write_images(folder: Path, classes: int = 3, each: int = 7) -> None:
    """Noise around one colour a class, with train.txt and val.txt (every third image)."""
    random = np.random.default_rng(0)
    lists: dict[str, list[str]] = {"train.txt": [], "val.txt": []}
    for label in range(classes):
        for index in range(each):
            colour = np.zeros(3)
            colour[label % 3] = 12
            image = random.normal(80 + colour, 40, (32, 30, 3)).clip(0, 255).astype(np.uint8)
            name = f"class {label}_{index}.png"
            cv2.imwrite(str(folder / name), image)
            lists["val.txt" if index % 3 == 2 else "train.txt"].append(f"{name} {label}\n")
    for name, lines in lists.items():
        (folder / name).write_text("".join(lines))


def write_run(
    folder: Path, rate: float = 0.001, max_iter: int = 10, outputs: int = 20, filler: str = "xavier"
) -> Path:
    """Images, net and solver in ``folder``; the solver's path."""
    write_images(folder)
    (folder / "tiny.prototxt").write_text(NET.format(outputs=outputs, filler=filler))
    solver = folder / "solver.prototxt"
    solver.write_text(SOLVER.format(rate=rate, max_iter=max_iter))
    return solver
