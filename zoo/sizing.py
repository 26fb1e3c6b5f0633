"""A classifier as wide as the data has classes."""

from prototxt.caffe_pb2 import NetParameter
from prototxt.errors import InputError
from zoo.layout import classifier


def size_classifier(net: NetParameter, classes: int, announce: bool) -> str | None:
    """Make the last InnerProduct ``classes`` wide and cap every top_k; a notice where that changes it.

    With ``announce`` the number is the lists' own, and a net without such a layer stays as it is; else
    it raises InputError.
    """
    try:
        layer = net.layer[classifier(net)]
    except InputError:
        if announce:
            return None
        raise
    before = layer.inner_product_param.num_output
    layer.inner_product_param.num_output = classes
    for judge in net.layer:
        if judge.type == "Accuracy":
            judge.accuracy_param.top_k = min(judge.accuracy_param.top_k, classes)
    if before == classes:
        return None
    why = f"the lists have {classes} classes" if announce else f"--classes {classes}"
    keep = f"; --classes {before} keeps {before}" if announce else ""
    return f'{why}: layer "{layer.name}" has {classes} outputs instead of {before}{keep}'
