"""Bright connected areas: a fibre is long, debris and bubbles are large, cells are neither."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from imaging.metrics.facts import PlaneFacts
from imaging.metrics.registry import CELLQC, Metric, family

BACKGROUND_SDS = 6.0
BRIGHT_SHARE = 0.05
RIDGE_SHARE = 0.10
# Smoothing, as a share of the field's longer side: of the plane, and of what is taken off as its surroundings.
NEAR, FAR = 1 / 256, 1 / 32
# In grey steps; what stands out by less is rounding.
STANDS_OUT = 0.05
# Of a straight line, 4 SDs of its points are 1.15 of its length; of an ellipse just its axis.
SDS_PER_AXIS = 4.0
# A square pixel is not a point: this is its variance.
VARIANCE_OF_PIXEL = 1 / 12

OF_FIELD = "share of the field's longer side"


class Blobs(NamedTuple):
    """Connected areas of the coarse plane: blocks in each, and the SDs along their long and short axes."""

    areas: np.ndarray
    long_sds: np.ndarray
    short_sds: np.ndarray


@family(
    Metric(
        name="BlobAreaPercent",
        prefix=CELLQC,
        unit="%",
        higher_means="with a larger bright area",
        lower_means="with smaller bright areas",
        range=(0, 100),
        description="The largest connected area that stands out of the background.",
        source="cellqc",
    ),
    Metric(
        name="BlobShare",
        prefix=CELLQC,
        unit="%",
        higher_means="with more of what is bright in one area",
        lower_means="with bright areas more alike",
        range=(0, 100),
        description="The largest such area's share of all areas that stand out.",
        source="cellqc",
    ),
    Metric(
        name="BlobLength",
        prefix=CELLQC,
        unit=OF_FIELD,
        higher_means="with a longer bright area, as of a fibre",
        lower_means="with shorter bright areas",
        range=(0, math.inf),
        description="Length of the longest connected area that stands out of the background.",
        source="cellqc",
        for_scoring=True,
    ),
    Metric(
        name="BlobElongation",
        prefix=CELLQC,
        unit="",
        higher_means="with a thinner longest bright area, as a fibre",
        lower_means="with a rounder longest bright area",
        range=(1, math.inf),
        description="Length over width of the longest such area.",
        source="cellqc",
    ),
)
def blobs_above_background(plane: PlaneFacts) -> Sequence[float]:
    """Largest bright area, its share of all (0 to 100 %), longest one's length and elongation (higher is a fibre).

    What lies 6 robust SDs above the median of the coarse plane, as areas connected by sides or corners. In
    fields more than half covered by cells nothing may reach that: area and length are 0, the others
    NaN. An offset or gain changes nothing. Source: cellqc.
    """
    median, sd = plane.coarse_median_and_sd
    blobs = find_blobs(plane.coarse, median + BACKGROUND_SDS * sd)
    if not len(blobs.areas):
        return 0.0, math.nan, 0.0, math.nan
    longest = int(np.argmax(blobs.long_sds))
    return (
        100.0 * float(blobs.areas.max()) / plane.coarse.size,
        100.0 * float(blobs.areas.max() / blobs.areas.sum()),
        SDS_PER_AXIS * float(blobs.long_sds[longest]) / max(plane.coarse.shape),
        float(blobs.long_sds[longest] / blobs.short_sds[longest]),
    )


@family(
    Metric(
        name="RidgeLength",
        prefix=CELLQC,
        unit=OF_FIELD,
        higher_means="with a longer bright line, as of a fibre or a bubble's rim",
        lower_means="with shorter bright lines",
        range=(0, math.inf),
        description="Length of the longest connected area of the 10 % that stand out most of their surroundings.",
        source="cellqc",
        for_scoring=True,
    ),
    Metric(
        name="BrightestLength",
        prefix=CELLQC,
        unit=OF_FIELD,
        higher_means="with its brightest parts in a longer line or patch",
        lower_means="with its brightest parts more scattered",
        range=(0, math.inf),
        description="Length of the longest connected area of the brightest 5 % of the field.",
        source="cellqc",
    ),
)
def lengths_of_the_brightest(plane: PlaneFacts) -> Sequence[float]:
    """Length of the longest ridge and of the longest bright area (0 to about 1.5; higher is less cell-like).

    Both work where cells cover all of the field and nothing stands out of a background. For the ridge
    the coarse plane is smoothed over 1/256 of the field, and its surroundings, smoothed over 1/32, are taken off.
    NaN where nothing is brighter than the rest. An offset or gain changes nothing. Source: cellqc.
    """
    if plane.coarse_is_constant:
        return math.nan, math.nan
    side = max(plane.coarse.shape)
    surroundings, near = (cv2.GaussianBlur(plane.coarse, (0, 0), side * share) for share in (FAR, NEAR))
    flattened = near - surroundings
    return (
        _longest_of_the_brightest(flattened, RIDGE_SHARE),
        _longest_of_the_brightest(plane.coarse, BRIGHT_SHARE),
    )


def _longest_of_the_brightest(coarse: np.ndarray, share: float) -> float:
    which = int((1 - share) * (coarse.size - 1))
    threshold = max(float(np.partition(coarse, which, axis=None)[which]), STANDS_OUT)
    blobs = find_blobs(coarse, threshold)
    if not len(blobs.areas):
        return math.nan
    return SDS_PER_AXIS * float(blobs.long_sds.max()) / max(coarse.shape)


def find_blobs(coarse: np.ndarray, threshold: float) -> Blobs:
    """Connected areas of a plane (H, W) above a threshold."""
    n_labels, labels = cv2.connectedComponents((coarse > threshold).view(np.uint8), connectivity=8)
    rows, columns = np.nonzero(labels)
    of_blob = labels[rows, columns] - 1

    def mean(values: np.ndarray) -> np.ndarray:
        return np.bincount(of_blob, values, minlength=n_labels - 1) / areas

    areas = np.bincount(of_blob, minlength=n_labels - 1)
    y, x = rows - mean(rows)[of_blob], columns - mean(columns)[of_blob]
    yy, xx, xy = mean(y * y) + VARIANCE_OF_PIXEL, mean(x * x) + VARIANCE_OF_PIXEL, mean(x * y)
    middle, reach = (yy + xx) / 2, np.hypot((yy - xx) / 2, xy)
    return Blobs(areas, np.sqrt(middle + reach), np.sqrt(np.maximum(middle - reach, VARIANCE_OF_PIXEL)))
