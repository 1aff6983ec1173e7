"""The array types of the simulator."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Plane: TypeAlias = NDArray[np.float32]  # one channel, (H, W)
Planes: TypeAlias = NDArray[np.float32]  # all channels, (C, H, W)
