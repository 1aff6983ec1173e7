"""Who may call what: each viewset names the Action its methods need, the table in labeling.roles decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.permissions import BasePermission

from labeling.roles import Action

if TYPE_CHECKING:
    # rest_framework.views imports this module by its name in the settings.
    from rest_framework.request import Request
    from rest_framework.views import APIView


def action_needed(view: APIView) -> Action:
    """What the call at hand needs; looking, where a view's `needs` says nothing."""
    return getattr(view, "needs", {}).get(getattr(view, "action", None), Action.LOOK)


class HasRole(BasePermission):
    """Only people whose role carries the Action; people without any role may not even look."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        if not request.user.is_authenticated:
            return False  # 401: REST framework asks for a log-in
        needed = action_needed(view)
        self.message = f"You may not {needed.value}. Ask your admin for the role you need."
        return request.user.may(needed)
