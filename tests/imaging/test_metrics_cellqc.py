"""The metrics beyond CellProfiler's: their definitions written out plainly, what changes them and what does not."""

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.measure import shannon_entropy

from imaging.metrics import CELLQC, PAIR_METRICS, PLANE_METRICS, measure_field_planes, measure_plane
from imaging.metrics.facts import check_plane
from imaging.metrics.passes import means_of_blocks, quantiles_of_tiles, sums_of_tiles, variances_of_tiles
from imaging.simulate import PlateRecipe, plan_plate, render_field

# No plane makes numpy warn of an empty mean or a division by zero.
pytestmark = pytest.mark.filterwarnings("error")

UINT16 = 65535
RECIPE = PlateRecipe(seed=11, rows=4, columns=8, sites=1, size=(320, 320), bad_share=0)
OURS = [metric for metric in PLANE_METRICS if metric.prefix == CELLQC]
BRIGHTNESS = [metric.key for metric in OURS if metric.name in ("Percentile", "SaturatedPercent", "CameraCeiling")]
RELATIVE_TO_BRIGHTNESS = [
    f"{CELLQC}_{name}"
    for name in ("LightTilt", "LightFalloff", "LightPatchiness", "QuadrantRatio", "BrightestTile", "DarkestTile")
]
# Defined for a constant plane: there is nothing to be found, or its value is its brightness.
DEFINED_WITHOUT_CONTRAST = {
    *BRIGHTNESS,
    *RELATIVE_TO_BRIGHTNESS,
    *(
        f"{CELLQC}_{name}"
        for name in (
            "HotPixelPercent",
            "Entropy",
            "LaplacianVariance",
            "Tenengrad",
            "Brenner",
            "NoiseSD",
            "BackgroundDeviation",
            "TileMeanDeviation",
            "TileSpreadDeviation",
            "TileSharpnessDeviation",
            "BlobAreaPercent",
            "BlobLength",
        )
    ),
}


def values_of(pixels, container_max=UINT16):
    values = measure_plane(pixels, container_max=container_max)
    return {metric.key: float(value) for metric, value in zip(PLANE_METRICS, values, strict=True)}


def ours(pixels, container_max=UINT16):
    """Our metrics by name, with the scale but without the prefix."""
    values = values_of(pixels, container_max)
    return {metric.key.removeprefix("CellQC_"): values[metric.key] for metric in OURS}


def pair(first, second):
    values = measure_field_planes([first, second], [UINT16] * 2, [None] * 2)[-len(PAIR_METRICS) :]
    return {metric.name: float(value) for metric, value in zip(PAIR_METRICS, values, strict=True)}


def noise(seed, shape=(320, 320), mean=400, sd=12):
    return np.rint(np.random.default_rng(seed).normal(mean, sd, shape)).astype(np.uint16)


@pytest.fixture(scope="module")
def fields():
    """Three good fields, as plans."""
    return [plan for plan in plan_plate(RECIPE) if not plan.phenotype][:3]


@pytest.fixture(scope="module")
def pristine(fields):
    return [render_field(RECIPE, plan) for plan in fields]


@pytest.fixture(scope="module")
def cells(pristine):
    """One plane of good cells, 320 x 320: tiles and blocks divide it evenly."""
    return pristine[0][1]


def spoiled(fields, defect, severity):
    return [
        render_field(RECIPE, replace(plan, is_bad=True, defect=defect, severity=severity, defect_channels="DNA+ER+AGP"))
        for plan in fields
    ]


# Any plane


def planes(max_side=70):
    """Planes of any small shape: arbitrary, random, or constant but for a few pixels."""
    shapes = st.tuples(st.integers(1, max_side), st.integers(1, max_side))

    def draw(shape, top, seed, dtype, kind):
        rng = np.random.default_rng(seed)
        full = np.iinfo(dtype).max
        if kind == "noise":
            return rng.integers(0, min(top, full) + 1, shape).astype(dtype)
        pixels = np.full(shape, min(top, full), dtype)
        pixels.flat[rng.integers(0, pixels.size, rng.integers(0, 4))] = rng.integers(0, full + 1)
        return pixels

    dtypes = st.sampled_from([np.uint8, np.uint16])
    tops = st.sampled_from([0, 1, 3, 255, 4095, UINT16])
    drawn = st.builds(draw, shapes, tops, st.integers(0, 2**32 - 1), dtypes, st.sampled_from(["noise", "spots"]))
    return drawn | dtypes.flatmap(lambda dtype: arrays(dtype, shapes))


@settings(max_examples=200, deadline=None)
@given(planes())
def test_any_plane_has_values_within_their_ranges_or_none(pixels):
    values = measure_plane(pixels, container_max=int(np.iinfo(pixels.dtype).max))
    for metric, value in zip(PLANE_METRICS, values, strict=True):
        if not math.isnan(value):
            low, high = metric.range
            assert math.isfinite(value), metric.key
            # CellProfiler raises its threshold by the smallest float32 step.
            assert low - 1e-9 <= value <= high + 2e-7, (metric.key, value)


@settings(max_examples=60, deadline=None)
@given(planes(40), st.integers(0, 2**32 - 1))
def test_any_two_planes_are_as_alike_as_any_two_can_be(pixels, seed):
    top = int(np.iinfo(pixels.dtype).max)
    other = np.random.default_rng(seed).integers(0, top + 1, pixels.shape).astype(pixels.dtype)
    values = measure_field_planes([pixels, other], [top, top], [None, None])[-len(PAIR_METRICS) :]
    reverse = measure_field_planes([other, pixels], [top, top], [None, None])[-len(PAIR_METRICS) :]
    np.testing.assert_array_equal(values, reverse)
    for metric, value in zip(PAIR_METRICS, values, strict=True):
        assert math.isnan(value) or metric.range[0] <= value <= metric.range[1], metric.key


@pytest.mark.parametrize("value", [1, 700, UINT16])
def test_a_constant_plane_has_nothing_that_needs_contrast(value):
    values = values_of(np.full((100, 90), value, np.uint16))
    assert {metric.key for metric in OURS if not math.isnan(values[metric.key])} == DEFINED_WITHOUT_CONTRAST
    for name in ("LightTilt", "LightFalloff", "LightPatchiness", "BackgroundDeviation", "TileMeanDeviation", "Entropy"):
        assert values[f"{CELLQC}_{name}"] == pytest.approx(0, abs=1e-12), name
    for name in ("QuadrantRatio", "BrightestTile", "DarkestTile"):
        assert values[f"{CELLQC}_{name}"] == pytest.approx(1), name


def test_a_black_plane_has_no_brightness_to_compare_with():
    values = ours(np.zeros((100, 90), np.uint16))
    for name in ("LightTilt", "QuadrantRatio", "BrightestTile", "DarkestTile", "RidgeLength", "RobustCorrelation_10"):
        assert math.isnan(values[name]), name
    assert values["Percentile_50"] == values["LaplacianVariance"] == values["BlobLength"] == 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (2, 2), (50, 2)])
def test_what_needs_neighbours_is_missing_in_slivers(shape):
    values = ours(np.arange(shape[0] * shape[1], dtype=np.uint16).reshape(shape))
    for name in ("LaplacianVariance", "Brenner", "NoiseSD", "NoiseFreeSharpness", "TileMeanDeviation", "LightTilt"):
        assert math.isnan(values[name]), name
    assert values["Percentile_50"] == pytest.approx(np.median(np.arange(shape[0] * shape[1])) / UINT16)


# Definitions


@settings(max_examples=60, deadline=None)
@given(planes(48))
def test_percentiles_and_entropy_are_those_of_numpy_and_scikit_image(pixels):
    top = int(np.iinfo(pixels.dtype).max)
    values = ours(pixels, top)
    for percent in (0.1, 1, 5, 10, 25, 50, 75, 90, 95, 99, 99.9):
        expected = np.percentile(pixels.astype(float), percent) / top
        assert values[f"Percentile_{percent:g}"] == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert values["Entropy"] == pytest.approx(shannon_entropy(pixels), abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(planes(48))
def test_gradients_are_those_of_opencv(pixels):
    if min(pixels.shape) < 3:
        return
    x = pixels.astype(float) / UINT16
    inner = (slice(1, -1), slice(1, -1))
    laplacian = cv2.Laplacian(x, cv2.CV_64F)[inner]
    sobel = cv2.Sobel(x, cv2.CV_64F, 1, 0)[inner] ** 2 + cv2.Sobel(x, cv2.CV_64F, 0, 1)[inner] ** 2
    two_apart = (x[1:-1, 2:] - x[1:-1, :-2]) ** 2 + (x[2:, 1:-1] - x[:-2, 1:-1]) ** 2
    values = ours(pixels.astype(np.uint16))
    expected = {"LaplacianVariance": (laplacian**2).mean(), "Tenengrad": sobel.mean(), "Brenner": two_apart.mean()}
    for name, value in expected.items():
        assert values[name] == pytest.approx(value, rel=1e-9, abs=1e-18), name


@settings(max_examples=40, deadline=None)
@given(planes(48), st.integers(1, 20))
def test_sums_of_tiles_are_those_of_the_plane_whatever_the_grid(pixels, n):
    pixels = pixels.astype(np.uint16)
    n_down, n_across = min(n, pixels.shape[0]), min(n + 3, pixels.shape[1])
    whole, tiles = sums_of_tiles(pixels, 1, 1)[0, 0], sums_of_tiles(pixels, n_down, n_across)
    np.testing.assert_allclose(tiles.sum(axis=(0, 1)), whole, rtol=1e-12)
    assert whole[0] == pixels.size
    assert whole[1] == pixels.sum(dtype=float)
    assert tiles[:, :, 0].min() >= 1


@settings(max_examples=40, deadline=None)
@given(planes(48), st.integers(1, 9))
def test_blocks_and_their_tiles_are_those_of_numpy(pixels, side):
    pixels = pixels.astype(np.uint16)
    coarse = means_of_blocks(pixels, side)
    rows, columns = range(0, pixels.shape[0], side), range(0, pixels.shape[1], side)
    expected = [[pixels[i : i + side, j : j + side].mean() for j in columns] for i in rows]
    np.testing.assert_allclose(coarse, expected, rtol=1e-6)
    n = min(3, *coarse.shape)
    down, across = (np.arange(size) * n // size for size in coarse.shape)
    tiles = [[coarse[np.ix_(down == i, across == j)].astype(float) for j in range(n)] for i in range(n)]
    quartiles = [[np.percentile(tile, 25, method="lower") for tile in row] for row in tiles]
    np.testing.assert_array_equal(quantiles_of_tiles(coarse, n, 0.25), quartiles)
    variances = [[tile.var() for tile in row] for row in tiles]
    np.testing.assert_allclose(
        variances_of_tiles(coarse, n), variances, rtol=1e-9, atol=1e-9 * float(coarse.max()) ** 2
    )


def test_robust_correlation_is_that_of_the_clipped_plane(cells):
    low, high = (round(np.percentile(cells, percent)) for percent in (0.1, 99.9))
    clipped = np.clip(cells, low, high).astype(float)
    greys = np.minimum(np.floor((clipped - low) / (high - low) * 8), 7)
    for scale_px in (10, 20):
        expected = np.corrcoef(greys[:, :-scale_px].ravel(), greys[:, scale_px:].ravel())[0, 1]
        assert ours(cells)[f"RobustCorrelation_{scale_px}"] == pytest.approx(expected, rel=1e-9)


def test_robust_slope_is_near_the_plain_slope_where_nothing_is_to_be_clipped():
    rng = np.random.default_rng(5)
    for sd_px in (1.5, 4):
        plane = cv2.GaussianBlur(rng.uniform(0, 60000, (256, 300)), (0, 0), sd_px)
        values = values_of(np.rint(plane).astype(np.uint16))
        assert values["CellQC_RobustPowerLogLogSlope"] == pytest.approx(
            values["ImageQuality_PowerLogLogSlope"], abs=0.15
        )


@pytest.mark.parametrize("sd", [0.4, 1, 5, 300])
def test_noise_is_found_under_structure(sd, cells):
    slow = cv2.GaussianBlur(cells.astype(float), (0, 0), 6)
    noisy = np.rint(slow + np.random.default_rng(1).normal(0, sd, cells.shape) + 2000).astype(np.uint16)
    # Rounding to whole grey steps adds its own noise.
    assert ours(noisy)["NoiseSD"] * UINT16 == pytest.approx(math.sqrt(sd**2 + 1 / 12), rel=0.1)


def test_light_is_what_was_put_in():
    down, across = np.mgrid[-1:1:320j, -1:1:320j]
    tilted = np.rint(2000 * (1 + 0.2 * across)).astype(np.uint16)
    values = ours(tilted)
    # Tiles lie 7/8 of the field apart, from first to last; their 25th percentile follows the light.
    assert values["LightTilt"] == pytest.approx(0.4 * 7 / 8, rel=0.03)
    assert values["LightFalloff"] == pytest.approx(values["LightTilt"], rel=0.03)
    assert values["QuadrantRatio"] == pytest.approx(0.9 / 1.1, rel=0.02)
    vignetted = ours(np.rint(2000 * (1 - 0.2 * (down**2 + across**2))).astype(np.uint16))
    assert vignetted["LightTilt"] < 0.02
    assert vignetted["LightFalloff"] == pytest.approx(0.4 / (1 - 0.2 * 2 / 3), rel=0.3)
    assert vignetted["LightPatchiness"] < 0.02


def test_a_line_is_as_long_and_a_disc_as_round_as_drawn():
    plane = noise(1).astype(float)
    cv2.line(plane, (40, 60), (280, 240), 3000.0, 6)
    values = ours(plane.astype(np.uint16))
    # 300 of 320 pixels; 4 SDs of a line's points are 1.15 of its length.
    assert values["BlobLength"] == pytest.approx(1.155 * 300 / 320, rel=0.05)
    assert values["BlobElongation"] > 20
    assert values["BlobShare"] > 95
    plane = noise(1).astype(float)
    cv2.circle(plane, (150, 170), 40, 3000.0, -1)
    values = ours(plane.astype(np.uint16))
    assert values["BlobAreaPercent"] == pytest.approx(100 * math.pi * 40**2 / 320**2, rel=0.05)
    assert values["BlobLength"] == pytest.approx(80 / 320, rel=0.05)
    assert values["BlobElongation"] == pytest.approx(1, abs=0.05)


def test_one_odd_tile_is_far_out_among_its_neighbours():
    plane = noise(2)
    before = ours(plane)
    bright, smooth, rough = plane.copy(), plane.copy(), plane.copy()
    bright[40:80, 80:120] += 40
    smooth[40:80, 80:120] = 400
    rough[40:80, 80:120] += np.random.default_rng(3).integers(0, 200, (40, 40)).astype(np.uint16)
    assert ours(bright)["TileMeanDeviation"] > 20 > 6 > before["TileMeanDeviation"]
    assert ours(bright)["BackgroundDeviation"] > 20 > 6 > before["BackgroundDeviation"]
    assert ours(bright)["BrightestTile"] > 1.05 > before["BrightestTile"]
    assert ours(smooth)["TileSharpnessDeviation"] > 20 > 6 > before["TileSharpnessDeviation"]
    assert ours(rough)["TileSpreadDeviation"] > 20 > 6 > before["TileSpreadDeviation"]


def test_emptiness_is_read_against_noise(cells):
    empty = ours(noise(4))
    assert empty["ContrastToNoise"] == pytest.approx(2.326 + 1.645, rel=0.05)
    assert empty["ForegroundPercent"] < 5
    assert ours(cells)["ContrastToNoise"] > 50
    assert ours(cells)["ForegroundPercent"] > 20


@pytest.mark.parametrize("sd", [2, 30, 300])
def test_empty_noise_is_not_the_sharpest(sd, cells):
    """Two-sided: the plain measures of sharpness fall for it, those without noise do not."""
    empty, sharp = ours(noise(5, mean=3000, sd=sd)), ours(cells)
    # The camera adds its noise after the optics have blurred.
    blurred = ours(np.rint(cv2.GaussianBlur(cells.astype(float), (0, 0), 5)).astype(np.uint16) + noise(6, mean=200))
    for name in ("NoiseFreeSharpness", "SharpnessToNoise"):
        assert empty[name] < 0.3 * sharp[name], name
        assert blurred[name] < 0.5 * sharp[name], name
    assert abs(empty["NoiseFreeSharpness"]) < 0.01
    assert empty["RobustPowerLogLogSlope"] > sharp["RobustPowerLogLogSlope"]


# What changes nothing


def without(values, *names):
    return {key: value for key, value in values.items() if not key.startswith(tuple(f"{CELLQC}_{n}" for n in names))}


def assert_alike(after, before, rel):
    for key, value in before.items():
        assert after[key] == pytest.approx(value, rel=rel, abs=1e-9, nan_ok=True), key


def of_ours(pixels):
    values = values_of(pixels)
    return {metric.key: values[metric.key] for metric in OURS}


@pytest.mark.parametrize("turn", [np.fliplr, np.flipud, np.rot90], ids=["mirrored", "upside down", "turned"])
def test_turning_the_field_changes_nothing(cells, turn):
    # CellProfiler's rings count positive and negative frequencies differently, and its correlation looks along rows.
    left_out = ["RobustPowerLogLogSlope", *(["RobustCorrelation"] if turn is np.rot90 else [])]
    before, after = (without(of_ours(p), *left_out) for p in (cells, np.ascontiguousarray(turn(cells))))
    # Differences to the next pixel end at the field's border on one side only.
    assert_alike(after, before, rel=1e-3)


def test_an_offset_changes_only_what_tells_of_brightness(cells):
    offset = of_ours(cells + np.uint16(2048))
    told = {*BRIGHTNESS, *RELATIVE_TO_BRIGHTNESS}
    before = {key: value for key, value in of_ours(cells).items() if key not in told}
    assert len(before) == len(OURS) - len(told)
    assert_alike({key: offset[key] for key in before}, before, rel=1e-3)


def test_gain_changes_only_brightness_and_what_is_measured_in_it(cells):
    in_brightness = ("Percentile", "Saturated", "CameraCeiling", "Laplacian", "Tenengrad", "Brenner", "NoiseSD")
    before, after = (without(of_ours(p), *in_brightness) for p in (cells, cells * np.uint16(2)))
    # The median of the noise is spread over a grey step that counts half.
    assert_alike(after, before, rel=0.02)


def test_hot_pixels_change_no_robust_metric(cells):
    hot = cells.copy()
    hot[5::40, 7::40] = 60000
    before, after = values_of(cells), values_of(hot)
    assert abs(after["ImageQuality_Correlation_10"] - before["ImageQuality_Correlation_10"]) > 0.2
    assert after["CellQC_RobustCorrelation_10"] == pytest.approx(before["CellQC_RobustCorrelation_10"], abs=0.05)
    assert after["CellQC_RobustPowerLogLogSlope"] == pytest.approx(before["CellQC_RobustPowerLogLogSlope"], abs=0.1)
    assert abs(after["ImageQuality_PowerLogLogSlope"] - before["ImageQuality_PowerLogLogSlope"]) > 0.3


# What artefacts change


@pytest.mark.parametrize(
    ("defect", "severity", "higher", "lower"),
    [
        ("fibre", 0.9, ["RidgeLength", "ForegroundPercent"], ["NoiseFreeSharpness", "DarkestTile"]),
        ("bubble", 0.7, ["RidgeLength"], ["SharpnessToNoise", "DarkestTile"]),
        ("debris", 0.9, ["TileSpreadDeviation", "Entropy"], ["DarkestTile"]),
        ("dried", 0.8, ["RobustCorrelation_10"], ["SharpnessToNoise", "CoarseSharpness"]),
        (
            "blur",
            0.6,
            ["RobustCorrelation_10", "RobustCorrelation_20"],
            ["RobustPowerLogLogSlope", "LaplacianVariance", "Brenner", "NoiseFreeSharpness", "SharpnessToNoise"],
        ),
        ("saturated", 0.5, ["SaturatedPercent", "TileMeanDeviation"], ["DarkestTile"]),
        (
            "empty",
            0.9,
            ["QuadrantRatio"],
            ["ForegroundPercent", "ContrastToNoise", "SharpnessToNoise", "NoiseFreeSharpness", "BlobLength"],
        ),
        ("uneven light", 0.7, ["LightTilt", "LightFalloff"], ["QuadrantRatio"]),
    ],
)
def test_each_artefact_shows(fields, pristine, defect, severity, higher, lower):
    """In the middle one of all planes of three fields, against the same field without it."""
    before = [ours(plane) for field in pristine for plane in field]
    after = [ours(plane) for field in spoiled(fields, defect, severity) for plane in field]
    for names, sign in ((higher, 1), (lower, -1)):
        for name in names:
            changes = [sign * (b[name] - a[name]) for a, b in zip(before, after, strict=True)]
            assert np.median(changes) > 0, (name, changes)


@pytest.mark.parametrize("defect", ["fibre", "bubble"])
def test_what_runs_through_a_field_makes_the_longest_ridge_of_any(fields, pristine, defect):
    longest = max(ours(plane)["RidgeLength"] for field in pristine for plane in field)
    after = [ours(plane)["RidgeLength"] for field in spoiled(fields, defect, 0.9) for plane in field]
    assert np.median(after) > 1.5 * longest


def test_dirt_shows_in_all_channels_alike(fields, pristine):
    before, after = ([pair(f[0], f[2]) for f in group] for group in (pristine, spoiled(fields, "fibre", 0.9)))
    for name in ("PixelCorrelation", "BrightOverlapPercent"):
        assert np.median([b[name] - a[name] for a, b in zip(before, after, strict=True)]) > 0.1, name


def test_likeness_is_pearsons_and_dices(cells):
    assert pair(cells, cells) == {"PixelCorrelation": pytest.approx(1), "BrightOverlapPercent": 100}
    inverted = (60000 - cells).astype(np.uint16)
    assert pair(cells, inverted) == {"PixelCorrelation": pytest.approx(-1), "BrightOverlapPercent": 0}
    assert abs(pair(noise(1), noise(2))["PixelCorrelation"]) < 0.05
    assert pair(noise(1), noise(2))["BrightOverlapPercent"] < 6
    assert all(math.isnan(value) for value in pair(cells, np.full_like(cells, 7)).values())
    coarse = [check_plane(plane, UINT16).coarse for plane in (cells, noise(3))]
    expected = np.corrcoef(coarse[0].ravel(), coarse[1].ravel())[0, 1]
    assert pair(cells, noise(3))["PixelCorrelation"] == pytest.approx(expected, abs=1e-6)


def test_real_fibres_have_long_ridges(shared):
    """Three fibres over confluent cells, found by eye, are among the eight longest of 72 fields."""
    import tifffile

    lengths = {
        path.stem[-8:-2]: ours(tifffile.imread(path), 255)["RidgeLength"]
        for path in sorted((shared / "data/row-o-384well").glob("*.TIF"))
    }
    longest = sorted(lengths, key=lambda name: -lengths[name])[:8]
    assert {"O12f01", "O15f01", "O15f02"} <= set(longest)
