"""pycaffe's oversample and the center crop of its Classifier, as python/caffe/io.py and classifier.py have them."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def oversample(images: list[Array], crop_dims: tuple[int, int]) -> Array:
    """(height, width, channels) pictures to ten crops each, after BVLC/caffe's text."""
    im_shape = np.array(images[0].shape)
    dims = np.array(crop_dims)
    im_center = im_shape[:2] / 2.0
    crops_ix = np.empty((5, 4), dtype=int)
    curr = 0
    for i in (0, im_shape[0] - dims[0]):
        for j in (0, im_shape[1] - dims[1]):
            crops_ix[curr] = (i, j, i + dims[0], j + dims[1])
            curr += 1
    crops_ix[4] = np.tile(im_center, (1, 2)) + np.concatenate([-dims / 2.0, dims / 2.0])
    crops_ix = np.tile(crops_ix, (2, 1))
    crops = np.empty((10 * len(images), dims[0], dims[1], im_shape[-1]), dtype=np.float32)
    ix = 0
    for im in images:
        for crop in crops_ix:
            crops[ix] = im[crop[0] : crop[2], crop[1] : crop[3], :]
            ix += 1
        crops[ix - 5 : ix] = crops[ix - 5 : ix, :, ::-1, :]
    return crops
