"""Small pictures of fields for people to look at: one contrast for a whole experiment, so that dim looks dim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

THUMBNAIL_PX = 256
JPEG_QUALITY = 88
# Every 5th pixel both ways: a 1080 x 1080 plane still gives 46,000 values, and no grid of cells has that period.
SAMPLE_STEP = 5


@dataclass(frozen=True)
class DisplayRange:
    """Pixel values shown black (`low`) and at full brightness (`high`)."""

    low: float
    high: float


@dataclass(frozen=True)
class PlaneSample:
    """What one plane tells about its channel: values near its dark and bright ends, smallest and largest."""

    dark: float
    bright: float
    smallest: int
    largest: int


def sample_plane(pixels: np.ndarray) -> PlaneSample:
    """Dark end (0.5th percentile), bright end (99.7th), minimum and maximum of a plane (H, W)."""
    sparse = pixels[::SAMPLE_STEP, ::SAMPLE_STEP]
    dark, bright = np.percentile(sparse, (0.5, 99.7))
    return PlaneSample(float(dark), float(bright), int(pixels.min()), int(pixels.max()))


def common_range(samples: Sequence[PlaneSample]) -> DisplayRange:
    """One range for all fields of a channel.

    Black is the median dark end; full brightness the 80th percentile of the bright ends, so that a few
    saturated fields do not turn the rest black and a bright phenotype still fits.
    """
    low = float(np.median([sample.dark for sample in samples]))
    high = float(np.percentile([sample.bright for sample in samples], 80))
    return DisplayRange(low, max(high, low + 1))


def shrink(pixels: np.ndarray, size_px: int) -> np.ndarray:
    """The plane as float32 with its longer side at most `size_px`, each pixel the mean of those it covers."""
    height, width = pixels.shape
    scale = size_px / max(height, width)
    if scale >= 1:
        return pixels.astype(np.float32)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.float32)


def stretch(plane: np.ndarray, shown: DisplayRange) -> np.ndarray:
    """Values as brightness 0 to 1."""
    return np.clip((plane - shown.low) / (shown.high - shown.low), 0, 1)


def grey_jpeg(plane: np.ndarray, shown: DisplayRange) -> bytes:
    """A plane (H, W) as a grey JPEG."""
    return _jpeg(np.rint(stretch(plane, shown) * 255).astype(np.uint8))


def colour_jpeg(planes: Sequence[np.ndarray], ranges: Sequence[DisplayRange], colours: Sequence[str]) -> bytes:
    """Planes of one field laid over each other, each in its false colour (`#rrggbb`)."""
    total = np.zeros((*planes[0].shape, 3), np.float32)
    for plane, shown, colour in zip(planes, ranges, colours, strict=True):
        total += stretch(plane, shown)[..., None] * np.array(_blue_green_red(colour), np.float32)
    return _jpeg(np.rint(np.clip(total, 0, 255)).astype(np.uint8))


def stretch_jpeg(jpeg: bytes) -> bytes:
    """The picture with each of its colours stretched from its 0.5th percentile to its 99.7th.

    Faint ones show; what the JPEG holds clipped stays clipped. Raises ValueError when this is no picture.
    """
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_UNCHANGED)
    if picture is None:
        raise ValueError("this is no JPEG")
    low, high = np.percentile(picture, (0.5, 99.7), axis=(0, 1), keepdims=True)
    return _jpeg(np.rint(255 * np.clip((picture - low) / np.maximum(high - low, 1), 0, 1)).astype(np.uint8))


def _blue_green_red(colour: str) -> tuple[int, int, int]:
    """`#rrggbb` in the order OpenCV writes."""
    value = int(colour.lstrip("#"), 16)
    return value & 255, value >> 8 & 255, value >> 16


def _jpeg(picture: np.ndarray) -> bytes:
    ok, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not ok:
        raise RuntimeError("OpenCV could not write a JPEG.")
    return bytes(data)


def reduced(pixels: np.ndarray, size_px: int) -> np.ndarray:
    """The plane in its own number type with its longer side at most `size_px`: for looking at real pixel values."""
    if max(pixels.shape) <= size_px:
        return pixels
    return np.rint(shrink(pixels, size_px)).astype(pixels.dtype)
