"""What slides over spatial axes: kernel, stride, pad and dilation, and the sizes that they give."""

from collections.abc import Sequence
from dataclasses import dataclass

from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


@dataclass(frozen=True)
class Geometry:
    """What slides, with one number per spatial axis."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...] = (1,)
    pad: tuple[int, ...] = (0,)
    dilation: tuple[int, ...] = (1,)

    @property
    def extent(self) -> tuple[int, ...]:
        """How many pixels the dilated kernel spans."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    def sizes(self, spatial: Sequence[int]) -> list[int]:
        """Output sizes: floor((in + 2·pad - extent) / stride) + 1; below 1 where the kernel is too large."""
        steps = zip(spatial, self.extent, self.stride, self.pad, strict=True)
        return [(n + 2 * p - extent) // s + 1 for n, extent, s, p in steps]

    def reverse_sizes(self, spatial: Sequence[int]) -> list[int]:
        """Output sizes of the transpose: stride·(in - 1) + extent - 2·pad."""
        steps = zip(spatial, self.extent, self.stride, self.pad, strict=True)
        return [s * (n - 1) + extent - 2 * p for n, extent, s, p in steps]

    def check_fit(self, message: LayerParameter, sizes: Sequence[int]) -> None:
        """Raise InputError for a kernel larger than the padded input.

        Caffe rounds its negative quotient towards 0, so that with a stride above the excess it would go on
        and read zeros beyond the padding.
        """
        for n, k, p, d in zip(sizes, self.kernel, self.pad, self.dilation, strict=True):
            if d * (k - 1) + 1 > n + 2 * p:
                raise InputError(f"kernel {k} (dilation {d}) is larger than {n} + 2·{p} pad", message.name)


def spatial(message: LayerParameter, name: str, axes: int, default: int) -> tuple[int, ...]:
    """kernel, stride, pad or dilation per spatial axis, in any of the forms Caffe takes.

    Repeated (one for all axes or one each), or ``<name>_h`` with ``<name>_w`` for two axes
    (base_conv_layer.cpp, LayerSetUp). Raises InputError for a mixture or a wrong count.
    """
    param = message.convolution_param
    listed = list(getattr(param, {"kernel": "kernel_size"}.get(name, name)))
    pair = [f"{name}_h", f"{name}_w"] if name != "dilation" else []
    if any(param.HasField(field) for field in pair):
        if listed or axes != 2:
            raise InputError(
                f"{name}_h and {name}_w go with two spatial axes and no other {name}", message.name
            )
        return getattr(param, pair[0]), getattr(param, pair[1])
    if len(listed) not in (0, 1, axes):
        raise InputError(f"{len(listed)} {name} values for {axes} spatial axes", message.name)
    return tuple(listed if len(listed) == axes else (listed or [default]) * axes)


def geometry(message: LayerParameter, axes: int) -> Geometry:
    """The numbers of a convolution over ``axes`` spatial axes, checked."""
    read = Geometry(
        spatial(message, "kernel", axes, 0),
        spatial(message, "stride", axes, 1),
        spatial(message, "pad", axes, 0),
        spatial(message, "dilation", axes, 1),
    )
    for name in ("kernel", "stride", "dilation"):
        if min(getattr(read, name), default=1) < 1:
            raise InputError(f"{name} must be at least 1", message.name)
    return read
