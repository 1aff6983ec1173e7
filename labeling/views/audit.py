"""The audit trail: filter, read, take along."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import datetime

from django import forms
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from labeling.models import AuditEvent, Experiment
from labeling.problems import BadValue
from labeling.roles import Action
from labeling.services import audit
from labeling.views.access import requires

PAGE = 100
COLUMNS = (
    "sequence",
    "at",
    "actor_name",
    "action",
    "object_type",
    "object_id",
    "object_name",
    "old",
    "new",
    "reason",
    "origin",
    "address",
    "request_id",
    "software_version",
    "hash",
)


class AuditFilter(forms.Form):
    actor = forms.CharField(required=False, label="Who")
    action = forms.ChoiceField(required=False, label="What")
    subject = forms.CharField(required=False, label="Record", help_text="Part of a name, or image:123")
    experiment = forms.ModelChoiceField(Experiment.objects.all(), required=False, empty_label="all experiments")
    since = forms.DateField(required=False, label="From", widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(required=False, label="Before", widget=forms.DateInput(attrs={"type": "date"}))

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)
        self.fields["action"].choices = [("", "everything")] + [(name, name) for name in audit.actions()]


@require_GET
@requires(Action.READ_AUDIT)
def index(request: HttpRequest) -> HttpResponse:
    form, events = _filtered(request)
    if before := request.GET.get("before"):
        if not before.isdecimal():
            raise BadValue(f"There is no event {before!r} to go on from; open the audit again.")
        events = events.filter(sequence__lt=int(before))
    page = list(events[: PAGE + 1])
    context = {
        "place": "audit",
        "form": form,
        "events": page[:PAGE],
        "next": page[PAGE - 1].sequence if len(page) > PAGE else None,
    }
    template = "labeling/_audit_rows.html" if request.htmx else "labeling/audit.html"
    return render(request, template, context)


@require_GET
@requires(Action.READ_AUDIT)
def export(request: HttpRequest) -> StreamingHttpResponse:
    """The filtered events as CSV."""
    _, events = _filtered(request)
    response = StreamingHttpResponse(_csv_lines(events.order_by("sequence")), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="audit.csv"'
    return response


def _filtered(request: HttpRequest) -> tuple[AuditFilter, object]:
    form = AuditFilter(request.GET)
    if not form.is_valid():
        raise BadValue(
            "The filter makes no sense: " + " ".join(error for errors in form.errors.values() for error in errors)
        )
    wanted = form.cleaned_data
    for name in ("since", "until"):
        if wanted[name]:
            wanted[name] = datetime.fromisoformat(f"{wanted[name]}T00:00:00+00:00")
    return form, audit.find_events(**wanted)


class _Line:
    """A file of one line: what the csv module writes to is handed on."""

    def write(self, line: str) -> str:
        return line


def _csv_lines(events: object) -> Iterator[str]:
    writer = csv.writer(_Line())
    yield writer.writerow(COLUMNS)
    for event in events.iterator(chunk_size=2000):
        yield writer.writerow([_cell(event, column) for column in COLUMNS])


def _cell(event: AuditEvent, column: str) -> object:
    value = getattr(event, column)
    return value.isoformat() if isinstance(value, datetime) else value
