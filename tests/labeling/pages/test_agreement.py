"""The page on which people see how well they agree, and settle what they do not."""

from __future__ import annotations

import pytest
from django.urls import reverse

from labeling.services.labels import NewLabel, label_images
from tests.factories import make_scored_experiment, save_cutoff_at
from tests.labeling.pages.conftest import FETCH, HTMX, text_of
from tests.labeling.test_agreement import repeat, say


@pytest.fixture
def plate(scientist):
    return make_scored_experiment(scientist, rows=6, columns=6)


@pytest.fixture
def images(plate):
    return list(plate.images.order_by("id"))


@pytest.fixture
def address(plate):
    return reverse("agreement", args=[plate.pk])


def both(images, first, second, *verdicts):
    """Each image judged by both, as the pairs of verdicts say."""
    for image, (one, other) in zip(images, verdicts, strict=False):
        say(image, one, first)
        say(image, other, second)


def test_the_numbers_stand_on_the_page(address, images, scientist, second_scientist, as_scientist):
    verdicts = [("good", "good")] * 20 + [("good", "bad")] * 5 + [("bad", "good")] * 10 + [("bad", "bad")] * 15
    both(images, scientist, second_scientist, *verdicts)
    text = text_of(as_scientist.get(address))
    assert "Grace Plate and Rosa Well" in text
    assert "<b>0.40</b>" in text
    assert "70.0 %" in text
    assert "Fair agreement; its interval reaches from slight to substantial." in text
    assert text.count('class="decision"') == 15
    assert "In force" in text


def test_one_category_only_is_said_in_words(address, images, scientist, second_scientist, as_scientist):
    both(images, scientist, second_scientist, *[("good", "good")] * 40)
    text = text_of(as_scientist.get(address))
    assert "undefined" in text
    assert "Only “good” was ever said" in text
    assert "Nobody disagrees" in text


def test_with_nothing_to_compare_it_says_the_next_step(address, images, scientist, as_scientist):
    text = text_of(as_scientist.get(address))
    assert "Nobody has labelled yet" in text
    assert "Label next 20" in text
    say(images[0], "good", scientist)
    text = text_of(as_scientist.get(address))
    assert "No image was judged by two people" in text
    assert "Nobody was shown an image twice yet" in text


def test_disagreements_are_filtered_by_people(address, images, scientist, second_scientist, as_scientist):
    both(images, scientist, second_scientist, ("good", "bad"))
    repeat(say(images[5], "good", scientist), "bad")
    response = as_scientist.get(address)
    assert len(response.context["disputed"]) == 2
    assert "Grace Plate, twice" in text_of(response)
    pair = response.context["counted"].pairs[0]
    (shown,) = as_scientist.get(address, {"people": pair.key}).context["disputed"]
    assert shown[1].image_id == images[0].pk
    (shown,) = as_scientist.get(address, {"people": f"{scientist.pk}-{scientist.pk}"}).context["disputed"]
    assert shown[1].image_id == images[5].pk


def test_more_follow_by_position(address, images, scientist, second_scientist, as_scientist):
    both(images, scientist, second_scientist, *[("good", "bad")] * 62)
    first = as_scientist.get(address)
    assert text_of(first).count('class="decision"') == 60
    rest = as_scientist.get(address, {"before": first.context["page"].next}, headers=HTMX)
    assert text_of(rest).count('class="decision"') == 2
    assert "<html" not in text_of(rest)
    assert "Show more" not in text_of(rest)


@pytest.mark.parametrize("asked", [{"before": "x"}, {"before": "9" * 30}, {"people": "x"}])
def test_nonsense_is_refused(address, as_scientist, asked):
    assert as_scientist.get(address, asked).status_code == 400


def test_it_takes_as_many_queries_for_many(
    address, images, scientist, second_scientist, as_scientist, django_assert_num_queries
):
    for part in (images[:2], images[2:40]):
        both(part, scientist, second_scientist, *[("good", "bad")] * len(part))
        # log-in and roles; experiment; disputed, their words; runs of both kinds and cutoff, images, labels; channels;
        # counts, names
        with django_assert_num_queries(15):
            as_scientist.get(address)


def test_it_is_reached_from_overview_queue_and_the_set(plate, address, images, scientist, as_scientist):
    say(images[0], "good", scientist)
    save_cutoff_at(plate, -0.55, by=scientist)
    as_scientist.post(reverse("draft_qc_set", args=[plate.pk]))
    for page in (
        reverse("overview", args=[plate.pk]),
        reverse("queue", args=[plate.pk]),
        reverse("qc_set", args=[plate.qc_sets.get().pk]),
    ):
        assert f'href="{address}"' in text_of(as_scientist.get(page))


def test_a_set_says_how_well_people_agreed_when_it_was_drafted(
    plate, images, scientist, second_scientist, as_scientist
):
    save_cutoff_at(plate, -0.55, by=scientist)
    both(images, scientist, second_scientist, ("good", "good"), ("bad", "bad"))
    as_scientist.post(reverse("draft_qc_set", args=[plate.pk]))
    address = reverse("qc_set", args=[plate.qc_sets.get().pk])
    sentence = "Grace Plate and Rosa Well judged 2 images both: 2 of them alike, too few for a kappa"
    assert sentence in text_of(as_scientist.get(address))
    say(images[2], "good", second_scientist)
    say(images[2], "bad", scientist)
    assert sentence in text_of(as_scientist.get(address))


def test_a_tile_names_who_said_it_and_that_people_disagree(images, scientist, second_scientist, as_scientist):
    def tile():
        return text_of(as_scientist.get(reverse("image", args=[images[0].pk])))

    label_images([NewLabel(images[0].pk, "good")], by=scientist)
    assert "In force is the newest" not in tile()
    say(images[0], "bad", second_scientist)
    assert "People disagree." in tile()
    assert "<b>bad</b> by Rosa Well" in tile()
    shown = text_of(as_scientist.get(reverse("agreement", args=[images[0].experiment_id])))
    assert 'title="Bad by Rosa Well; people disagree">RW ≠</span>' in shown
    assert "bad by Rosa Well, people disagree" in shown
    answer = as_scientist.post(
        reverse("label", args=[images[0].experiment_id]), {"image": images[0].pk, "verdict": "bad"}, headers=FETCH
    )
    assert "tile-by" not in text_of(answer)
