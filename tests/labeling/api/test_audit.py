from datetime import timedelta

import pytest
from django.utils import timezone

from labeling.services.labels import NewLabel, label_images
from tests.labeling.api.conftest import walk


@pytest.fixture
def events(experiment, scientist, second_scientist):
    images = experiment.images.all()
    label_images([NewLabel(images[0].pk, "good")], by=scientist)
    label_images([NewLabel(images[1].pk, "bad"), NewLabel(images[2].pk, "bad")], by=second_scientist)
    return images


def found(client, query=""):
    return walk(client, f"/api/v1/audit/?page_size=2&{query}")


def test_events_come_newest_first_each_once(as_admin, events):
    sequences = [event["sequence"] for event in found(as_admin)]
    assert sequences == list(range(len(sequences), 0, -1))


def test_an_event_tells_who_what_and_why(as_admin, events, experiment, second_scientist):
    event = found(as_admin)[0]
    assert (event["actor"], event["actor_name"], event["action"]) == ("rosa", "Rosa Well", "image.labelled")
    assert (event["object_type"], event["object_id"]) == ("image", events[2].pk)
    assert (event["experiment"], event["old"], event["origin"]) == (experiment.pk, None, "command")
    assert event["new"]["verdict"] == "bad"
    assert len(event["hash"]) == len(event["previous_hash"]) == 64


def test_filters_choose(as_admin, events):
    assert len(found(as_admin, "actor=rosa")) == 2
    assert len(found(as_admin, "action=image.labelled")) == 3
    assert len(found(as_admin, "action=image")) == 3
    assert len(found(as_admin, f"object=image:{events[0].pk}")) == 1
    assert len(found(as_admin, "object=0412 A01")) == 2
    now = timezone.now()
    tomorrow, yesterday = (now + timedelta(days=1)).date(), (now - timedelta(days=1)).date()
    assert found(as_admin, f"since={tomorrow}") == found(as_admin, f"until={yesterday}") == []
    assert len(found(as_admin, f"since={yesterday}T00:00:00Z&until={tomorrow}&actor=grace")) == 2


@pytest.mark.parametrize("query", ["since=yesterday", "until=2026-13-01", "who=rosa"])
def test_a_filter_that_makes_no_sense_is_refused(as_admin, query):
    assert as_admin.get(f"/api/v1/audit/?{query}").status_code == 400


def test_a_page_takes_one_query_for_its_events(as_admin, events, django_assert_num_queries):
    as_admin.get("/api/v1/audit/")
    with django_assert_num_queries(1):
        as_admin.get("/api/v1/audit/")
