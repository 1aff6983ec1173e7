"""Passes over the pixels whose results several families share."""

from __future__ import annotations

import numpy as np
from numba import njit

N_VALUES = 65_536
# What `sums_of_tiles` adds up in each tile; the last five leave out the field's outermost pixels.
N_SUMS = 7
PIXELS, SUM, INNER, LAPLACIAN, TENENGRAD, STEP_1, STEP_2 = range(N_SUMS)


@njit(cache=True)
def sums_of_tiles(pixels: np.ndarray, n_down: int, n_across: int) -> np.ndarray:
    """Sums over each tile of a plane (H, W), float64 (n_down, n_across, 7).

    Pixels; values; pixels that have all 8 neighbours, and over these: squared Laplacian (4 neighbours), squared
    Sobel gradient, squared difference to the next pixel and, across the pixel, to the one after it
    (the last two along rows and columns, added). Row i is in tile floor(i n_down / H).
    Sums run along columns first, which is what the compiler can vectorise.
    """
    height, width = pixels.shape
    sums = np.zeros((n_down, n_across, N_SUMS))
    values = np.empty(width)
    laplacian = np.empty(width)
    tenengrad = np.empty(width)
    step_1 = np.empty(width)
    step_2 = np.empty(width)
    for down in range(n_down):
        top = (down * height + n_down - 1) // n_down
        bottom = ((down + 1) * height + n_down - 1) // n_down
        values[:] = 0.0
        laplacian[:] = 0.0
        tenengrad[:] = 0.0
        step_1[:] = 0.0
        step_2[:] = 0.0
        for i in range(top, bottom):
            row = pixels[i]
            for j in range(width):
                values[j] += np.float64(row[j])
            if i == 0 or i == height - 1:
                continue
            above, below = pixels[i - 1], pixels[i + 1]
            for j in range(1, width - 1):
                # 32 bits hold every difference exactly; their squares do not.
                here = np.int32(row[j])
                left, right = np.int32(row[j - 1]), np.int32(row[j + 1])
                up, down_ = np.int32(above[j]), np.int32(below[j])
                nw, ne = np.int32(above[j - 1]), np.int32(above[j + 1])
                sw, se = np.int32(below[j - 1]), np.int32(below[j + 1])
                across_2, down_2 = np.float64(np.int32(right - left)), np.float64(np.int32(down_ - up))
                across_1, down_1 = np.float64(np.int32(right - here)), np.float64(np.int32(down_ - here))
                sobel_x = np.float64(np.int32(ne - nw + 2 * (right - left) + se - sw))
                sobel_y = np.float64(np.int32(sw - nw + 2 * (down_ - up) + se - ne))
                bend = np.float64(np.int32(left + right + up + down_ - 4 * here))
                laplacian[j] += bend * bend
                tenengrad[j] += sobel_x * sobel_x + sobel_y * sobel_y
                step_1[j] += across_1 * across_1 + down_1 * down_1
                step_2[j] += across_2 * across_2 + down_2 * down_2
        n_inner_rows = max(min(bottom, height - 1) - max(top, 1), 0)
        for across in range(n_across):
            left_edge = (across * width + n_across - 1) // n_across
            right_edge = ((across + 1) * width + n_across - 1) // n_across
            first, last = max(left_edge, 1), min(right_edge, width - 1)
            tile = sums[down, across]
            tile[PIXELS] = (bottom - top) * (right_edge - left_edge)
            for j in range(left_edge, right_edge):
                tile[SUM] += values[j]
            tile[INNER] = n_inner_rows * max(last - first, 0)
            for j in range(first, last):
                tile[LAPLACIAN] += laplacian[j]
                tile[TENENGRAD] += tenengrad[j]
                tile[STEP_1] += step_1[j]
                tile[STEP_2] += step_2[j]
    return sums


@njit(cache=True)
def means_of_blocks(pixels: np.ndarray, side_px: int) -> np.ndarray:
    """Mean of each square block of a plane (H, W), float32 (ceil(H / side), ceil(W / side)).

    Blocks begin at the top left; those at the right and at the bottom may be cut.
    """
    height, width = pixels.shape
    n_down, n_across = (height + side_px - 1) // side_px, (width + side_px - 1) // side_px
    means = np.empty((n_down, n_across), np.float32)
    sums = np.empty(n_across * side_px, np.uint32)
    for down in range(n_down):
        top, bottom = down * side_px, min((down + 1) * side_px, height)
        sums[:] = 0
        for i in range(top, bottom):
            row = pixels[i]
            for j in range(width):
                sums[j] += row[j]
        for across in range(n_across):
            left, right = across * side_px, min((across + 1) * side_px, width)
            total = np.uint64(0)
            for j in range(left, right):
                total += sums[j]
            means[down, across] = np.float64(total) / ((bottom - top) * (right - left))
    return means


@njit(cache=True)
def count_bends(pixels: np.ndarray) -> np.ndarray:
    """How often each absolute value of the second difference both ways occurs, (524288,).

    The kernel 1 -2 1 / -2 4 -2 / 1 -2 1 takes out slopes and edges along rows and columns, so what it leaves is
    mostly noise, of 6 times the SD. Source: Immerkær 1996, "Fast noise variance estimation".
    """
    height, width = pixels.shape
    counts = np.zeros(8 * N_VALUES, np.uint32)
    bend = np.empty(width, np.int32)
    for i in range(1, height - 1):
        above, row, below = pixels[i - 1], pixels[i], pixels[i + 1]
        for j in range(width):
            bend[j] = np.int32(above[j]) + np.int32(below[j]) - 2 * np.int32(row[j])
        for j in range(1, width - 1):
            counts[abs(bend[j - 1] + bend[j + 1] - 2 * bend[j])] += 1
    return counts


@njit(cache=True)
def middle_of_counts(counts: np.ndarray) -> float:
    """Median of whole numbers that occur `counts` times, each spread evenly from half below to half above.

    Without the spreading, noise of one grey step would have a median of either 0 or 1.
    """
    half = counts.sum() / 2
    below = 0.0
    value = 0
    while below + counts[value] < half:
        below += counts[value]
        value += 1
    # 0 is the end of the absolute values: it spreads upwards only.
    lowest, spread = (value - 0.5, 1.0) if value else (0.0, 0.5)
    return lowest + spread * (half - below) / counts[value]


@njit(cache=True)
def halved(pixels: np.ndarray, low: int, high: int) -> np.ndarray:
    """Sums of 2 x 2 pixels (H, W) clipped to low .. high, float32 (H // 2, W // 2); an odd last line is left out."""
    height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
    small = np.empty((height, width), np.float32)
    columns = np.empty(2 * width, np.int32)
    for i in range(height):
        first, second = pixels[2 * i], pixels[2 * i + 1]
        for j in range(2 * width):
            columns[j] = _clipped(first[j], low, high) + _clipped(second[j], low, high)
        for j in range(width):
            small[i, j] = columns[2 * j] + columns[2 * j + 1]
    return small


@njit(cache=True)
def _clipped(value: int, low: int, high: int) -> int:
    return low if value < low else high if value > high else value


@njit(cache=True)
def quantiles_of_tiles(coarse: np.ndarray, n_tiles: int, share: float) -> np.ndarray:
    """Quantile at `share` of each of `n_tiles` x `n_tiles` tiles of a plane, float64 (n_tiles, n_tiles).

    Row i is in tile floor(i n_tiles / H); no tile may be empty.
    """
    height, width = coarse.shape
    quantiles = np.empty((n_tiles, n_tiles))
    for down in range(n_tiles):
        top = (down * height + n_tiles - 1) // n_tiles
        bottom = ((down + 1) * height + n_tiles - 1) // n_tiles
        for across in range(n_tiles):
            left = (across * width + n_tiles - 1) // n_tiles
            right = ((across + 1) * width + n_tiles - 1) // n_tiles
            values = coarse[top:bottom, left:right].copy().ravel()
            which = int(share * (len(values) - 1))
            quantiles[down, across] = np.partition(values, which)[which]
    return quantiles


@njit(cache=True)
def variances_of_tiles(coarse: np.ndarray, n_tiles: int) -> np.ndarray:
    """Variance of each tile, as `quantiles_of_tiles`; exactly 0 where all is the same."""
    height, width = coarse.shape
    variances = np.empty((n_tiles, n_tiles))
    for down in range(n_tiles):
        top = (down * height + n_tiles - 1) // n_tiles
        bottom = ((down + 1) * height + n_tiles - 1) // n_tiles
        for across in range(n_tiles):
            left = (across * width + n_tiles - 1) // n_tiles
            right = ((across + 1) * width + n_tiles - 1) // n_tiles
            # From the tile's first value, so that float64 holds it all and equal values leave 0.
            first = np.float64(coarse[top, left])
            total, squares = 0.0, 0.0
            for i in range(top, bottom):
                for j in range(left, right):
                    difference = np.float64(coarse[i, j]) - first
                    total += difference
                    squares += difference * difference
            n = (bottom - top) * (right - left)
            variances[down, across] = max(squares / n - (total / n) ** 2, 0.0)
    return variances
