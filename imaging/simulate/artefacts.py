"""What goes wrong: each defect as a change of the light, from subtle (severity 0) to gross (1).

Every function takes the sharp, evenly lit signal above the camera offset, (3, H, W) in counts, and returns
the spoiled one. `rng` decides where and which shape, `severity` how much.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator

from imaging.simulate.cells import MEDIUM
from imaging.simulate.kinds import Plane, Planes
from imaging.simulate.randomness import ramp, smooth_noise, white_noise, wide_blur

# Dirt glows in every filter, most of all in the blue one.
DIRT_COLOURS = ((1.0, 0.55, 0.35), (0.6, 1.0, 0.6), (0.35, 0.6, 1.0), (1.0, 0.9, 0.8))


def add_debris(rng: Generator, signal: Planes, severity: float) -> Planes:
    """Crumbs and flakes, some lying on the glass and sharp, some floating above as glowing blobs."""
    size = (signal.shape[1], signal.shape[2])
    spoiled = signal
    for piece in range(1 + int(rng.poisson(0.5 + 2.5 * severity))):
        radius = (4.5 + 50 * severity) * (1.0 if piece == 0 else float(rng.uniform(0.1, 0.5)))
        radius = max(2.5, radius * min(size) / 520)
        x, y = float(rng.uniform(0.06, 0.94) * size[1]), float(rng.uniform(0.06, 0.94) * size[0])
        # Half of the pieces float above the focal plane.
        defocus = 0.8 if rng.random() < 0.5 else float(rng.uniform(0.08, 0.25)) * radius + 1.5
        brightness = float(rng.uniform(0.6, 1.1)) * (1500 + 1900 * severity)
        glow = np.float32(brightness) * cv2.GaussianBlur(_flake(rng, size, x, y, radius), (0, 0), defocus)
        glow += 0.3 * wide_blur(glow, 14)
        spoiled = spoiled + _coloured(rng, glow)
    return spoiled


def add_fibre(rng: Generator, signal: Planes, severity: float) -> Planes:
    """One or more curved threads across the field: hair, lint, tissue."""
    size = (signal.shape[1], signal.shape[2])
    glow = np.zeros(size, np.float32)
    for _ in range(1 + int(rng.random() < 0.35 * severity) + int(rng.random() < 0.3 * severity)):
        width = (2.5 + 13 * severity * float(rng.uniform(0.5, 1.2))) * min(size) / 520
        thread = _thread(rng, size, width, length=0.35 + 0.9 * severity)
        thread *= np.exp(0.22 * smooth_noise(rng, size, 3) + 0.4 * smooth_noise(rng, size, 45) - 0.1)
        defocus = float(rng.choice([0.8, 0.12 * width + 0.8, 0.35 * width + 1.5]))
        brightness = rng.uniform(0.7, 1.1) * (800 + 2700 * severity)
        glow += np.float32(brightness) * cv2.GaussianBlur(thread, (0, 0), defocus)
    glow += 0.35 * wide_blur(glow, 18)
    return signal + _coloured(rng, glow)


def dry_out(rng: Generator, signal: Planes, severity: float) -> Planes:
    """The medium is gone: behind a dry front lie collapsed cells in a blotchy residue, and salt."""
    size = (signal.shape[1], signal.shape[2])
    scale = min(size) / 520
    angle = float(rng.uniform(0, 2 * np.pi))
    ys, xs = np.mgrid[-1 : 1 : size[0] * 1j, -1 : 1 : size[1] * 1j].astype(np.float32)
    front = xs * float(np.cos(angle)) + ys * float(np.sin(angle))
    front += 0.20 * smooth_noise(rng, size, 60 * scale) + 0.02 * smooth_noise(rng, size, 8)
    # The dry share of the field grows from a corner to everything.
    edge = float(np.quantile(front, 1 - (0.04 + 0.96 * severity))) if severity < 0.98 else -9.0
    beyond = (front - np.float32(edge)) * np.float32(min(size) / 2)  # pixels behind the front
    dry = ramp(beyond / (14 * scale) + 0.5)
    rim = np.exp(-np.square(beyond / (7 * scale))) * np.exp(0.4 * smooth_noise(rng, size, 12))
    blotches, film, dust = (smooth_noise(rng, size, length * scale) for length in (34, 11, 2.2))
    # Residue gathers around what stands out, so the old cells show through as islands.
    residue = np.exp(0.55 * blotches + 0.35 * film + 0.12 * dust)
    shrink = ramp(0.55 + 0.5 * film)
    crystals = _crystals(rng, size, dry, severity)
    spoiled = np.empty_like(signal)
    for i, plane in enumerate(signal):
        smeared = cv2.GaussianBlur(plane, (0, 0), 1.5 + 2.5 * severity) * (0.35 + 0.45 * shrink)
        shine = (170, 340, 300)[i] * (0.7 + 0.9 * severity)
        tinted = residue * np.exp(0.25 * smooth_noise(rng, size, 20 * scale))
        salt = (0.7, 1.0, 0.8)[i] * (1100 + 2600 * severity) * crystals
        spoiled[i] = plane * (1 - dry) + dry * (smeared + shine * tinted) + 1.6 * shine * rim + salt
    return spoiled


def add_bubble(rng: Generator, signal: Planes, severity: float) -> Planes:
    """Air bubbles: a disc with a dark and a bright rim, through which the cells look dim and blurred."""
    size = signal.shape[1:]
    ys, xs = np.mgrid[0 : size[0], 0 : size[1]].astype(np.float32)
    spoiled = signal
    for bubble in range(1 + int(rng.random() < 0.4) + int(rng.random() < 0.5 * severity)):
        radius = min(size) * (0.06 + 0.36 * severity) * (1.0 if bubble == 0 else float(rng.uniform(0.2, 0.6)))
        x, y = rng.uniform(0.12, 0.88) * size[1], rng.uniform(0.12, 0.88) * size[0]
        distance = np.hypot(xs - np.float32(x), ys - np.float32(y)) - np.float32(radius)
        distance += 0.015 * np.float32(radius) * smooth_noise(rng, (size[0], size[1]), 90)
        inside = ramp(0.5 - distance / 4)
        thick = np.float32(2.0 + 0.028 * radius)
        bright = np.exp(-np.square((distance + 2.2 * thick) / thick))
        outer = np.exp(-np.square((distance - 0.6 * thick) / (1.3 * thick)))
        # Light falls in from the right, so the rim is a crescent.
        crescent = 0.55 + 0.45 * (xs - np.float32(x)) / (np.abs(distance + np.float32(radius)) + 1)
        dim, glare = 0.75 - 0.4 * severity, 500 + 1900 * severity
        blurred = np.stack([cv2.GaussianBlur(plane, (0, 0), 1.5 + 5 * severity) for plane in spoiled])
        spoiled = (spoiled * (1 - inside) + blurred * dim * inside).astype(np.float32)
        spoiled *= 1 - (0.3 + 0.45 * severity) * outer
        spoiled += (glare * bright * crescent + 0.12 * glare * inside).astype(np.float32)
    return spoiled


def defocus(rng: Generator, signal: Planes, severity: float) -> Planes:
    """Out of focus: every point becomes a disc with soft edges, as light spreads in a cone."""
    radius = 1.4 + 11.0 * severity * severity + 2.5 * severity
    reach = int(np.ceil(radius + 2))
    ys, xs = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32)
    disc = ramp((np.float32(radius) - np.hypot(xs, ys)) / np.float32(0.5 * radius) + 0.5)
    disc /= disc.sum()
    return np.stack([cv2.filter2D(plane, -1, disc, borderType=cv2.BORDER_REFLECT) for plane in signal])


def remove_cells(rng: Generator, signal: Planes, severity: float) -> Planes:
    """No cells: medium, uneven at large scale, and in mild cases a few torn-off shreds without nuclei."""
    size = (signal.shape[1], signal.shape[2])
    cloud = 1 + 0.04 * smooth_noise(rng, size, 120)
    empty = np.array(MEDIUM, np.float32)[:, None, None] * cloud
    for _ in range(round(5 * (1 - severity) ** 2)):
        x, y = rng.uniform(0, size[1]), rng.uniform(0, size[0])
        shred = _flake(rng, size, float(x), float(y), float(rng.uniform(4, 11)) * min(size) / 520)
        brightness = np.float32(rng.uniform(300, 900))
        empty[1:] += brightness * cv2.GaussianBlur(shred, (0, 0), float(rng.uniform(1, 4)))
    return empty


def light_unevenly(rng: Generator, signal: Planes, severity: float) -> Planes:
    """Something stands in the light path: most of the light falls on one side, the other lies in shadow."""
    size = (signal.shape[1], signal.shape[2])
    ys, xs = np.mgrid[-1 : 1 : size[0] * 1j, -1 : 1 : size[1] * 1j].astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    along = xs * np.float32(np.cos(angle)) + ys * np.float32(np.sin(angle))
    along = along + np.float32(rng.uniform(-0.25, 0.35)) * (xs * xs + ys * ys)
    # A tilt in mild cases, close to a shadow with an edge in gross ones.
    lit = 1 / (1 + np.exp(-(1.6 + 4.5 * severity) * (along + np.float32(rng.uniform(-0.3, 0.2)))))
    darkest = 0.62 - 0.58 * severity
    field = darkest + (1.1 + 0.5 * severity - darkest) * lit
    stray = np.float32(220 * severity * severity) * lit * lit
    return (signal * field + stray).astype(np.float32)


def saturate(rng: Generator, signal: Planes, severity: float, full: float) -> Planes:
    """Far too bright: 0.2 to 12 percent of the pixels reach `full`, where the camera clips."""
    share = 0.002 * 60**severity
    # In mild cases the cells are overstained and the background stays dark; in gross ones all is overexposed.
    steepness = 1.1 - 0.5 * severity
    spoiled = np.empty_like(signal)
    for i, plane in enumerate(signal):
        level = max(float(np.quantile(plane, 1 - share)), 1.0)
        # The noise of the camera comes later; 4 percent more keeps the share at the ceiling.
        excess = max(1.04 * full / level - 1, 0.0)
        spoiled[i] = plane * (1 + excess * (plane / level) ** steepness)
    return spoiled


DRAW: dict[str, Callable[[Generator, Planes, float], Planes]] = {
    "debris": add_debris,
    "fibre": add_fibre,
    "dried": dry_out,
    "bubble": add_bubble,
    "blur": defocus,
    "empty": remove_cells,
    "uneven light": light_unevenly,
}


def _coloured(rng: Generator, glow: Plane) -> Planes:
    colours = np.array(DIRT_COLOURS[int(rng.integers(len(DIRT_COLOURS)))], np.float32)
    return colours[:, None, None] * glow


def _flake(rng: Generator, size: tuple[int, int], x: float, y: float, radius: float) -> Plane:
    """One irregular piece of dirt: torn outline, folded and uneven surface (0 to about 2)."""
    flake = np.zeros(size, np.float32)
    top, left = max(0, int(y - 2.2 * radius)), max(0, int(x - 2.2 * radius))
    bottom, right = min(size[0], int(y + 2.2 * radius) + 2), min(size[1], int(x + 2.2 * radius) + 2)
    ys, xs = np.mgrid[top:bottom, left:right].astype(np.float32)
    turn, stretch = float(rng.uniform(0, np.pi)), float(rng.uniform(1.0, 2.2))
    cos, sin = float(np.cos(turn)), float(np.sin(turn))
    u = ((xs - np.float32(x)) * cos + (ys - np.float32(y)) * sin) / np.float32(radius * stretch**0.5)
    v = ((ys - np.float32(y)) * cos - (xs - np.float32(x)) * sin) / np.float32(radius / stretch**0.5)
    coarse, fine, folds = (smooth_noise(rng, u.shape, max(0.6, radius / part)) for part in (2.2, 7, 4))
    inside = ramp((0.75 - np.hypot(u, v) + 0.28 * coarse + 0.10 * fine) * np.float32(radius / 2.5) + 0.5)
    flake[top:bottom, left:right] = inside * np.exp(0.45 * coarse + 0.3 * fine) * (0.45 + 0.8 * np.abs(folds))
    return flake


def _thread(rng: Generator, size: tuple[int, int], width: float, length: float) -> Plane:
    """A smooth random curve of even width, entering from outside or lying in the field (0 to 1)."""
    n_points = 160
    step = length * 1.3 * max(size) / n_points
    turn = rng.normal(0, 0.0024, n_points).cumsum() + rng.normal(0, 0.008)
    heading = rng.uniform(0, 2 * np.pi) + turn.cumsum()
    path = np.stack([np.cos(heading), np.sin(heading)], axis=1).cumsum(axis=0) * step
    # Lay the middle of the curve somewhere near the middle of the field.
    centre = np.array([size[1], size[0]]) * rng.uniform(0.25, 0.75, 2)
    path += centre - path[n_points // 2]
    thread = np.zeros(size, np.float32)
    points = np.round(path * 16).astype(np.int32)
    cv2.polylines(thread, [points], False, 1.0, max(1, round(width)), cv2.LINE_AA, shift=4)
    # Fibres are tubes: brighter in the middle than at the rim.
    return np.clip(cv2.GaussianBlur(np.clip(thread, 0, 1), (0, 0), 0.22 * width + 0.3), 0, 1)


def _crystals(rng: Generator, size: tuple[int, int], where: Plane, severity: float) -> Plane:
    """Bursts of needles, as salt grows when the last drop dries."""
    needles = np.zeros(size, np.float32)
    scale = min(size) / 520
    for _ in range(int(2 + 12 * severity)):
        x, y = rng.uniform(0, size[1]), rng.uniform(0, size[0])
        if where[int(y), int(x)] < 0.5:
            continue
        n_arms = int(rng.integers(5, 12))
        for angle in rng.uniform(0, 2 * np.pi, n_arms):
            reach = rng.uniform(15, 60) * scale * (0.5 + severity)
            tip = (x + reach * np.cos(angle), y + reach * np.sin(angle))
            _line(needles, (x, y), tip, rng.uniform(0.3, 0.9))
            for part in rng.uniform(0.25, 0.9, int(rng.integers(0, 4))):
                root = (x + part * reach * np.cos(angle), y + part * reach * np.sin(angle))
                side = angle + rng.choice([-1, 1]) * np.pi / 3
                twig = 0.35 * reach * (1.1 - part)
                _line(needles, root, (root[0] + twig * np.cos(side), root[1] + twig * np.sin(side)), 0.5)
    return cv2.GaussianBlur(needles, (0, 0), 0.9) * np.exp(0.2 * white_noise(rng, size)) * where


def _line(plane: Plane, start: tuple[float, float], end: tuple[float, float], value: float) -> None:
    first = (round(start[0] * 16), round(start[1] * 16))
    last = (round(end[0] * 16), round(end[1] * 16))
    cv2.line(plane, first, last, float(value), 1, cv2.LINE_AA, shift=4)
