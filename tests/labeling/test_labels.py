"""Verdicts are appended, the last one is in force, and one's own can be taken back."""

from __future__ import annotations

import pytest

from labeling.models import AuditEvent, Defect, Label, Verdict
from labeling.problems import BadValue, Conflict
from labeling.services.labels import NewLabel, label_images, undo_label


@pytest.fixture
def image(experiment):
    return experiment.images.first()


def say(image, verdict, by, *defects, note=""):
    return label_images([NewLabel(image.pk, verdict, defects, note)], by=by)[0]


def verdict_of(image):
    label = Label.objects.on([image.pk]).get(image.pk)
    return label.verdict if label else None


# --- giving -------------------------------------------------------------------------------------------


def test_a_label_keeps_what_was_said(image, scientist):
    label = say(image, "bad", scientist, "blur", "debris", "blur", note="left edge")
    label.refresh_from_db()
    assert (label.verdict, label.defects, label.note) == ("bad", ["blur", "debris"], "left edge")
    assert (label.by, label.experiment, label.content_hash) == (scientist, image.experiment, image.content_hash)


def test_the_last_word_is_in_force_whoever_says_it(image, scientist, second_scientist):
    say(image, "good", scientist)
    say(image, "bad", second_scientist)
    assert verdict_of(image) == "bad"
    assert Label.objects.filter(image=image).count() == 2
    assert set(Label.objects.in_force(image.experiment)) == {image.pk}


def test_labels_of_other_images_are_left_alone(experiment, scientist):
    one, other = experiment.images.all()[:2]
    say(one, "good", scientist)
    assert verdict_of(other) is None


def test_every_label_is_in_the_audit_with_what_it_replaced(image, scientist, second_scientist):
    say(image, "good", scientist)
    say(image, "bad", second_scientist, "fibre", note="on second thought")
    first, second = AuditEvent.objects.filter(action="image.labelled").order_by("sequence")
    assert (first.old, first.new) == (None, {"verdict": "good", "defects": [], "by": "grace"})
    assert second.old == first.new
    assert second.new == {"verdict": "bad", "defects": ["fibre"], "by": "rosa"}
    assert (second.reason, second.object_id) == ("on second thought", image.pk)


def test_an_image_named_twice_in_a_list_is_audited_in_order(image, scientist):
    label_images([NewLabel(image.pk, "good"), NewLabel(image.pk, "bad")], by=scientist)
    first, second = AuditEvent.objects.filter(action="image.labelled").order_by("sequence")
    assert (first.old, second.old["verdict"]) == (None, "good")
    assert verdict_of(image) == "bad"


@pytest.mark.parametrize(
    ("verdict", "defects", "sentence"),
    [
        ("ugly", (), "Entry 2: 'ugly' is no verdict; use good, bad or unsure."),
        ("withdrawn", (), "Entry 2: 'withdrawn' is no verdict; use good, bad or unsure."),
        ("", (), "Entry 2: '' is no verdict; use good, bad or unsure."),
        ("good", ("blur",), "Entry 2: only a bad image has defects; this one is good."),
        ("bad", ("ghost",), "Entry 2: 'ghost' is no defect; use debris, "),
    ],
)
def test_nonsense_is_refused_with_the_whole_list(experiment, scientist, verdict, defects, sentence):
    one, other = experiment.images.all()[:2]
    with pytest.raises(BadValue) as problem:
        label_images([NewLabel(one.pk, "good"), NewLabel(other.pk, verdict, defects)], by=scientist)
    assert str(problem.value).startswith(sentence)
    assert not Label.objects.exists()


def test_an_unknown_image_is_refused(experiment, scientist):
    with pytest.raises(BadValue, match="Entry 1: there is no image 12345678"):
        label_images([NewLabel(12345678, "good")], by=scientist)


@pytest.mark.parametrize("defect", Defect.values)
def test_every_defect_can_be_said(image, scientist, defect):
    assert say(image, "bad", scientist, defect).defects == [defect]


def test_an_empty_list_does_nothing(db, scientist):
    assert label_images([], by=scientist) == []
    assert not AuditEvent.objects.filter(action="image.labelled").exists()


# --- undo -----------------------------------------------------------------------------------------------


def test_undo_of_the_only_label_leaves_the_image_unlabelled(image, scientist):
    say(image, "bad", scientist)
    assert undo_label(image, by=scientist) is None
    assert verdict_of(image) is None
    assert image.pk not in Label.objects.in_force(image.experiment)
    assert list(Label.objects.filter(image=image).values_list("verdict", flat=True)) == ["withdrawn", "bad"]


def test_undo_brings_back_the_verdict_before_with_its_defects(image, scientist):
    say(image, "bad", scientist, "debris")
    say(image, "good", scientist)
    label = undo_label(image, by=scientist)
    assert (label.verdict, label.defects) == ("bad", ["debris"])
    assert verdict_of(image) == "bad"


def test_undo_twice_goes_two_labels_back(image, scientist):
    say(image, "good", scientist)
    say(image, "bad", scientist)
    assert undo_label(image, by=scientist).verdict == "good"
    assert undo_label(image, by=scientist) is None
    with pytest.raises(Conflict, match="has no label to undo"):
        undo_label(image, by=scientist)


def test_undo_after_a_label_given_since_takes_back_that_one(image, scientist):
    say(image, "good", scientist)
    undo_label(image, by=scientist)
    say(image, "unsure", scientist)
    assert undo_label(image, by=scientist) is None
    assert verdict_of(image) is None


def test_undo_with_nothing_to_undo_says_so(image, scientist):
    with pytest.raises(Conflict, match="0412 A01 · s1 has no label to undo"):
        undo_label(image, by=scientist)


def test_somebody_elses_label_is_not_undone(image, scientist, second_scientist):
    say(image, "good", scientist)
    with pytest.raises(Conflict, match="The last label of 0412 A01 · s1 is Grace Plate's; give your own verdict"):
        undo_label(image, by=second_scientist)
    assert verdict_of(image) == "good"


def test_undo_back_to_somebody_elses_label_stops_there(image, scientist, second_scientist):
    say(image, "good", scientist)
    say(image, "bad", second_scientist)
    assert undo_label(image, by=second_scientist).verdict == "good"
    with pytest.raises(Conflict, match="is Grace Plate's"):
        undo_label(image, by=second_scientist)


def test_undo_is_a_record_too(image, scientist):
    label = say(image, "bad", scientist)
    undo_label(image, by=scientist)
    event = AuditEvent.objects.latest("sequence")
    assert (event.action, event.object_id) == ("image.label_undone", image.pk)
    assert (event.old["verdict"], event.new["verdict"]) == ("bad", Verdict.WITHDRAWN)
    assert Label.objects.filter(image=image).first().undoes == label
