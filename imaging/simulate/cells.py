"""Cells as light: the DNA, ER and AGP signal of a population, before the microscope sees it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

from imaging.simulate.kinds import Plane, Planes
from imaging.simulate.population import ANAPHASE, DYING, INTERPHASE, METAPHASE, Cells, Phenotype
from imaging.simulate.randomness import ramp, smooth_noise, white_noise, wide_blur

# Signal above the camera offset, at which a typical structure shines.
NUCLEUS, PERINUCLEAR_ER, CORTEX = 2600.0, 3000.0, 1500.0
MEDIUM = (60.0, 130.0, 110.0)  # background of each channel
FAR = np.float32(9.0)  # "outside every cell", in units of the cell's radius


@dataclass
class Territory:
    """Which cell owns each pixel, and how deep inside it lies."""

    owner: np.ndarray  # index of the cell
    outline_px: Plane  # distance to the cell's own outline, 0 outside
    border_px: Plane  # distance to the outline or to the neighbour, whichever is nearer


def draw_culture(rng: Generator, size: tuple[int, int], cells: Cells, look: Phenotype) -> Planes:
    """(3, H, W) signal of DNA, ER and AGP in camera counts, sharp and evenly lit."""
    medium = np.empty((3, *size), np.float32)
    medium[:] = np.array(MEDIUM, np.float32)[:, None, None]
    if not len(cells):
        return medium
    territory = _share_out(rng, size, cells)
    grain = smooth_noise(rng, size, 1.0)
    patches = smooth_noise(rng, size, 3.0)
    dna, nucleus_mask = _draw_nuclei(cells, size, grain, patches, rng)
    nucleus_px = cv2.distanceTransform((nucleus_mask < 0.5).astype(np.uint8), cv2.DIST_L2, 3).astype(np.float32)
    fibres = _fibres(rng, size, cells, territory)
    er = _draw_er(cells, territory, nucleus_mask, nucleus_px, grain, patches, fibres, look)
    agp = _draw_agp(rng, cells, territory, nucleus_mask, nucleus_px, patches, fibres, look)
    dna += 0.02 * er
    signal = np.stack([dna, er, agp])
    # Light from above and below the focal plane, and the blur of the lens.
    for plane in signal:
        haze = wide_blur(plane, 18)
        cv2.GaussianBlur(plane, (0, 0), 0.8, dst=plane)
        plane *= 0.88
        plane += 0.12 * haze
    return signal + medium


def _share_out(rng: Generator, size: tuple[int, int], cells: Cells) -> Territory:
    """Give each pixel to the cell in which it lies deepest. Neighbours meet in a line, as in a full layer."""
    xs = np.arange(size[1], dtype=np.float32)[None, :]
    ys = np.arange(size[0], dtype=np.float32)[:, None]
    # Bent coordinate axes make every outline irregular at once.
    bend_x = 5.5 * smooth_noise(rng, size, 14) + 1.6 * smooth_noise(rng, size, 4)
    bend_y = 5.5 * smooth_noise(rng, size, 14) + 1.6 * smooth_noise(rng, size, 4)
    spread_axes = xs + bend_x, ys + bend_y
    round_axes = xs + 0.2 * bend_x, ys + 0.2 * bend_y
    depth, second = np.full(size, FAR), np.full(size, FAR)
    owner = np.zeros(size, np.int32)
    for i in range(len(cells)):
        reach = 1.5 * cells.long[i] + 18
        window = _window(size, cells.x[i], cells.y[i], reach)
        if window is None:
            continue
        along_x, along_y = spread_axes if cells.state[i] == INTERPHASE else round_axes
        here = _relative_radius(cells, i, along_x[window] - cells.x[i], along_y[window] - cells.y[i])
        best = depth[window]
        second[window] = np.minimum(second[window], np.maximum(best, here))
        np.copyto(owner[window], i, where=here < best)
        np.minimum(best, here, out=best)
    short = cells.short[owner]
    outline = np.maximum(1 - depth, 0) * short
    return Territory(owner, outline, np.minimum(outline, 0.5 * (second - depth) * short))


def _relative_radius(cells: Cells, i: int, dx: Plane, dy: Plane) -> Plane:
    """Distance from the centre in units of the outline in that direction."""
    cos, sin = np.cos(cells.angle[i]), np.sin(cells.angle[i])
    u = (dx * cos + dy * sin) / cells.long[i]
    v = (dy * cos - dx * sin) / cells.short[i]
    radius = np.sqrt(u * u + v * v) + np.float32(1e-6)
    c, s = u / radius, v / radius
    two, phase_two, three, phase_three = cells.lobes[i]
    c2, s2 = c * c - s * s, 2 * s * c
    outline = 1 + two * (c2 * np.cos(phase_two) - s2 * np.sin(phase_two))
    outline += three * ((c2 * c - s2 * s) * np.cos(phase_three) - (s2 * c + c2 * s) * np.sin(phase_three))
    return radius / outline


def _window(size: tuple[int, int], x: float, y: float, reach: float) -> tuple[slice, slice] | None:
    top, left = max(0, int(y - reach)), max(0, int(x - reach))
    bottom, right = min(size[0], int(y + reach) + 1), min(size[1], int(x + reach) + 1)
    return (slice(top, bottom), slice(left, right)) if bottom > top and right > left else None


def _draw_nuclei(
    cells: Cells, size: tuple[int, int], grain: Plane, patches: Plane, rng: Generator
) -> tuple[Plane, Plane]:
    """DNA signal, and a soft mask of where the nuclei are (round cells without an envelope left out)."""
    dna, mask = np.zeros(size, np.float32), np.zeros(size, np.float32)
    # Chromatin is mottled, and the nucleoli are dark holes in it.
    chromatin = np.exp(0.13 * grain + 0.08 * patches) * (1 - 0.35 * ramp(1.4 * patches - 1.6))
    shifts = rng.uniform(-0.22, 0.22, (len(cells), 2))
    bends = rng.uniform(-0.12, 0.12, (len(cells), 2))
    for i in range(len(cells)):
        x = cells.x[i] + shifts[i, 0] * cells.long[i] * np.cos(cells.angle[i])
        y = cells.y[i] + shifts[i, 0] * cells.long[i] * np.sin(cells.angle[i])
        state, angle = cells.state[i], cells.angle[i] + 2 * shifts[i, 1]
        long, short, gain = cells.nucleus_long[i], cells.nucleus_short[i], cells.nucleus_gain[i]
        if state == INTERPHASE:
            shape = _stamp(dna, chromatin, x, y, angle, long, short, gain, bends[i])
            if shape is not None:
                window, soft = shape
                mask[window] = np.maximum(mask[window], soft)
        elif state == METAPHASE:
            _stamp(dna, chromatin, cells.x[i], cells.y[i], angle, 0.95 * long, 0.36 * short, 2.3 * gain, bends[i])
        elif state == ANAPHASE:
            for side in (-0.62, 0.62):
                step = side * long
                _stamp(
                    dna,
                    chromatin,
                    cells.x[i] - step * np.sin(angle),
                    cells.y[i] + step * np.cos(angle),
                    angle,
                    0.72 * long,
                    0.3 * short,
                    2.1 * gain,
                    bends[i],
                )
        else:
            _draw_fragments(dna, chromatin, cells, i)
    return dna, mask


def _draw_fragments(dna: Plane, chromatin: Plane, cells: Cells, i: int) -> None:
    """The shrunken, beaded nucleus of a dying cell."""
    turn = float(cells.angle[i])
    for step in range(3):
        reach, radius = (0.0, 4.6) if step == 0 else (5.0, 2.6)
        x = cells.x[i] + reach * np.cos(turn + 2.2 * step)
        y = cells.y[i] + reach * np.sin(turn + 2.2 * step)
        _stamp(dna, chromatin, x, y, turn, radius * 1.1, radius, 2.0 * cells.nucleus_gain[i], (0.0, 0.0))


def _stamp(
    dna: Plane,
    chromatin: Plane,
    x: float,
    y: float,
    angle: float,
    long: float,
    short: float,
    gain: float,
    bend: np.ndarray | tuple[float, float],
) -> tuple[tuple[slice, slice], Plane] | None:
    """Add one nucleus; returns its window and soft outline, or None when it lies outside."""
    window = _window((dna.shape[0], dna.shape[1]), x, y, 1.3 * long + 3)
    if window is None:
        return None
    dy = np.arange(window[0].start, window[0].stop, dtype=np.float32)[:, None] - np.float32(y)
    dx = np.arange(window[1].start, window[1].stop, dtype=np.float32)[None, :] - np.float32(x)
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    u = (dx * cos + dy * sin) / np.float32(long)
    v = (dy * cos - dx * sin) / np.float32(short)
    # The bends turn an ellipse into an egg or a bean.
    v = v * (1 + np.float32(2 * bend[0]) * u) + np.float32(3 * bend[1]) * (u * u - np.float32(0.3))
    squared = u * u + v * v
    soft = ramp((1 - np.sqrt(squared)) * np.float32(short / 2.6) + 0.5)
    height = np.sqrt(np.maximum(1.15 - squared, 0.02))  # a nucleus is thickest in the middle
    dna[window] += np.float32(NUCLEUS * gain) * soft * (0.62 + 0.38 * height) * chromatin[window]
    return window, soft


def _fibres(rng: Generator, size: tuple[int, int], cells: Cells, territory: Territory) -> Plane:
    """Streaks (mean 0, sd 1) that run along each cell's long axis."""
    # A seamless tile: OpenCV cannot blur around the edge, so the edge is laid around the tile.
    tile = np.pad(white_noise(rng, (192, 320)), 40, mode="wrap")
    tile = np.ascontiguousarray(cv2.GaussianBlur(tile, (0, 0), sigmaX=11, sigmaY=0.65)[40:-40, 40:-40])
    tile *= 1 / tile.std()
    xs = np.arange(size[1], dtype=np.float32)[None, :]
    ys = np.arange(size[0], dtype=np.float32)[:, None]
    offset = rng.uniform(0, 320, (2, len(cells))).astype(np.float32)
    tilt = cells.angle + rng.normal(0, 0.2, len(cells)).astype(np.float32)
    cos, sin = np.cos(tilt)[territory.owner], np.sin(tilt)[territory.owner]
    dx, dy = xs - cells.x[territory.owner], ys - cells.y[territory.owner]
    u = dx * cos + dy * sin
    # A slight bow keeps the fibres from looking ruled.
    v = dy * cos - dx * sin + 0.004 * u * u
    streaks = cv2.remap(
        tile,
        u + offset[0][territory.owner],
        v + offset[1][territory.owner],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_WRAP,
    )
    return streaks.astype(np.float32, copy=False)


def _draw_er(
    cells: Cells,
    territory: Territory,
    nucleus_mask: Plane,
    nucleus_px: Plane,
    grain: Plane,
    patches: Plane,
    fibres: Plane,
    look: Phenotype,
) -> Plane:
    """Bright and granular around the nucleus, thinning out towards the rim, dim over the nucleus itself."""
    owner = territory.owner
    # The body thins out towards its outline, and a little where two cells meet.
    inside = ramp(territory.outline_px / 9.0) * (0.6 + 0.4 * ramp(territory.border_px / 3.0))
    reach = 0.30 * cells.short[owner] + 1.5
    around = 0.16 + 0.84 * np.exp(-nucleus_px / reach)
    around = np.where((cells.state != INTERPHASE)[owner], np.float32(0.6), around)  # no envelope to lie around
    texture = np.exp(0.20 * grain + 0.17 * patches + 0.13 * fibres)
    sheet = inside * around * texture
    if look.er_puncta > 0:
        spots = np.maximum(grain + 0.45 * patches - 1.35, 0)
        dots = inside * (0.09 + 1.5 * spots * (0.12 + around))
        sheet = (1 - look.er_puncta) * sheet + look.er_puncta * dots
    over_nucleus = 0.42 + 0.12 * ramp(1.4 * patches - 1.6)
    sheet *= 1 - nucleus_mask * (1 - over_nucleus)
    return np.float32(PERINUCLEAR_ER) * cells.er_gain[owner] * sheet


def _draw_agp(
    rng: Generator,
    cells: Cells,
    territory: Territory,
    nucleus_mask: Plane,
    nucleus_px: Plane,
    patches: Plane,
    fibres: Plane,
    look: Phenotype,
) -> Plane:
    """Actin fibres and a bright ruffled rim, with the Golgi as a knot beside the nucleus."""
    owner = territory.owner
    edge = territory.border_px
    inside = ramp(territory.outline_px / 2.5)
    ruffles = smooth_noise(rng, (edge.shape[0], edge.shape[1]), 7)
    bundles = np.exp(0.22 * cells.fibres[owner] * fibres) + 0.3 * cells.fibres[owner] * np.maximum(fibres - 1.2, 0)
    thick = 0.30 + 0.30 * np.exp(-nucleus_px / (0.4 * cells.short[owner] + 2))
    body = thick * bundles * (1 - 0.25 * nucleus_mask) * np.exp(0.16 * patches)
    rim = np.exp(-np.square((edge - 1.2) / 1.7)) * (0.12 + ramp(0.25 + 0.42 * ruffles))
    ring = np.exp(-np.square((edge - 4.0) / 3.2))
    golgi = (
        np.exp(-np.square(np.minimum((nucleus_px - 4.5) / 3.0, 20))) * ramp(1.6 * ruffles - 1.1) * np.exp(0.3 * patches)
    )
    golgi = np.where(nucleus_px > 0, golgi, 0) * (cells.state == INTERPHASE).astype(np.float32)[owner]
    light = inside * ((1 - 0.6 * look.ring) * body + 1.1 * golgi + (1 - look.ring) * rim + 2.2 * look.ring * ring)
    round_glow = np.where((cells.state == DYING) | (cells.state == METAPHASE), 0.5, 0.0).astype(np.float32)[owner]
    light += inside * round_glow
    return (np.float32(CORTEX) * cells.agp_gain[owner] * light).astype(np.float32)
