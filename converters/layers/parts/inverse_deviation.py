"""Whether a BN layer's stored statistics are variances, or happynear's inverses of deviations."""

from collections.abc import Sequence

import numpy as np

from converters.layers.choice import Blobs
from prototxt.caffe_pb2 import LayerParameter

_PLAIN = 4.0  # standard errors that a correlation of values must be from 0 to tell a rule


def is_no_inverse(message: LayerParameter, blobs: Blobs) -> bool:
    """Whether a layer's last blob cannot be a running mean of 1 / sqrt(variance + eps), which is never
    negative and at most 1 / sqrt(eps), 316 by default (1% is left for rounding). A variance may be anything
    from 0, so that nothing excludes one.
    """
    largest = 1.01 / np.sqrt(max(message.bn_param.eps, 1e-30))
    return bool((blobs[3] > largest).any() or (blobs[3] < 0).any())


def looks_inverse(layers: Sequence[Blobs]) -> bool | None:
    """Whether the last blobs look like the means of 1 / deviation rather than variances; None where that is
    not plain.

    A layer's channels differ in scale (a convolution's filters have different norms), and a scale multiplies
    a channel's mean and its deviation alike: with it the mean goes up, a variance too, and the inverse of a
    deviation down. The sign of the correlation of their logarithms, layer by layer, tells the two apart
    where it is 4 standard errors from 0, as chance has it once in 16,000 nets. It is no proof: channels whose
    mean shrinks as their variance grows, for a reason other than scale, would look like the other rule. So
    whoever chooses by it says so. Of six published or recorded nets with BatchNorm, each tried as it is and
    with its variances inverted, the four of 19 layers and more were told rightly both ways, and the others,
    of 1 and 3 layers, not at all.
    """
    means, seconds = [], []
    for blobs in layers:
        logs = [np.log(np.abs(blob).astype(np.float64).ravel() + 1e-12) for blob in blobs[2:]]
        means.append(logs[0] - logs[0].mean())
        seconds.append(logs[1] - logs[1].mean())
    along, across = np.concatenate([[], *means]), np.concatenate([[], *seconds])
    size = np.sqrt((along * along).sum() * (across * across).sum())
    score = (along * across).sum() / size * np.sqrt(along.size) if size else 0.0
    return bool(score < 0) if abs(score) >= _PLAIN else None
