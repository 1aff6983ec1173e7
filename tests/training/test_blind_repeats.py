"""The Queue shows some images twice without saying which; what is learnt from them is learnt once."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from labeling.models import Label, LabelQueue, ScoreRun
from labeling.services.labels import NewLabel, label_images
from labeling.services.learning import n_new_labels
from labeling.services.repeats import next_repeat
from tests.factories import label_all, make_learnable_experiment
from tests.labeling.api.conftest import client_of as api_of
from tests.labeling.pages.conftest import FETCH, HTMX, client_of, text_of
from training.learning import learning_table, teaching_of
from training.retraining import NothingToLearn, retrain


@pytest.fixture(autouse=True)
def _quickly(quick_learning):
    """All of these."""


@pytest.fixture
def experiment(scientist):
    return make_learnable_experiment(scientist, rows=8, columns=8)[0]


@pytest.fixture
def due(experiment, scientist):
    """A repeat in the middle of the Queue's page."""
    for image in experiment.images.order_by("id")[:60]:
        label_images([NewLabel(image.pk, "good")], by=scientist)
        repeat = next_repeat(experiment, scientist)
        if repeat and repeat.place == 7:
            return repeat
    raise AssertionError("no repeat came up")


@pytest.fixture
def address(experiment):
    return reverse("queue", args=[experiment.pk])


def answer(client, image_id, verdict, experiment, *, undo=False):
    name = "undo_queue_label" if undo else "queue_label"
    return client.post(reverse(name, args=[experiment.pk]), {"image": image_id, "verdict": verdict}, headers=FETCH)


def label_those_before(due, experiment, client):
    """Go through the page in order, up to the image that comes again."""
    for tile, _ in client.get(reverse("queue", args=[experiment.pk])).context["tiles"][: due.place]:
        answer(client, tile.image.pk, "good", experiment)


def test_the_page_shows_it_at_its_place_like_any_other(due, address, scientist):
    page = client_of(scientist).get(address)
    tiles = page.context["tiles"]
    assert len(tiles) == len({tile.image.pk for tile, _ in tiles}) == 20
    tile, candidate = tiles[due.place]
    assert tile.image.pk == due.earlier.image_id
    assert tile.label is None
    assert [one.label for one, _ in tiles] == [None] * 20
    # Its reason is one that others have, too, and the rest of the page tells it from none of them.
    assert (candidate.why, candidate.is_random) in {(c.why, c.is_random) for t, c in tiles if t != tile} | {
        ("Drawn blindly, so that what is measured is honest.", True)
    }
    text = text_of(page)
    assert "About one image in 25 comes to you twice" in text
    figure = text[text.index(f'data-image="{tile.image.pk}"') :].split("</figure>")[0]
    assert 'data-verdict=""' in figure
    assert "is-good" not in figure
    assert "repeat" not in figure


def test_without_a_ranked_list_its_reason_reads_like_the_others(due, address, scientist, experiment):
    LabelQueue.objects.all().delete()
    tiles = client_of(scientist).get(address).context["tiles"]
    assert tiles[due.place][0].image.pk == due.earlier.image_id
    for _, candidate in tiles:
        assert candidate.why.startswith("its score ")
        assert not candidate.is_random


def test_loaded_again_it_shows_the_same(due, address, scientist):
    shown = [[tile.image.pk for tile, _ in client_of(scientist).get(address).context["tiles"]] for _ in range(2)]
    assert shown[0] == shown[1]


def test_rest_never_gives_a_labelled_image(due, experiment, scientist):
    rows = api_of(scientist).get(f"/api/v1/experiments/{experiment.pk}/queue/?limit=68").json()["results"]
    assert {row["verdict"] for row in rows} == {None}
    assert due.earlier.image_id not in {row["id"] for row in rows}


def test_only_who_labels_is_asked_again(due, address, scientist, second_scientist, data_scientist):
    for person in (second_scientist, data_scientist):
        tiles = client_of(person).get(address).context["tiles"]
        assert due.earlier.image_id not in {tile.image.pk for tile, _ in tiles}


def test_a_closer_look_from_the_queue_does_not_tell_the_first_verdict(due, address, experiment, scientist):
    client, image = client_of(scientist), due.earlier.image_id
    assert f'href="/images/{image}/?from=queue"' in text_of(client.get(address))
    for name in ("image", "viewer"):
        page = reverse(name, args=[image])
        assert "Nobody has labelled it." in text_of(client.get(f"{page}?from=queue"))
        assert "by Grace Plate" in text_of(client.get(page))
    drawer = text_of(client.get(f"/images/{image}/?from=queue", headers=HTMX))
    assert f'action="{reverse("queue_label", args=[experiment.pk])}"' in drawer
    assert f"/images/{image}/viewer/?from=queue" in drawer
    label_those_before(due, experiment, client)
    answer(client, image, "bad", experiment)
    assert "(blind repeat)" in text_of(client.get(f"/images/{image}/?from=queue"))


def test_an_answer_is_the_newest_word_and_undoing_it_hides_the_first_again(due, experiment, scientist):
    client, image = client_of(scientist), due.earlier.image_id
    label_those_before(due, experiment, client)
    assert "is-bad" in text_of(answer(client, image, "bad", experiment))
    assert Label.objects.latest("id").repeats == due.earlier
    undone = text_of(answer(client, image, "", experiment, undo=True))
    assert 'data-verdict=""' in undone
    assert "is-good" not in undone
    assert next_repeat(experiment, scientist).earlier == due.earlier


def test_the_last_page_does_not_consist_of_a_repeat(due, experiment, scientist, address):
    unlabelled = experiment.images.exclude(labels__isnull=False)
    label_images([NewLabel(image.pk, "good") for image in unlabelled], by=scientist)
    assert "Every image is labelled" in text_of(client_of(scientist).get(address))


# --- what is learnt ---------------------------------------------------------------------------------------


@pytest.fixture
def labelled(scientist):
    experiment, good, bad = make_learnable_experiment(scientist)
    label_all(good[:8], bad[:6], by=scientist)
    return experiment


def repeat(label, verdict):
    return Label.objects.create(
        experiment=label.experiment, image=label.image, by=label.by, verdict=verdict, repeats=label
    )


def teaching(experiment):
    return teaching_of(experiment, learning_table(experiment, ScoreRun.objects.latest_of(experiment)))


def test_a_repeat_that_says_the_same_changes_nothing_that_is_learnt(labelled, scientist):
    before = teaching(labelled)
    retrain(labelled, by=scientist)
    n_new = n_new_labels(labelled)
    repeat(Label.objects.filter(verdict="bad").first(), "bad")
    after = teaching(labelled)
    assert after.label_ids == before.label_ids
    assert after.verdicts.rows.tolist() == before.verdicts.rows.tolist()
    assert after.verdicts.weights.tolist() == before.verdicts.weights.tolist()
    assert n_new_labels(labelled) == n_new
    with pytest.raises(NothingToLearn, match="no new label"):
        retrain(labelled, by=scientist, only_new=True)


def test_a_repeat_that_says_otherwise_replaces_the_first_word(labelled):
    before = teaching(labelled)
    first = Label.objects.filter(verdict="bad").first()
    again = repeat(first, "good")
    after = teaching(labelled)
    assert (after.verdicts.n_good, after.verdicts.n_bad) == (before.verdicts.n_good + 1, before.verdicts.n_bad - 1)
    assert set(after.label_ids) == set(before.label_ids) - {first.pk} | {again.pk}
    assert n_new_labels(labelled) == 15


def test_an_undo_of_many_hides_the_first_verdict_again(due, experiment, scientist):
    """Whatever the number of tiles, whether one of them is a blind repeat is asked once."""
    client, many = client_of(scientist), reverse("queue_label_many", args=[experiment.pk])
    labelled = Label.objects.filter(experiment=experiment).order_by("id").values_list("image", flat=True)
    others = [pk for pk in labelled if pk != due.earlier.image_id]
    n_queries = []
    for n in (2, 12):
        ids, key = [due.earlier.image_id, *others[: n - 1]], f"6f1f0c1e-0000-4000-8000-0000000000{n:02}"
        said = {"images": ",".join(map(str, ids)), "confirmed": n, "verdict": "bad", "request_key": key}
        assert text_of(client.post(many, said, headers=FETCH)).count("tile size-224 is-bad") == n
        with CaptureQueriesContext(connection) as queries:
            undone = text_of(client.post(f"{many}undo/", {"batch": key}, headers=FETCH))
        n_queries.append(len(queries))
        shown = dict(re.findall(r'data-image="(\d+)"[^>]*data-verdict="(\w*)"', undone))
        assert shown == {str(pk): "" if pk == due.earlier.image_id else "good" for pk in ids}
    assert n_queries[0] == n_queries[1]
