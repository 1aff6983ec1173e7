"""Which cells a field holds: where they lie, their shapes and how they were changed by the treatment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from imaging.simulate.kinds import Plane
from imaging.simulate.randomness import smooth_noise

CELLS_PER_PIXEL = 68 / (520 * 520)
# Cells beyond the edge reach into the field, as in a real culture.
MARGIN_PX = 32
INTERPHASE, METAPHASE, ANAPHASE, DYING = range(4)


@dataclass(frozen=True)
class Phenotype:
    """What a treatment does at full effect. The first block multiplies, the second is added or blended in."""

    density: float = 1.0
    cell_size: float = 1.0
    aspect: float = 1.0
    nucleus_size: float = 1.0
    nucleus_gain: float = 1.0
    er_gain: float = 1.0
    agp_gain: float = 1.0
    fibres: float = 1.0

    mitotic: float = 0.0
    dying: float = 0.0
    aligned: float = 0.0
    er_puncta: float = 0.0
    ring: float = 0.0  # actin moves to the rim of the cell


NO_PHENOTYPE = Phenotype()
PHENOTYPES = {
    "punctate_er": Phenotype(er_puncta=1.0, er_gain=0.8, cell_size=0.92),
    "large_nuclei": Phenotype(
        density=0.45, cell_size=1.55, nucleus_size=1.75, nucleus_gain=0.7, fibres=1.6, er_gain=0.85
    ),
    "toxic": Phenotype(
        density=0.22, cell_size=0.75, nucleus_size=0.85, nucleus_gain=1.4, dying=0.45, er_gain=1.3, fibres=0.5
    ),
    "elongated": Phenotype(aspect=2.3, cell_size=0.95, aligned=0.8, fibres=1.3),
    "mitotic_arrest": Phenotype(density=0.75, mitotic=0.4, cell_size=0.95),
    "actin_ring": Phenotype(ring=1.0, fibres=0.15, agp_gain=0.9, cell_size=0.85, aspect=0.85),
}


def blend(phenotype: Phenotype, effect: float) -> Phenotype:
    """The phenotype at a part of its full effect (0 is untreated, 1 is full)."""
    factors = (
        "density",
        "cell_size",
        "aspect",
        "nucleus_size",
        "nucleus_gain",
        "er_gain",
        "agp_gain",
        "fibres",
    )
    shares = ("mitotic", "dying", "aligned", "er_puncta", "ring")
    return Phenotype(
        **{name: getattr(phenotype, name) ** effect for name in factors},
        **{name: getattr(phenotype, name) * effect for name in shares},
    )


@dataclass(frozen=True)
class Cells:
    """One entry per cell; lengths in pixels, angles in radians."""

    x: NDArray[np.float32]
    y: NDArray[np.float32]
    angle: NDArray[np.float32]
    long: NDArray[np.float32]  # half axes of the body
    short: NDArray[np.float32]
    lobes: NDArray[np.float32]  # (n, 4): amplitude and phase of the second and third harmonic of the outline
    nucleus_long: NDArray[np.float32]
    nucleus_short: NDArray[np.float32]
    nucleus_gain: NDArray[np.float32]
    er_gain: NDArray[np.float32]
    agp_gain: NDArray[np.float32]
    fibres: NDArray[np.float32]
    state: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.x)


def draw_cells(rng: Generator, size: tuple[int, int], density: float, look: Phenotype) -> Cells:
    """A culture: sparse and crowded patches, cells of every size, a few dividing or dying."""
    x, y = _draw_places(rng, size, density * look.density)
    n = len(x)

    def varied(sigma: float) -> NDArray[np.float32]:
        return rng.lognormal(0, sigma, n).astype(np.float32)

    state = rng.choice(
        [INTERPHASE, METAPHASE, ANAPHASE, DYING],
        n,
        p=_state_shares(look),
    ).astype(np.int8)
    aspect = np.clip(1.6 * look.aspect * varied(0.25), 1.0, 6.0)
    radius = 30 * look.cell_size * varied(0.16)
    common = rng.uniform(0, np.pi)
    free = rng.uniform(0, np.pi, n)
    is_aligned = rng.random(n) < look.aligned
    angle = np.where(is_aligned, common + 0.2 * rng.standard_normal(n), free).astype(np.float32)
    nucleus_radius = 10.2 * look.nucleus_size * varied(0.12)
    nucleus_aspect = np.clip(1.25 * look.aspect**0.35 * varied(0.1), 1.0, 2.4)
    lobes = np.stack(
        [
            rng.uniform(0.0, 0.25, n),
            rng.uniform(0, 2 * np.pi, n),
            rng.uniform(0.05, 0.38, n),
            rng.uniform(0, 2 * np.pi, n),
        ],
        axis=1,
    ).astype(np.float32)
    # Dividing and dying cells let go of the glass and round up: small and bright.
    rounding = np.array([1.0, 0.5, 0.55, 0.36], np.float32)[state]
    is_round = state != INTERPHASE
    aspect = np.where(is_round, 1 + 0.15 * (aspect - 1), aspect)
    lobes[is_round, 0::2] *= 0.2
    glow = np.array([1.0, 1.7, 1.7, 2.2], np.float32)[state]
    return Cells(
        x=x,
        y=y,
        angle=angle,
        long=(radius * rounding * np.sqrt(aspect)).astype(np.float32),
        short=(radius * rounding / np.sqrt(aspect)).astype(np.float32),
        lobes=lobes,
        nucleus_long=(nucleus_radius * np.sqrt(nucleus_aspect)).astype(np.float32),
        nucleus_short=(nucleus_radius / np.sqrt(nucleus_aspect)).astype(np.float32),
        nucleus_gain=look.nucleus_gain * varied(0.22),
        er_gain=look.er_gain * glow * varied(0.3),
        agp_gain=(look.agp_gain * np.sqrt(glow) * varied(0.25)).astype(np.float32),
        fibres=np.where(is_round, 0.1, look.fibres * varied(0.35)).astype(np.float32),
        state=state,
    )


def _state_shares(look: Phenotype) -> list[float]:
    mitotic, dying = 0.03 + look.mitotic, 0.012 + look.dying
    return [1 - mitotic - dying, 0.75 * mitotic, 0.25 * mitotic, dying]


def _draw_places(
    rng: Generator, size: tuple[int, int], density: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Centres that keep a distance, denser in some patches of the field than in others."""
    height, width = size[0] + 2 * MARGIN_PX, size[1] + 2 * MARGIN_PX
    wanted = int(rng.poisson(CELLS_PER_PIXEL * density * height * width))
    crowding: Plane = smooth_noise(rng, (height, width), 70)
    candidates = rng.random((wanted * 12 + 8, 3))
    kept = np.empty((wanted, 2))
    n = 0
    for u, v, chance in candidates:
        if n == wanted:
            break
        x, y = u * width, v * height
        if chance > 0.5 * np.exp(0.9 * crowding[int(y), int(x)]):
            continue
        if n and np.min((kept[:n, 0] - x) ** 2 + (kept[:n, 1] - y) ** 2) < 19**2:
            continue
        kept[n] = x, y
        n += 1
    places = kept[:n].astype(np.float32) - MARGIN_PX
    return places[:, 0].copy(), places[:, 1].copy()
