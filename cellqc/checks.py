"""Faults in the settings that are better told at start-up than by the first job."""

import re
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

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
