"""What the command line offers and what it takes by default: said here once, for the parsers and for what
they start. Nothing heavy is imported.
"""

from eval.choices import AUTO, KINDS, PRECISIONS, PROVIDERS, ROUNDS, RUNTIMES

__all__ = ["AUTO", "KINDS", "PRECISIONS", "PROVIDERS", "ROUNDS", "RUNTIMES"]

MOST, MOST_SEED = 2**31 - 1, 2**63 - 1  # what the fields of a prototxt hold

ARTICLE = "allconv6"  # the article's net
SOLVER = f"{ARTICLE}_solver"
VARIANT = "baseline"
RUNS = "runs"  # the folder of run folders
OPSET, OPSETS = 18, range(13, 24)  # of ONNX files
DRAWINGS = "drawn"  # where zoo draw puts its files
DEVICES = (AUTO, "cpu", "cuda")
LOG_FORMATS = ("zoo", "caffe")
STUDY_ENGINES = ("local", "ray")

CHECK_SECONDS, CHECK_MEMORY = 120, 8  # a file may take, the memory in GiB

BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64)
CALLS = 200  # timed at batch 1
AGAINST = RUNTIMES[1:]  # what onnxruntime is timed against

ORDERS = ("BGR", "RGB")  # of a picture's channels
CROPS = (1, 10)  # of a picture: its centre, or pycaffe's oversample
MASKS = "masks"  # where zoo classify puts those of a segmentation net
TOP = 5  # classes that zoo classify names

LANGUAGES = {"en": "en", "zh": "zh-Hans"}  # of a report, as a page names them
VALIDATION_SHARE = 0.2  # of class folders
# Of drawn data: pictures with a class, a mask, a number or a distribution each.
DEMO_KINDS = ("classes", "masks", "angle", "votes")
SEED = 0  # of data that is drawn or dealt out
GROCERY_LABELS = ("coarse", "fine")
