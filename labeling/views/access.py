"""Who may enter a view."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse

from labeling.problems import NotAllowed
from labeling.roles import Action

View = Callable[..., HttpResponse]


def requires(action: Action) -> Callable[[View], View]:
    """Only people whose role allows the action enter; others are told so."""

    def guard(view: View) -> View:
        @wraps(view)
        def entered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not request.user.may(action):
                raise NotAllowed(f"You may not {action.value}. Ask your admin for the role you need.")
            return view(request, *args, **kwargs)

        return entered

    return guard
