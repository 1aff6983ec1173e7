"""Where the work at hand was asked for: a page, the API, a command or a job. The audit writes it down."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from labeling.models import AuditEvent


@dataclass(frozen=True)
class Origin:
    kind: str = AuditEvent.Origin.COMMAND
    address: str | None = None
    request_id: str = ""


_current: ContextVar[Origin] = ContextVar("origin", default=Origin())  # noqa: B039 (frozen, safe to share)


def current_origin() -> Origin:
    return _current.get()


@contextmanager
def acting_from(origin: Origin) -> Iterator[None]:
    token = _current.set(origin)
    try:
        yield
    finally:
        _current.reset(token)
