"""The fully connected random field of crfasrnn, its mean-field steps unrolled."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from converters.filler import Random
from converters.layers.base import Layer
from converters.layers.checks import LARGEST
from converters.layers.parts.lattice import Lattice, lattice
from converters.layers.registry import Shapes, layer
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import LayerParameter, MultiStageMeanfieldParameter
from prototxt.errors import InputError

_LEAST = 1e-20  # added to what a filter gives for ones


@dataclass(frozen=True)
class MeanfieldSpec(Spec):
    """Of MultiStageMeanfield: how far a pixel's neighbours count by place alone (``theta_gamma``), and by
    place and colour (``theta_alpha``, ``theta_beta``).
    """

    num_iterations: int
    theta_alpha: float
    theta_beta: float
    theta_gamma: float


def _steps(module: Layer, bottoms: Shapes, tops: Shapes) -> int:
    """Three products of classes by classes a pixel and step; the filters are not counted."""
    iterations: int = module.spec.num_iterations
    return 3 * iterations * bottoms[0][1] * bottoms[0][1:].numel()


def _diagonal(message: LayerParameter, name: str, channels: int) -> list[float]:
    """``<name>_weights_str``, one number or one a class, or the older ``<name>_weight``."""
    param = message.multi_stage_meanfield_param
    text = getattr(param, f"{name}_weights_str") or str(getattr(param, f"{name}_weight"))
    try:
        numbers = [float(word) for word in text.split()]
    except ValueError:
        raise InputError(f'{name}_weights_str "{text}" is no list of numbers', message.name) from None
    if len(numbers) not in (1, channels):
        raise InputError(
            f"{name}_weights_str has {len(numbers)} numbers for {channels} classes", message.name
        )
    return numbers * channels if len(numbers) == 1 else numbers


@layer(
    "MultiStageMeanfield",
    source="torrvision/caffe: multi_stage_meanfield.cpp, meanfield_iteration.cpp",
    bottoms=(3, 3),
    blobs=("spatial", "bilateral", "compatibility"),
    macs=_steps,
    most=lambda module, bottoms: [bottoms[0]],
    refuses_export=lambda module, bottoms: "filters on a lattice that each image's colours span",
    fields=tuple(
        f"multi_stage_meanfield_param.{name}"
        for name in (
            *(
                "num_iterations",
                "compatibility_mode",
                "threshold",
                "theta_alpha",
                "theta_beta",
                "theta_gamma",
            ),
            *("spatial_filter_weight", "bilateral_filter_weight"),
            *("spatial_filter_weights_str", "bilateral_filter_weights_str"),
        )
    ),
)
class MultiStageMeanfield(Layer):
    """Scores (N, C, H, W), the same again for the first step's softmax, and an image (N, 3, H, W), to scores:
    each step takes from the scores what filters of the softmax, by place and by place and colour, say of
    each class. Blobs: both filters' weights, with the file's numbers on their diagonal, and the
    compatibility, -1 there (POTTS). ``threshold`` is not read. The image gets no gradient.
    """

    spec: MeanfieldSpec

    def __init__(self, message: LayerParameter, bottoms: Shapes) -> None:
        super().__init__()
        param, (scores, again, image) = message.multi_stage_meanfield_param, bottoms
        if len(scores) != 4 or scores != again or image != (scores[0], 3, *scores[2:]):
            shapes = [tuple(shape) for shape in bottoms]
            raise InputError(
                f"takes scores of (N, C, H, W) twice and an image of that size, not {shapes}", message.name
            )
        if param.num_iterations < 2 or param.compatibility_mode != MultiStageMeanfieldParameter.POTTS:
            raise InputError("takes num_iterations of 2 or more, and compatibility_mode POTTS", message.name)
        if min(param.theta_alpha, param.theta_beta, param.theta_gamma) <= 0:
            raise InputError("theta_alpha, theta_beta and theta_gamma must be above 0", message.name)
        thetas = param.theta_alpha, param.theta_beta, param.theta_gamma
        self.spec = MeanfieldSpec(param.num_iterations, *thetas)
        channels = scores[1]
        for name in ("spatial", "bilateral", "compatibility"):
            setattr(self, name, nn.Parameter(torch.empty(1, 1, channels, channels)))
        weights = {name: _diagonal(message, f"{name}_filter", channels) for name in ("spatial", "bilateral")}
        self.diagonals = {**weights, "compatibility": [-1.0] * channels}

    @torch.no_grad()
    def fill_blob(self, slot: str, blob: Tensor, generator: Random) -> None:
        """What the file says on the diagonal, and 0 elsewhere."""
        blob.copy_(torch.diag(blob.new_tensor(self.diagonals[slot])))

    def forward(self, scores: Tensor, first: Tensor, image: Tensor) -> Tensor:
        """(N, C, H, W) twice and (N, 3, H, W) to (N, C, H, W)."""
        places = self._features(image)
        self._check(places)
        lattices = [lattice(features) for features in places]
        norms = [1 / (it.filter(torch.ones_like(image[:, :1]).reshape(-1, 1)) + _LEAST) for it in lattices]
        weights = [blob[0, 0] for blob in self.blobs()]
        q = first
        for _ in range(self.spec.num_iterations):
            q = scores - self._pairwise(q.softmax(1), lattices, norms, weights)
        return q

    def _features(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """What the spatial and the bilateral filter call near: (N, H·W, 2) and (N, H·W, 5)."""
        height, width = image.shape[2:]
        row, column = torch.meshgrid(
            torch.arange(height, device=image.device), torch.arange(width, device=image.device), indexing="ij"
        )
        place = torch.stack([column, row], 2).reshape(1, -1, 2).float().expand(len(image), -1, -1)
        colour = image.detach().float().flatten(2).transpose(1, 2) / self.spec.theta_beta
        return place / self.spec.theta_gamma, torch.cat([place / self.spec.theta_alpha, colour], 2)

    def _check(self, places: tuple[Tensor, Tensor]) -> None:
        """That the lattice can number them; a graph that is only traced has no values to ask."""
        if torch.compiler.is_compiling() or places[0].is_meta:
            return
        if not all((features.abs() <= LARGEST).all() for features in places):
            raise self.refusal("a place or colour over its theta is no number")

    def _pairwise(
        self, q: Tensor, lattices: list[Lattice], norms: list[Tensor], weights: list[Tensor]
    ) -> Tensor:
        """What the filters take from each class."""
        points = q.flatten(2).transpose(1, 2).reshape(-1, q.shape[1])
        pairs = zip(lattices, norms, weights[:2], strict=True)
        spatial, bilateral = ((it.filter(points) * norm) @ weight.t() for it, norm, weight in pairs)
        taken = (spatial + bilateral) @ weights[2].t()
        return taken.reshape(len(q), -1, q.shape[1]).transpose(1, 2).reshape(q.shape)
