"""What forks added to layers that slide and resize, where no recording shows it."""

import numpy as np
import pytest
import torch
from one_layer import close, one_layer, random, run

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


def test_crop_center_cuts_both_ends_of_every_axis() -> None:
    crop = "crop_size: 0 crop_size: 1 crop_size: 0 crop_size: 2"
    x = random(2, 3, 4, 6)
    y = run(one_layer(f'type: "CropCenter" top: "y" crop_center_param {{ {crop} }}', x=x.shape), x=x)["y"]
    close(y, x[:, 1:2, :, 2:4])
    with pytest.raises(InputError, match="crop_size 2 leaves nothing of 4 on axis 2"):
        text = "crop_size: 0 crop_size: 0 crop_size: 2 crop_size: 0"
        one_layer(f'type: "CropCenter" top: "y" crop_center_param {{ {text} }}', x=(2, 3, 4, 6))


DEPTHWISE = 'type: "ConvolutionDepthwise" top: "y" convolution_param { num_output: 4 kernel_size: 3 %s } %s'


def test_synopsys_convolution_depthwise_is_a_convolution() -> None:
    x = random(1, 2, 5, 5)
    theirs = one_layer(DEPTHWISE % ("group: 2", 'dialect: "synopsys"'), x=x.shape)
    plain = one_layer((DEPTHWISE % ("group: 2", "")).replace("Depthwise", ""), x=x.shape)
    assert [blob.shape for blob in theirs.params["it"]] == [(4, 1, 3, 3), (4,)]
    plain.load_state_dict(theirs.state_dict())
    assert torch.equal(run(theirs, x=x)["y"], run(plain, x=x)["y"])


INTERP = 'type: "Interp" top: "y" interp_param { %s }'


def test_synopsys_full_zoom_factor_counts_whole_pixels() -> None:
    net = one_layer(INTERP % "full_zoom_factor: 3", x=(1, 1, 4, 5))
    assert net.shapes[net.graph.outputs[0]] == (1, 1, 12, 15)


def test_axes_that_a_bottom_lacks_are_1() -> None:
    x = random(2, 6, 3)
    y = run(one_layer(INTERP % "zoom_factor: 2", x=x.shape), x=x)["y"]
    close(
        y, np.stack([x[..., 0], x[..., :2].mean(2), x[..., 1], x[..., 1:].mean(2), x[..., 2]], 2)[..., None]
    )
    shuffled = run(
        one_layer('type: "ShuffleChannel" top: "y" shuffle_channel_param { group: 2 }', x=(2, 6)), x=x[..., 0]
    )
    close(shuffled["y"], x[:, [0, 3, 1, 4, 2, 5], 0][..., None, None])
    flip = 'type: "Flip" top: "y" flip_param { flip_height: true }'
    close(run(one_layer(flip, x=x.shape), x=x)["y"], x[..., ::-1])


def test_a_scale_of_axpy_may_have_more_axes_than_what_it_scales() -> None:
    a, x, y = random(2, 3, 1, 1), random(2, 3, seed=1), random(2, 3, seed=2)
    net = one_layer('type: "Axpy" top: "y"', a=a.shape, b=x.shape, c=y.shape)
    close(run(net, a=a, b=x, c=y)["y"], a[..., 0, 0] * x + y)


@pytest.mark.parametrize("pad", [1, 2, 3])
def test_an_average_in_3d_may_be_of_padding_alone(pad: int) -> None:
    x = random(1, 1, 2, 3, 4)
    pooling = f"pooling3d_param {{ pool: AVE kernel_size: 2 kernel_depth: 2 stride: 2 pad: {pad} }}"
    y = run(one_layer(f'type: "Pooling3D" top: "y" {pooling}', x=x.shape), x=x)["y"]
    theirs = np.zeros(y.shape, np.float32)
    for n, c, t, h, w in np.ndindex(*theirs.shape):
        sides = [(2 * h - pad, 3), (2 * w - pad, 4)]
        area = np.prod([min(start + 2, size + pad) - start for start, size in sides])
        rows, columns = (slice(max(start, 0), max(min(start + 2, size), 0)) for start, size in sides)
        theirs[n, c, t, h, w] = x[n, c, t : t + 2, rows, columns].sum() / area / len(x[n, c, t : t + 2])
    close(y, theirs)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("", "needs height and width, shrink_factor or zoom_factor"),
        ("height: 3", "needs height and width"),
        ("height: 0 width: 3", "height must be at least 1"),
        ("zoom_factor: 0", "zoom_factor must be at least 1"),
        ("zoom_factor: 2 pad_beg: 1", "pad_beg and pad_end crop"),
        ("zoom_factor: 2 pad_beg: -4", "leave nothing of"),
    ],
)
def test_what_interp_refuses(fields: str, message: str) -> None:
    with pytest.raises(InputError, match=f'layer "it": .*{message}'):
        one_layer(INTERP % fields, x=(1, 1, 4, 5))


def transformed(image: np.ndarray, matrices: np.ndarray, size: tuple[int, int], dy: np.ndarray) -> tuple:
    """SpatialTransformer in loops, as st_layer.cu has it: the top, and the gradients of image and matrix."""
    batch, channels, height, width = image.shape
    top, d_image = np.zeros((batch, channels, *size)), np.zeros(image.shape)
    d_matrices = np.zeros(matrices.shape)
    for i, j, s, t in np.ndindex(*top.shape):
        place = np.array([s / size[0] * 2 - 1, t / size[1] * 2 - 1, 1])
        px, py = matrices[i] @ place
        x, y = (px + 1) / 2 * height, (py + 1) / 2 * width
        for m in (int(np.floor(x)), int(np.floor(x)) + 1):
            for n in (int(np.floor(y)), int(np.floor(y)) + 1):
                if 0 <= m < height and 0 <= n < width:
                    of_x, of_y = 1 - abs(x - m), 1 - abs(y - n)
                    top[i, j, s, t] += of_x * of_y * image[i, j, m, n]
                    d_image[i, j, m, n] += of_x * of_y * dy[i, j, s, t]
                    by_x = (1 if m > x else -1) * of_y * image[i, j, m, n] * dy[i, j, s, t] * height / 2
                    by_y = (1 if n > y else -1) * of_x * image[i, j, m, n] * dy[i, j, s, t] * width / 2
                    d_matrices[i] += np.outer([by_x, by_y], place)
    return top, d_image, d_matrices


TRANSFORM = 'type: "SpatialTransformer" bottom: "x" bottom: "theta" top: "y" st_param { %s }'


def test_spatial_transformer_reads_the_image_where_the_matrix_says() -> None:
    x, theta, dy = random(2, 3, 5, 6), random(2, 6) * 0.7, random(2, 3, 4, 3)
    net = one_layer(TRANSFORM % "output_H: 4 output_W: 3", x=x.shape, theta=theta.shape)
    blobs = run(net, x=x, theta=theta)
    blobs["y"].backward(torch.tensor(dy))
    top, d_image, d_matrices = transformed(x, theta.reshape(2, 2, 3), (4, 3), dy)
    close(blobs["y"], top)
    close(blobs["in/x"].grad, d_image)
    close(blobs["in/theta"].grad, d_matrices.reshape(2, 6))


def test_spatial_transformer_takes_the_numbers_that_its_fields_leave_open() -> None:
    fields = "to_compute_dU: false theta_1_1: 0.5 theta_1_2: 0 theta_2_1: 0 theta_2_2: 0.5"
    x, theta, dy = random(2, 1, 4, 4), random(2, 2) * 0.3, random(2, 1, 4, 4)
    net = one_layer(TRANSFORM % fields, x=x.shape, theta=theta.shape)
    blobs = run(net, x=x, theta=theta)
    blobs["y"].backward(torch.tensor(dy))
    matrices = np.array([[[0.5, 0, row], [0, 0.5, column]] for row, column in theta])
    top, _, d_matrices = transformed(x, matrices, (4, 4), dy)
    close(blobs["y"], top)
    close(blobs["in/theta"].grad, d_matrices[:, :, 2])
    assert blobs["in/x"].grad is None
    with pytest.raises(InputError, match=r"takes \(N, C, H, W\) and \(N, 2\), what st_param does not say"):
        one_layer(TRANSFORM % fields, x=(2, 1, 4, 4), theta=(2, 6))
    with pytest.raises(InputError, match='sampler_type is "bilinear", not "nearest"'):
        one_layer(TRANSFORM % 'sampler_type: "nearest"', x=(2, 1, 4, 4), theta=(2, 6))
