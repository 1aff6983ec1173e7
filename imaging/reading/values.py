"""From the numbers of a file to the uint8 or uint16 that the metrics take.

The rule must not depend on one plane's own contrast, or planes of a plate could no longer be compared. In order:

- 8-bit and 16-bit unsigned numbers are taken as they are (12 and 14 bits in a 16-bit container too).
- Signed numbers and wider whole numbers keep their values. Negative ones, which a background subtraction
  leaves, become 0; a plane with more than half below 0 is refused, because it was written with an offset.
- Floating-point numbers that lie in 0..1 are multiplied by 65,535 (up to 1 % of overshoot is cut at 1).
  Others up to 16 with decimals are multiplied by 4,095; all others keep their values, rounded.
- What then exceeds 65,535 is divided by 16, 256, 4,096 ...: the smallest of these that fits. The steps are
  coarse so that planes of one channel share one divisor; `scaling` says which, and planes whose `scaling`
  differs must not be compared.
- A pixel without a value (NaN, infinite) becomes the median of the others. A plane with more than 1 % of
  them is refused: its metrics would be those of the filling.
"""

from typing import NamedTuple

import numpy as np

from imaging.reading.problems import COLOUR, KINDS, UnreadableImage

UINT16_MAX = 65_535
MAX_SHARE_WITHOUT_VALUE = 0.01
MAX_SHARE_NEGATIVE = 0.5
# Interpolation and deconvolution of numbers in 0..1 leave a few above 1.
MAX_SHARE_OVERSHOOT = 0.01
# No camera's counts stay below its own dark offset: small numbers with decimals are fractions of something.
LARGEST_FRACTION = 16
CLIPPED = "negative numbers became 0"
STEP = 16


class Converted(NamedTuple):
    """Pixels (H, W) uint8 or uint16, what was done to the numbers ("" when nothing), and the share filled in."""

    pixels: np.ndarray
    scaling: str = ""
    share_filled: float = 0.0


def measured_bits(dtype: np.dtype) -> int:
    """Bits (8 or 16) of the plane that numbers of this kind become. UnreadableImage when they are none we read."""
    if dtype.kind not in "uif" or dtype.itemsize > 8:
        raise UnreadableImage(f"holds numbers of the kind {dtype.name}; {KINDS}")
    return 8 if dtype.kind in "ui" and dtype.itemsize == 1 else 16


def convert(pixels: np.ndarray) -> Converted:
    """The plane in native uint8 or uint16, C-contiguous. UnreadableImage when its numbers make no picture."""
    bits = measured_bits(pixels.dtype)
    if pixels.dtype.kind == "u" and pixels.dtype.itemsize * 8 == bits:
        return Converted(np.ascontiguousarray(pixels, dtype=np.uint8 if bits == 8 else np.uint16))
    if pixels.dtype.kind == "f":
        return from_floats(pixels)
    return from_integers(pixels, bits)


def scale_of(scaling: str) -> str:
    """The part of a `scaling` that changes what a value means; empty when the values are the file's own.

    Planes whose scale differs must not be compared. That some have negative numbers and others none does no harm.
    """
    return "; ".join(note for note in scaling.split("; ") if note and note != CLIPPED)


def from_integers(pixels: np.ndarray, bits: int) -> Converted:
    """Signed and wide whole numbers, values kept where they fit."""
    notes = []
    if pixels.dtype.kind == "i" and pixels.min() < 0:
        check_negatives(pixels)
        pixels = np.maximum(pixels, 0)
        notes.append(CLIPPED)
    divisor = divisor_for(int(pixels.max()))
    if divisor > 1:
        pixels = pixels // pixels.dtype.type(divisor)
        notes.append(f"divided by {divisor:,}")
    return Converted(np.ascontiguousarray(pixels, dtype=np.uint8 if bits == 8 else np.uint16), "; ".join(notes))


def from_floats(pixels: np.ndarray) -> Converted:
    """Floating-point numbers, as the rules above say."""
    values = np.array(pixels, dtype=np.float32 if pixels.dtype.itemsize <= 4 else np.float64)  # our own copy
    share_filled = fill_missing(values)
    notes = []
    if values.min() < 0:
        check_negatives(values)
        np.maximum(values, 0, out=values)
        notes.append(CLIPPED)
    factor = factor_for(values)
    if factor > 1:
        notes.append("0 to 1 became 0 to 65,535" if factor == UINT16_MAX else f"multiplied by {factor:,}")
        np.minimum(values, UINT16_MAX / factor, out=values)
        np.multiply(values, factor, out=values)
    divisor = divisor_for(float(values.max()))
    if divisor > 1:
        notes.append(f"divided by {divisor:,}")
        np.divide(values, divisor, out=values)
    np.rint(values, out=values)
    np.minimum(values, UINT16_MAX, out=values)
    return Converted(np.ascontiguousarray(values, dtype=np.uint16), "; ".join(notes), share_filled)


def fill_missing(values: np.ndarray) -> float:
    """Put the median into pixels without a value, and return their share."""
    missing = ~np.isfinite(values)
    share = float(missing.mean())
    if share == 0:
        return 0.0
    if share > MAX_SHARE_WITHOUT_VALUE:
        raise UnreadableImage(
            f"has no number (NaN or infinite) in {100 * share:.1f} % of its pixels; cellqc accepts up to "
            f"{100 * MAX_SHARE_WITHOUT_VALUE:.0f} %, so export it without the empty part"
        )
    values[missing] = np.median(values[~missing])
    return share


def check_negatives(pixels: np.ndarray) -> None:
    """Raise UnreadableImage when most numbers lie below 0."""
    share = float((pixels < 0).mean())
    if share > MAX_SHARE_NEGATIVE:
        raise UnreadableImage(
            f"holds negative numbers in {100 * share:.0f} % of its pixels: it was saved with an offset or is no "
            "camera image; export it as unsigned 16-bit"
        )


def factor_for(values: np.ndarray) -> int:
    """What floating-point numbers from 0 up are multiplied by: 1 unless they are fractions."""
    high = float(values.max())
    if high > LARGEST_FRACTION or high == 0:
        return 1
    if high <= 1:
        return UINT16_MAX
    if not has_decimals(values):
        return 1
    overshoot = float((values > 1).mean())
    return UINT16_MAX if overshoot <= MAX_SHARE_OVERSHOOT else UINT16_MAX // LARGEST_FRACTION


def has_decimals(values: np.ndarray) -> bool:
    """Whether any number is not whole."""
    return bool((values != np.rint(values)).any())


def divisor_for(high: float) -> int:
    """The smallest power of 16 that brings the highest number to at most 65,535."""
    divisor = 1
    while high / divisor >= UINT16_MAX + 1:
        divisor *= STEP
    return divisor


def grey_of_colours(pixels: np.ndarray) -> np.ndarray:
    """One plane (H, W) of an RGB picture (H, W, 3) whose colours are equal everywhere: it is grey in disguise.

    UnreadableImage when they differ: which of them is the channel is not ours to guess.
    """
    red, green, blue = (pixels[..., index] for index in range(3))
    if np.array_equal(red, green) and np.array_equal(green, blue):
        return np.ascontiguousarray(red)
    raise UnreadableImage(COLOUR)
