"""The guess of the largest value a camera can give."""

import numpy as np
import pytest

from imaging.metrics import PLANE_METRICS, camera_ceiling, measure_plane

UINT16 = 65535


def plane_of(low, high, step=1):
    """A plane with many values from `low` to `high`."""
    values = np.arange(low, high + 1, step)
    return np.resize(np.append(values, high), (64, 1 + len(values) // 64)).astype(np.uint16)


def saturation(pixels, ceiling=None, container_max=UINT16):
    values = measure_plane(pixels, container_max=container_max, ceiling=ceiling)
    by_name = {metric.name: value for metric, value in zip(PLANE_METRICS, values, strict=True)}
    return by_name["SaturatedPercent"], by_name["CameraCeiling"]


@pytest.mark.parametrize(
    ("low", "high", "ceiling"),
    [
        (90, 400, 4095),
        (90, 4095, 4095),
        (90, 4096, 16383),
        (90, 16383, 16383),
        (90, 16384, UINT16),
        (90, UINT16, UINT16),
        (0, 40000, UINT16),
        (32768 + 90, 32768 + 400, 32768 + 4095),
        (32768 + 90, 32768 + 4095, 32768 + 4095),
        (32768, 32768 + 4096, 32768 + 16383),
        (32768 + 90, 32768 + 16384, UINT16),
    ],
)
def test_ceiling_is_that_of_the_smallest_camera_that_fits(low, high, ceiling):
    assert camera_ceiling(plane_of(low, high), UINT16) == ceiling


@pytest.mark.parametrize(("step", "ceiling"), [(16, 65520), (4, 65532), (2, UINT16), (1, UINT16)])
def test_values_shifted_to_the_top_have_the_ceiling_of_their_step(step, ceiling):
    assert camera_ceiling(plane_of(20 * step, 30000 // step * step, step), UINT16) == ceiling


def test_a_dim_plane_shows_its_shift_as_well():
    assert camera_ceiling(plane_of(320, 1600, 16), UINT16) == 65520
    assert camera_ceiling(plane_of(320, 320 + 16 * 14, 16), UINT16) == 4095  # 15 values may be chance


def test_blanked_pixels_do_not_hide_an_offset():
    pixels = plane_of(32768 + 90, 32768 + 4000)
    pixels[:2] = 0
    assert camera_ceiling(pixels, UINT16) == 32768 + 4095


@pytest.mark.parametrize("largest", [0, 1, 127, 255])
def test_files_of_8_bits_end_at_255(largest):
    assert camera_ceiling(largest, 255) == 255
    assert camera_ceiling(np.full((2, 2), largest, np.uint8), 255) == 255


@pytest.mark.parametrize(
    ("largest", "ceiling"),
    [
        (0, 4095),
        (1, 4095),
        (4095, 4095),
        (4096, 16383),
        (16384, UINT16),
        (36000, UINT16),
        (36863, 36863),
        (49151, 49151),
        (49152, UINT16),
        (65519, UINT16),
        (65520, 65520),
        (65532, 65532),
        (UINT16, UINT16),
    ],
)
def test_the_largest_value_alone_shows_a_layout_only_at_its_ceiling(largest, ceiling):
    assert camera_ceiling(largest, UINT16) == ceiling
    assert camera_ceiling(np.full((3, 3), largest, np.uint16), UINT16) == ceiling


def test_extremes_of_many_planes_show_an_offset():
    assert camera_ceiling(np.array([32800, 35000]), UINT16) == 32768 + 4095
    assert camera_ceiling(np.array([100, 36863]), UINT16) == UINT16
    assert camera_ceiling(np.array([160, 65520]), UINT16) == 65520


@pytest.mark.parametrize("seed", range(3))
def test_a_guess_holds_every_value_and_fits_the_file(seed):
    rng = np.random.default_rng(seed)
    for top in rng.integers(0, UINT16 + 1, 50):
        pixels = rng.integers(0, top + 1, (20, 20)).astype(np.uint16)
        assert pixels.max() <= camera_ceiling(pixels, UINT16) <= UINT16


@pytest.mark.parametrize("ceiling", [4095, 16383, 32768 + 4095, 65520, UINT16])
def test_saturated_pixels_are_counted_at_the_cameras_ceiling(ceiling):
    low = 32768 if ceiling == 32768 + 4095 else 0
    pixels = np.random.default_rng(4).integers(low // 16 + 6, ceiling // 16, (100, 100)).astype(np.uint16) * 16
    pixels[:5] = ceiling
    assert saturation(pixels) == (5.0, ceiling / UINT16)


def test_one_hot_pixel_does_not_hide_saturation():
    pixels = np.full((100, 100), 200, np.uint16)
    pixels[:10] = 4095
    pixels[50, 50] = 5000
    assert saturation(pixels, ceiling=4095)[0] == pytest.approx(0.0)
    pixels[50, 50] = 4095
    assert saturation(pixels)[0] == pytest.approx(10.01)


def test_a_dim_plane_is_not_saturated():
    pixels = np.random.default_rng(4).integers(90, 300, (100, 100)).astype(np.uint16)
    assert saturation(pixels)[0] == 0
    assert saturation(np.zeros((10, 10), np.uint8), container_max=255) == (0.0, 1.0)


def test_a_ceiling_learned_from_the_plate_is_used():
    pixels = np.random.default_rng(4).integers(90, 3000, (100, 100)).astype(np.uint16)
    assert saturation(pixels, ceiling=2000)[1] == 4095 / UINT16
    pixels = np.minimum(pixels, 2000)
    percent, ceiling = saturation(pixels, ceiling=2000)
    assert ceiling == 2000 / UINT16
    assert percent == 100 * (pixels == 2000).mean() > 30


def test_a_pixel_above_the_learned_ceiling_proves_it_wrong():
    """Otherwise a bright plane that was not among those sampled would count as saturated."""
    pixels = np.random.default_rng(4).integers(90, 9000, (100, 100)).astype(np.uint16)
    assert saturation(pixels, ceiling=4095) == (0.0, 16383 / UINT16)
