"""Thumbnails: one contrast for all, dim looks dim, colours where they belong."""

import cv2
import numpy as np
import pytest

from imaging.previews import (
    THUMBNAIL_PX,
    DisplayRange,
    PlaneSample,
    colour_jpeg,
    common_range,
    grey_jpeg,
    sample_plane,
    shrink,
    stretch,
)

RANGE = DisplayRange(100, 1100)


def decoded(jpeg: bytes) -> np.ndarray:
    """Pixels of a JPEG, colours as red, green, blue."""
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_UNCHANGED)
    return picture if picture.ndim == 2 else picture[..., ::-1]


def flat(value: float, shape: tuple[int, int] = (32, 32)) -> np.ndarray:
    return np.full(shape, value, np.float32)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((1080, 1080), (256, 256)), ((904, 1224), (189, 256)), ((1000, 10), (256, 3)), ((4000, 3), (256, 1))],
)
def test_the_longer_side_of_a_thumbnail_has_256_pixels(shape, expected):
    assert shrink(np.zeros(shape, np.uint16), THUMBNAIL_PX).shape == expected


def test_a_small_plane_is_not_enlarged():
    plane = np.arange(40 * 50, dtype=np.uint16).reshape(40, 50)
    np.testing.assert_array_equal(shrink(plane, THUMBNAIL_PX), plane)


def test_shrinking_keeps_the_mean():
    plane = np.random.default_rng(1).integers(0, 65536, (384, 768)).astype(np.uint16)
    small = shrink(plane, 256)
    np.testing.assert_allclose(small.mean(), plane.mean(), rtol=1e-3)
    np.testing.assert_allclose(small[0, 0], plane[:3, :3].mean(), atol=0.5)


def test_stretch_maps_the_range_to_black_and_full_brightness():
    shown = stretch(np.array([0, 100, 600, 1100, 65535], np.float32), RANGE)
    np.testing.assert_allclose(shown, [0, 0, 0.5, 1, 1])


def test_a_dimmer_field_looks_dimmer():
    bright, dim = (decoded(grey_jpeg(flat(value), RANGE)).mean() for value in (900, 300))
    assert bright == pytest.approx(204, abs=2)
    assert dim == pytest.approx(51, abs=2)


def test_a_grey_thumbnail_has_no_colour():
    assert decoded(grey_jpeg(flat(500, (20, 30)), RANGE)).shape == (20, 30)


@pytest.mark.parametrize(
    ("colour", "expected"), [("#ff0000", (254, 0, 0)), ("#00ff00", (0, 255, 0)), ("#4c7dff", (76, 125, 255))]
)
def test_a_channel_alone_has_its_colour(colour, expected):
    (jpeg,) = [colour_jpeg([flat(1100), flat(0)], [RANGE, RANGE], [colour, "#ffffff"])]
    np.testing.assert_allclose(decoded(jpeg)[16, 16], expected, atol=3)


def test_channels_add_up_and_stop_at_white():
    planes = [flat(1100), flat(1100), flat(600)]
    picture = decoded(colour_jpeg(planes, [RANGE] * 3, ["#ff0000", "#ff8000", "#0000ff"]))
    np.testing.assert_allclose(picture[16, 16], (255, 128, 128), atol=3)


def test_a_sample_tells_both_ends_and_the_true_extremes():
    plane = np.tile(np.arange(1000, dtype=np.uint16), (100, 1))
    plane[1, 1] = 4095  # between the sampled pixels
    sample = sample_plane(plane)
    assert (sample.smallest, sample.largest) == (0, 4095)
    assert sample.dark == pytest.approx(5, abs=5)
    assert sample.bright == pytest.approx(997, abs=5)


def samples(*ends: tuple[float, float]) -> list[PlaneSample]:
    return [PlaneSample(dark, bright, int(dark), int(bright)) for dark, bright in ends]


def test_a_few_saturated_fields_do_not_darken_the_rest():
    usual = [(100, 1000)] * 30
    assert common_range(samples(*usual, *[(100, 65535)] * 5)) == common_range(samples(*usual))


def test_a_bright_phenotype_still_fits():
    assert common_range(samples(*[(100, 1000)] * 20, *[(100, 3000)] * 10)).high == 3000


def test_a_black_plate_still_has_a_range():
    assert common_range(samples((0, 0), (0, 0))) == DisplayRange(0, 1)
