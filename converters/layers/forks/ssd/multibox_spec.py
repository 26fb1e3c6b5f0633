"""What MultiBoxLoss is told, and what it refuses."""

from dataclasses import dataclass

from converters.layers.forks.ssd.predictions import PredictionsSpec, check_predictions
from converters.layers.judging.labels import normalization
from converters.layers.registry import Shapes
from converters.layers.spec import numbers_of
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


@dataclass(frozen=True)
class MultiBoxLossSpec(PredictionsSpec):
    """Of MultiBoxLoss; ``nms_threshold`` is None where hard examples are not thinned out."""

    loc_loss_type: str = "SMOOTH_L1"
    conf_loss_type: str = "SOFTMAX"
    loc_weight: float = 1.0
    match_type: str = "PER_PREDICTION"
    overlap_threshold: float = 0.5
    use_prior_for_matching: bool = True
    use_difficult_gt: bool = True
    mining_type: str = "MAX_NEGATIVE"
    neg_pos_ratio: float = 3.0
    neg_overlap: float = 0.5
    encode_variance_in_target: bool = False
    map_object_to_agnostic: bool = False
    ignore_cross_boundary_bbox: bool = False
    bp_inside: bool = False
    nms_threshold: float | None = None
    nms_top_k: int = 0
    sample_size: int = 64
    use_prior_for_nms: bool = False
    normalization: str = "VALID"

    @property
    def in_target(self) -> bool:
        """As Caffe calls it here."""
        return self.encode_variance_in_target


def spec_of(message: LayerParameter) -> MultiBoxLossSpec:
    """The numbers of a layer's message."""
    param, nms = message.multibox_loss_param, message.multibox_loss_param.nms_param
    thins = param.HasField("nms_param") and nms.nms_threshold > 0
    return MultiBoxLossSpec(
        **numbers_of(param, MultiBoxLossSpec),
        nms_threshold=nms.nms_threshold if thins else None,
        nms_top_k=nms.top_k,
        normalization=normalization(message.loss_param),
    )


def check_spec(message: LayerParameter, spec: MultiBoxLossSpec, bottoms: Shapes) -> None:
    """Raise InputError for what MultiBoxLossLayer refuses."""
    param, mines = message.multibox_loss_param, spec.mining_type != "NONE"
    classes, background = spec.num_classes, spec.background_label_id
    reasons = {
        "needs num_classes": classes < 1,
        "do_neg_mining says otherwise than mining_type": param.HasField("do_neg_mining")
        and param.do_neg_mining != mines,
        "mines examples with share_location: true alone": mines and not spec.share_location,
        "needs a background_label_id among its classes": not 0 <= background < classes
        and spec.conf_loss_type == "SOFTMAX",
        "map_object_to_agnostic goes with one class beside the background's": spec.map_object_to_agnostic
        and classes != (2 if background >= 0 else 1),
        "needs a sample_size above 0": spec.mining_type == "HARD_EXAMPLE" and spec.sample_size < 1,
        "has no normalization PRE_FIXED": spec.normalization == "PRE_FIXED",
        "has no nms_param together with a fifth bottom": spec.nms_threshold is not None and len(bottoms) > 4,
        "has a sixth bottom with share_location: true alone": len(bottoms) > 5 and not spec.share_location,
        f"takes true boxes (1, 1, R, 8), not {tuple(bottoms[3])}": bottoms[3][-1:] != (8,),
    }
    for reason, is_so in reasons.items():
        if is_so:
            raise InputError(reason, message.name)
    check_predictions(message, bottoms[:3], bottoms[4:], spec)
