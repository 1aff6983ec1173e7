"""What the network is shown of a field: each channel alone, in the experiment's own display range."""

from __future__ import annotations

import cv2
import numpy as np

from imaging.previews import DisplayRange, stretch

N_PLANES, SIDE_PX = 3, 224
# Change it whenever the same pixels would give other pictures: vectors of two recipes are never compared.
INPUT_RECIPE = (
    "each channel alone, whole field area-averaged to 224, common display range, (v - 127) / 128, "
    "mean over channels, recipe 1"
)
# As the weights were trained: 0 to 255 becomes -0.99 to 1.
CENTRE, SPREAD = 127.0, 128.0


def picture(pixels: np.ndarray, shown: DisplayRange) -> np.ndarray:
    """A plane (H, W) of any size as the network takes it: (3, 224, 224) float32, three times the same.

    The whole field, squeezed to a square: nothing at its rim is cut off, and all fields of an experiment are
    squeezed alike. Values outside the display range are black or white; dim stays dim.
    """
    small = cv2.resize(pixels, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    grey = (255 * stretch(small, shown) - CENTRE) / SPREAD
    return np.broadcast_to(grey.astype(np.float32), (N_PLANES, SIDE_PX, SIDE_PX))
