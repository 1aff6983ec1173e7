"""The audit trail as people read it: filtered, page by page, and to take along."""

from __future__ import annotations

import csv
import io

import pytest

from labeling.models import AuditEvent
from labeling.services.audit import Entry, record_all
from labeling.services.experiments import create_experiment
from tests.labeling.pages.conftest import HTMX, text_of


@pytest.fixture
def many(experiment, scientist):
    record_all([Entry("image.labelled", experiment, new={"n": n}) for n in range(150)], by=scientist)
    return AuditEvent.objects.count()


def shown(client, query="", **options) -> list[int]:
    return [event.sequence for event in client.get(f"/audit/{query}", **options).context["events"]]


def test_an_empty_trail_says_so(as_admin):
    assert "Nothing was recorded that fits." in text_of(as_admin.get("/audit/"))


def test_a_line_says_who_what_and_why(experiment, scientist, as_admin):
    record_all([Entry("cutoff.saved", experiment, {"value": -0.5}, {"value": -0.6}, "dust lies below")], by=scientist)
    page = text_of(as_admin.get("/audit/"))
    for text in ("Grace Plate", "cutoff.saved", "value: −0.5", "value: −0.6", "dust lies below", "command", " UTC"):
        assert text in page


def test_the_trail_is_walked_newest_first_and_whole(many, as_admin):
    seen, query = [], ""
    while True:
        response = as_admin.get(f"/audit/{query}", headers=HTMX)
        assert "<html" not in text_of(response)
        seen += [event.sequence for event in response.context["events"]]
        if response.context["next"] is None:
            break
        query = f"?before={response.context['next']}"
    assert seen == list(range(many, 0, -1))


def test_earlier_events_keep_the_filter(many, as_admin):
    page = text_of(as_admin.get("/audit/?action=image.labelled"))
    assert "?action=image.labelled&amp;before=" in page


def test_filters_narrow_it_down(many, experiment, admin, as_admin):
    other = create_experiment("Other", by=admin)
    last = AuditEvent.objects.latest("sequence").sequence
    for query in (
        "?actor=alan",
        "?actor=Trail",
        f"?experiment={other.pk}",
        "?action=experiment.created",
        "?subject=Other",
    ):
        assert shown(as_admin, query) == [last], query
    assert shown(as_admin, f"?subject=experiment:{other.pk}") == [last]
    assert shown(as_admin, "?since=2999-01-01") == []
    assert shown(as_admin, "?until=2000-01-01") == []
    assert len(shown(as_admin, "?since=2000-01-01&until=2999-01-01")) == 100


@pytest.mark.parametrize(
    "query",
    [
        "?since=never",
        "?until=32.13.2026",
        "?experiment=x",
        "?experiment=999999",
        "?action=ghost",
        "?before=x",
        "?before=²",
    ],
)
def test_a_bad_value_gives_a_sentence(many, as_admin, query):
    response = as_admin.get(f"/audit/{query}")
    assert response.status_code == 400
    assert "That did not work" in text_of(response)
    if "before" not in query:
        assert "The filter makes no sense:" in text_of(response)
        assert as_admin.get(f"/audit/events.csv{query}").status_code == 400


def test_a_page_far_beyond_is_the_newest_one(many, as_admin):
    assert shown(as_admin, f"?before={10**30}")[0] == many


def test_the_file_has_every_event_in_order(many, as_admin):
    response = as_admin.get("/audit/events.csv")
    rows = list(csv.DictReader(io.StringIO(b"".join(response.streaming_content).decode())))
    assert [int(row["sequence"]) for row in rows] == list(range(1, many + 1))
    last = AuditEvent.objects.latest("sequence")
    assert (rows[-1]["hash"], rows[-1]["actor_name"], rows[-1]["at"]) == (last.hash, "Grace Plate", last.at.isoformat())
    assert response["Content-Disposition"] == 'attachment; filename="audit.csv"'


def test_the_file_keeps_the_filter(many, as_admin):
    response = as_admin.get("/audit/events.csv?action=image.labelled")
    assert len(b"".join(response.streaming_content).decode().splitlines()) == 1 + 150


def test_the_page_costs_the_same_for_many_events(many, as_admin, django_assert_num_queries):
    # Session, person, roles; events; kinds of action and experiments for the filter.
    with django_assert_num_queries(6):
        as_admin.get("/audit/")
