"""What the metrics say: their direction on pictures one can imagine, and planes at the edge of sense."""

import math

import cv2
import numpy as np
import pytest

from imaging.metrics import CELLPROFILER, PLANE_METRICS, measure_plane

# No plane makes numpy warn of an empty mean or a division by zero.
pytestmark = pytest.mark.filterwarnings("error")

UINT16 = 65535
UNDEFINED_IS_ZERO = [
    "FocusScore",
    "LocalFocusScore_10",
    "LocalFocusScore_20",
    "Correlation_10",
    "Correlation_20",
    "PowerLogLogSlope",
]


def sharp(seed=0):
    """Cells in focus on a 12-bit camera."""
    return cells(seed, defocus_px=0)


def cells(seed=0, *, defocus_px, side=320):
    """Discs of different brightness on a dim ground. The optics blur; photon noise comes after them."""
    rng = np.random.default_rng(seed)
    light = np.full((side, side), 150.0)
    for _ in range(40):
        centre = [int(c) for c in rng.integers(0, side, 2)]
        cv2.circle(light, centre, int(rng.integers(6, 12)), float(rng.uniform(600, 2500)), -1)
    if defocus_px:
        light = cv2.GaussianBlur(light, (0, 0), defocus_px)
    return to_camera(rng.poisson(light))


def blurred(plane, sd_px):
    return to_camera(cv2.GaussianBlur(plane.astype(np.float64), (0, 0), sd_px))


def to_camera(light):
    return np.clip(np.rint(light), 0, 4095).astype(np.uint16)


def with_hot_pixels(plane, n):
    """`n` pixels far from each other and from the border, far above everything."""
    hot = plane.copy()
    spots = [(y, x) for y in range(7, plane.shape[0] - 7, 9) for x in range(7, plane.shape[1] - 7, 9)]
    for y, x in spots[:n]:
        hot[y, x] = 4095
    return hot


def measured(pixels, container_max=UINT16, **options):
    """Values by name, with the scale but without the prefix."""
    values = measure_plane(pixels, container_max=container_max, **options)
    return {
        metric.key.removeprefix(f"{metric.prefix}_"): float(value)
        for metric, value in zip(PLANE_METRICS, values, strict=True)
    }


@pytest.mark.parametrize("defocus_px", [1.5, 3, 6])
def test_defocus_lowers_focus_and_raises_correlation(defocus_px):
    before, after = measured(sharp()), measured(cells(defocus_px=defocus_px))
    for name in (
        "FocusScore",
        "LocalFocusScore_10",
        "LocalFocusScore_20",
        "PowerLogLogSlope",
        "StdIntensity",
    ):
        assert after[name] < before[name], name
    assert after["Correlation_10"] > before["Correlation_10"]


def test_wide_blur_raises_correlation_at_the_wide_scale():
    before, after = measured(sharp()), measured(cells(defocus_px=12))
    assert after["Correlation_20"] > before["Correlation_20"] + 0.2


def test_blurrier_is_worse_step_by_step():
    steps = [measured(cells(defocus_px=defocus_px)) for defocus_px in (0, 1, 2, 4)]
    for name in ("LocalFocusScore_10", "PowerLogLogSlope"):
        values = [step[name] for step in steps]
        assert values == sorted(values, reverse=True), name
    assert [s["Correlation_10"] for s in steps] == sorted(s["Correlation_10"] for s in steps)


def test_smoothing_without_noise_lowers_the_slope_further():
    steps = [measured(blurred(sharp(), sd_px))["PowerLogLogSlope"] for sd_px in (1, 2, 4, 8)]
    assert steps == sorted(steps, reverse=True)


def test_heavy_blur_under_noise_turns_the_slope_back_up():
    slopes = [measured(cells(defocus_px=defocus_px))["PowerLogLogSlope"] for defocus_px in (4, 40)]
    assert slopes[1] > slopes[0]


def test_empty_noise_looks_sharpest_to_the_slope():
    noise = to_camera(np.random.default_rng(1).poisson(150, (320, 320)))
    assert measured(noise)["PowerLogLogSlope"] > measured(sharp())["PowerLogLogSlope"]


def test_one_hot_pixel_makes_correlation_collapse():
    plane = blurred(sharp(), 4)
    hot = plane.copy()
    hot[100, 100] = UINT16
    assert measured(hot)["Correlation_10"] < 0.1 < 0.4 < measured(plane)["Correlation_10"]


def test_correlation_looks_along_rows_only():
    stripes = np.zeros((60, 60), np.uint16)
    stripes[::2] = 1000
    assert measured(stripes)["Correlation_10"] == 1
    columns = np.zeros((60, 60), np.uint16)
    columns[:, np.arange(60) // 10 % 2 == 0] = 1000
    assert measured(columns)["Correlation_10"] < -0.99
    assert measured(columns)["Correlation_20"] == 1


def test_brighter_planes_measure_brighter():
    dim, bright = measured(sharp() // 2), measured(sharp())
    for name in ("Total", "Mean", "Median", "Std", "MAD", "Max"):
        assert bright[f"{name}Intensity"] > dim[f"{name}Intensity"], name
    assert bright["ThresholdOtsu_2W"] > dim["ThresholdOtsu_2W"]


def test_otsu_lies_between_background_and_objects():
    plane = np.full((100, 100), 2000, np.uint16)
    plane[30:60, 30:60] = 20000
    plane += np.random.default_rng(1).integers(0, 200, plane.shape).astype(np.uint16)
    assert 2000 < UINT16 * measured(plane)["ThresholdOtsu_2W"] < 20200


@pytest.mark.parametrize("n", [0, 1, 7, 100])
def test_hot_pixels_are_counted(n):
    vignetted = np.linspace(100, 1500, 320) * np.linspace(0.3, 1, 320)[:, None]
    plane = to_camera(np.random.default_rng(1).poisson(vignetted))
    assert measured(with_hot_pixels(plane, n))["HotPixelPercent"] == pytest.approx(100 * n / 318**2)


def test_noise_and_smooth_structure_are_not_hot():
    rng = np.random.default_rng(2)
    noise = rng.normal(2000, 300, (400, 400))
    for plane in (to_camera(noise), sharp(3), blurred(sharp(3), 3), to_camera(rng.poisson(0.5, (400, 400)))):
        assert measured(plane)["HotPixelPercent"] == 0


def test_spots_as_small_as_optics_make_them_are_not_hot():
    plane = np.full((200, 200), 100.0)
    plane[10::20, 10::20] = 30000
    spots = np.rint(cv2.GaussianBlur(plane, (0, 0), 1)).astype(np.uint16)
    assert spots.max() > 3000
    assert measured(spots)["HotPixelPercent"] == 0


def test_a_hot_pixel_tops_its_brightest_neighbour_by_more_than_eight_steps():
    plane = np.zeros((9, 9), np.uint16)
    plane[3, 4] = 1
    plane[4, 4] = 9
    assert measured(plane)["HotPixelPercent"] == 0
    plane[4, 4] = 10
    assert measured(plane)["HotPixelPercent"] == pytest.approx(100 / 7**2)


def test_one_coarse_grey_step_is_not_hot():
    """8 bits stretched to 16: every step is 257."""
    plane = np.full((50, 50), 257 * 20, np.uint16)
    plane[10, 10] += 257
    plane[30, 30] += 257 * 5
    assert measured(plane)["HotPixelPercent"] == 0
    plane[40, 40] += 257 * 30
    assert measured(plane)["HotPixelPercent"] == pytest.approx(100 / 48**2)


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (2, 2), (100, 90)])
@pytest.mark.parametrize("value", [0, 1, 700, UINT16])
def test_constant_planes_have_cellprofilers_values(shape, value):
    values = measured(np.full(shape, value, np.uint16))
    level = float(np.float32(value) / np.float32(UINT16))
    for name in [*UNDEFINED_IS_ZERO, "StdIntensity", "MADIntensity"]:
        assert values[name] == 0, name
    for name in ("Mean", "Median", "Min", "Max"):
        assert values[f"{name}Intensity"] == pytest.approx(level, rel=1e-12), name
    assert values["PercentMaximal"] == values["PercentMinimal"] == 100
    assert values["TotalIntensity"] == pytest.approx(level * shape[0] * shape[1])
    # CellProfiler raises the darkest pixel by the smallest float32 step before taking logarithms.
    assert values["ThresholdOtsu_2W"] == pytest.approx(level + np.finfo(np.float32).eps, rel=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (2, 2), (9, 9), (3, 40), (11, 21), (33, 32)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_small_planes_have_defined_values(shape, dtype):
    top = np.iinfo(dtype).max
    pixels = np.random.default_rng(6).integers(0, top, shape).astype(dtype)
    values = measure_plane(pixels, container_max=top)
    for metric, value in zip(PLANE_METRICS, values, strict=True):
        if metric.prefix == CELLPROFILER:
            assert math.isfinite(value), metric.key
        assert math.isnan(value) or metric.range[0] <= value <= metric.range[1], metric.key


@pytest.mark.parametrize(("shape", "defined"), [((2, 9), False), ((9, 2), False), ((3, 3), True)])
def test_hot_pixels_are_missing_where_no_pixel_has_eight_neighbours(shape, defined):
    for pixels in (
        np.zeros(shape, np.uint16),
        np.arange(shape[0] * shape[1], dtype=np.uint16).reshape(shape),
    ):
        assert math.isnan(measured(pixels)["HotPixelPercent"]) is not defined


def test_correlation_is_zero_in_planes_narrower_than_the_scale():
    pixels = np.random.default_rng(6).integers(0, 4000, (40, 20)).astype(np.uint16)
    values = measured(pixels)
    assert values["Correlation_10"] != 0
    assert values["Correlation_20"] == 0


def test_slope_needs_two_rings():
    pixels = np.random.default_rng(6).integers(0, 4000, (60, 32)).astype(np.uint16)
    assert measured(pixels)["PowerLogLogSlope"] != 0
    assert measured(pixels[:, :31])["PowerLogLogSlope"] == 0


def test_slope_is_zero_where_no_ring_has_power():
    checks = np.indices((64, 64)).sum(axis=0) % 2 * 1000
    assert measured(checks.astype(np.uint16))["PowerLogLogSlope"] == 0


def test_slope_is_zero_where_more_than_half_of_the_pixels_are_the_mean():
    """CellProfiler divides by a median distance of 0 there."""
    pixels = np.full((64, 64), 1000, np.uint16)
    pixels[10, 10], pixels[50, 50] = 1100, 900
    assert measured(pixels)["PowerLogLogSlope"] == 0
    pixels[10, 10] = 1101
    assert measured(pixels)["PowerLogLogSlope"] != 0


def test_local_focus_is_zero_where_most_blocks_are_constant():
    pixels = np.full((100, 100), 500, np.uint16)
    pixels[:10] = np.random.default_rng(6).integers(0, 4000, (10, 100))
    assert measured(pixels)["LocalFocusScore_10"] == 0


def test_local_focus_leaves_out_blocks_without_light():
    lit = np.random.default_rng(6).poisson(np.linspace(50, 900, 100), (100, 100)).astype(np.uint16)
    half_dark = np.vstack([np.zeros_like(lit), lit, np.zeros_like(lit)])
    assert measured(half_dark)["LocalFocusScore_10"] == pytest.approx(measured(lit)["LocalFocusScore_10"])


@pytest.mark.parametrize("value", [4095, UINT16])
def test_a_wholly_saturated_plane_is_wholly_saturated(value):
    values = measured(np.full((40, 40), value, np.uint16))
    assert values["SaturatedPercent"] == 100
    assert values["CameraCeiling"] == value / UINT16
