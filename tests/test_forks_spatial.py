"""What forks added to layers that slide and resize, where no recording shows it."""

import pytest
from one_layer import one_layer

from prototxt.errors import InputError

POOL = 'type: "Pooling" top: "y" pooling_param { pool: MAX kernel_size: 2 stride: 2 %s }'


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ("", 4),
        ("ceil_mode: true", 4),
        ("ceil_mode: false", 3),
        ("round_mode: FLOOR ceil_mode: false", 3),
        ("pad: 1", 4),
        ("pad: 1 ceil_mode: false", 4),
    ],
)
def test_ceil_mode_rounds_the_number_of_windows(fields: str, size: int) -> None:
    net = one_layer(POOL % fields, x=(1, 1, 7, 7))
    assert net.shapes[net.graph.outputs[0]] == (1, 1, size, size)


def test_ceil_mode_and_round_mode_must_agree() -> None:
    with pytest.raises(InputError, match='layer "it": round_mode and ceil_mode say different things'):
        one_layer(POOL % "round_mode: FLOOR ceil_mode: true", x=(1, 1, 7, 7))
