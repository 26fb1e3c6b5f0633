"""The table of :mod:`prototxt.binary.fork_numbers`: what forks number as they like, by message.

A line: the number, our field, the forks (by commas, or a group of them), the types that read it where
not all layers do. ``(asked)`` stands where it counts for a fork that is asked for alone.
"""

_MARGIN = "num_output type weight_filler axis base gamma power iteration lambda_min"


def _in_order(fork: str, fields: str, first: int = 1, types: str = "") -> str:
    """The rows of a message that a fork numbers from ``first`` on."""
    numbered = enumerate(fields.split(), first)
    return "\n".join(f"{number} {field} {fork} {types}" for number, field in numbered)


_VARIED = (
    "min_scaling_factor max_scaling_factor max_rotation_angle contrast_brightness_adjustment "
    "smooth_filtering min_side_min min_contrast max_contrast max_brightness_shift max_smooth "
    "apply_probability debug_params max_color_shift min_side_max min_side use_deformed_resize "
    "deformed_resize_th crop_h crop_w"
)


ROWS: dict[str, str] = {
    "LayerParameter": """
        137 bn_param yjxiong BN
        143 interp_param deeplab Interp
        145 forward_type nvidia
        146 backward_type nvidia
        147 forward_math nvidia
        148 backward_math nvidia
        149 engine intel (asked)
        149 upsample_param darknet Upsample
        149 reorg_param mobilenet-yolo Reorg
        149 crop_center_param nagadomi CropCenter
        150 multinode intel (asked)
        150 roi_pooling_param yjxiong ROIPooling
        150 upsample_param mobilenet-yolo Upsample
        151 mn_activation_param intel (asked)
        152 box_annotator_ohem_param intel BoxAnnotatorOHEM
        153 psroi_pooling_param intel PSROIPooling
        154 roi_pooling_param intel ROIPooling
        156 mn_grad_compress_param intel (asked)
        158 quantization_param intel (asked)
        164 shuffle_channel_param farmingyard ShuffleChannel
        200 annotated_data_param SSD AnnotatedData
        201 multibox_loss_param SSD MultiBoxLoss
        202 permute_param SSD Permute
        203 prior_box_param SSD PriorBox
        204 detection_output_param SSD DetectionOutput
        205 detection_evaluate_param SSD DetectionEvaluate
        206 norm_param SSD Normalize
        211 relu6_param mobilenet-yolo ReLU6
        601 yolo_detection_output_param mobilenet-yolo YoloDetectionOutput
        602 yolov3_detection_output_param mobilenet-yolo Yolov3DetectionOutput
        1400 margin_inner_product_param caffe-long MarginInnerProduct
        1401 knowledge_distillation_param caffe-long KnowledgeDistillation
        1402 largemargin_inner_product_param caffe-long LargeMarginInnerProduct
        1403 relu6_param caffe-long ReLU6
        1404 label_specific_rescale_param caffe-long LabelSpecificRescale
        1408 label_specific_add_param caffe-long LabelSpecificAdd
        1409 channel_shuffle_param caffe-long ChannelShuffle
        1410 compact_bilinear_param caffe-long CompactBilinear
        8266711 roi_pooling_param RCNN ROIPooling
        8266712 smooth_l1_loss_param RCNN SmoothL1Loss
        """,
    "TransformationParameter": """
        8 resize_param SSD AnnotatedData
        11 crop_h SSD AnnotatedData
        12 crop_w SSD AnnotatedData
        """
    + _in_order("caffe-long", _VARIED, 8, "ImageRegressionData ImageProbData")
    + "\n"
    + _in_order("caffe-long", _VARIED, 8, "ImageData Data ImageSegData (asked)"),
    "ImageDataParameter": """
        13 label_size caffe-long ImageRegressionData
        13 label_size caffe-long ImageData (asked)
        """,
    "MemoryDataParameter": "5 label_size caffe-long MemoryData (asked)",
    "PoolingParameter": """
        13 ceil_mode pull-3057
        """,
    "BatchNormParameter": """
        5 scale_filler nvidia
        6 bias_filler nvidia
        15 engine nvidia
        """,
    "ConvolutionParameter": """
        19 cudnn_convolution_algo_seeker nvidia
        """,
    "ResizeParameter": """
        1 prob SSD
        2 resize_mode SSD
        3 height SSD
        4 width SSD
        5 pad_mode SSD
        6 pad_value SSD
        7 interp_mode SSD
        8 height_scale SSD
        9 width_scale SSD
        """,
    "PermuteParameter": "1 order SSD",
    "PriorBoxParameter": """
        1 min_size SSD
        2 max_size SSD
        3 aspect_ratio SSD
        4 flip SSD
        5 clip SSD
        6 variance SSD
        7 img_size SSD
        8 img_h SSD
        9 img_w SSD
        10 step SSD
        11 step_h SSD
        12 step_w SSD
        13 offset SSD
        """,
    "NonMaximumSuppressionParameter": """
        1 nms_threshold SSD
        2 top_k SSD
        3 eta SSD
        """,
    "DetectionOutputParameter": """
        1 num_classes SSD
        2 share_location SSD
        3 background_label_id SSD
        4 nms_param SSD
        5 save_output_param SSD
        6 code_type SSD
        7 keep_top_k SSD
        8 variance_encoded_in_target SSD
        9 confidence_threshold SSD
        10 visualize SSD
        11 visualize_threshold SSD
        12 save_file SSD
        """,
    "NormParameter": """
        1 across_spatial SSD
        2 scale_filler SSD
        3 channel_shared SSD
        4 eps SSD
        """,
    "UpsampleParameter": "1 scale darknet,mobilenet-yolo",
    "ReLU6Parameter": "1 negative_slope mobilenet-yolo,caffe-long",
    "ReorgParameter": """
        1 stride mobilenet-yolo
        2 reverse mobilenet-yolo
        """,
    "YoloDetectionOutputParameter": """
        1 side mobilenet-yolo
        2 num_classes mobilenet-yolo
        3 num_box mobilenet-yolo
        4 coords mobilenet-yolo
        5 confidence_threshold mobilenet-yolo
        6 nms_threshold mobilenet-yolo
        7 biases mobilenet-yolo
        8 label_map_file mobilenet-yolo
        """,
    "Yolov3DetectionOutputParameter": """
        1 num_classes mobilenet-yolo
        2 num_box mobilenet-yolo
        3 confidence_threshold mobilenet-yolo
        4 nms_threshold mobilenet-yolo
        5 biases mobilenet-yolo
        6 anchors_scale mobilenet-yolo
        7 mask_group_num mobilenet-yolo
        8 mask mobilenet-yolo
        """,
    "CropCenterParameter": "2 crop_size nagadomi",
    "ROIPoolingParameter": """
        1 pooled_h RCNN
        2 pooled_w RCNN
        3 spatial_scale RCNN
        """,
    "InterpParameter": """
        1 height deeplab
        2 width deeplab
        3 zoom_factor deeplab
        4 shrink_factor deeplab
        5 pad_beg deeplab
        6 pad_end deeplab
        """,
    "BNParameter": """
        1 slope_filler yjxiong
        2 bias_filler yjxiong
        3 momentum yjxiong
        4 eps yjxiong
        5 frozen yjxiong
        6 engine yjxiong
        """,
    "ShuffleChannelParameter": "1 group farmingyard",
    "MarginInnerProductParameter": _in_order("caffe-long", _MARGIN),
    "LargeMarginInnerProductParameter": _in_order("caffe-long", _MARGIN),
    "KnowledgeDistillationParameter": "1 temperature caffe-long",
    "ChannelShuffleParameter": _in_order("caffe-long", "shuffle_pattern shuffle_channel_num group"),
    "CompactBilinearParameter": _in_order("caffe-long", "num_output sum_pool"),
    "SoftmaxParameter": """
        3 pos_mult caffe-long FixedWeightedSoftmaxWithLoss AdaptedWeightedSoftmaxWithLoss
        4 pos_cid caffe-long FixedWeightedSoftmaxWithLoss AdaptedWeightedSoftmaxWithLoss
        """,
    "LabelSpecificAddParameter": _in_order(
        "caffe-long", "bias transform_test bias_base bias_gamma bias_power bias_min bias_max iteration"
    ),
    "LabelSpecificRescaleParameter": _in_order(
        "caffe-long",
        "positive_weight negative_weight positive_lower_bound negative_upper_bound rescale_test for_ip "
        "positive_weight_base gamma power positive_weight_min positive_weight_max iteration bias_fix "
        "power_on_positive",
    ),
}
