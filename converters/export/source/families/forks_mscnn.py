"""MS-CNN's layers, and Cascade R-CNN's, that work with regions."""

from typing import Any

from converters.export.source.helpers.mscnn import BoxOutput as BoxOutputHelper
from converters.export.source.helpers.mscnn import DecodeBoxes, RoiAlign
from converters.export.source.part import Call, Part, make, unless
from converters.export.source.rules import to_source
from converters.layers.forks.mscnn.box_output import BoxOutput, DecodeBBox
from converters.layers.forks.mscnn.roi_align import ROIAlign
from converters.layers.parts.boxes.fields import AS_THEY_ARE, Deltas


@to_source.register
def _(layer: BoxOutput, c: Call) -> Part:
    spec, first = layer.spec, layer.spec.fields[0]
    text = make(
        "BoxOutput",
        [(field.field_w, field.field_h, field.downsample_rate) for field in spec.fields],
        field_whr=first.field_whr,
        field_xyr=first.field_xyr,
        **_of_deltas(spec.deltas),
        threshold=unless(spec.fg_thr, 0),
        nms_threshold=spec.iou_thr,
        before=unless(spec.max_nms_num, 0),
        after=unless(spec.max_post_nms_num, 0),
        least=spec.min_size,
    )
    call = f"{c.me}({', '.join(c.bottoms)})"
    return Part([call if c.tops > 1 else f"{call}[0]"], text, {}, [BoxOutputHelper])


def _of_deltas(deltas: Deltas) -> dict[str, Any]:
    if deltas == AS_THEY_ARE:
        return {}
    return {"mean": deltas.bbox_mean, "std": deltas.bbox_std}


@to_source.register
def _(layer: DecodeBBox, c: Call) -> Part:
    return c.module(make("DecodeBoxes", **_of_deltas(layer.spec.deltas)), None, DecodeBoxes)


@to_source.register
def _(layer: ROIAlign, c: Call) -> Part:
    spec = layer.spec
    text = make("RoiAlign", spec.pooled_h, spec.pooled_w, scale=spec.spatial_scale, pad_ratio=spec.pad_ratio)
    return c.module(text, None, RoiAlign)
