"""Labels are about pixels: they stay when files come back under another name, address or experiment."""

from __future__ import annotations

import shutil

import pytest

from labeling.models import AuditEvent, Image, ImageFile, Label, Verdict
from labeling.problems import Conflict
from labeling.services import same_content
from labeling.services.experiments import create_experiment
from labeling.services.ingest import ingest_source
from labeling.services.labels import NewLabel, label_images, undo_label
from labeling.services.measuring import measure_experiment
from labeling.services.same_content import identical_images
from tests.labeling.plates_on_disk import name_of, write_plate


@pytest.fixture
def folder(tmp_path):
    return write_plate(tmp_path / "first")


@pytest.fixture
def measured(folder, scientist):
    experiment = create_experiment("First", by=scientist)
    ingest_source(experiment, str(folder), by=scientist)
    measure_experiment(experiment, by=scientist)
    return experiment


def counts():
    return Image.objects.count(), ImageFile.objects.count()


def test_a_moved_folder_makes_no_duplicates_and_keeps_labels(measured, folder, tmp_path, scientist):
    image = measured.images.first()
    label_images([NewLabel(image.pk, "bad", ("blur",))], by=scientist)
    before = counts()
    moved = tmp_path / "second"
    shutil.move(folder, moved)
    report = ingest_source(measured, str(moved), by=scientist)
    assert (report.n_moved, report.n_taken, report.refused) == (8, 0, [])
    assert counts() == before
    assert all(uri.startswith(str(moved)) for uri in ImageFile.objects.values_list("uri", flat=True))
    assert Label.objects.in_force(measured)[image.pk].verdict == Verdict.BAD
    assert "8 files were there under another address" in report.summary
    assert ingest_source(measured, str(moved), by=scientist).n_known == 8


def test_other_pixels_for_a_place_are_still_refused(measured, tmp_path, scientist):
    other = write_plate(tmp_path / "other", top=300)
    report = ingest_source(measured, str(other), by=scientist)
    assert (report.n_moved, len(report.refused)) == (0, 8)


def test_another_experiment_with_the_same_images_has_their_labels(measured, folder, scientist, second_scientist):
    good, bad = measured.images.order_by("id")[:2]
    label_images([NewLabel(good.pk, "bad")], by=scientist)
    label_images([NewLabel(good.pk, "good", note="sharp")], by=second_scientist)
    label_images([NewLabel(bad.pk, "bad", ("fibre",))], by=scientist)
    again = create_experiment("Again", by=scientist)
    ingest_source(again, str(folder), by=scientist, plate="renamed")
    measure_experiment(again, by=scientist)
    labels = {label.content_hash: label for label in Label.objects.in_force(again).values()}
    carried = labels[good.content_hash]
    assert (carried.verdict, carried.by, carried.note) == (Verdict.GOOD, second_scientist, "sharp")
    assert carried.carried_from.image_id == good.pk
    assert labels[bad.content_hash].defects == ["fibre"]
    assert len(labels) == 2
    event = AuditEvent.objects.get(action="image.label_carried", object_id=carried.image_id)
    assert (event.actor, event.new["from_image"]) == (None, good.pk)


def test_what_was_taken_back_is_not_carried(measured, folder, scientist):
    image = measured.images.first()
    label_images([NewLabel(image.pk, "bad")], by=scientist)
    undo_label(image, by=scientist)
    again = create_experiment("Again", by=scientist)
    ingest_source(again, str(folder), by=scientist)
    measure_experiment(again, by=scientist)
    assert Label.objects.in_force(again) == {}


def test_measuring_carries_nothing_twice(measured, folder, scientist):
    label_images([NewLabel(measured.images.first().pk, "bad")], by=scientist)
    again = create_experiment("Again", by=scientist)
    ingest_source(again, str(folder), by=scientist)
    measure_experiment(again, by=scientist)
    measure_experiment(again, by=scientist)
    assert Label.objects.filter(experiment=again).count() == 1


def test_identical_fields_are_found_and_shown(tmp_path, scientist, client):
    folder = write_plate(tmp_path / "plate", channels=("DNA",))
    shutil.copy(folder / name_of("B02", 1, "DNA"), folder / name_of("C07", 1, "DNA"))
    experiment = create_experiment("Copies", by=scientist)
    ingest_source(experiment, str(folder), by=scientist)
    measure_experiment(experiment, by=scientist)
    assert sorted(image.well.name for image in identical_images(experiment)) == ["B02", "C07"]
    client.force_login(scientist)
    page = client.get(f"/experiments/{experiment.pk}/files/").content.decode()
    assert "Identical fields" in page
    assert "C07" in page


# Labels given after the content was known


@pytest.fixture
def twins(folder, tmp_path, scientist):
    """One field that is in the experiment twice, and once more in another experiment."""
    for channel in ("DNA", "ER"):
        shutil.copy(folder / name_of("B02", 1, channel), folder / name_of("C07", 1, channel))
    experiments = [create_experiment(name, by=scientist) for name in ("First", "Second")]
    for experiment in experiments:
        ingest_source(experiment, str(folder), by=scientist)
        measure_experiment(experiment, by=scientist)
    content = experiments[0].images.get(well__row=3).content_hash
    here, copy, elsewhere, _ = Image.objects.filter(content_hash=content).order_by("id")
    return here, copy, elsewhere


def verdicts(*images):
    found = Label.objects.on([image.pk for image in images])
    return [found[image.pk].verdict if image.pk in found else None for image in images]


def test_a_label_given_later_is_on_every_image_with_that_content(twins, scientist):
    here, copy, elsewhere = twins
    (label,) = label_images([NewLabel(copy.pk, "bad", ("fibre",), "left")], by=scientist)
    assert verdicts(*twins) == ["bad"] * 3
    copies = Label.objects.exclude(pk=label.pk)
    assert Label.objects.count() == Image.objects.filter(content_hash=here.content_hash).count() == 4
    assert {(one.carried_from_id, one.by_id, tuple(one.defects), one.note) for one in copies} == {
        (label.pk, scientist.pk, ("fibre",), "left")
    }
    assert {one.image_id: one.experiment_id for one in copies}[elsewhere.pk] == elsewhere.experiment_id
    assert AuditEvent.objects.filter(action="image.label_carried", new__from_image=copy.pk).count() == 3
    others = Image.objects.exclude(content_hash=here.content_hash)
    assert not Label.objects.filter(image__in=others).exists()


def test_the_last_word_on_a_content_is_in_force_on_all_of_it(twins, scientist, second_scientist):
    here, _, elsewhere = twins
    label_images([NewLabel(here.pk, "good")], by=scientist)
    label_images([NewLabel(elsewhere.pk, "bad")], by=second_scientist)
    assert verdicts(*twins) == ["bad"] * 3
    with pytest.raises(Conflict, match="Rosa Well"):
        undo_label(here, by=scientist)


def test_twins_in_one_list_agree_on_the_last_entry(twins, scientist):
    here, copy, _ = twins
    label_images([NewLabel(here.pk, "good"), NewLabel(copy.pk, "bad")], by=scientist)
    assert verdicts(*twins) == ["bad"] * 3


def test_where_there_are_too_many_twins_the_audit_says_that_some_are_left_out(twins, scientist, monkeypatch):
    monkeypatch.setattr(same_content, "MOST_TWINS", 2)
    label_images([NewLabel(twins[0].pk, "bad")], by=scientist)
    assert Label.objects.count() == 3
    event = AuditEvent.objects.get(action="image.label_carried_in_part")
    assert event.reason == "more than 2 images have the same content; the others were not labelled"


def test_saying_the_same_again_copies_nothing(twins, scientist):
    here, copy, _ = twins
    label_images([NewLabel(here.pk, "good")], by=scientist)
    n_labels = Label.objects.count()
    label_images([NewLabel(copy.pk, "good")], by=scientist)
    measure_experiment(here.experiment, by=scientist)
    assert Label.objects.count() == n_labels + 1


@pytest.mark.parametrize("where", [0, 1, 2], ids=["where it was said", "on a twin", "in the other experiment"])
def test_undoing_takes_back_the_label_and_all_its_copies(twins, scientist, second_scientist, where):
    label_images([NewLabel(twins[1].pk, "good")], by=second_scientist)
    label_images([NewLabel(twins[0].pk, "bad", ("blur",))], by=scientist)
    assert undo_label(twins[where], by=scientist).verdict == Verdict.GOOD
    assert verdicts(*twins) == ["good"] * 3
    events = AuditEvent.objects.filter(action="image.label_undone")
    assert set(events.values_list("object_id", flat=True)) >= {image.pk for image in twins}
    assert undo_label(twins[where], by=second_scientist) is None
    assert verdicts(*twins) == [None] * 3
    with pytest.raises(Conflict, match="no label to undo"):
        undo_label(twins[2 - where], by=scientist)


def test_undoing_leaves_what_was_said_of_a_twin_since(twins, scientist, second_scientist):
    here, copy, _ = twins
    label_images([NewLabel(here.pk, "bad")], by=scientist)
    label_images([NewLabel(copy.pk, "bad")], by=second_scientist)
    with pytest.raises(Conflict):
        undo_label(here, by=scientist)
    assert undo_label(copy, by=second_scientist).verdict == Verdict.BAD
    assert undo_label(here, by=scientist) is None
    assert verdicts(*twins) == [None] * 3


def test_what_an_undo_said_again_is_carried_and_can_be_undone_everywhere(measured, folder, scientist):
    image = measured.images.first()
    first, _ = (label_images([NewLabel(image.pk, verdict)], by=scientist)[0] for verdict in ("bad", "good"))
    undo_label(image, by=scientist)
    again = create_experiment("Again", by=scientist)
    ingest_source(again, str(folder), by=scientist)
    measure_experiment(again, by=scientist)
    twin = again.images.get(content_hash=image.content_hash)
    assert Label.objects.on([twin.pk])[twin.pk].carried_from == first
    undo_label(image, by=scientist)
    assert verdicts(image, twin) == [None, None]


def test_a_label_given_before_measuring_reaches_the_twins_when_the_content_is_known(measured, folder, scientist):
    again = create_experiment("Again", by=scientist)
    ingest_source(again, str(folder), by=scientist)
    early = again.images.order_by("id").first()
    label_images([NewLabel(early.pk, "bad")], by=scientist)
    measure_experiment(again, by=scientist)
    early.refresh_from_db()
    (twin,) = measured.images.filter(content_hash=early.content_hash)
    assert verdicts(early, twin) == ["bad", "bad"]
