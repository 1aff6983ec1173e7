"""What the network saw, in scores, in features and as a place among the others."""

from __future__ import annotations

import numpy as np
import pytest

from labeling.models import EmbeddingSet, Experiment, FeatureSpace, Image, Job
from labeling.services.embeddings import store_embeddings
from labeling.services.feature_spaces import newest_space
from labeling.services.jobs import start_job
from tests.factories import make_scored_experiment
from tests.networks import write_network
from training.embedding import place_images
from training.features import load_features
from training.learners.reduce import N_COMPONENTS
from training.learners.scaling import robust_features
from training.learning import learning_table
from training.scoring import score_experiment

D = 10


@pytest.fixture
def experiment(scientist, monkeypatch) -> Experiment:
    """Two plates of 60 measured images each, taken for large enough."""
    monkeypatch.setattr("training.comparison.FEWEST_TO_EMBED", 60)
    return make_scored_experiment(scientist, plates=("A", "B"), rows=5, columns=6, sites=2)


def embed(experiment: Experiment, *, n: int | None = None, odd: int | None = None) -> EmbeddingSet:
    """Vectors as a network would leave them, for the first `n` images; the second plate is brighter."""
    images = list(experiment.images.order_by("id").values_list("id", "plate_id"))[:n]
    ids, plates = np.array(images).T
    vectors = np.random.default_rng(3).normal(size=(len(ids), D))
    if odd is not None:
        vectors[odd] += 100
    vectors[plates == plates.max()] = vectors[plates == plates.max()] * 3 + 20
    channels = ["DNA", "ER"]
    embedding_set = EmbeddingSet.objects.create(
        experiment=experiment, network="n1", channels=channels, ranges=[[0, 1]] * 2, dimensions=D
    )
    store_embeddings(embedding_set, ids, vectors)
    place_images(embedding_set)
    return embedding_set


def rank_of(run, image_id: int) -> int:
    return list(run.scores.order_by("score").values_list("image", flat=True)).index(image_id)


def test_what_only_the_network_sees_lowers_the_score(experiment, scientist):
    odd = experiment.images.order_by("id")[33]
    without = score_experiment(experiment, by=scientist)
    embed(experiment, odd=33)
    seen = score_experiment(experiment, by=scientist)
    left_out = score_experiment(experiment, by=scientist, embeddings=False)
    assert rank_of(seen, odd.pk) < 12 < 24 < rank_of(without, odd.pk)
    assert bytes(left_out.vector) == bytes(without.vector)
    assert without.parameters["embeddings"] == "none: not every image was looked at, or a plate has fewer than 60"
    assert seen.parameters["embeddings"] == f"{D} principal components of n1, scaled as the metrics"
    assert left_out.parameters["embeddings"] == "none: left out on request"


def test_small_plates_are_scored_by_metrics(experiment, scientist, monkeypatch):
    monkeypatch.setattr("training.comparison.FEWEST_TO_EMBED", 61)
    embed(experiment)
    assert score_experiment(experiment, by=scientist).parameters["embeddings"].startswith("none: ")


def test_scores_with_embeddings_can_be_repeated(experiment, scientist):
    embed(experiment)
    first, second = (score_experiment(experiment, by=scientist) for _ in range(2))
    assert bytes(first.vector) == bytes(second.vector)


def test_one_image_the_network_has_not_seen_falls_back_to_metrics(experiment, scientist):
    embed(experiment, n=119)
    run = score_experiment(experiment, by=scientist)
    assert run.n_images == 120
    assert run.parameters["embeddings"].startswith("none: ")


@pytest.mark.parametrize("scaling", ["controls", "experiment"])
def test_embeddings_are_scaled_as_the_metrics_are(experiment, scientist, scaling):
    for plate in experiment.plates.all():
        plate.wells.filter(column=1).update(role="control")
    embed(experiment)
    run = score_experiment(experiment, by=scientist, scaling=scaling)
    by_plate = score_experiment(experiment, by=scientist)
    assert "principal components" in run.parameters["embeddings"]
    assert bytes(run.vector) != bytes(by_plate.vector)


def test_features_for_learners_are_metrics_then_what_the_network_saw(experiment, scientist):
    raw = load_features(experiment, experiment.metric_sets.get())
    alone = learning_table(experiment, score_experiment(experiment, by=scientist))
    embed(experiment)
    table = learning_table(experiment, score_experiment(experiment, by=scientist))
    n_metrics = len(alone.columns)
    assert alone.features == pytest.approx(robust_features(raw.values, raw.plate_ids), abs=1e-5)
    assert table.image_ids.tolist() == raw.image_ids.tolist()
    assert table.columns[n_metrics:] == tuple(f"Embedding_{n:02d}" for n in range(1, D + 1))
    assert table.features.shape == (120, n_metrics + D)
    assert table.values.tolist() == raw.values.tolist()
    assert table.features[:, n_metrics:] == pytest.approx(newest_space(experiment, "embeddings").vectors)
    on_first = table.plate_ids == table.plate_ids.min()
    means = [table.features[rows, n_metrics:].mean(axis=0) for rows in (on_first, ~on_first)]
    assert means[0] == pytest.approx(means[1], abs=0.3)


def test_learners_get_at_most_so_many_components():
    assert N_COMPONENTS == 64


def test_a_new_space_replaces_the_old_one(experiment):
    embedding_set = embed(experiment)
    place_images(embedding_set)
    space = FeatureSpace.objects.get(basis="embeddings")
    assert (space.n_images, space.dimensions) == (120, D)


def test_a_network_that_cannot_be_used_never_stops_the_line(experiment, scientist, worker, settings):
    settings.EMBEDDINGS, settings.NETWORK = True, "/nowhere/network.onnx"
    job = start_job(Job.Kind.EMBED, experiment, by=scientist, followed_by=[Job.Kind.SCORE])
    alone = start_job(Job.Kind.EMBED, experiment, by=scientist)
    worker()
    job.refresh_from_db()
    alone.refresh_from_db()
    assert job.state == "succeeded"
    assert job.message.startswith("Left out: There is no file /nowhere/network.onnx")
    assert experiment.jobs.get(kind="score").state == "succeeded"
    assert (alone.state, alone.message[:16]) == ("failed", "There is no file")


def test_a_job_tells_of_files_it_cannot_read(scientist, worker, settings, tmp_path):
    settings.EMBEDDINGS, settings.NETWORK = True, str(write_network(tmp_path / "tiny.onnx"))
    experiment = make_scored_experiment(scientist, name="No files")
    job = start_job(Job.Kind.EMBED, experiment, by=scientist)
    worker()
    job.refresh_from_db()
    # The files of this experiment do not exist: that is told, and nothing is placed.
    assert job.message.startswith("The network looked at 0 fields. 12 could not be read, such as DNA: ")
    assert not Image.objects.filter(embeddings__isnull=False).exists()
