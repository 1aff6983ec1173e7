"""Write the audit trail, and check that nobody altered it."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import connection, models, transaction
from django.utils import timezone

from labeling.models import AuditEvent, Experiment, User
from labeling.origin import current_origin

GENESIS = "0" * 64
# Events are numbered and chained one after another; this lock makes writers queue until each commits.
CHAIN_LOCK = 0x63656C6C  # "cell"


@dataclass(frozen=True)
class Entry:
    """One change to write down. `old` and `new` are what changed, as JSON values."""

    action: str
    subject: models.Model
    old: dict[str, Any] | None = None
    new: dict[str, Any] | None = None
    reason: str = ""


def record(
    action: str,
    subject: models.Model,
    *,
    by: User | None,
    old: dict[str, Any] | None = None,
    new: dict[str, Any] | None = None,
    reason: str = "",
) -> AuditEvent:
    """Write one event in the caller's transaction, so that the change and its record stand or fall together."""
    return record_all([Entry(action, subject, old, new, reason)], by=by)[0]


@transaction.atomic(savepoint=False)  # an event that cannot be written takes its change with it
def record_all(entries: Iterable[Entry], *, by: User | None) -> list[AuditEvent]:
    """Write many events at once; call it last in a transaction, it makes other writers wait."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [CHAIN_LOCK])
    last = AuditEvent.objects.order_by("-sequence").only("sequence", "hash").first()
    sequence, previous_hash = (last.sequence, last.hash) if last else (0, GENESIS)
    origin, now = current_origin(), timezone.now()
    events = []
    for entry in entries:
        sequence += 1
        event = AuditEvent(
            sequence=sequence,
            at=now,
            actor=by,
            actor_name=by.printed_name if by else "cellqc",
            action=entry.action,
            experiment=_experiment_of(entry.subject),
            object_type=entry.subject._meta.model_name,
            object_id=entry.subject.pk,
            object_name=str(entry.subject)[:400],
            old=_as_kept(entry.old),
            new=_as_kept(entry.new),
            reason=entry.reason,
            origin=origin.kind,
            address=origin.address,
            request_id=origin.request_id,
            software_version=settings.VERSION,
            previous_hash=previous_hash,
        )
        event.hash = previous_hash = hash_of(event)
        events.append(event)
    return AuditEvent.objects.bulk_create(events, batch_size=1000)


def hash_of(event: AuditEvent) -> str:
    """SHA-256 over everything the event says and the hash of the event before it."""
    content = {
        field.attname: getattr(event, field.attname)
        for field in event._meta.concrete_fields
        if field.attname not in ("id", "hash")
    }
    # Times to the microsecond in UTC: what PostgreSQL keeps, so that a row read back gives the same text.
    content["at"] = event.at.astimezone(UTC).isoformat(timespec="microseconds")
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def faults_in_chain(*, batch_size: int = 2000) -> Iterator[str]:
    """A sentence for each event that was altered, moved or taken away, the first one first."""
    expected, previous_hash = 1, GENESIS
    for event in AuditEvent.objects.order_by("sequence").iterator(chunk_size=batch_size):
        if event.sequence != expected:
            yield f"Audit events {expected} to {event.sequence - 1} are missing."
        elif event.previous_hash != previous_hash:
            yield f"Audit event {event.sequence} does not follow on the event before it."
        if event.hash != hash_of(event):
            yield f"Audit event {event.sequence} ({event.action}, {event.at:%Y-%m-%d %H:%M} UTC) was altered."
        expected, previous_hash = event.sequence + 1, event.hash


def find_events(
    *,
    actor: str = "",
    action: str = "",
    subject: str = "",
    experiment: Experiment | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> models.QuerySet[AuditEvent]:
    """Events newest first. `actor` is part of a name, `subject` part of a record's name or `type:id`."""
    events = AuditEvent.objects.select_related("actor", "experiment")
    if actor:
        events = events.filter(models.Q(actor_name__icontains=actor) | models.Q(actor__username__icontains=actor))
    if action:
        events = events.filter(action__startswith=action)
    if subject:
        object_type, colon, object_id = subject.partition(":")
        if colon and object_id.isdecimal():
            events = events.filter(object_type=object_type, object_id=int(object_id))
        else:
            events = events.filter(object_name__icontains=subject)
    if experiment:
        events = events.filter(experiment=experiment)
    if since:
        events = events.filter(at__gte=since)
    if until:
        events = events.filter(at__lt=until)
    return events


def actions() -> Sequence[str]:
    """Every kind of action that was ever recorded, for the filter."""
    return list(AuditEvent.objects.order_by("action").values_list("action", flat=True).distinct())


def _as_kept(values: dict[str, Any] | None) -> dict[str, Any] | None:
    """The values as PostgreSQL gives them back, so that the hash still fits what is read.

    Its JSON numbers are decimals: they know no negative zero, and 1e16 comes back as a whole number.
    """
    return None if values is None else json.loads(json.dumps(values), parse_float=_kept_number)


def _kept_number(text: str) -> float | int:
    number = float(text) + 0.0  # -0.0 + 0.0 is 0.0
    return int(number) if abs(number) >= 1e16 else number


def _experiment_of(subject: models.Model) -> Experiment | None:
    if isinstance(subject, Experiment):
        return subject
    return getattr(subject, "experiment", None)
