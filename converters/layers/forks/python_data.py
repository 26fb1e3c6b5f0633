"""Data layers that others wrote in Python, by the names of their classes: inputs, as no code runs.

Their shapes are those of the configurations that their repositories come with.
"""

import re

from converters.layers.data_tops import DataTops
from converters.layers.parts.fed import Fed, Size, Stated, fed
from converters.layers.registry import ONE_OR_MORE, layer
from prototxt.caffe_pb2 import LayerParameter

_ROIS = 128  # TRAIN.BATCH_SIZE
_SCALE: Size = (608, 992)  # max(TRAIN.SCALES) 600, TRAIN.MAX_SIZE 1000: in whole 32s, as PVANet wants
_VOC: Size = (500, 500)  # the longest sides of its pictures


def _regions(layer: LayerParameter) -> Stated:
    """Of an end-to-end net the image, its height, width and scale (PVANet's has six values, of which others
    read three), and a line of 5 a box; else two images, rois (n, 5), labels (n,), and for each class the
    box's four offsets and their weights.
    """
    if "im_info" in layer.top:
        return [(1, 3, *_SCALE), (1, 6), (1, 5)]
    classes = re.search(r"num_classes\W+(\d+)", layer.python_param.param_str)
    offsets = (_ROIS, 4 * int(classes[1] if classes else 21))
    return [(2, 3, *_SCALE), (_ROIS, 5), (_ROIS,), offsets, offsets, offsets][: len(layer.top)]


def _segmented(layer: LayerParameter) -> Stated:
    """One image, and its label map."""
    return [(1, 3, *_VOC), (1, 1, *_VOC)]


def _frames(layer: LayerParameter) -> Stated:
    """16 frames of each of 24 clips (3 of those that test), their labels, and where a clip goes on."""
    count = 16 * (24 if layer.python_param.layer.startswith("videoReadTrain") else 3)
    return [(count, 3, 227, 227), (count,), (count,)]


_SEGMENTED = DataTops(usual=_segmented)
_FCN = fed("shelhamer/fcn.berkeleyvision.org: voc_layers.py", ONE_OR_MORE, _SEGMENTED)
_LRCN = fed("LisaAnne/lisa-caffe-public: sequence_input_layer.py", (3, 3), DataTops(usual=_frames))


@layer(
    "roi_data_layer.layer.RoIDataLayer",
    **fed("rbgirshick/py-faster-rcnn: roi_data_layer/layer.py", (3, 6), DataTops(usual=_regions)),
)
@layer("voc_layers.VOCSegDataLayer", "voc_layers.SBDDSegDataLayer", **_FCN)
@layer("nyud_layers.NYUDSegDataLayer", "siftflow_layers.SIFTFlowSegDataLayer", **_FCN)
@layer("pascalcontext_layers.PASCALContextSegDataLayer", **_FCN)
@layer("sequence_input_layer.videoReadTrain_RGB", "sequence_input_layer.videoReadTest_RGB", **_LRCN)
@layer("sequence_input_layer.videoReadTrain_flow", "sequence_input_layer.videoReadTest_flow", **_LRCN)
class PythonData(Fed):
    """A data layer whose class someone wrote in Python."""
