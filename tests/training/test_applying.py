"""A promoted model of an earlier experiment starts a new one, and never decides where it is a stranger."""

from __future__ import annotations

import numpy as np
import pytest
from django.urls import reverse

from labeling.models import AuditEvent, EarlierModel, EmbeddingSet, Image, Job, Measurement, ModelVersion, ScoreRun
from labeling.problems import BadValue, Conflict
from labeling.services.embeddings import store_embeddings
from labeling.services.measurements import store_measurements
from labeling.services.verification import faults
from tests.factories import label_all, make_experiment, make_learnable_experiment
from tests.labeling.pages.conftest import client_of, told
from tests.labeling.pages.conftest import text_of as page_of
from training.applying import apply_model, compare_with_earlier, earlier_models
from training.embedding import place_images
from training.learners.blend import forest_alone
from training.learning import learning_table
from training.retraining import retrain
from training.scoring import score_experiment
from training.versions import promote_model


def text_of(response) -> str:
    return " ".join(page_of(response).split())


@pytest.fixture
def old(scientist, quick_learning):
    """The promoted model of an earlier experiment."""
    experiment, good, bad = make_learnable_experiment(scientist, name="Screen 1")
    label_all(good[:16], bad[:8], by=scientist)
    model = retrain(experiment, by=scientist)
    promote_model(model, by=scientist, reason="finds every fibre")
    return model


@pytest.fixture
def new(scientist, old):
    """A new experiment of the same channels, scored: it, its good and its bad images."""
    return make_learnable_experiment(scientist, name="Screen 2", seed=2)


def strange(shape, seed=8):
    """Metrics of images that are each far out in many columns, as no usual plate's are, whatever they are scaled by."""
    random = np.random.default_rng(seed)
    return random.normal(size=shape) * np.where(random.random(shape) < 0.4, 1000, 1)


def blended(experiment):
    return ScoreRun.objects.latest_of(experiment, "blended")


# --- starting -------------------------------------------------------------------------------------------------


def test_it_becomes_a_candidate_with_its_origin(old, new, scientist):
    experiment, good, bad = new
    model = apply_model(experiment, old, by=scientist)
    assert (model.experiment, model.number, model.state, model.n_labels) == (experiment, 1, "candidate", 0)
    assert model.weights_sha256 == old.weights_sha256
    assert model.weights.name != old.weights.name
    origin = model.recipe["origin"]
    assert (origin["model"], origin["name"], origin["weights_sha256"]) == (old.pk, "Screen 1", old.weights_sha256)
    assert (origin["promoted_by"], origin["reason"]) == ("Grace Plate", "finds every fibre")
    scores = dict(blended(experiment).scores.values_list("image", "score"))
    assert len(scores) == experiment.images.count()
    assert np.mean([scores[one.pk] for one in bad]) < np.mean([scores[one.pk] for one in good]) - 0.2
    event = AuditEvent.objects.get(action="model.started")
    assert (event.actor, event.new["from"]) == (scientist, "Screen 1 model 1")
    assert blended(experiment).reasons.exists()
    assert experiment.label_queues.first().run == blended(experiment)


def test_audit_promotion_and_rolling_back_work_as_for_any_model(old, new, scientist):
    experiment, good, bad = new
    model = apply_model(experiment, old, by=scientist)
    assert list(faults()) == []
    promote_model(model, by=scientist, reason="near enough")
    label_all(good[:8], bad[:6], by=scientist)
    second = retrain(experiment, by=scientist)
    assert second.number == 2
    promote_model(second, by=scientist, reason="learnt here")
    promote_model(model, by=scientist, reason="rolled back from model 2")
    assert list(experiment.model_versions.order_by("number").values_list("state", flat=True)) == ["promoted", "retired"]
    old.refresh_from_db()
    assert old.state == "promoted"
    assert list(faults()) == []


def test_the_same_again_gives_the_same_scores(old, new, scientist):
    experiment = new[0]
    runs = [apply_model(experiment, old, by=scientist).score_runs.get() for _ in range(2)]
    assert bytes(runs[0].vector) == bytes(runs[1].vector)


def test_on_its_own_images_it_says_what_it_said(old, scientist):
    before = blended(old.experiment)
    apply_model(old.experiment, old, by=scientist)
    after = blended(old.experiment)
    assert after.pk > before.pk
    assert after.model_version == old
    assert bytes(after.vector) == bytes(before.vector)


# --- near and far ---------------------------------------------------------------------------------------------


def test_where_a_plate_is_far_the_forest_decides(old, scientist):
    experiment = make_experiment(scientist, name="Screen 2", plates=("near", "far"), rows=4, columns=6)
    images = experiment.images.order_by("id")
    metric_set = old.score_runs.get().metric_set
    mine = experiment.metric_sets.create(version=metric_set.version, columns=metric_set.columns)
    values = np.random.default_rng(5).normal(size=(images.count(), len(metric_set.columns)))
    far = experiment.plates.get(barcode="far")
    on_far = np.array([image.plate_id == far.pk for image in images])
    values[on_far] = strange(values[on_far].shape)
    store_measurements(mine, np.array([image.pk for image in images]), values)
    run = score_experiment(experiment, by=scientist)
    compare_with_earlier(experiment)
    plates = {plate["plate"]: plate for plate in EarlierModel.objects.get().plates}
    assert [plates[name]["is_far"] for name in ("near", "far")] == [False, True]
    assert "The forest decides here" in plates["far"]["sentence"]
    model = apply_model(experiment, old, by=scientist)
    table = learning_table(experiment, run)
    is_far = table.plate_ids == far.pk
    scores = dict(blended(experiment).scores.values_list("image", "score"))
    given = np.array([scores[int(pk)] for pk in table.image_ids])
    alone = forest_alone(table.isolation)
    assert given[is_far] == pytest.approx(alone[is_far], abs=1e-6)
    assert np.abs(given[~is_far] - alone[~is_far]).max() > 0.05
    assert blended(experiment).parameters["plates"] == EarlierModel.objects.get().plates
    assert any("the forest decides there: far" in note for note in model.report["notes"])
    page = text_of(client_of(scientist).get(reverse("models", args=[experiment.pk])))
    assert "1 of 2 plates lie far from what it has seen; there the forest decides." in page


def test_where_all_is_far_nothing_starts(old, new, scientist, client):
    experiment = new[0]
    for row, values in zip(
        rows := list(Measurement.objects.filter(image__experiment=experiment)), strange((48, 200)), strict=True
    ):
        row.values = values[: len(row.values)].tolist()
    Measurement.objects.bulk_update(rows, ["values"])
    score_experiment(experiment, by=scientist)
    compare_with_earlier(experiment)
    with pytest.raises(Conflict, match="Every plate of Screen 2 lies far"):
        apply_model(experiment, old, by=scientist)
    assert not experiment.model_versions.exists()
    page = text_of(client_of(scientist).get(reverse("models", args=[experiment.pk])))
    assert "Every plate lies far from what it has seen" in page
    assert "Start from model 1" not in page


# --- what cannot be -------------------------------------------------------------------------------------------


def test_other_channels_are_named(old, scientist):
    other = make_experiment(scientist, name="Mito", channels=("DNA", "Mito"))
    assert earlier_models(other) == []
    with pytest.raises(BadValue, match=r"Screen 1 has the channels DNA, ER, and Mito has DNA, Mito\."):
        apply_model(other, old, by=scientist)


def test_only_a_promoted_model_starts_another_experiment(old, new, scientist):
    candidate = retrain(old.experiment, by=scientist, seed=2)
    with pytest.raises(Conflict, match="Model 2 of Screen 1 is candidate; only a promoted model"):
        apply_model(new[0], candidate, by=scientist)
    assert earlier_models(new[0]) == [old]


def test_what_it_has_seen_must_be_what_was_kept(old, new, scientist):
    with old.experience.storage.open(old.experience.name, "wb") as file:
        file.write(b"something else")
    with pytest.raises(Conflict, match="has seen is missing or was altered"):
        apply_model(new[0], old, by=scientist)
    compare_with_earlier(new[0])
    assert "missing or was altered" in EarlierModel.objects.get().problem
    assert "It cannot be used here." in text_of(client_of(scientist).get(reverse("models", args=[new[0].pk])))


def test_models_from_before_say_what_to_do(old, new, scientist):
    ModelVersion.objects.filter(pk=old.pk).update(experience="")
    with pytest.raises(Conflict, match="does not tell what it has seen; train and promote a new one"):
        apply_model(new[0], ModelVersion.objects.get(pk=old.pk), by=scientist)


def test_other_scalings_and_metrics_do_not_compare(old, new, scientist):
    experiment = new[0]
    score_experiment(experiment, by=scientist, scaling="experiment")
    with pytest.raises(Conflict, match="Score this experiment by plate first"):
        apply_model(experiment, old, by=scientist)
    score_experiment(experiment, by=scientist)
    old.experiment.metric_sets.update(version="0.1")
    with pytest.raises(Conflict, match=r"Screen 1 has metrics of version 0\.1"):
        apply_model(experiment, old, by=scientist)


# --- what the network saw ---------------------------------------------------------------------------------------


def embed(experiment, *, network="n1", seed=3):
    """Vectors as a network would leave them: bad images, every fourth, lie apart in one direction."""
    ids = np.array(experiment.images.order_by("id").values_list("id", flat=True))
    vectors = np.random.default_rng(seed).normal(size=(len(ids), 10))
    vectors[::4, 2] += 4
    embedding_set = EmbeddingSet.objects.create(
        experiment=experiment, network=network, channels=["DNA", "ER"], ranges=[[0, 1]] * 2, dimensions=10
    )
    store_embeddings(embedding_set, ids, vectors)
    place_images(embedding_set)


@pytest.fixture
def seen(scientist, quick_learning, monkeypatch):
    """Two experiments, of which the first was looked at and has a promoted model that knows what was seen."""
    monkeypatch.setattr("training.comparison.FEWEST_TO_EMBED", 40)
    first, good, bad = make_learnable_experiment(scientist, name="Screen 1")
    embed(first)
    score_experiment(first, by=scientist)
    label_all(good[:16], bad[:8], by=scientist)
    model = retrain(first, by=scientist)
    promote_model(model, by=scientist, reason="sees more")
    return model, make_learnable_experiment(scientist, name="Screen 2", seed=2)[0]


def test_vectors_of_other_images_come_on_the_models_axes(seen, scientist):
    model, experiment = seen
    assert any(column.startswith("Embedding") for column in model.recipe["columns"])
    embed(experiment, seed=4)
    score_experiment(experiment, by=scientist)
    started = apply_model(experiment, model, by=scientist)
    scores = np.array(list(started.score_runs.get().scores.order_by("image").values_list("score", flat=True)))
    is_bad = np.arange(len(scores)) % 4 == 0
    assert scores[is_bad].mean() < scores[~is_bad].mean() - 0.2
    before = model.score_runs.get()
    apply_model(model.experiment, model, by=scientist)
    again = blended(model.experiment)
    was, now = (np.array(list(run.scores.order_by("image").values_list("score", flat=True))) for run in (before, again))
    assert now == pytest.approx(was, abs=0.01)  # places are kept as float16


def test_without_the_same_network_it_says_so(seen, scientist):
    model, experiment = seen
    with pytest.raises(Conflict, match="looked at by the image network n1, and Screen 2 by none"):
        apply_model(experiment, model, by=scientist)
    embed(experiment, network="n2")
    with pytest.raises(Conflict, match="by another"):
        apply_model(experiment, model, by=scientist)


# --- the page and the job ---------------------------------------------------------------------------------------


def test_a_new_experiment_is_compared_when_it_is_scored_and_started_from_the_page(old, new, scientist, worker):
    experiment, client = new[0], client_of(scientist)
    client.post(reverse("score", args=[experiment.pk]))
    worker()
    assert list(experiment.jobs.order_by("id").values_list("kind", "state")) == [
        ("score", "succeeded"),
        ("compare", "succeeded"),
    ]
    page = text_of(client.get(reverse("models", args=[experiment.pk])))
    assert "Model 1 of Screen 1" in page
    assert "promoted by Grace Plate on" in page
    assert "The plate is like what it has seen." in page
    assert "% of its images lie beyond what the model has seen" in page
    assert '<svg class="far-plot"' in page
    response = client.post(reverse("apply_model", args=[experiment.pk]), {"model": old.pk}, follow=True)
    assert "Scoring with model 1 of Screen 1 starts in the background." in told(response)
    worker()
    job = experiment.jobs.get(kind="apply")
    assert job.message == "Model 1 was started from model 1 of Screen 1. It is a candidate until it is promoted."
    page = text_of(client.get(reverse("models", args=[experiment.pk])))
    assert "Model 1 was started from model 1 of Screen 1" in page
    detail = text_of(client.get(reverse("model", args=[experiment.model_versions.get().pk])))
    assert "which learnt from 24 labels and was promoted by Grace Plate" in detail
    assert "How far are the plates from what it has seen?" in detail
    assert "style=" not in detail


def test_a_failure_is_told_in_words(old, new, scientist, worker):
    experiment, client = new[0], client_of(scientist)
    client.post(reverse("apply_model", args=[experiment.pk]), {"model": old.pk})
    ModelVersion.objects.filter(pk=old.pk).update(experience="")
    worker()
    assert "does not tell what it has seen" in text_of(client.get(reverse("earlier_models", args=[experiment.pk])))


def test_a_model_that_is_none_is_refused(new, scientist):
    client = client_of(scientist)
    response = client.post(reverse("apply_model", args=[new[0].pk]), {"model": "tea"}, headers={"HX-Request": "true"})
    assert response.status_code == 400
    assert not Job.objects.filter(kind="apply").exists()


def test_it_is_started_over_rest(old, new, scientist, worker):
    from tests.labeling.api.conftest import client_of as rest_client

    client, experiment = rest_client(scientist), new[0]
    answer = client.post(f"/api/v1/experiments/{experiment.pk}/apply-model/", {"model": old.pk}, format="json")
    assert answer.status_code == 202
    worker()
    [model] = client.get(f"/api/v1/experiments/{experiment.pk}/models/").json()["results"]
    assert model["recipe"]["origin"]["model"] == old.pk
    unknown = client.post(f"/api/v1/experiments/{experiment.pk}/apply-model/", {"model": 987654321}, format="json")
    assert unknown.status_code == 400


def test_the_page_costs_the_same_for_many_earlier_models(old, new, scientist, django_assert_num_queries):
    client, address = client_of(scientist), reverse("earlier_models", args=[new[0].pk])
    compare_with_earlier(new[0])
    client.get(address)
    with django_assert_num_queries(10):
        client.get(address)
    third, good, bad = make_learnable_experiment(scientist, name="Screen 0", seed=5)
    label_all(good[:8], bad[:6], by=scientist)
    promote_model(retrain(third, by=scientist), by=scientist, reason="good")
    compare_with_earlier(new[0])
    with django_assert_num_queries(10):
        assert page_of(client.get(address)).count("<article") == 2


# --- images that came later -------------------------------------------------------------------------------------


def test_images_added_later_are_told_and_scored(old, scientist, worker):
    experiment, client = old.experiment, client_of(scientist)
    address = reverse("models", args=[experiment.pk])
    assert "have no score of model" not in text_of(client.get(address))
    metric_set = experiment.metric_sets.get()
    added = []
    for image in experiment.images.filter(site=1)[:5]:
        image.pk, image.site, image.content_hash = None, 9, ""
        image.save()
        added.append(image.pk)
    values = np.random.default_rng(9).normal(size=(5, len(metric_set.columns)))
    store_measurements(metric_set, np.array(added), values)
    score_experiment(experiment, by=scientist)
    page = text_of(client.get(address))
    assert "5 images have no score of model 1: they came after it." in page
    assert "Score them with model 1" in page
    client.post(reverse("apply_model", args=[experiment.pk]), {"model": old.pk})
    worker()
    assert set(blended(experiment).scores.values_list("image", flat=True)) == set(
        Image.objects.of(experiment).values_list("id", flat=True)
    )
    assert experiment.jobs.get(kind="apply").message.startswith("All images have a score of model 1 now.")
    assert experiment.model_versions.count() == 1
    assert "have no score of model" not in text_of(client.get(address))
