"""Labels are about pixels: they stay when files come back under another name, address or experiment."""

from __future__ import annotations

import shutil

import pytest

from labeling.models import AuditEvent, Image, ImageFile, Label, Verdict
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
