"""Small folders of images as microscopes write them, for tests that read files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile

SIDE_PX = 48


def pixels(seed: int = 0, *, light: float = 1.0, top: int = 4095, side_px: int = SIDE_PX) -> np.ndarray:
    """A field with spots on a dim background, uint16, no value above `top`."""
    random = np.random.default_rng(seed)
    plane = random.poisson(200, (side_px, side_px)).astype(float)
    y, x = np.mgrid[:side_px, :side_px]
    for _ in range(6):
        at_y, at_x = random.uniform(0, side_px, 2)
        plane += 1500 * light * np.exp(-((y - at_y) ** 2 + (x - at_x) ** 2) / 18)
    return np.clip(plane, 0, top).astype(np.uint16)


def write(path: Path, plane: np.ndarray, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, plane, **options)
    return path


def name_of(well: str, site: int, channel: str, *, plate: str = "P1") -> str:
    """A name of the layout well-plate-channel-site."""
    return f"{well}_{plate}_{1 if channel == 'DNA' else 2}_{site}_{channel}_001.tif"


def write_plate(
    folder: Path,
    *,
    wells: tuple[str, ...] = ("B02", "B03"),
    sites: int = 2,
    channels: tuple[str, ...] = ("DNA", "ER"),
    plate: str = "P1",
    top: int = 4095,
) -> Path:
    """A plate of small fields that differ; the same call writes the same bytes."""
    places = [(well, site, channel) for well in wells for site in range(1, sites + 1) for channel in channels]
    for seed, (well, site, channel) in enumerate(places):
        write(folder / name_of(well, site, channel, plate=plate), pixels(seed, top=top))
    return folder
