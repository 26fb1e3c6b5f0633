"""Runs an ONNX file: forward.py opencv|openvino FILE.onnx BLOBS.npz OUT.npz, which has an array a name asked for.
BLOBS has the inputs, and as "wanted" the names of the outputs.
"""

import sys

import numpy as np


def by_opencv(model, inputs, wanted):
    import cv2

    net = cv2.dnn.readNetFromONNX(model)
    for name, blob in inputs.items():
        net.setInput(blob, name)
    return net.forward(wanted)


def by_openvino(model, inputs, wanted):
    import openvino

    core = openvino.Core()
    # Without the hint it computes in 16 bits where the processor can.
    compiled = core.compile_model(core.read_model(model), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled(inputs)
    return [found[name] for name in wanted]


client, model, blobs, out = sys.argv[1:]
with np.load(blobs) as given:
    wanted = [str(name) for name in given["wanted"]]
    inputs = {name: given[name] for name in given.files if name != "wanted"}
results = {"opencv": by_opencv, "openvino": by_openvino}[client](model, inputs, wanted)
np.savez(out, **dict(zip(wanted, results, strict=True)))
print("{}")
