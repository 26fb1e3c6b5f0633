"""crfasrnn's mean-field layer, where its one recording says nothing."""

import pytest
import torch
from one_layer import close, one_layer, random, run

from converters.layers.parts.lattice import lattice
from prototxt.errors import InputError

PARAM = "num_iterations: 2 theta_alpha: 8 theta_beta: 2 theta_gamma: 3 %s"
LAYER = 'type: "MultiStageMeanfield" bottom: "s" bottom: "s" bottom: "i" top: "y"'
OLD = "spatial_filter_weight: 3 bilateral_filter_weight: 5"


def text(param: str) -> str:
    return f"{LAYER} multi_stage_meanfield_param {{ {PARAM % param} }}"


@pytest.mark.parametrize(
    ("param", "spatial"),
    [
        (OLD, [3, 3]),
        ('spatial_filter_weights_str: "2" bilateral_filter_weights_str: "5"', [2, 2]),
        ('spatial_filter_weights_str: "1 2" bilateral_filter_weights_str: "5 5"', [1, 2]),
    ],
)
def test_weights_start_on_the_diagonal(param: str, spatial: list[float]) -> None:
    blobs = one_layer(text(param), s=(1, 2, 4, 4), i=(1, 3, 4, 4)).params["it"]
    wanted = [torch.diag(torch.tensor(numbers)) for numbers in (spatial, [5.0, 5], [-1.0, -1])]
    assert [torch.equal(blob[0, 0], it) for blob, it in zip(blobs, wanted, strict=True)] == [True] * 3


def test_images_of_a_batch_do_not_meet() -> None:
    scores, image = random(2, 3, 5, 5), random(2, 3, 5, 5, seed=1) * 20
    both = run(one_layer(text(OLD), s=scores.shape, i=image.shape), s=scores, i=image)["y"]
    one = one_layer(text(OLD), s=(1, 3, 5, 5), i=(1, 3, 5, 5))
    for at in range(2):
        close(both[at : at + 1], run(one, s=scores[at : at + 1], i=image[at : at + 1])["y"].detach().numpy())


def test_the_lattice_filters_nearly_as_a_gaussian() -> None:
    features = torch.rand(1, 400, 2, generator=torch.Generator().manual_seed(0)) * 6
    values = torch.rand(400, 1, generator=torch.Generator().manual_seed(1))
    it = lattice(features)
    assert torch.allclose(it.weight.sum(1), torch.ones(400), atol=1e-5) and it.weight.min() > -1e-5
    near = torch.exp(-torch.cdist(features[0], features[0]).square() / 2)
    mean, wanted = (
        it.filter(values) / it.filter(torch.ones(400, 1)),
        near @ values / near.sum(1, keepdim=True),
    )
    assert (mean - wanted).abs().max() < 0.1 * (wanted.max() - wanted.min()) + 0.01


@pytest.mark.parametrize(
    ("param", "message"),
    [
        ('spatial_filter_weights_str: "1 2 3"', "spatial_filter_weights_str has 3 numbers for 2 classes"),
        ('spatial_filter_weights_str: "a"', 'spatial_filter_weights_str "a" is no list of numbers'),
        ("compatibility_mode: SEMI_METRIC", "compatibility_mode POTTS"),
    ],
)
def test_what_is_refused(param: str, message: str) -> None:
    with pytest.raises(InputError, match=f'layer "it": .*{message}'):
        one_layer(text(param), s=(1, 2, 4, 4), i=(1, 3, 4, 4))
