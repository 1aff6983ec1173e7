"""Run a network's ONNX file on one thread, since processes are the parallelism, or on a GPU where there is one."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

USUAL_SIDE_PX = 224
# Tried in this order. CUDA is there only with the package onnxruntime-gpu and a card; it was never tried here.
PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")


@lru_cache(maxsize=2)  # 14 MB of weights each
def open_session(path: str) -> InferenceSession:
    """The network of that file, loaded once in a process."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what is wrong is told by who catches it
    available = onnxruntime.get_available_providers()
    return onnxruntime.InferenceSession(path, options, providers=[name for name in PROVIDERS if name in available])


def input_side_px(path: str) -> int:
    """The side of the square pictures a network asks for; 224, as most are trained on, where it leaves that free."""
    shape = open_session(path).get_inputs()[0].shape
    side = shape[-1]
    return side if len(shape) == 4 and isinstance(side, int) and shape[-2] == side else USUAL_SIDE_PX


def run_network(path: str, pictures: np.ndarray) -> np.ndarray:
    """Vectors (B, D) float32 of pictures (B, 3, side, side) float32, by the network's first output."""
    session = open_session(path)
    return session.run([session.get_outputs()[0].name], {session.get_inputs()[0].name: pictures})[0]
