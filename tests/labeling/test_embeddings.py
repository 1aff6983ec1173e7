"""The network looks at an experiment; its vectors are kept and come back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labeling.models import AuditEvent, Embedding, EmbeddingSet, Experiment, Image
from labeling.problems import BadValue, Conflict
from labeling.services.embedding import after_measuring, embed_experiment
from labeling.services.embeddings import load_embeddings, store_embeddings
from labeling.services.ingest import ingest_source
from labeling.services.measuring import measure_experiment
from tests.factories import make_experiment
from tests.labeling.plates_on_disk import name_of, pixels, write, write_plate
from tests.networks import write_network


@pytest.fixture
def network(tmp_path, settings) -> Path:
    """A tiny network, named in the settings."""
    path = write_network(tmp_path / "tiny.onnx")
    settings.EMBEDDINGS, settings.NETWORK = True, str(path)
    return path


@pytest.fixture
def plate(tmp_path) -> Path:
    return write_plate(tmp_path / "plate", sites=1)


@pytest.fixture
def measured(db, scientist, plate, settings) -> Experiment:
    """Two fields of two channels, ingested and measured."""
    settings.MEDIA_ROOT = plate.parent / "media"
    settings.WORKERS = 1
    experiment = Experiment.objects.create(name="On disk", created_by=scientist)
    ingest_source(experiment, str(plate), by=scientist)
    measure_experiment(experiment, by=scientist)
    return experiment


@pytest.fixture
def embedding_set(experiment) -> EmbeddingSet:
    return EmbeddingSet.objects.create(
        experiment=experiment, network="n1", channels=["DNA", "ER"], ranges=[[0, 1], [0, 1]], dimensions=7
    )


# --- storage ------------------------------------------------------------------------------------------


def test_vectors_come_back_as_they_were_kept(embedding_set):
    ids = np.array(embedding_set.experiment.images.order_by("-id").values_list("id", flat=True))
    vectors = np.random.default_rng(1).normal(size=(12, 7)).astype(np.float32)
    assert store_embeddings(embedding_set, ids, vectors) == 12
    found_ids, found = load_embeddings(embedding_set.experiment)
    assert found_ids.tolist() == ids[::-1].tolist()
    assert found.dtype == np.float32
    assert found == pytest.approx(vectors[::-1], rel=1e-3, abs=1e-4)


def test_keeping_twice_keeps_the_first(embedding_set):
    ids = np.array([embedding_set.experiment.images.first().pk])
    assert store_embeddings(embedding_set, ids, np.ones((1, 7))) == 1
    assert store_embeddings(embedding_set, ids, np.zeros((1, 7))) == 0
    assert (load_embeddings(embedding_set.experiment)[1] == 1).all()


@pytest.mark.parametrize("vectors", [np.ones((1, 6)), np.full((1, 7), np.nan)])
def test_vectors_that_are_none_are_not_kept(embedding_set, vectors):
    ids = np.array([embedding_set.experiment.images.first().pk])
    with pytest.raises(ValueError, match=r"finite|no 1 vectors"):
        store_embeddings(embedding_set, ids, vectors)
    assert not Embedding.objects.exists()


def test_broken_images_and_other_networks_are_left_out(embedding_set):
    experiment = embedding_set.experiment
    ids = np.array(experiment.images.values_list("id", flat=True))
    store_embeddings(embedding_set, ids, np.ones((12, 7)))
    Image.objects.filter(pk=ids[0]).update(state="failed", problem="torn")
    assert load_embeddings(experiment)[0].tolist() == sorted(ids[1:].tolist())
    EmbeddingSet.objects.create(experiment=experiment, network="n2", channels=[], ranges=[], dimensions=3)
    assert load_embeddings(experiment)[0].size == 0


def test_an_experiment_nobody_looked_at_has_no_vectors(experiment):
    ids, vectors = load_embeddings(experiment)
    assert (ids.size, vectors.size) == (0, 0)


# --- looking ------------------------------------------------------------------------------------------


def test_every_measured_image_gets_a_vector(measured, network, scientist):
    told: list[tuple[int, int]] = []
    sentence = embed_experiment(measured, by=scientist, progress=lambda *at: told.append(at))
    ids, vectors = load_embeddings(measured)
    assert sentence == "The network looked at 2 fields."
    assert ids.tolist() == list(measured.images.order_by("id").values_list("id", flat=True))
    assert vectors.shape == (2, 18)
    assert not np.allclose(vectors[0], vectors[1])
    assert told[-1] == (2, 2)
    assert AuditEvent.objects.get(action="experiment.embedded").new["fields"] == 2


def test_what_was_seen_is_not_looked_at_again(measured, network, scientist, plate):
    embed_experiment(measured, by=scientist)
    last = measured.images.order_by("-id").first()
    Embedding.objects.filter(image=last).delete()
    for file in plate.glob("B02*"):
        file.unlink()  # the first field is not read again
    assert embed_experiment(measured, by=scientist) == "The network looked at 1 fields."
    assert embed_experiment(measured, by=scientist) == "The network has seen everything already."
    assert Embedding.objects.count() == 2


def test_a_file_that_went_bad_stops_nothing(measured, network, scientist, plate):
    (plate / name_of("B02", 1, "ER")).write_bytes(b"torn")
    sentence = embed_experiment(measured, by=scientist)
    assert sentence.startswith("The network looked at 1 fields. 1 could not be read, such as ER: ")
    assert load_embeddings(measured)[0].size == 1
    write(plate / name_of("B02", 1, "ER"), pixels(1))
    embed_experiment(measured, by=scientist)
    assert load_embeddings(measured)[0].size == 2


def test_a_display_range_changed_later_does_not_part_the_plates(measured, network, scientist):
    embed_experiment(measured, by=scientist)
    before = load_embeddings(measured)[1]
    measured.channels.update(display_low=0, display_high=60_000)
    Embedding.objects.filter(image=measured.images.first()).delete()
    embed_experiment(measured, by=scientist)
    assert (load_embeddings(measured)[1] == before).all()


def test_another_network_looks_anew_and_the_one_asked_for_last_counts(measured, network, scientist):
    embed_experiment(measured, by=scientist)
    first = EmbeddingSet.objects.get()
    network.write_bytes(network.read_bytes() + b"\xa2\x06\x00")
    embed_experiment(measured, by=scientist)
    assert EmbeddingSet.objects.count() == 2
    assert load_embeddings(measured)[0].size == 2
    assert EmbeddingSet.objects.first() != first


def test_nothing_is_looked_at_before_it_is_measured(network, scientist):
    experiment = make_experiment(scientist)
    experiment.channels.update(display_low=None)
    with pytest.raises(Conflict, match="measure it first"):
        embed_experiment(experiment, by=scientist)


def test_turned_off_is_said(measured, settings, scientist):
    settings.EMBEDDINGS = False
    with pytest.raises(BadValue, match="turned off"):
        embed_experiment(measured, by=scientist)


def test_the_network_looks_between_measuring_and_scoring_when_there_is_one(network, settings):
    assert after_measuring() == ["embed", "score"]
    settings.EMBEDDINGS = False
    assert after_measuring() == ["score"]
