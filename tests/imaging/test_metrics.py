"""The registry of metrics, the names of their columns, and what a plane may be."""

import importlib
import math
import pkgutil
from itertools import combinations

import numpy as np
import pytest

from imaging import metrics
from imaging.metrics import (
    FAMILIES,
    METRIC_SET_VERSION,
    PAIR_FAMILIES,
    PAIR_METRICS,
    PLANE_METRICS,
    measure_field_planes,
    measure_plane,
    metric_columns,
    parse_column,
)
from imaging.metrics.camera import count_hot, median_difference
from imaging.metrics.correlation import quantise
from imaging.metrics.facts import check_plane, count_values
from imaging.metrics.local_focus import contrasts_of_blocks
from imaging.metrics.passes import count_bends, halved, means_of_blocks, sums_of_tiles
from imaging.metrics.registry import Family, PairFamily

# Channel names with the separators of columns, one the beginning of the other, one ending like a scale.
CHANNELS = ["DNA", "DNA_10", "ER_Golgi", "CellQC"]

SET_1 = [
    "ImageQuality_FocusScore_DNA",
    "ImageQuality_LocalFocusScore_DNA_10",
    "ImageQuality_LocalFocusScore_DNA_20",
    "ImageQuality_Correlation_DNA_10",
    "ImageQuality_Correlation_DNA_20",
    "ImageQuality_PowerLogLogSlope_DNA",
    "ImageQuality_PercentMaximal_DNA",
    "ImageQuality_PercentMinimal_DNA",
    "ImageQuality_TotalIntensity_DNA",
    "ImageQuality_MeanIntensity_DNA",
    "ImageQuality_MedianIntensity_DNA",
    "ImageQuality_StdIntensity_DNA",
    "ImageQuality_MADIntensity_DNA",
    "ImageQuality_MinIntensity_DNA",
    "ImageQuality_MaxIntensity_DNA",
    "ImageQuality_TotalArea_DNA",
    "ImageQuality_Scaling_DNA",
    "ImageQuality_ThresholdOtsu_DNA_2W",
    "CellQC_SaturatedPercent_DNA",
    "CellQC_CameraCeiling_DNA",
    "CellQC_HotPixelPercent_DNA",
    "CellQC_RobustCorrelation_DNA_10",
    "CellQC_RobustCorrelation_DNA_20",
    "CellQC_RobustPowerLogLogSlope_DNA",
    "CellQC_Percentile_DNA_0.1",
    "CellQC_Percentile_DNA_1",
    "CellQC_Percentile_DNA_5",
    "CellQC_Percentile_DNA_10",
    "CellQC_Percentile_DNA_25",
    "CellQC_Percentile_DNA_50",
    "CellQC_Percentile_DNA_75",
    "CellQC_Percentile_DNA_90",
    "CellQC_Percentile_DNA_95",
    "CellQC_Percentile_DNA_99",
    "CellQC_Percentile_DNA_99.9",
    "CellQC_Entropy_DNA",
    "CellQC_LaplacianVariance_DNA",
    "CellQC_Tenengrad_DNA",
    "CellQC_Brenner_DNA",
    "CellQC_NoiseFreeSharpness_DNA",
    "CellQC_SharpnessToNoise_DNA",
    "CellQC_NoiseSD_DNA",
    "CellQC_CoarseSharpness_DNA",
    "CellQC_ForegroundPercent_DNA",
    "CellQC_ContrastToNoise_DNA",
    "CellQC_LightTilt_DNA",
    "CellQC_LightFalloff_DNA",
    "CellQC_LightPatchiness_DNA",
    "CellQC_QuadrantRatio_DNA",
    "CellQC_BackgroundDeviation_DNA",
    "CellQC_TileMeanDeviation_DNA",
    "CellQC_TileSpreadDeviation_DNA",
    "CellQC_TileSharpnessDeviation_DNA",
    "CellQC_BrightestTile_DNA",
    "CellQC_DarkestTile_DNA",
    "CellQC_BlobAreaPercent_DNA",
    "CellQC_BlobShare_DNA",
    "CellQC_BlobLength_DNA",
    "CellQC_BlobElongation_DNA",
    "CellQC_RidgeLength_DNA",
    "CellQC_BrightestLength_DNA",
]
PAIR_OF_SET_1 = ["CellQC_PixelCorrelation_DNA_ER", "CellQC_BrightOverlapPercent_DNA_ER"]


def test_stored_values_keep_their_positions():
    """Values are stored by position: a change here needs a new METRIC_SET_VERSION."""
    assert METRIC_SET_VERSION == "1"
    assert metric_columns(["DNA"]) == SET_1


def test_pairs_of_channels_come_after_all_channels():
    assert metric_columns(["DNA", "ER"])[2 * len(SET_1) :] == PAIR_OF_SET_1
    pairs = [column for column in metric_columns(["A", "B", "C"]) if "PixelCorrelation" in column]
    assert [column.removeprefix("CellQC_PixelCorrelation_") for column in pairs] == ["A_B", "A_C", "B_C"]


def test_columns_are_unique_and_channel_major():
    columns = metric_columns(CHANNELS)
    n_pairs = len(CHANNELS) * (len(CHANNELS) - 1) // 2
    assert len(set(columns)) == len(columns) == len(CHANNELS) * len(PLANE_METRICS) + n_pairs * len(PAIR_METRICS)
    assert columns[: len(PLANE_METRICS)] == metric_columns(["DNA"])
    every_metric = PLANE_METRICS + PAIR_METRICS
    assert len({metric.key for metric in every_metric}) == len(every_metric)


def test_a_column_names_its_metric_and_channel():
    named = [(metric, channel) for channel in CHANNELS for metric in PLANE_METRICS]
    named += [(metric, f"{a} and {b}") for a, b in combinations(CHANNELS, 2) for metric in PAIR_METRICS]
    assert [parse_column(column, CHANNELS) for column in metric_columns(CHANNELS)] == named


def test_a_field_has_the_values_of_its_planes_then_of_its_pairs():
    planes = [np.random.default_rng(seed).integers(0, 4096, (50, 60)).astype(np.uint16) for seed in range(3)]
    values = measure_field_planes(planes, [65535] * 3, [4095, 16383, None])
    assert len(values) == len(metric_columns(["A", "B", "C"]))
    of_planes = [
        measure_plane(plane, container_max=65535, ceiling=ceiling)
        for plane, ceiling in zip(planes, (4095, 16383, None), strict=True)
    ]
    np.testing.assert_array_equal(values[: -3 * len(PAIR_METRICS)], np.concatenate(of_planes))
    of_second_pair = measure_field_planes([planes[0], planes[2]], [65535] * 2, [None] * 2)[-len(PAIR_METRICS) :]
    np.testing.assert_array_equal(values[-2 * len(PAIR_METRICS) : -len(PAIR_METRICS)], of_second_pair)


def test_channels_of_different_size_are_refused_in_a_sentence():
    with pytest.raises(ValueError, match=r"The channels differ in size: \(4, 5\), \(4, 6\)"):
        measure_field_planes([np.zeros((4, 5), np.uint8), np.zeros((4, 6), np.uint8)], [255, 255], [None, None])


@pytest.mark.parametrize(
    "column",
    ["", "Plate", "ImageQuality_Correlation_DNA_5", "ImageQuality_FocusScore_RNA", "CellQC_FocusScore_DNA"],
)
def test_an_unknown_column_is_refused(column):
    with pytest.raises(ValueError, match="is no metric of version 1 for DNA, DNA_10"):
        parse_column(column, CHANNELS)


def test_every_family_written_is_registered_once():
    written = [
        item
        for module in pkgutil.iter_modules(metrics.__path__, "imaging.metrics.")
        for item in vars(importlib.import_module(module.name)).values()
        if isinstance(item, (Family, PairFamily))
    ]
    registered = FAMILIES + PAIR_FAMILIES
    assert len(written) == len(registered)
    assert all(any(item is known for known in registered) for item in written)


def test_every_family_gives_a_value_for_each_of_its_metrics():
    plane = check_plane(np.arange(64 * 48, dtype=np.uint16).reshape(64, 48), 65535)
    for family in FAMILIES:
        assert len(family.measure(plane)) == len(family.metrics)
        assert family.measure.__doc__
        assert "Source:" in family.measure.__doc__
    for pair in PAIR_FAMILIES:
        assert len(pair.measure(plane, plane)) == len(pair.metrics)
        assert "Source:" in (pair.measure.__doc__ or "")


def test_every_metric_can_be_explained_to_a_scientist():
    for metric in PLANE_METRICS + PAIR_METRICS:
        assert metric.description.endswith(".")
        assert metric.higher_means != metric.lower_means
        assert metric.source
        assert metric.range[0] < metric.range[1]


def test_only_constants_of_the_setup_are_marked():
    assert [metric.name for metric in PLANE_METRICS if metric.is_setup] == [
        "TotalArea",
        "Scaling",
        "CameraCeiling",
    ]


def test_no_constant_of_the_setup_is_scored():
    scored = [metric for metric in PLANE_METRICS if metric.for_scoring]
    assert len(scored) == 18
    assert not any(metric.is_setup for metric in scored)


def test_bytes_and_words_of_the_same_value_measure_alike():
    pixels = np.random.default_rng(1).integers(0, 256, (50, 60))
    of_bytes = measure_plane(pixels.astype(np.uint8), container_max=255)
    of_words = measure_plane(pixels.astype(np.uint16), container_max=255)
    assert of_bytes.dtype == np.float64
    np.testing.assert_array_equal(of_bytes, of_words)


@pytest.mark.parametrize(
    "view",
    [
        lambda pixels: pixels.astype(">u2"),
        np.asfortranarray,
        lambda pixels: np.repeat(pixels, 2, axis=1)[:, ::2],
        lambda pixels: np.frombuffer(pixels.tobytes(), np.uint16).reshape(pixels.shape),
    ],
    ids=["big-endian", "column-major", "strided", "read-only"],
)
def test_layout_in_memory_changes_nothing(view):
    pixels = np.random.default_rng(2).integers(0, 4096, (50, 60)).astype(np.uint16)
    np.testing.assert_array_equal(
        measure_plane(view(pixels), container_max=65535), measure_plane(pixels, container_max=65535)
    )


def test_kernels_are_compiled_once_whatever_the_layout():
    raw = np.random.default_rng(2).integers(0, 4096, (50, 60)).astype(np.uint16).tobytes()
    read_only = np.frombuffer(raw, np.uint16).reshape(50, 60)
    for pixels in (read_only.copy(), read_only, read_only.astype(np.uint8)):
        measure_plane(pixels, container_max=65535)
    of_sixteen_bits = (count_values, contrasts_of_blocks, quantise, count_hot, median_difference)
    for kernel in (*of_sixteen_bits, count_bends, halved, means_of_blocks, sums_of_tiles):
        assert len(kernel.signatures) == 1, kernel


def test_measuring_leaves_the_pixels_as_they_are():
    pixels = np.random.default_rng(3).integers(0, 4096, (50, 60)).astype(np.uint16)
    before = pixels.copy()
    measure_plane(pixels, container_max=65535)
    np.testing.assert_array_equal(pixels, before)


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (np.zeros((4, 4, 3), np.uint8), r"height and width; this array has the shape \(4, 4, 3\)"),
        (np.zeros(4, np.uint8), "height and width"),
        (np.zeros((0, 4), np.uint8), "no pixels"),
        (np.zeros((4, 4), np.float32), "must be uint8 or uint16; these are float32"),
        (np.zeros((4, 4), np.int16), "must be uint8 or uint16; these are int16"),
        (np.zeros((4, 4), bool), "must be uint8 or uint16; these are bool"),
        (np.full((4, 4), 256, np.uint16), "A pixel is 256, above the file's maximum 255"),
    ],
)
def test_what_is_not_a_plane_is_refused_in_a_sentence(pixels, reason):
    with pytest.raises(ValueError, match=reason):
        measure_plane(pixels, container_max=255)


@pytest.mark.parametrize("ceiling", [0, -1, 256])
def test_a_ceiling_outside_the_container_is_refused(ceiling):
    with pytest.raises(ValueError, match=r"ceiling must lie in 1\.\.255"):
        measure_plane(np.zeros((4, 4), np.uint8), container_max=255, ceiling=ceiling)


def test_setup_values_are_those_of_the_file():
    values = dict(
        zip(
            metric_columns(["X"]),
            measure_plane(np.zeros((3, 5), np.uint16), container_max=65535),
            strict=True,
        )
    )
    assert values["ImageQuality_TotalArea_X"] == 15
    assert values["ImageQuality_Scaling_X"] == 65535
    assert math.isclose(values["CellQC_CameraCeiling_X"], 4095 / 65535)
