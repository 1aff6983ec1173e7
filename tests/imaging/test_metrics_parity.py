"""Our values are CellProfiler's: against its own output, and against definitions written out plainly."""

import csv

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from imaging.metrics import CELLPROFILER, PLANE_METRICS, measure_plane
from imaging.metrics.local_focus import local_focus_score

REFERENCE = "reference/cellprofiler_4.2.8.1_image_quality.csv"
COUNTED = {
    "ImageQuality_PercentMaximal",
    "ImageQuality_PercentMinimal",
    "ImageQuality_TotalArea",
    "ImageQuality_Scaling",
}


@pytest.fixture(scope="module")
def measured(shared):
    """Each row of CellProfiler's table with our values of the same file."""
    with (shared / REFERENCE).open(newline="") as table:
        rows = list(csv.DictReader(table))
    return [(row, values_of(tifffile.imread(shared / row["file"]))) for row in rows]


def values_of(pixels):
    """Metrics by their column's name without a channel."""
    values = measure_plane(pixels, container_max=np.iinfo(pixels.dtype).max)
    return {metric.key: value for metric, value in zip(PLANE_METRICS, values, strict=True)}


def test_the_reference_holds_the_whole_cellprofiler_family(measured):
    columns = {column for column in measured[0][0] if column.startswith(CELLPROFILER)}
    assert columns == {metric.key for metric in PLANE_METRICS if metric.prefix == CELLPROFILER}
    assert len(measured) == 135


@pytest.mark.parametrize("key", [metric.key for metric in PLANE_METRICS if metric.prefix == CELLPROFILER])
def test_agrees_with_cellprofiler_on_every_reference_image(measured, key):
    theirs = np.array([float(row[key]) for row, _ in measured])
    ours = np.array([values[key] for _, values in measured])
    np.testing.assert_allclose(ours, theirs, rtol=0 if key in COUNTED else 1e-5, atol=0)


def planes(max_side=48):
    """Small planes of few or many different values."""
    shapes = st.tuples(st.integers(1, max_side), st.integers(1, max_side))
    tops = st.sampled_from([1, 3, 255, 4095, 65535])
    return st.builds(
        lambda shape, top, seed: np.random.default_rng(seed).integers(0, top + 1, shape).astype(np.uint16),
        shapes,
        tops,
        st.integers(0, 2**32 - 1),
    ) | arrays(np.uint16, shapes)


def scaled(pixels):
    return pixels.astype(np.float32) / np.float32(65535)


def plain_local_focus(x, scale_px):
    x = x.astype(float)
    n_down, n_across = (-(-side // scale_px) for side in x.shape)
    down = np.arange(x.shape[0]) * n_down // x.shape[0]
    across = np.arange(x.shape[1]) * n_across // x.shape[1]
    blocks = [x[np.ix_(down == i, across == j)] for i in range(n_down) for j in range(n_across)]
    contrasts = [block.var() / block.mean() for block in blocks if block.mean() != 0]
    return np.var(contrasts) / np.median(contrasts) if contrasts and np.median(contrasts) > 0 else 0


def plain_correlation(x, scale_px):
    if x.max() == x.min() or x.shape[1] <= scale_px:
        return 0
    share = (x - x.min()) / np.float64(x.max() - x.min())
    greys = np.minimum(np.floor(share * 8), 7)
    left, right = greys[:, :-scale_px].ravel(), greys[:, scale_px:].ravel()
    if left.std() == 0 or right.std() == 0:
        return 0
    return np.corrcoef(left, right)[0, 1]


def plain_slope(x):
    x = x.astype(float)
    distance = np.median(abs(x - x.mean()))
    if np.ptp(x) == 0 or distance == 0:
        return 0
    power = abs(np.fft.fft2(x / distance - (x / distance).mean())) ** 2
    ky, kx = (np.minimum(np.arange(n), n - 1 - np.arange(n)) for n in x.shape)
    ring = np.floor(np.hypot(ky[:, None], kx)).astype(int) + 1
    rings = np.arange(2, min(x.shape) // 8)
    if len(rings) < 2:
        return 0
    return np.polyfit(np.log(rings), np.log([power[ring == r].sum() for r in rings]), 1)[0]


def plain_otsu(x):
    """The best threshold and those that tie with it but for rounding."""
    floor = np.float32(float(x.min()) + float(x.max() - x.min()) / 256 + np.finfo(np.float32).eps)
    logs = np.sort(np.log(np.maximum(x.ravel(), floor))).astype(float)
    if logs[0] == logs[-1]:
        return [np.exp(logs[0])]
    lowest, log_range = logs[0], logs[-1] - logs[0]
    y = (logs - lowest) / log_range
    n = len(y)
    step = n // min(256, n)
    firsts = range(0, n - 1, step)
    scores = [
        ((y[: k + 1] - y[: k + 1].mean()) ** 2).sum() + (y[k + 1 :].var(ddof=1) * (n - k - 1) if n - k - 1 > 1 else 0)
        for k in firsts
    ]
    thresholds = [y[k + 1] for k in firsts]
    bests = np.flatnonzero(np.array(scores) <= min(scores) + 1e-12)
    return [
        np.exp((thresholds[max(i - 1, 0)] + thresholds[min(i + 1, len(thresholds) - 1)]) / 2 * log_range + lowest)
        for i in bests
    ]


@settings(max_examples=60, deadline=None)
@given(planes())
def test_intensities_are_those_of_numpy_on_the_pixels(pixels):
    x, values = scaled(pixels), values_of(pixels)
    median = np.median(x)
    plain = {
        "TotalIntensity": x.sum(dtype=float),
        "MeanIntensity": x.mean(dtype=float),
        "MedianIntensity": median,
        "StdIntensity": x.std(dtype=float),
        "MADIntensity": np.median(abs(x - median)),
        "MinIntensity": x.min(),
        "MaxIntensity": x.max(),
        "PercentMaximal": 100 * (x == x.max()).mean(),
        "PercentMinimal": 100 * (x == x.min()).mean(),
        "FocusScore": x.var(dtype=float) / x.mean(dtype=float) if x.any() else 0,
    }
    for name, value in plain.items():
        np.testing.assert_allclose(values[f"{CELLPROFILER}_{name}"], value, rtol=1e-9, atol=1e-15, err_msg=name)


@settings(max_examples=60, deadline=None)
@given(planes())
def test_local_focus_is_its_definition(pixels):
    for scale_px in (10, 20):
        np.testing.assert_allclose(
            local_focus_score(pixels, 65535, scale_px),
            plain_local_focus(scaled(pixels), scale_px),
            rtol=1e-9,
            atol=1e-15,
        )


@settings(max_examples=60, deadline=None)
@given(planes())
def test_correlation_is_its_definition(pixels):
    values = values_of(pixels)
    for scale_px in (10, 20):
        np.testing.assert_allclose(
            values[f"ImageQuality_Correlation_{scale_px}"],
            plain_correlation(scaled(pixels), scale_px),
            rtol=1e-9,
            atol=1e-12,
        )


@pytest.mark.parametrize("shape", [(64, 64), (65, 97), (97, 64), (128, 33), (200, 151)])
@pytest.mark.parametrize("top", [255, 65535])
def test_slope_is_its_definition(shape, top):
    pixels = np.random.default_rng(sum(shape)).integers(0, top + 1, shape).astype(np.uint16)
    ours = values_of(pixels)["ImageQuality_PowerLogLogSlope"]
    np.testing.assert_allclose(ours, plain_slope(scaled(pixels)), rtol=1e-5, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(planes())
def test_otsu_is_its_definition(pixels):
    ours = values_of(pixels)["ImageQuality_ThresholdOtsu_2W"]
    assert np.isclose(ours, plain_otsu(scaled(pixels)), rtol=1e-6, atol=0).any()


@pytest.mark.parametrize("offset", [0, 32768])
def test_an_offset_does_not_cost_precision(offset):
    """Dim planes on a large offset: float32 keeps 0.004 of a grey step, as in CellProfiler."""
    pixels = (offset + np.random.default_rng(5).poisson(3, (80, 90))).astype(np.uint16)
    x, values = scaled(pixels), values_of(pixels)
    np.testing.assert_allclose(values["ImageQuality_StdIntensity"], x.std(dtype=float), rtol=1e-9)
    np.testing.assert_allclose(values["ImageQuality_LocalFocusScore_10"], plain_local_focus(x, 10), rtol=1e-9)
