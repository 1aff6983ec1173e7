"""Many images at once: all or none, after the number was confirmed, and taken back in one step."""

from __future__ import annotations

from uuid import uuid4

import pytest

from labeling.models import AuditEvent, Image, Label
from labeling.problems import BadValue, Conflict
from labeling.services import labels_at_once
from labeling.services.audit import faults_in_chain
from labeling.services.labels import NewLabel, label_images
from labeling.services.labels_at_once import label_at_once, undo_at_once
from tests.factories import make_experiment


@pytest.fixture
def key():
    return uuid4()


@pytest.fixture
def ids(experiment):
    return list(experiment.images.order_by("id").values_list("id", flat=True))


def give(experiment, ids, key, by, verdict="bad", *defects, confirmed=None, note=""):
    new = NewLabel(0, verdict, defects, note, request_key=key)
    return label_at_once(experiment, ids, new, confirmed=len(ids) if confirmed is None else confirmed, by=by)


def verdicts(ids):
    found = Label.objects.on(ids)
    return [found[pk].verdict if pk in found else None for pk in ids]


# --- giving -------------------------------------------------------------------------------------------


def test_all_are_labelled_with_one_key(experiment, ids, key, scientist):
    labels = give(experiment, ids, key, scientist, "bad", "dried", note="edge wells")
    assert [label.image_id for label in labels] == ids
    assert set(Label.objects.values_list("verdict", "note", "request_key", "by")) == {
        ("bad", "edge wells", key, scientist.pk)
    }
    assert verdicts(ids) == ["bad"] * 12


def test_an_auditor_sees_each_image_and_that_they_came_together(experiment, ids, key, scientist):
    give(experiment, ids[:3], key, scientist, note="hair")
    undo_at_once(experiment, key, by=scientist)
    given = AuditEvent.objects.filter(action="image.labelled").order_by("sequence")
    assert [event.object_id for event in given] == ids[:3]
    assert {event.new["batch"] for event in given} == {str(key)}
    assert {event.reason for event in given} == {"hair; one of 3 labelled at once"}
    assert not list(faults_in_chain())


def test_one_image_is_no_batch_in_the_audit(experiment, ids, key, scientist):
    give(experiment, ids[:1], key, scientist)
    event = AuditEvent.objects.get(action="image.labelled")
    assert (event.reason, "batch" in event.new) == ("", False)


def test_the_number_confirmed_has_to_be_the_number_of_images(experiment, ids, key, scientist):
    with pytest.raises(Conflict, match="You confirmed 14 images, but 12 are named"):
        give(experiment, ids, key, scientist, confirmed=14)
    with pytest.raises(Conflict, match="You confirmed 3 images, but 2 are named"):
        give(experiment, [ids[0], ids[1], ids[0]], key, scientist)
    assert not Label.objects.exists()


def test_there_is_a_most_that_is_labelled_at_once(experiment, ids, key, scientist, monkeypatch):
    monkeypatch.setattr(labels_at_once, "MOST_AT_ONCE", 11)
    with pytest.raises(BadValue, match="12 images are named; label 1 to 11 at once"):
        give(experiment, ids, key, scientist)
    with pytest.raises(BadValue, match="0 images are named"):
        give(experiment, [], key, scientist)


def test_images_of_another_experiment_are_refused_with_all(experiment, ids, key, scientist):
    strange = make_experiment(scientist, name="Other", plates=("9",)).images.first().pk
    with pytest.raises(BadValue, match="Not in Plate 0412: 1 of the 13 images"):
        give(experiment, [*ids, strange], key, scientist)
    assert not Label.objects.exists()


def test_nonsense_labels_nothing(experiment, ids, key, scientist):
    with pytest.raises(BadValue, match="only a bad image has defects"):
        give(experiment, ids, key, scientist, "good", "blur")
    assert not Label.objects.exists()


def test_a_batch_sent_again_is_stored_once(experiment, ids, key, scientist):
    first = give(experiment, ids, key, scientist)
    again = give(experiment, ids, key, scientist)
    assert [label.pk for label in again] == [label.pk for label in first]
    assert (Label.objects.count(), AuditEvent.objects.filter(action="image.labelled").count()) == (12, 12)


def test_many_cost_as_many_queries_as_two(experiment, ids, scientist, django_assert_num_queries):
    give(experiment, ids, uuid4(), scientist)
    for n in (2, 12):
        # images, who has their content, labels before, new labels, whether a training waits, three for the audit, a
        # savepoint and its end
        with django_assert_num_queries(10):
            give(experiment, ids[:n], uuid4(), scientist)


# --- undo -----------------------------------------------------------------------------------------------


def test_one_undo_takes_all_of_it_back(experiment, ids, key, scientist):
    label_images([NewLabel(ids[0], "good")], by=scientist)
    give(experiment, ids, key, scientist)
    taken = undo_at_once(experiment, key, by=scientist)
    assert (taken.n_images, taken.n_left) == (12, 0)
    assert verdicts(ids) == ["good"] + [None] * 11
    undone = AuditEvent.objects.filter(action="image.label_undone")
    assert {(event.reason, event.new["batch"]) for event in undone} == {("one of 12 taken back at once", str(key))}
    assert undone.count() == 12


def test_what_was_labelled_since_stays(experiment, ids, key, scientist, second_scientist):
    give(experiment, ids, key, scientist)
    label_images([NewLabel(ids[0], "good")], by=second_scientist)
    label_images([NewLabel(ids[1], "unsure")], by=scientist)
    taken = undo_at_once(experiment, key, by=scientist)
    assert (taken.n_images, taken.n_left) == (10, 2)
    assert verdicts(ids) == ["good", "unsure"] + [None] * 10


def test_an_undo_sent_again_changes_nothing_and_answers_the_same(experiment, ids, key, scientist):
    label_images([NewLabel(pk, "good") for pk in ids], by=scientist)
    give(experiment, ids, key, scientist)
    label_images([NewLabel(ids[0], "unsure")], by=scientist)
    request_key = uuid4()
    first = undo_at_once(experiment, key, by=scientist, request_key=request_key)
    n_labels = Label.objects.count()
    again = undo_at_once(experiment, key, by=scientist, request_key=request_key)
    assert (again.n_images, again.n_left) == (first.n_images, first.n_left) == (11, 1)
    assert Label.objects.count() == n_labels
    assert verdicts(ids) == ["unsure"] + ["good"] * 11


def test_where_nothing_is_left_to_take_back_it_says_so(experiment, ids, key, scientist, second_scientist):
    with pytest.raises(Conflict, match="there is nothing to take back"):
        undo_at_once(experiment, key, by=scientist)
    give(experiment, ids, key, scientist)
    with pytest.raises(Conflict, match="These labels are Grace Plate's"):
        undo_at_once(experiment, key, by=second_scientist)
    undo_at_once(experiment, key, by=scientist)
    with pytest.raises(Conflict, match="labelled again or taken back since"):
        undo_at_once(experiment, key, by=scientist)


def test_copies_on_images_with_the_same_content_are_taken_back_too(experiment, ids, key, scientist):
    """One twin is in the batch, one is not, one is in another experiment; two of the batch are twins of each other."""
    elsewhere = make_experiment(scientist, name="Other", plates=("9",)).images.first().pk
    Image.objects.filter(pk__in=[ids[0], ids[1], ids[5], elsewhere]).update(content_hash="a" * 64)
    give(experiment, ids[:4], key, scientist)
    twins = [ids[0], ids[1], ids[5], elsewhere]
    assert verdicts([*ids[:4], *twins]) == ["bad"] * 8
    taken = undo_at_once(experiment, key, by=scientist)
    assert taken.n_images == 4
    assert verdicts([*ids[:4], *twins]) == [None] * 8


def test_undo_of_many_costs_as_many_queries_as_of_two(experiment, ids, scientist, django_assert_num_queries, settings):
    settings.RETRAIN_AFTER = 0
    for n in (2, 12):
        key = uuid4()
        give(experiment, ids[:n], key, scientist)
        # the batch, its images locked, this undo before, who has their content, histories, copies, their histories,
        # images, labels before, new labels, three for the audit, a savepoint and its end
        with django_assert_num_queries(15):
            undo_at_once(experiment, key, by=scientist, request_key=uuid4())
