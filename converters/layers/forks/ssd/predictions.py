"""What nets of SSD's line predict for their priors, and RefineDet's in two stages."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from converters.layers.parts.boxes.priors import Priors, decoded, priors_of
from converters.layers.registry import Shapes
from converters.layers.spec import Spec
from prototxt.caffe_pb2 import LayerParameter
from prototxt.errors import InputError


@dataclass(frozen=True)
class ClassesSpec(Spec):
    """Of what tells classes apart, of which one may be the background's."""

    num_classes: int
    background_label_id: int = 0

    @property
    def labels(self) -> list[int]:
        """The classes of objects."""
        return [label for label in range(self.num_classes) if label != self.background_label_id]


@dataclass(frozen=True)
class PredictionsSpec(ClassesSpec):
    """Of what reads locations and scores of priors."""

    code_type: str = "CORNER"
    share_location: bool = True
    objectness_score: float = 0.01

    @property
    def in_target(self) -> bool:
        """Whether the variance went into what the locations were trained on."""
        raise NotImplementedError

    @property
    def located(self) -> int:
        """How many locations each prior has: one, or one a class."""
        return 1 if self.share_location else self.num_classes

    def boxes(self, location: Tensor, priors: Priors) -> Tensor:
        """Locations (…, P, 4) as corners (…, P, 4)."""
        return decoded(location, priors, self.code_type, self.in_target)


@dataclass(frozen=True)
class Predictions:
    """Locations (N, L, P, 4), L being 1 or the classes, scores (N, P, K), priors as they are and as a first
    stage moved them (boxes (P, 4), or (N, 1, P, 4)), and which priors (N, P) it takes for an object: None
    where there is no first stage.
    """

    location: Tensor
    scores: Tensor
    plain: Priors
    priors: Priors
    is_object: Tensor | None


def predictions_of(bottoms: Sequence[Tensor], first: Sequence[Tensor], spec: PredictionsSpec) -> Predictions:
    """Read locations (N, 4·P·L), scores (N, P·K) and priors (1, 2, 4·P), and of a first stage, which has no
    gradient, scores (N, 2·P) and locations (N, 4·P).
    """
    images, plain = len(bottoms[0]), priors_of(bottoms[2])
    count, priors, is_object = len(plain.boxes), plain, None
    location = bottoms[0].reshape(images, count, spec.located, 4).transpose(1, 2)
    scores = bottoms[1].reshape(images, count, spec.num_classes)
    if first:
        is_object = first[0].detach().reshape(images, count, 2)[..., 1] >= spec.objectness_score
    if len(first) > 1:
        moved = spec.boxes(first[1].detach().reshape(images, 1, count, 4), plain)
        priors = Priors(moved, plain.variance)
    return Predictions(location, scores, plain, priors, is_object)


def check_predictions(message: LayerParameter, bottoms: Shapes, first: Shapes, spec: PredictionsSpec) -> None:
    """Raise InputError for bottoms that :func:`predictions_of` does not read."""
    location, scores, prior = bottoms[:3]
    if len(prior) < 3 or prior.numel() != 2 * prior[2] or prior[2] % 4:
        raise InputError(f"takes priors (1, 2, 4·P), not {tuple(prior)}", message.name)
    if len(location) < 2 or len(scores) < 2 or location[0] != scores[0]:
        raise InputError(f"bottoms differ in axis 0: {tuple(location)} and {tuple(scores)}", message.name)
    images, priors = location[0], prior[2] // 4
    named = [("locations", location, 4 * spec.located), ("scores", scores, spec.num_classes)]
    of_first = zip(("first scores", "first locations"), first, (2, 4), strict=False)
    for what, shape, each in (*named, *of_first):
        if shape.numel() != images * priors * each:
            reason = f"{what} {tuple(shape)} are not {each} numbers for each of {priors} priors"
            raise InputError(reason, message.name)
