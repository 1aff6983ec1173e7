"""Who agrees with whom, counted from the labels; and the images on which people do not."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from labeling.models import Label
from labeling.problems import BadValue
from labeling.services.agreement import agreement_of_people, disagreements, people_asked
from labeling.services.labels import NewLabel, label_images, undo_label
from tests.factories import make_experiment


@pytest.fixture
def experiment(scientist):
    """48 images without scores."""
    return make_experiment(scientist, rows=4, columns=6)


@pytest.fixture
def images(experiment):
    return list(experiment.images.order_by("id"))


def say(image, verdict, by):
    return label_images([NewLabel(image.pk, verdict)], by=by)[0]


def repeat(label, verdict):
    """As a blind repeat leaves it: the time it takes to come up is tested elsewhere."""
    return Label.objects.create(
        experiment=label.experiment, image=label.image, by=label.by, verdict=verdict, repeats=label
    )


def disputed(experiment, **which):
    return [(one.image_id, one.is_open) for one in disagreements(experiment, **which).shown]


# --- the numbers ------------------------------------------------------------------------------------------


def test_kappa_of_two_people_is_that_of_their_verdicts(experiment, images, scientist, second_scientist):
    random = np.random.default_rng(4)
    first = random.choice(["good", "bad", "unsure"], 40, p=[0.6, 0.3, 0.1])
    second = np.where(random.random(40) < 0.8, first, random.choice(["good", "bad"], 40))
    for image, verdict in zip(images, first, strict=False):
        say(image, verdict, scientist)
    for image, verdict in zip(images, second, strict=False):
        say(image, verdict, second_scientist)
    found = agreement_of_people(experiment)
    (pair,) = found.pairs
    assert (pair.first, pair.second) == (scientist, second_scientist)
    assert (pair.agreement.n, pair.agreement.n_agreed) == (40, int((first == second).sum()))
    assert pair.agreement.kappa == pytest.approx(cohen_kappa_score(first, second))
    assert pair.n_apart == int((first != second).sum())
    grace, rosa = found.people
    assert (grace.n_good, grace.n_bad, grace.n_unsure) == tuple(
        (first == one).sum() for one in ("good", "bad", "unsure")
    )
    assert rosa.n_images == 40
    assert found.selves == []


def test_the_first_word_counts_so_that_talking_it_over_makes_nobody_look_better(
    experiment, images, scientist, second_scientist
):
    say(images[0], "good", scientist)
    say(images[0], "bad", second_scientist)
    say(images[1], "good", scientist)
    say(images[0], "bad", scientist)
    (pair,) = agreement_of_people(experiment).pairs
    assert (pair.agreement.n, pair.agreement.n_agreed, pair.n_apart) == (1, 0, 0)


def test_a_slip_replaced_at_once_does_not_count(experiment, images, scientist, second_scientist):
    say(images[0], "good", scientist)
    say(images[0], "bad", scientist)
    say(images[0], "bad", second_scientist)
    (pair,) = agreement_of_people(experiment).pairs
    assert pair.agreement.n_agreed == 1


def test_what_was_taken_back_was_not_said(experiment, images, scientist, second_scientist):
    say(images[0], "good", scientist)
    say(images[0], "bad", second_scientist)
    undo_label(images[0], by=second_scientist)
    found = agreement_of_people(experiment)
    assert found.pairs == []
    assert [one.person for one in found.people] == [scientist]
    assert disagreements(experiment).n == 0


def test_a_copy_on_the_same_picture_is_no_second_judgement(experiment, images, scientist, second_scientist):
    type(images[0]).objects.filter(pk=images[1].pk).update(content_hash=images[0].content_hash)
    say(images[0], "good", scientist)
    say(images[0], "bad", second_scientist)
    (pair,) = agreement_of_people(experiment).pairs
    assert pair.agreement.n == 1


def test_labels_carried_from_another_experiment_are_what_people_said(experiment, images, scientist):
    say(images[0], "good", scientist)
    other = make_experiment(scientist, name="Again", rows=1, columns=1, sites=1)
    twin = other.images.get()
    type(twin).objects.filter(pk=twin.pk).update(content_hash=images[0].content_hash)
    say(images[0], "bad", scientist)
    (one,) = agreement_of_people(other).people
    assert (one.person, one.n_bad) == (scientist, 1)


def test_each_person_against_themself_by_blind_repeats(experiment, images, scientist):
    for image, first, second in zip(
        images, ("good", "good", "bad", "bad"), ("good", "bad", "bad", "bad"), strict=False
    ):
        repeat(say(image, first, scientist), second)
    found = agreement_of_people(experiment)
    (own,) = found.selves
    assert (own.agreement.n, own.agreement.n_agreed, own.n_apart) == (4, 3, 1)
    assert own.agreement.table == ((1, 1, 0), (0, 2, 0), (0, 0, 0))
    assert found.people[0].n_images == 4
    assert "Grace Plate judged 4 images twice, unaware: 3 of them alike, too few for a kappa." in found.in_short


def test_an_undone_repeat_counts_for_nothing(experiment, images, scientist):
    repeat(say(images[0], "good", scientist), "bad")
    undo_label(images[0], by=scientist)
    assert agreement_of_people(experiment).selves == []


def test_in_short_names_people_images_and_kappa(experiment, images, scientist, second_scientist):
    assert agreement_of_people(experiment).in_short == ""
    say(images[0], "good", scientist)
    assert agreement_of_people(experiment).in_short == "1 verdict of 1 person; no image was judged by two people."
    for image in images[:20]:
        say(image, "good", scientist)
        say(image, "good", second_scientist)
    for image in images[20:40]:
        say(image, "bad", scientist)
        say(image, "bad", second_scientist)
    assert agreement_of_people(experiment).in_short == (
        "80 verdicts of 2 people; Grace Plate and Rosa Well judged 40 images both: kappa 1.00 (0.82 to 1.00)."
    )


def test_another_experiment_has_numbers_of_its_own(experiment, images, scientist):
    say(images[0], "good", scientist)
    assert agreement_of_people(make_experiment(scientist, name="Other", rows=1, columns=1)).people == []


# --- the disagreements ------------------------------------------------------------------------------------


def test_the_newest_come_first_each_with_every_standing_word(experiment, images, scientist, second_scientist):
    for image in images[:3]:
        say(image, "good", scientist)
    for image in (images[2], images[0]):
        say(image, "bad", second_scientist)
    page = disagreements(experiment)
    assert [one.image_id for one in page.shown] == [images[0].pk, images[2].pk]
    assert (page.n, page.n_open, page.next) == (2, 2, None)
    words = page.shown[0].words
    assert [(one.label.by, one.label.verdict, one.is_newest) for one in words] == [
        (second_scientist, "bad", True),
        (scientist, "good", False),
    ]


def test_it_is_settled_when_people_come_to_say_the_same(experiment, images, scientist, second_scientist):
    say(images[0], "good", scientist)
    say(images[0], "bad", second_scientist)
    assert disputed(experiment) == [(images[0].pk, True)]
    say(images[0], "bad", scientist)
    assert disputed(experiment) == []
    assert disagreements(experiment, with_settled=True).n == 0


def test_a_third_person_settles_it(experiment, images, scientist, second_scientist, admin):
    say(images[0], "good", scientist)
    say(images[0], "bad", second_scientist)
    say(images[0], "unsure", admin)
    assert disputed(experiment) == [(images[0].pk, True)]
    say(images[0], "bad", admin)
    assert disputed(experiment) == []
    assert disputed(experiment, with_settled=True) == [(images[0].pk, False)]
    assert disagreements(experiment).n_open == 0


def test_a_minority_that_spoke_last_leaves_it_open(experiment, images, scientist, second_scientist, admin):
    for person, verdict in ((scientist, "good"), (second_scientist, "good"), (admin, "bad")):
        say(images[0], verdict, person)
    assert disputed(experiment) == [(images[0].pk, True)]


def test_a_contradicted_blind_repeat_is_open_until_the_person_says_it_again(experiment, images, scientist):
    repeat(say(images[0], "good", scientist), "bad")
    repeat(say(images[1], "good", scientist), "good")
    assert disputed(experiment) == [(images[0].pk, True)]
    assert disputed(experiment, of=[scientist.pk, scientist.pk]) == [(images[0].pk, True)]
    say(images[0], "bad", scientist)
    assert disputed(experiment) == []


def test_only_those_of_two_people(experiment, images, scientist, second_scientist, admin):
    for image, other in ((images[0], second_scientist), (images[1], admin)):
        say(image, "good", scientist)
        say(image, "bad", other)
    repeat(say(images[2], "good", scientist), "bad")
    assert disputed(experiment, of=[scientist.pk, second_scientist.pk]) == [(images[0].pk, True)]
    assert disputed(experiment, of=[scientist.pk, admin.pk]) == [(images[1].pk, True)]
    assert disputed(experiment, of=[scientist.pk, scientist.pk]) == [(images[2].pk, True)]
    assert disputed(experiment, of=[second_scientist.pk, admin.pk]) == []
    assert len(disputed(experiment)) == 3


def test_pages_show_each_once(experiment, images, scientist, second_scientist):
    for image in images[:7]:
        say(image, "good", scientist)
        say(image, "bad", second_scientist)
    seen, before = [], None
    for _ in range(4):
        page = disagreements(experiment, before=before, limit=3)
        assert (page.n, page.n_open) == (7, 7)
        seen += [one.image_id for one in page.shown]
        before = page.next
        if before is None:
            break
    assert seen == [image.pk for image in reversed(images[:7])]


def test_queries_do_not_grow(experiment, images, scientist, second_scientist, django_assert_num_queries):
    for part in (images[:2], images[2:30]):
        for image in part:
            say(image, "good", scientist)
            say(image, "bad", second_scientist)
        with django_assert_num_queries(2):
            agreement_of_people(experiment)
        with django_assert_num_queries(2):
            disagreements(experiment)


@pytest.mark.parametrize("text", ["3", "a-b", "3-", "-3", "3-99999999999999999999"])
def test_people_that_are_none_are_refused(text):
    with pytest.raises(BadValue, match="names no two people"):
        people_asked(text)


# --- on tiles ---------------------------------------------------------------------------------------------


def test_a_label_knows_that_somebody_elses_last_word_differs(images, scientist, second_scientist):
    def is_disputed(image):
        return Label.objects.on([image.pk])[image.pk].is_disputed

    say(images[0], "good", scientist)
    assert not is_disputed(images[0])
    say(images[0], "bad", second_scientist)
    assert is_disputed(images[0])
    say(images[0], "bad", scientist)
    assert not is_disputed(images[0])
    say(images[0], "good", scientist)
    undo_label(images[0], by=scientist)
    assert not is_disputed(images[0])
