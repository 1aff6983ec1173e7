"""What the bar on top of every page needs."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest

from labeling.roles import Action


def shell(request: HttpRequest) -> dict[str, Any]:
    may = getattr(request.user, "may", lambda action: False)
    return {
        "version": settings.VERSION,
        "may": {action.name.lower(): may(action) for action in Action} if request.user.is_authenticated else {},
    }
