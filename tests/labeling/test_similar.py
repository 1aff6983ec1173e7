"""More like this: the nearest images, in words, tiles and JSON."""

from __future__ import annotations

import numpy as np
import pytest
from django.urls import reverse

from labeling.models import Experiment
from labeling.problems import BadValue
from labeling.services.feature_spaces import newest_space, store_feature_space
from labeling.services.labels import NewLabel, label_images
from labeling.services.similar import similar_images

FLAT = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def images(experiment):
    return list(experiment.images.order_by("id"))


def place(experiment: Experiment, basis: str = "embeddings", *, n: int = 12, turned: float = 0.0) -> None:
    """Images on an arc, ten degrees apart, at growing distances from the middle."""
    ids = np.array(experiment.images.order_by("id").values_list("id", flat=True))[:n]
    angle = np.radians(10 * np.arange(n) + turned)
    vectors = np.stack([np.cos(angle), np.sin(angle)], axis=1) * (1 + np.arange(n))[:, None]
    store_feature_space(experiment, basis, ids, vectors, parameters={})


def test_the_nearest_by_angle_come_first_without_the_image_itself(experiment, images):
    place(experiment)
    found = similar_images(images[5], limit=4)
    assert found.basis == "embeddings"
    assert {one.facts.image for one in found.images[:2]} == {images[4], images[6]}
    assert {one.facts.image for one in found.images[2:]} == {images[3], images[7]}
    assert [one.similarity for one in found.images] == pytest.approx(np.cos(np.radians([10, 10, 20, 20])), abs=1e-3)


def test_all_others_are_found_at_most(experiment, images):
    place(experiment)
    assert len(similar_images(images[0], limit=200).images) == 11


def test_metrics_serve_while_the_network_has_not_looked(experiment, images):
    place(experiment, "metrics")
    assert similar_images(images[0], limit=1).basis == "metrics"
    place(experiment, n=11)
    assert similar_images(images[0], limit=1).basis == "embeddings"
    last = similar_images(images[11], limit=1)  # ingested after the network looked
    assert (last.basis, last.images[0].facts.image) == ("metrics", images[10])
    assert "the network has not looked yet" in last.in_words


def test_without_any_space_it_says_what_to_do(experiment, images):
    found = similar_images(images[0], limit=5)
    assert (found.basis, found.images) == ("", [])
    assert "Score the experiment first" in found.in_words


@pytest.mark.parametrize("limit", [0, -1, 201])
def test_silly_limits_are_refused(experiment, images, limit):
    with pytest.raises(BadValue, match="1 to 200"):
        similar_images(images[0], limit=limit)


def test_a_space_must_be_in_order_and_finite(experiment, images):
    with pytest.raises(ValueError, match="finite vectors"):
        store_feature_space(experiment, "metrics", np.array([2, 1]), np.ones((2, 2)), parameters={})
    with pytest.raises(ValueError, match="finite vectors"):
        store_feature_space(experiment, "metrics", np.array([1, 2]), np.full((2, 2), np.inf), parameters={})


def test_a_new_space_is_seen_at_once(experiment, images):
    place(experiment)
    assert newest_space(experiment, "embeddings").nearest(images[0].pk, limit=1)[0][0] == images[1].pk
    ids = np.array([image.pk for image in images])
    mirrored = np.stack([np.arange(12) % 2 * 2 - 1, np.full(12, 0.1)], axis=1)
    store_feature_space(experiment, "embeddings", ids, mirrored, parameters={})
    assert newest_space(experiment, "embeddings").nearest(images[0].pk, limit=1)[0][0] == images[2].pk


# --- page and REST ------------------------------------------------------------------------------------


def test_the_strip_shows_tiles_that_can_be_labelled(client, experiment, images, scientist):
    place(experiment)
    label_images([NewLabel(images[1].pk, "bad", ("fibre",))], by=scientist)
    client.force_login(scientist)
    page = client.get(reverse("similar", args=[images[0].pk]), **FLAT).content.decode()
    assert page.count('class="tile ') == 11
    assert f'data-image="{images[1].pk}"' in page
    assert "is-bad" in page
    assert "alike 0.98" in page
    assert reverse("label", args=[experiment.pk]) in page
    assert reverse("image", args=[images[1].pk]) in page
    assert "<html" not in page
    assert "<html" in client.get(reverse("similar", args=[images[0].pk])).content.decode()


def test_the_image_page_leads_to_more_like_it(client, experiment, images, scientist):
    client.force_login(scientist)
    page = client.get(reverse("image", args=[images[0].pk])).content.decode()
    assert f'hx-get="{reverse("similar", args=[images[0].pk])}"' in page


def test_as_many_queries_for_many_as_for_few(client, experiment, images, scientist, django_assert_num_queries):
    place(experiment)
    similar_images(images[0], limit=1)
    with django_assert_num_queries(7):
        similar_images(images[0], limit=11)


def test_rest_gives_the_images_with_their_similarity(client, experiment, images, scientist):
    place(experiment)
    client.force_login(scientist)
    answer = client.get(reverse("api:similar", args=[images[5].pk]), {"limit": 2}).json()
    assert answer["basis"] == "embeddings"
    assert {one["id"] for one in answer["results"]} == {images[4].pk, images[6].pk}
    assert answer["results"][0]["similarity"] == pytest.approx(0.985, abs=1e-3)
    assert {"plate", "well", "verdict", "isolation_score"} <= answer["results"][0].keys()


def test_rest_refuses_outsiders_and_unknown_images(client, experiment, images, outsider, scientist):
    client.force_login(outsider)
    assert client.get(reverse("api:similar", args=[images[0].pk])).status_code == 403
    assert client.get(reverse("similar", args=[images[0].pk])).status_code == 403
    client.force_login(scientist)
    assert client.get(reverse("api:similar", args=[10**9])).status_code == 404
    assert client.get(reverse("api:similar", args=[images[0].pk]), {"limit": 0}).status_code == 400
