"""The largest value a camera can give, guessed from values seen."""

from __future__ import annotations

import numpy as np

UINT16_MAX = 65535
# Cameras that store uint16 digitise to 12, 14 or 16 bits.
CEILINGS = (4095, 16383, UINT16_MAX)
# Signed files read as unsigned carry this offset.
OFFSET = 32768
OFFSET_CEILINGS = (OFFSET + 4095, OFFSET + 16383, UINT16_MAX)
# 12 or 14 bits may be shifted to the top of uint16: every value is a multiple of 16 or 4.
SHIFTED_STEPS = (16, 4)
# So many values are all multiples of 4 by chance once in 4 to the power of 16.
VALUES_THAT_SHOW_A_STEP = 16


def camera_ceiling(values: np.ndarray | int, container_max: int) -> int:
    """Largest value the camera can give, guessed from values seen (1 to `container_max`).

    For files other than uint16 it is `container_max`. For uint16 it is the lowest of 4095, 16383 and
    65535 that holds every value. That is sane for a dim plane of a 16-bit camera as well: nothing
    reaches the guess, so nothing counts as saturated. Two layouts are recognised: an offset of 32768 (no
    value from 1 to 32767; zeros may be blanked pixels), and 12 or 14 bits shifted to the top (multiples of
    16 or 4). Source: cellqc.

    Parameters
    ----------
    values
        Pixels of a plane, or any values seen in many planes (such as the smallest and the largest of each),
        or just the largest as an int. Few values are weak evidence: one value counts as such a
        layout only if it is exactly that layout's ceiling.
    container_max
        Largest value of the file's pixel type.
    """
    if container_max != UINT16_MAX:
        return container_max
    seen = np.flatnonzero(np.bincount(np.ravel(values)))
    seen = seen[seen > 0]
    if len(seen) == 0:
        return CEILINGS[0]
    largest = int(seen[-1])
    if seen[0] >= OFFSET and (len(seen) > 1 or largest in OFFSET_CEILINGS):
        return _lowest_above(OFFSET_CEILINGS, largest)
    for step in SHIFTED_STEPS:
        if _is_shifted(seen, step):
            return UINT16_MAX + 1 - step
    return _lowest_above(CEILINGS, largest)


def _is_shifted(seen: np.ndarray, step: int) -> bool:
    """Whether values are those of a camera that counts in `step`: all of many, or the ceiling among few."""
    if len(seen) < VALUES_THAT_SHOW_A_STEP:
        return int(seen[-1]) == UINT16_MAX + 1 - step
    return not np.any(seen % step)


def _lowest_above(ceilings: tuple[int, ...], largest: int) -> int:
    return next(top for top in ceilings if largest <= top)
