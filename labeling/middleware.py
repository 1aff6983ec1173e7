"""What happens around every request."""

import uuid
from collections.abc import Callable

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.http import url_has_allowed_host_and_scheme

from labeling.models import AuditEvent
from labeling.origin import Origin, acting_from
from labeling.problems import Problem, status_of


class AuditOriginMiddleware:
    """Remember for the audit where a request came from, and give it a number people can quote."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        origin = Origin(
            kind=AuditEvent.Origin.API if request.path.startswith("/api/") else AuditEvent.Origin.PAGE,
            address=request.META.get("REMOTE_ADDR") or None,
            request_id=str(uuid.uuid4()),
        )
        with acting_from(origin):
            response = self.get_response(request)
        response["X-Request-Id"] = origin.request_id
        return response


class ProblemMiddleware:
    """Show a Problem where the person is: beside the form they sent, in the fragment, or on a page of its own."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, Problem) or request.path.startswith("/api/"):
            return None
        status = status_of(exception)
        if request.htmx or request.headers.get("X-Requested-With") == "fetch":
            return HttpResponse(str(exception), status=status, content_type="text/plain; charset=utf-8")
        back = request.headers.get("Referer", "")
        if request.method == "POST" and url_has_allowed_host_and_scheme(back, {request.get_host()}):
            messages.error(request, str(exception))
            return HttpResponseRedirect(back, status=303)
        return render(request, "problem.html", {"problem": exception}, status=status)
