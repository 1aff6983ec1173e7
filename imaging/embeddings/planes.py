"""What the network is shown of a field: each channel alone, and what all channels share, in the display range."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from imaging.previews import DisplayRange, stretch

N_PLANES = 3
# Change it whenever the same pixels would give other pictures: vectors of two recipes are never compared.
INPUT_RECIPE = (
    "each channel alone, then the least of the channels, whole field area-averaged to the network's side, common "
    "display range, (v - 127) / 128, mean over channels beside the vector of the least, recipe 2"
)
# As the weights were trained: 0 to 255 becomes -0.99 to 1.
CENTRE, SPREAD = 127.0, 128.0


def pictures(planes: Sequence[np.ndarray], ranges: Sequence[DisplayRange], side_px: int) -> np.ndarray:
    """The planes (H, W) of a field as a network takes them: (C + 1, 3, side, side) float32, each three times the same.

    One picture a channel, and last the least of all channels at each pixel: what glows in every channel is dirt, and
    no channel shows that alone. The whole field is squeezed to a square: nothing at its rim is cut off, and all fields
    of an experiment are squeezed alike. Values outside the display range are black or white; dim stays dim. A field
    of one channel is one picture, (1, 3, side, side).
    """
    shown = [_shown(plane, display, side_px) for plane, display in zip(planes, ranges, strict=True)]
    if len(shown) > 1:
        shown.append(np.minimum.reduce(shown))
    grey = ((255 * np.stack(shown) - CENTRE) / SPREAD).astype(np.float32)
    return np.broadcast_to(grey[:, None], (len(grey), N_PLANES, side_px, side_px))


def _shown(pixels: np.ndarray, display: DisplayRange, side_px: int) -> np.ndarray:
    """A plane of any size as (side, side), 0 black to 1 white."""
    return stretch(cv2.resize(pixels, (side_px, side_px), interpolation=cv2.INTER_AREA).astype(np.float32), display)
