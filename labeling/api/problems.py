"""What went wrong, as a problem object (RFC 9457) whose detail a scientist understands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler

from labeling.problems import Problem, status_of

CONTENT_TYPE = "application/problem+json"
KEPT_HEADERS = ("WWW-Authenticate", "Retry-After", "Allow")


def as_problem(exception: Exception, context: dict[str, Any]) -> Response | None:
    """The answer for an exception; None, and so a 500, for what nobody expected."""
    if isinstance(exception, Problem):
        return _answer(status_of(exception), str(exception))
    response = exception_handler(exception, context)
    if response is None:
        return None
    if isinstance(exception, exceptions.ValidationError):
        return _answer(response.status_code, " ".join(sentences(response.data)), errors=response.data)
    return _answer(response.status_code, _detail(exception, response), headers=response.headers)


def sentences(errors: Any, place: str = "") -> Iterator[str]:
    """Validation errors, however deep, as `field: what is wrong`; entries of a list are counted from 1."""
    if isinstance(errors, Mapping):
        for name, inner in errors.items():
            yield from sentences(inner, ", ".join(filter(None, (place, _part(name)))))
    elif isinstance(errors, Sequence) and not isinstance(errors, str):
        for number, inner in enumerate(errors, start=1):
            entry = f"entry {number}" if isinstance(inner, Mapping) else ""
            yield from sentences(inner, ", ".join(filter(None, (place, entry))))
    else:
        yield f"{place}: {errors}" if place else str(errors)


def _detail(exception: Exception, response: Response) -> str:
    if isinstance(exception, exceptions.NotAuthenticated):
        return "Log in, or send your token in the header `Authorization: Token ...`."
    detail = response.data.get("detail") if isinstance(response.data, Mapping) else None
    return str(detail or HTTPStatus(response.status_code).description)


def _part(key: str | int) -> str:
    if isinstance(key, int):  # of a field that is a list: {"defects": {0: [...]}}
        return f"entry {key + 1}"
    return "" if key == "non_field_errors" else key


def _answer(status: int, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any) -> Response:
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    kept = {name: value for name, value in (headers or {}).items() if name in KEPT_HEADERS}
    return Response(body | more, status=status, headers=kept, content_type=CONTENT_TYPE)
