"""One image, larger: in the drawer or on its own page, with its pictures."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from labeling.models import Experiment, Image, Measurement
from labeling.services import thumbnails
from labeling.services.labels import NewLabel, label_images
from tests.factories import make_experiment
from tests.labeling.pages.conftest import HTMX, text_of


@pytest.fixture
def image(experiment):
    return experiment.images.first()


def test_the_drawer_is_the_page_without_its_frame(image, as_scientist):
    page, drawer = as_scientist.get(f"/images/{image.pk}/"), as_scientist.get(f"/images/{image.pk}/", headers=HTMX)
    assert "<html" in text_of(page)
    assert text_of(drawer).lstrip().startswith('<article class="image"')
    assert text_of(drawer).strip()[:60] in text_of(page)


def test_it_says_what_people_said(image, scientist, second_scientist, as_scientist):
    label_images([NewLabel(image.pk, "bad", ("blur",), "left edge")], by=scientist)
    label_images([NewLabel(image.pk, "good")], by=second_scientist)
    shown = text_of(as_scientist.get(f"/images/{image.pk}/"))
    for text in ("Grace Plate", "Rosa Well", "left edge", "(blur)"):
        assert text in shown
    assert "Nobody has labelled it." not in shown


def test_what_sets_it_apart_is_said_in_words(experiment, image, as_scientist):
    columns = experiment.metric_sets.get().columns
    measurement = Measurement.objects.get(image=image)
    measurement.values[columns.index("CellQC_SaturatedPercent_DNA")] = 50.0
    measurement.save()
    response = as_scientist.get(f"/images/{image.pk}/")
    first = response.context["standings"][0]
    assert first.channel == "DNA"
    assert (first.value, first.percentile) == (50.0, pytest.approx(100 * 11 / 12))
    assert "of this plate" in first.words
    assert first.words in text_of(response)


def test_an_image_that_was_not_measured_has_nothing_to_compare(scientist, as_scientist):
    bare = make_experiment(scientist).images.first()
    response = as_scientist.get(f"/images/{bare.pk}/")
    assert response.status_code == 200
    assert "Too few measured images on this plate to compare with." in text_of(response)


def test_a_broken_image_says_why(image, as_scientist):
    Image.objects.filter(pk=image.pk).update(state="failed", problem="ER is all zero", content_hash="")
    assert "ER is all zero" in text_of(as_scientist.get(f"/images/{image.pk}/"))


def test_the_wells_other_sites_are_beside_it(image, as_scientist):
    siblings = as_scientist.get(f"/images/{image.pk}/").context["siblings"]
    assert [sibling.place for sibling in siblings] == ["A01 · s1", "A01 · s2"]


@pytest.mark.parametrize("view", ["", "9", "a/b"])
def test_a_channel_that_is_not_there_gives_a_sentence(image, as_scientist, view):
    response = as_scientist.get(f"/images/{image.pk}/", {"view": view}, headers=HTMX)
    assert response.status_code == 400
    assert text_of(response) == f"There is no channel number {view}."


def test_only_who_may_label_is_offered_to(image, as_scientist, as_data_scientist):
    assert 'class="verdict-form"' in text_of(as_scientist.get(f"/images/{image.pk}/"))
    assert 'class="verdict-form"' not in text_of(as_data_scientist.get(f"/images/{image.pk}/"))


def test_the_drawer_costs_the_same_for_every_image(image, as_scientist, django_assert_max_num_queries):
    with django_assert_max_num_queries(22):
        as_scientist.get(f"/images/{image.pk}/", headers=HTMX)


# --- pictures -------------------------------------------------------------------------------------------


def test_a_thumbnail_is_handed_out_and_may_be_kept(image, experiment, as_scientist):
    channels = list(experiment.channels.all())
    thumbnails.store(experiment, 1, image.pk, {"DNA": b"dna", "composite": b"all"}, channels)
    for view, content in (("0", b"dna"), ("composite", b"all")):
        response = as_scientist.get(f"/images/{image.pk}/thumbnail/v1/{view}.jpg")
        assert b"".join(response.streaming_content) == content
        assert response["Content-Type"] == "image/jpeg"
        assert {"private", "immutable", "max-age=31536000"} <= set(response["Cache-Control"].split(", "))


def test_an_older_thumbnail_leads_to_the_one_of_now(image, experiment, as_scientist):
    """A page that was open while thumbnails were drawn anew still shows pictures."""
    Experiment.objects.filter(pk=experiment.pk).update(display_version=3)
    thumbnails.store(experiment, 3, image.pk, {"composite": b"new"}, list(experiment.channels.all()))
    response = as_scientist.get(f"/images/{image.pk}/thumbnail/v1/composite.jpg")
    assert response["Location"] == f"/images/{image.pk}/thumbnail/v3/composite.jpg"
    assert "immutable" not in response.get("Cache-Control", "")
    assert b"".join(as_scientist.get(response["Location"]).streaming_content) == b"new"


@pytest.mark.parametrize("rest", ["v2/composite.jpg", "v1/9.jpg", "v1/...jpg", "v1/%00.jpg"])
def test_a_thumbnail_that_is_not_drawn_is_404_and_not_kept(image, as_scientist, rest):
    response = as_scientist.get(f"/images/{image.pk}/thumbnail/{rest}")
    assert response.status_code == 404
    assert "immutable" not in response.get("Cache-Control", "")


def test_the_full_picture_comes_from_the_original_pixels(image, as_scientist, tmp_path):
    for n, file in enumerate(image.files.all()):
        path = tmp_path / f"{n}.tif"
        tifffile.imwrite(path, np.full((64, 64), 100 + 2450 * n, np.uint16))
        file.uri = str(path)
        file.save()
    for view in ("composite", "0", "1"):
        response = as_scientist.get(f"/images/{image.pk}/full/v1/{view}.jpg")
        assert response.status_code == 200
        assert response.content.startswith(b"\xff\xd8")


@pytest.mark.parametrize("view", ["composite", "0", "9", "ghost"])
def test_a_picture_whose_file_is_gone_is_404(image, as_scientist, view):
    assert as_scientist.get(f"/images/{image.pk}/full/v1/{view}.jpg").status_code == 404


def test_a_picture_without_a_display_range_is_404(image, experiment, as_scientist):
    experiment.channels.update(display_low=None, display_high=None)
    assert as_scientist.get(f"/images/{image.pk}/full/v1/0.jpg").status_code == 404
