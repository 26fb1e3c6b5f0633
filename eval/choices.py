"""What can be measured, by the names that a user gives it. Nothing is imported, so that a parser may."""

PRECISIONS = ("fp32", "fp16", "int8")
AUTO = "auto"  # a GPU where there is one, and a build for it; else the CPU
PROVIDERS = {  # onnxruntime's, beside AUTO
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
}
RUNTIMES = ("onnxruntime", "opencv", "torch", "torch-compile")  # in the order of their rows
KINDS = ("shift", "scale", "size")  # of conditions under which a report tries photographs
ROUNDS = 20  # of a timing by turns, at most
