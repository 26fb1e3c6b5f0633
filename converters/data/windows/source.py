"""WindowData: warped windows of images, background first, then foreground (window_data_layer.cpp)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from converters.data.images.lists import Pixels, read_image
from converters.data.images.transform import draw, means, open_mean
from converters.data.source import BadRecordError, DataSource, SourceOptions
from converters.data.windows.crop import Placement, placement
from converters.data.windows.file import Window, read_windows
from converters.host.places import base_of_list, find
from converters.layers.checks import positive
from prototxt.caffe_pb2 import ImageDataParameter, LayerParameter
from prototxt.errors import InputError

Array = np.ndarray[Any, np.dtype[np.float32]]
Drawn = np.ndarray[Any, np.dtype[np.float64]]
CHANNELS = 3


class WindowSource(DataSource):
    """fg_fraction of each batch are windows whose overlap reaches fg_threshold, the rest such as stay
    below bg_threshold (their label is 0); each is drawn anew. Where the pad finds no image the data is 0.

    Caffe scales by window_data_param's own scale here, not by transform_param's, and reads an image for
    each window; cache_images changes nothing of what is served.
    """

    def __init__(self, layer: LayerParameter, options: SourceOptions) -> None:
        super().__init__(layer)
        param, crop = layer.window_data_param, layer.transform_param.crop_size
        self.options, self.param, self.crop = options, param, crop
        positive(layer, batch_size=param.batch_size, crop_size=crop)
        if crop <= 2 * param.context_pad:
            raise InputError(
                f"context_pad {param.context_pad} leaves nothing of crop_size {crop}", layer.name
            )
        self.path = find(param.source, options.places)
        self.mean = self._mean()
        foreground = int(np.float32(param.batch_size) * np.float32(param.fg_fraction))
        windows = read_windows(self.path)
        self.base = base_of_list(self.path, param, {window.image for window in windows}, options.places)
        self.kinds = self._split(windows)
        self.of_each = (param.batch_size - foreground, foreground)
        self._check_kinds()
        shapes = ((param.batch_size, CHANNELS, crop, crop), (param.batch_size,))
        self.shapes = dict(zip(layer.top, shapes, strict=False))

    def batch(self, index: int) -> dict[str, Tensor]:
        """(batch, 3, crop, crop) and (batch,) labels."""
        drawn = self._drawn(index)
        chosen = [self._sample(kind, row) for kind, row in drawn]
        data = torch.from_numpy(np.stack([pixels for pixels, _ in chosen]))
        classes = [w.label if kind else 0 for (kind, _), (_, w) in zip(drawn, chosen, strict=True)]
        labels = torch.tensor(classes, dtype=torch.float32)
        return dict(zip(self.layer.top, (data, labels), strict=False))

    def record(self, index: int, sample: int) -> str:
        """The line of the window file that the window stands in."""
        window = self._sample(*self._drawn(index)[sample])[1]
        return f"{self.path}:{window.line}: image {window.image}"

    def _drawn(self, index: int) -> list[tuple[int, Drawn]]:
        """For every sample of a batch, whether it is foreground (1), and its random numbers."""
        drawn = draw(self.options.seed, index, self.param.batch_size)
        kinds = [kind for kind, count in enumerate(self.of_each) for _ in range(count)]
        return list(zip(kinds, drawn, strict=True))

    def _check_kinds(self) -> None:
        for name, wanted, windows in zip(("background", "foreground"), self.of_each, self.kinds, strict=True):
            if wanted < 0 or (wanted and not windows):
                raise InputError(
                    f"{self.path}: {wanted} {name} windows a batch, and {len(windows)} in the file",
                    self.layer.name,
                )

    def _split(self, windows: Sequence[Window]) -> tuple[list[Window], list[Window]]:
        """(background, foreground); a window between the thresholds is neither."""
        kinds: tuple[list[Window], list[Window]] = ([], [])
        for window in windows:
            overlap = np.float32(window.overlap)
            if overlap >= np.float32(self.param.fg_threshold):
                if window.label <= 0:
                    raise InputError(
                        f"{self.path}:{window.line}: a foreground window has the class {window.label}",
                        self.layer.name,
                    )
                kinds[1].append(window)
            elif overlap < np.float32(self.param.bg_threshold):
                kinds[0].append(window)
        return kinds

    def _sample(self, kind: int, drawn: Drawn) -> tuple[Array, Window]:
        """A drawn window with its pixels; in place of a broken one, with skip_bad, the next of its kind."""
        windows, mirror = self.kinds[kind], bool(self.layer.transform_param.mirror and drawn[2] < 0.5)
        first = int(drawn[0] * len(windows))
        for step in range(len(windows)):
            window = windows[(first + step) % len(windows)]
            if window.line in self.bad:
                continue
            try:
                return self._pixels(window, mirror), window
            except BadRecordError:
                if not self.options.skip_bad:
                    raise
                self.bad.add(window.line)
        raise InputError(f"{self.path}: all {len(windows)} windows of a kind are broken", self.layer.name)

    def _pixels(self, window: Window, mirror: bool) -> Array:
        """(3, crop, crop) of a window: cropped, resized, mirrored, less the mean, scaled."""
        import cv2

        path = self.base.path(window.image)
        square = self.param.crop_mode == "square"
        try:
            image: Pixels = read_image(path, ImageDataParameter())
            at = placement(window, self.crop, self.param.context_pad, square, _size(image), mirror)
        except InputError as error:
            raise BadRecordError(f"{self.path}:{window.line}: {error}", self.layer.name) from None
        cut = cv2.resize(image[at.y1 : at.y2 + 1, at.x1 : at.x2 + 1], (at.width, at.height))
        values = (cut[:, ::-1] if mirror else cut).transpose(2, 0, 1).astype(np.float32)
        data = np.zeros((CHANNELS, self.crop, self.crop), np.float32)
        inside = _inside(at)
        data[inside] = (values - self.mean[inside]) * np.float32(self.param.scale)
        return data

    def _mean(self) -> Array:
        """What is taken off the crop, (3, crop, crop): the mean image's middle, or mean_value everywhere."""
        each = means(self.layer, CHANNELS)
        image = open_mean(self.layer, self.options.places)
        if image is None:
            every = np.zeros(CHANNELS, np.float32) if each is None else each
            return np.broadcast_to(every[:, None, None], (CHANNELS, self.crop, self.crop))
        height, width, channels = image.shape
        start = (width - self.crop) // 2  # Caffe takes the width's margin for both axes
        if channels != CHANNELS or start < 0 or start + self.crop > height:
            raise InputError(
                f"mean_file {self.layer.transform_param.mean_file} is {channels}×{height}×{width}, "
                f"too small for crops of {self.crop} in {CHANNELS} channels",
                self.layer.name,
            )
        middle = image[start : start + self.crop, start : start + self.crop]
        return middle.permute(2, 0, 1).numpy()


def _size(image: Pixels) -> tuple[int, int]:
    return image.shape[0], image.shape[1]


def _inside(at: Placement) -> tuple[slice, slice, slice]:
    """The part of the crop that the image fills."""
    rows = slice(at.pad_top, at.pad_top + at.height)
    return slice(None), rows, slice(at.pad_left, at.pad_left + at.width)
