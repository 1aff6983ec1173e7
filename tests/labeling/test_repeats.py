"""Some images come to the same person twice, unaware: which, when, and what is kept of it."""

from __future__ import annotations

import numpy as np
import pytest

from labeling.models import AuditEvent, Image, Label
from labeling.services import repeats
from labeling.services.labels import NewLabel, label_images, undo_label
from labeling.services.learning import n_new_labels
from labeling.services.repeats import AHEAD, BETWEEN, FIRST_AFTER, LONG_AGO, SPREAD, next_repeat
from tests.factories import make_scored_experiment


@pytest.fixture
def images(scientist):
    """128 of them."""
    return list(make_scored_experiment(scientist, rows=8, columns=8).images.select_related("experiment").order_by("id"))


def give(images, by, verdict="good"):
    return label_images([NewLabel(image.pk, verdict) for image in images], by=by)


def answer(image_id, verdict, by):
    """As the Queue's page does."""
    return label_images([NewLabel(image_id, verdict, from_queue=True, is_blind=True)], by=by)[0]


def due_after(experiment, person, n):
    """Labels after which the n-th repeat (from 0) comes."""
    return (BETWEEN if n else FIRST_AFTER) + repeats._draw(experiment, person, n) % SPREAD


@pytest.fixture
def due(images, scientist):
    """The first repeat, with as many labels given as it takes."""
    give(images[: due_after(images[0].experiment, scientist, 0)], scientist)
    repeat = next_repeat(images[0].experiment, scientist)
    assert repeat.place == 0
    return repeat


# --- when and which ---------------------------------------------------------------------------------------


def test_nobody_is_asked_twice_before_25_labels(images, scientist):
    experiment = images[0].experiment
    for n, image in enumerate(images[:FIRST_AFTER]):
        repeat = next_repeat(experiment, scientist)
        assert repeat is None or n + repeat.place >= FIRST_AFTER
        give([image], scientist)


def test_its_place_comes_nearer_with_every_label_and_its_image_stays(images, scientist):
    experiment, seen = images[0].experiment, []
    for image in images[: due_after(experiment, scientist, 0)]:
        give([image], scientist)
        if repeat := next_repeat(experiment, scientist):
            seen.append((repeat.place, repeat.earlier.image_id))
            assert next_repeat(experiment, scientist) == repeat
    assert [place for place, _ in seen] == list(range(AHEAD - 1, -1, -1))
    assert len({image for _, image in seen}) == 1


def test_one_in_25_comes_twice_each_once_and_20_labels_later_at_least(images, scientist):
    experiment, waiting = images[0].experiment, iter(images)
    given, again = [], []
    while len(given) + len(again) < 125:
        repeat = next_repeat(experiment, scientist)
        if repeat and repeat.place == 0:
            label = answer(repeat.earlier.image_id, "bad", scientist)
            assert label.repeats == repeat.earlier
            assert len(given) - given.index(label.image_id) > LONG_AGO
            again.append(label.image_id)
        else:
            image = next(waiting)
            give([image], scientist)
            given.append(image.pk)
    assert len(again) == len(set(again))
    assert 0.03 <= len(again) / 125 <= 0.05


def test_the_share_over_a_long_time_is_one_in_25(images, scientist):
    gaps = [due_after(images[0].experiment, scientist, n) for n in range(1, 2000)]
    assert 1 / (1 + np.mean(gaps)) == pytest.approx(1 / 25, rel=0.02)


def test_only_ones_own_last_word_of_good_or_bad_comes_again(images, scientist, second_scientist):
    experiment = images[0].experiment
    n = due_after(experiment, scientist, 0)
    give(images[:n], scientist)
    repeat = next_repeat(experiment, scientist)
    assert repeat.earlier.by == scientist
    early = {image.pk for image in images[: n - LONG_AGO]}
    # Somebody else spoke since, the person said it openly again, or is unsure: each time another one is chosen.
    for change in ("theirs", "again", "broken"):
        chosen = next_repeat(experiment, scientist).earlier.image
        assert chosen.pk in early
        if change == "theirs":
            give([chosen], second_scientist, "bad")
        elif change == "again":
            give([chosen], scientist, "unsure")
        else:
            Image.objects.filter(pk=chosen.pk).update(state="failed", problem="cut off")
        following = next_repeat(experiment, scientist)
        assert following is None or following.earlier.image != chosen
    assert next_repeat(experiment, second_scientist) is None


def test_who_labelled_hundreds_at_once_is_asked_within_the_next_few(images, scientist):
    experiment = images[0].experiment
    give(images[:100], scientist)
    places = []
    for image in images[100:120]:
        repeat = next_repeat(experiment, scientist)
        places.append(repeat.place)
        give([image], scientist)
    assert max(places) < SPREAD
    assert 0 in places[:SPREAD]


def test_it_takes_three_queries_however_many_labels(images, scientist, django_assert_num_queries):
    for part in (images[:40], images[40:]):
        give(part, scientist)
        with django_assert_num_queries(3):
            assert next_repeat(images[0].experiment, scientist)


# --- what is kept -----------------------------------------------------------------------------------------


def test_an_answer_names_the_label_it_repeats_and_is_the_newest_word(due, scientist):
    label = answer(due.earlier.image_id, "bad", scientist)
    label.refresh_from_db()
    assert label.repeats == due.earlier
    assert Label.objects.on([label.image_id])[label.image_id] == label
    assert AuditEvent.objects.latest("sequence").new["repeats"] == due.earlier.pk
    assert next_repeat(label.experiment, scientist) is None


def test_the_same_image_labelled_elsewhere_is_no_repeat(due, scientist):
    assert give([due.earlier.image], scientist, "bad")[0].repeats is None


def test_another_image_of_the_page_is_no_repeat(due, images, scientist):
    assert answer(images[100].pk, "bad", scientist).repeats is None


def test_undo_takes_a_repeat_back_and_it_can_be_answered_again(due, scientist):
    image = due.earlier.image
    first = answer(image.pk, "bad", scientist)
    assert undo_label(image, by=scientist).verdict == "good"
    assert next_repeat(image.experiment, scientist).earlier == due.earlier
    again = answer(image.pk, "unsure", scientist)
    assert (again.repeats, first.repeats) == (due.earlier, due.earlier)


def test_a_slip_that_is_corrected_at_once_repeats_the_same_label(due, images, scientist):
    answer(due.earlier.image_id, "bad", scientist)
    assert answer(due.earlier.image_id, "good", scientist).repeats == due.earlier
    give(images[90:110], scientist)
    assert answer(due.earlier.image_id, "bad", scientist).repeats is None


def test_an_answer_out_of_turn_that_is_too_early_counts_as_an_open_word(images, scientist):
    experiment = images[0].experiment
    give(images[: due_after(experiment, scientist, 0) - AHEAD + 1], scientist)
    repeat = next_repeat(experiment, scientist)
    n_since = Label.objects.filter(pk__gt=repeat.earlier.pk).count()
    assert n_since < LONG_AGO
    assert answer(repeat.earlier.image_id, "bad", scientist).repeats is None


def test_a_repeat_stands_for_all_images_only_if_the_first_label_did(due, scientist):
    assert answer(due.earlier.image_id, "good", scientist).drawn_at_random is False


def test_a_repeat_that_says_the_same_is_no_new_label(due, scientist):
    before = n_new_labels(due.earlier.experiment)
    answer(due.earlier.image_id, "good", scientist)
    assert n_new_labels(due.earlier.experiment) == before
    answer(due.earlier.image_id, "bad", scientist)
    assert n_new_labels(due.earlier.experiment) == before + 1
