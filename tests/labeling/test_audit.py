"""The audit trail: complete, in order, and telling when somebody touched it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction

from labeling.models import AuditEvent, Experiment
from labeling.origin import Origin, acting_from
from labeling.services import audit
from labeling.services.audit import Entry, faults_in_chain, find_events, hash_of, record, record_all
from labeling.services.experiments import create_experiment


@pytest.fixture
def events(experiment, scientist):
    """Five more events after those of the experiment's making."""
    record_all([Entry("image.labelled", experiment, new={"n": n}) for n in range(5)], by=scientist)
    return list(AuditEvent.objects.order_by("sequence"))


def sentences() -> list[str]:
    return list(faults_in_chain())


# --- writing ----------------------------------------------------------------------------------------


def test_an_event_says_who_what_when_from_where_and_why(experiment, scientist):
    origin = Origin(kind="page", address="10.0.0.7", request_id="r-1")
    before = datetime.now(UTC)
    with acting_from(origin):
        record("cutoff.saved", experiment, by=scientist, old={"value": -0.5}, new={"value": -0.6}, reason="too strict")
    event = AuditEvent.objects.latest("sequence")
    assert (event.actor, event.actor_name, event.action) == (scientist, "Grace Plate", "cutoff.saved")
    assert (event.experiment, event.object_type, event.object_id) == (experiment, "experiment", experiment.pk)
    assert (event.object_name, event.reason) == ("Plate 0412", "too strict")
    assert (event.old, event.new) == ({"value": -0.5}, {"value": -0.6})
    assert (event.origin, event.address, event.request_id) == ("page", "10.0.0.7", "r-1")
    assert event.software_version
    assert before <= event.at <= datetime.now(UTC)


def test_without_a_person_cellqc_itself_acted(experiment):
    event = record("experiment.checked", experiment, by=None)
    assert (event.actor, event.actor_name, event.origin) == (None, "cellqc", "command")


def test_the_name_as_text_outlives_a_change_of_name(experiment, scientist):
    event = record("experiment.checked", experiment, by=scientist)
    scientist.last_name = "Other"
    scientist.save()
    event.refresh_from_db()
    assert event.actor_name == "Grace Plate"
    assert sentences() == []


def test_events_are_numbered_from_one_without_gaps(events):
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert events[0].previous_hash == "0" * 64
    assert [event.previous_hash for event in events[1:]] == [event.hash for event in events[:-1]]


def test_a_change_that_fails_leaves_no_event_and_no_gap(experiment, scientist):
    record("a.first", experiment, by=scientist)
    with transaction.atomic():
        record("a.lost", experiment, by=scientist)
        transaction.set_rollback(True)
    record("a.second", experiment, by=scientist)
    assert not AuditEvent.objects.filter(action="a.lost").exists()
    assert sentences() == []


def test_origin_is_given_back_after_the_work():
    assert audit.current_origin().kind == "command"
    with acting_from(Origin(kind="job")), acting_from(Origin(kind="API")):
        assert audit.current_origin().kind == "API"
    assert audit.current_origin().kind == "command"


@pytest.mark.django_db(transaction=True)
def test_two_writers_at_once_make_one_chain(scientist):
    experiment = create_experiment("Busy", by=scientist)
    start, failures = threading.Barrier(2), []

    def write(name: str) -> None:
        try:
            start.wait(timeout=10)
            for n in range(15):
                record("image.labelled", experiment, by=scientist, new={name: n})
        except Exception as failure:
            failures.append(failure)
        finally:
            connection.close()

    writers = [threading.Thread(target=write, args=(name,)) for name in ("left", "right")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=60)
    assert failures == []
    assert list(AuditEvent.objects.order_by("sequence").values_list("sequence", flat=True)) == list(range(1, 32))
    assert sentences() == []


@pytest.mark.django_db(transaction=True)
def test_a_writer_waits_until_the_one_before_has_committed(scientist):
    experiment = create_experiment("Busy", by=scientist)
    holding, written = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            record("a.first", experiment, by=scientist)
            holding.set()
            assert not written.wait(timeout=0.3)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    assert holding.wait(timeout=10)
    record("a.second", experiment, by=scientist)
    written.set()
    holder.join(timeout=10)
    actions = AuditEvent.objects.order_by("sequence").values_list("action", flat=True)
    assert list(actions) == ["experiment.created", "a.first", "a.second"]


# --- hashes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        {"value": -0.5427341461181641},
        {"value": 0.1 + 0.2, "tiny": 5e-324, "small": 1e-7, "whole": 5.0},
        {"large": 1e16, "larger": 1.7976931348623157e308, "negative": -1e22},
        {"zero": -0.0},
        {"count": 12345678901234567890},
        {"range": (100.0, 5000.5), "none": None, "yes": True},
        {"grund": 'Rand unscharf – Ü, 细胞, 🧫, "quoted", \\ and \u2028'},
        {"b": 1, "a": {"z": [1, 2], "y": {}}},
        {2: "two", 10: "ten"},
    ],
    ids=str,
)
def test_hash_survives_the_way_through_the_database(experiment, scientist, values):
    written = record("a.b", experiment, by=scientist, old=values, new=values, reason="weil – 因为")
    read = AuditEvent.objects.get(pk=written.pk)
    assert hash_of(read) == written.hash
    assert sentences() == []


@pytest.mark.parametrize(
    "field",
    [
        "sequence",
        "at",
        "actor_id",
        "actor_name",
        "action",
        "experiment_id",
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
        "previous_hash",
    ],
)
def test_hash_covers_every_field(experiment, scientist, field):
    event = record("a.b", experiment, by=scientist, old={"a": 1}, new={"a": 2}, reason="r")
    value = getattr(event, field)
    other = value + timedelta(microseconds=1) if field == "at" else f"{value}x"
    setattr(event, field, other)
    assert hash_of(event) != event.hash


def test_the_list_of_hashed_fields_above_is_whole():
    named = {mark.args[1][n] for mark in test_hash_covers_every_field.pytestmark for n in range(len(mark.args[1]))}
    assert named == {field.attname for field in AuditEvent._meta.concrete_fields} - {"id", "hash"}


# --- finding what was done past the app ---------------------------------------------------------------


def test_an_untouched_chain_has_no_fault(events):
    assert sentences() == []


def test_an_edit_is_found(events, tamper):
    tamper("UPDATE labeling_auditevent SET new = '{\"n\": 99}' WHERE sequence = 3")
    assert len(sentences()) == 1
    assert sentences()[0].startswith("Audit event 3 (image.labelled, ")
    assert sentences()[0].endswith(" UTC) was altered.")


def test_an_edit_with_its_hash_made_anew_breaks_the_chain_behind_it(events, tamper):
    forged = events[2]
    forged.reason = "never happened"
    tamper("UPDATE labeling_auditevent SET reason = %s, hash = %s WHERE sequence = 3", forged.reason, hash_of(forged))
    assert sentences() == ["Audit event 4 does not follow on the event before it."]


def test_a_deletion_is_found(events, tamper):
    tamper("DELETE FROM labeling_auditevent WHERE sequence IN (3, 4)")
    assert sentences() == ["Audit events 3 to 4 are missing."]


def test_the_deletion_of_the_first_is_found(events, tamper):
    tamper("DELETE FROM labeling_auditevent WHERE sequence = 1")
    assert sentences() == ["Audit events 1 to 1 are missing."]


def test_a_deletion_with_numbers_closed_up_is_found(events, tamper):
    tamper("DELETE FROM labeling_auditevent WHERE sequence = 3")
    tamper("UPDATE labeling_auditevent SET sequence = sequence - 1 WHERE sequence = 4")
    assert any("does not follow on" in sentence for sentence in sentences())


def test_a_swap_is_found(events, tamper):
    tamper("UPDATE labeling_auditevent SET sequence = 1000 WHERE sequence = 3")
    tamper("UPDATE labeling_auditevent SET sequence = 3 WHERE sequence = 4")
    tamper("UPDATE labeling_auditevent SET sequence = 4 WHERE sequence = 1000")
    assert any(sentence.startswith("Audit event 3 ") for sentence in sentences())
    assert any(sentence.startswith("Audit event 4 ") for sentence in sentences())


def test_faults_are_found_across_batches(events, tamper):
    tamper("UPDATE labeling_auditevent SET reason = 'x' WHERE sequence = 4")
    assert len(list(faults_in_chain(batch_size=2))) == 1


# --- reading ----------------------------------------------------------------------------------------


def test_events_are_found_by_part_of_a_name_or_by_log_in(events, scientist, admin):
    other = record("a.b", events[0].experiment, by=admin)
    assert list(find_events(actor="alan")) == [other]
    assert list(find_events(actor="trai")) == [other]
    assert find_events(actor="grace").count() == len(events)


def test_events_are_found_by_action_and_its_beginning(events):
    assert find_events(action="image.labelled").count() == 5
    assert find_events(action="image").count() == 5
    assert not find_events(action="labelled").exists()


def test_events_are_found_by_record(events, experiment):
    assert find_events(subject=f"experiment:{experiment.pk}").count() == 5
    assert not find_events(subject=f"image:{experiment.pk}").exists()
    assert find_events(subject="0412").count() == len(events)


@pytest.mark.parametrize("subject", ["image:²", "image:99999999999999999999999", "image:", ":"])
def test_an_odd_record_finds_nothing_or_a_name(events, subject):
    assert list(find_events(subject=subject)) == []


def test_events_are_found_by_experiment(events, experiment, scientist):
    other = create_experiment("Other", by=scientist)
    assert find_events(experiment=other).count() == 1
    assert find_events(experiment=experiment).count() == len(events)


def test_since_is_included_and_until_is_not(events):
    at = events[-1].at
    assert find_events(since=at).count() == 5
    assert find_events(until=at).count() == len(events) - 5


def test_actions_names_each_once(events):
    assert audit.actions() == sorted({event.action for event in events})


def test_events_come_newest_first(events):
    assert [event.sequence for event in find_events()] == sorted((e.sequence for e in events), reverse=True)


def test_records_of_an_experiment_name_it(experiment):
    assert set(AuditEvent.objects.values_list("experiment", flat=True)) == {experiment.pk}
    assert Experiment.objects.get() == experiment
