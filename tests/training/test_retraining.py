"""What people said becomes a model: stored whole, repeatable, and never in the way of the scores there were."""

from __future__ import annotations

import numpy as np
import pytest
from django.core.files.storage import default_storage

from labeling.models import AuditEvent, Image, Job, Label, LabelQueue, ModelVersion, QueueEntry, ScoreRun
from labeling.problems import BadValue, Conflict
from labeling.services.image_facts import basis_of, facts_of_page, with_scores
from labeling.services.jobs import start_job
from labeling.services.labels import NewLabel, label_images, undo_label
from labeling.services.learning import n_new_labels
from labeling.services.scores import parts_of
from labeling.services.verification import faults
from tests.factories import add_scores, label_all, make_learnable_experiment
from training import tasks
from training.learning import learning_table, teaching_of
from training.retraining import NothingToLearn, load_learner, retrain
from training.scoring import score_experiment


@pytest.fixture
def plate(scientist, quick_learning):
    return make_learnable_experiment(scientist)


@pytest.fixture
def labelled(plate, scientist):
    experiment, good, bad = plate
    label_all(good[:8], bad[:6], by=scientist)
    return experiment


@pytest.fixture
def _this_connection(monkeypatch):
    monkeypatch.setattr("labeling.services.jobs.close_old_connections", lambda: None)


def teaching(experiment):
    return teaching_of(experiment, learning_table(experiment, ScoreRun.objects.latest_of(experiment)))


def blended(experiment):
    return ScoreRun.objects.latest_of(experiment, "blended")


# --- what is learnt -------------------------------------------------------------------------------------


def test_every_image_gets_a_blended_score_and_the_bad_ones_the_lower(labelled, plate, scientist):
    retrain(labelled, by=scientist)
    scores = dict(blended(labelled).scores.values_list("image", "score"))
    assert set(scores) == set(labelled.images.values_list("id", flat=True))
    unseen_good, unseen_bad = ([scores[image.pk] for image in part] for part in (plate[1][8:], plate[2][6:]))
    assert np.mean(unseen_bad) < np.mean(unseen_good) - 0.2


def test_a_version_says_what_it_is_made_of(labelled, scientist):
    model = retrain(labelled, by=scientist, seed=5)
    labels = list(Label.objects.order_by("id").values_list("id", flat=True))
    assert (model.number, model.state, model.n_labels, model.created_by) == (1, "candidate", 14, scientist)
    assert model.last_label_id == labels[-1]
    assert (model.recipe["seed"], model.recipe["labels"]) == (5, labels)
    assert model.recipe["isolation_run"] == ScoreRun.objects.latest_of(labelled).pk
    assert set(model.recipe["versions"]) == {"scikit-learn", "numpy", "scipy", "safetensors"}
    assert model.report["n_good"] == 8
    assert 0 < model.recipe["weight_of_classifier"] < 1
    run = blended(labelled)
    assert (run.model_version, run.parameters["weight_of_classifier"]) == (model, model.recipe["weight_of_classifier"])
    event = AuditEvent.objects.get(action="model.trained")
    assert (event.actor, event.new["weights_sha256"]) == (scientist, model.weights_sha256)


def test_the_same_labels_and_seed_give_the_same_bytes(labelled, scientist):
    first, second = retrain(labelled, by=scientist, seed=3), retrain(labelled, by=scientist, seed=3)
    runs = [model.score_runs.get() for model in (first, second)]
    assert (first.number, second.number) == (1, 2)
    assert first.weights_sha256 == second.weights_sha256
    assert bytes(runs[0].vector) == bytes(runs[1].vector)
    assert bytes(runs[0].parts.uncertainty) == bytes(runs[1].parts.uncertainty)


def test_frozen_weights_give_the_scores_of_the_run(labelled, scientist):
    model = retrain(labelled, by=scientist)
    table = learning_table(labelled, ScoreRun.objects.latest_of(labelled))
    again = load_learner(ModelVersion.objects.get(pk=model.pk)).predict(table.features, table.outlook)
    stored = dict(blended(labelled).scores.values_list("image", "score"))
    assert [stored[int(pk)] for pk in table.image_ids] == again.good.astype(np.float32).tolist()


def test_parts_of_each_image_are_kept_and_read_without_a_query(labelled, scientist, django_assert_num_queries):
    retrain(labelled, by=scientist)
    run = blended(labelled)
    ids = list(labelled.images.order_by("-id").values_list("id", flat=True))
    parts = parts_of(run, ids)
    assert list(parts) == ids
    assert all(set(part) == {"classifier", "forest", "disagreement", "uncertainty"} for part in parts.values())
    for pk, part in parts.items():
        assert part["disagreement"] == pytest.approx(abs(part["classifier"] - part["forest"]), abs=1e-6)
        low, high = sorted((part["classifier"], part["forest"]))
        assert low - 1e-6 <= run.scores.get(image=pk).score <= high + 1e-6
    with django_assert_num_queries(0):
        assert parts_of(run, [ids[3], 0, 2**60]) == {ids[3]: parts[ids[3]]}


def test_lists_tell_both_scores_and_the_uncertainty(labelled, scientist):
    retrain(labelled, by=scientist)
    basis = basis_of(labelled)
    facts = facts_of_page(list(with_scores(labelled.images.with_place(), basis)[:5]), basis)
    for fact in facts:
        assert -1 < fact.isolation_score < 0 < fact.blended_score < 1
        assert fact.uncertainty == parts_of(basis.blended_run, [fact.image.pk])[fact.image.pk]["uncertainty"]


# --- which labels count -----------------------------------------------------------------------------------


def test_the_newest_word_of_each_person_counts(plate, scientist, second_scientist):
    experiment, good, _ = plate
    for verdict, who in (("bad", scientist), ("bad", second_scientist), ("good", scientist)):
        label_images([NewLabel(good[0].pk, verdict)], by=who)
    label_images([NewLabel(good[1].pk, "unsure")], by=scientist)
    verdicts = teaching(experiment).verdicts
    assert len(verdicts.rows) == 0  # one good against one bad is a tie, unsure trains nothing
    assert len(verdicts.unsure_rows) == 2


def test_what_was_taken_back_does_not_count(plate, scientist, second_scientist):
    experiment, good, _ = plate
    label_images([NewLabel(good[0].pk, "good")], by=scientist)
    label_images([NewLabel(good[0].pk, "bad")], by=second_scientist)
    undo_label(good[0], by=second_scientist)
    found = teaching(experiment)
    # The copy the undo leaves is not a second voice.
    assert (found.n_labels, len(found.label_ids), found.verdicts.is_good.tolist()) == (1, 1, [True])
    label_images([NewLabel(good[1].pk, "good")], by=scientist)
    undo_label(good[1], by=scientist)
    assert teaching(experiment).n_labels == 1


def test_a_label_carried_to_the_same_picture_counts_once(plate, scientist):
    from labeling.services.same_content import carry_labels

    experiment, good, _ = plate
    Image.objects.filter(pk=good[1].pk).update(content_hash=good[0].content_hash)
    label_images([NewLabel(good[0].pk, "good")], by=scientist)
    carry_labels([Image.objects.get(pk=good[1].pk)])
    assert Label.objects.count() == 2
    assert teaching(experiment).n_labels == 1


def test_defects_and_random_draws_come_along(plate, scientist):
    experiment, good, bad = plate
    entry = QueueEntry.objects.filter(is_random=True).first()
    other = next(image for image in good if image.pk != entry.image_id)
    label_images(
        [
            NewLabel(entry.image_id, "good", from_queue=True),
            NewLabel(other.pk, "good", from_queue=True),
            NewLabel(bad[0].pk, "bad", ("debris",))
            if bad[0].pk != entry.image_id
            else NewLabel(bad[1].pk, "bad", ("debris",)),
        ],
        by=scientist,
    )
    table = learning_table(experiment, ScoreRun.objects.latest_of(experiment))
    found = teaching_of(experiment, table)
    assert table.image_ids[found.random_rows].tolist() == [entry.image_id]
    assert list(found.defects.values()) == [("debris",)]


def test_picked_in_a_gallery_is_not_drawn_at_random(plate, scientist):
    entry = QueueEntry.objects.filter(is_random=True).first()
    label_images([NewLabel(entry.image_id, "good")], by=scientist)
    assert not Label.objects.get().drawn_at_random


# --- when it cannot be done -------------------------------------------------------------------------------


def test_too_few_labels_are_told_and_the_queue_follows_the_answers(plate, scientist):
    experiment, good, _ = plate
    label_all(good[:3], [], by=scientist)
    before = LabelQueue.objects.first()
    with pytest.raises(NothingToLearn, match="3 good and 0 bad"):
        retrain(experiment, by=scientist)
    assert not ModelVersion.objects.exists()
    assert LabelQueue.objects.first().pk > before.pk
    assert not QueueEntry.objects.filter(queue=LabelQueue.objects.first(), image__in=good[:3]).exists()


def test_images_measured_after_the_scoring_are_not_passed_over(labelled, scientist):
    run = ScoreRun.objects.latest_of(labelled)
    some = list(run.scores.values_list("image_id", "score"))[:-2]
    Image.objects.exclude(pk__in=[pk for pk, _ in some]).update(state="failed", problem="torn")
    add_scores(labelled, by=scientist)
    Image.objects.update(state="ready", problem="")
    with pytest.raises(Conflict, match="2 images of Plate 0412 were measured after the last scoring"):
        retrain(labelled, by=scientist)


@pytest.mark.usefixtures("_this_connection")
def test_a_failed_training_leaves_the_old_scores_and_says_why(labelled, plate, scientist):
    retrain(labelled, by=scientist)
    before = blended(labelled)
    for image in plate[2][:6]:
        label_images([NewLabel(image.pk, "unsure")], by=scientist)
    job = start_job(Job.Kind.RETRAIN, labelled, by=scientist)
    tasks.retrain_experiment(job_id=job.pk)
    job.refresh_from_db()
    assert (job.state, blended(labelled)) == ("failed", before)
    assert "so far there are 8 good and 0 bad" in job.message


def test_altered_weights_are_refused_and_found(labelled, scientist):
    model = retrain(labelled, by=scientist)
    assert list(faults()) == []
    path = default_storage.path(model.weights.name)
    with open(path, "r+b") as file:
        file.seek(100)
        file.write(b"x")
    with pytest.raises(Conflict, match="weights of model 1 are missing or were altered"):
        load_learner(model)
    assert list(faults()) == ["Plate 0412 model 1: the weights are not those that were trained."]


# --- when it starts by itself -----------------------------------------------------------------------------


def test_enough_new_labels_queue_one_training(plate, scientist, settings):
    good = plate[1]
    settings.RETRAIN_AFTER = 4
    for n in range(3):
        label_images([NewLabel(good[n].pk, "good")], by=scientist)
    assert not Job.objects.exists()
    for n in range(3, 9):
        label_images([NewLabel(good[n].pk, "good")], by=scientist)
    job = Job.objects.get()
    assert (job.kind, job.parameters, job.requested_by) == ("retrain", {"automatic": True}, scientist)


@pytest.mark.usefixtures("_this_connection")
def test_a_training_nobody_asked_for_does_not_fail_for_want_of_labels(plate, scientist, settings):
    experiment, good, bad = plate
    settings.RETRAIN_AFTER = 2
    label_all(good[:2], [], by=scientist)
    job = Job.objects.get()
    tasks.retrain_experiment(job_id=job.pk)
    job.refresh_from_db()
    assert job.state == "succeeded"
    assert "Label at least one bad image" in job.message
    assert n_new_labels(experiment) == 0
    label_all([], bad[:2], by=scientist)
    tasks.retrain_experiment(job_id=Job.objects.latest("id").pk)
    assert Job.objects.latest("id").message.startswith("Model 1 has learnt from 4 labels.")
    assert n_new_labels(experiment) == 0


def test_an_unscored_experiment_queues_nothing(scientist, settings):
    from tests.factories import make_experiment

    settings.RETRAIN_AFTER = 1
    label_images([NewLabel(make_experiment(scientist).images.first().pk, "good")], by=scientist)
    assert not Job.objects.exists()


def test_new_scores_are_blended_anew_where_a_model_has_learnt(labelled, scientist, settings, worker):
    retrain(labelled, by=scientist)
    settings.RETRAIN_AFTER = 10
    start_job(Job.Kind.SCORE, labelled, by=scientist, parameters={"seed": 9})
    worker()
    assert list(Job.objects.order_by("id").values_list("kind", "state")) == [
        ("score", "succeeded"),
        ("retrain", "succeeded"),
    ]
    assert blended(labelled).parameters["isolation_run"] == ScoreRun.objects.latest_of(labelled).pk


def test_the_same_again_is_left_alone_when_nobody_asked(labelled, scientist):
    retrain(labelled, by=scientist)
    with pytest.raises(NothingToLearn, match="no new label"):
        retrain(labelled, by=scientist, only_new=True)
    score_experiment(labelled, by=scientist, seed=4)
    assert retrain(labelled, by=scientist, only_new=True).number == 2


def test_a_classifier_that_is_none_is_refused(labelled, scientist, settings):
    from django.core.checks import run_checks

    with pytest.raises(BadValue, match="'tea leaves' is no classifier; use "):
        retrain(labelled, by=scientist, classifier="tea leaves")
    settings.CLASSIFIER = "tea leaves"
    assert "training.E001" in [problem.id for problem in run_checks()]


def test_the_command_trains_here_or_queues(labelled, scientist, capsys):
    from django.core.management import call_command

    call_command("retrain", "Plate 0412", "--by", "grace", "--seed", "3")
    assert Job.objects.get().parameters == {"seed": 3}
    call_command("retrain", "Plate 0412", "--by", "grace", "--wait", "--seed", "3")
    assert ModelVersion.objects.get().recipe["seed"] == 3
    assert "Model 1 has learnt from 14 labels" in capsys.readouterr().out
