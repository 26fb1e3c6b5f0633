"""What longpeng2008/Caffe_Long, the fork of the tuning series' author, has that no other Caffe has, by which
its nets are told (caffe.proto)."""

CAFFE_LONG = "caffe-long"
AUGMENTS = (
    "max_rotation_angle",
    "use_deformed_resize",
    "min_side_min",
    "min_side_max",
    "max_color_shift",
    "contrast_brightness_adjustment",
    "smooth_filtering",
)
