"""Queue, Models and one model as people see them, and who may do what there."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from django.test import Client
from django.urls import reverse

from labeling.models import AuditEvent, Job, Label, ModelVersion, ScoreRun
from labeling.roles import Action, allowed
from labeling.services.cutoffs import choose_cutoff, save_cutoff
from labeling.services.qc_sets import draft_qc_set
from labeling.services.repeats import next_repeat
from tests.factories import label_all, make_experiment, make_learnable_experiment, save_cutoff_at
from tests.labeling.pages.conftest import CAST, client_of, text_of, told
from training.charts import charts_of
from training.retraining import retrain
from training.versions import promote_model

ADDRESSES = {
    "score": ("post", "experiment", Action.SCORE),
    "retrain": ("post", "experiment", Action.RETRAIN),
    "training": ("get", "experiment", Action.LOOK),
    "queue": ("get", "experiment", Action.LOOK),
    "queue_label": ("post", "experiment", Action.LABEL),
    "undo_queue_label": ("post", "experiment", Action.LABEL),
    "queue_label_many": ("post", "experiment", Action.LABEL),
    "undo_queue_many": ("post", "experiment", Action.LABEL),
    "models": ("get", "experiment", Action.LOOK),
    "earlier_models": ("get", "experiment", Action.LOOK),
    "compare_models": ("post", "experiment", Action.RETRAIN),
    "apply_model": ("post", "experiment", Action.RETRAIN),
    "carry_cutoff": ("post", "experiment", Action.SET_CUTOFF),
    "sample": ("get", "sample", Action.LOOK),
    "draw_sample": ("post", "sample", Action.DRAFT),
    "judge_sampled": ("post", "sample", Action.DRAFT),
    "unjudge_sampled": ("post", "sample", Action.DRAFT),
    "model": ("get", "model", Action.LOOK),
    "promote_model": ("post", "model", Action.PROMOTE),
    "retire_model": ("post", "model", Action.PROMOTE),
}
# What a report can hold; numbers as the learners write them.
REPORT = {
    "n_good": 40,
    "n_bad": 12,
    "n_unsure": 2,
    "n_held_out": 52,
    "grouped_by": "well",
    "average_precision": {"value": 0.93, "low": 0.85, "high": 0.98},
    "roc_auc": {"value": 0.97, "low": 0.92, "high": 0.99},
    "brier": {"value": 0.05, "low": 0.03, "high": 0.08},
    "recall_at_good_lost": [{"good_lost": 0.03, "value": 0.75, "low": 0.5, "high": 0.9}],
    "calibration": [
        {"from": 0, "to": 0.2, "n": 30, "predicted": 0.05, "found": 0.03, "low": 0.0, "high": 0.15},
        {"from": 0.8, "to": 1, "n": 10, "predicted": 0.9, "found": 1.0, "low": 0.7, "high": 1.0},
    ],
    "curves": {
        "precision_recall": [[0, 1], [0.5, 1], [0.8, 0.9], [1, 0.4]],
        "roc": [[0, 0], [0, 0.7], [0.1, 0.9], [1, 1]],
    },
    "learning_curve": [
        {"labels": 10, "ours": 0.8, "random": 0.6, "forest": 0.7, "n_rest": 42, "n_bad_rest": 8},
        {"labels": 30, "ours": 0.93, "random": None, "forest": 0.7, "n_rest": 22, "n_bad_rest": 4},
    ],
    "by_defect": [{"defect": "fibre", "n": 5, "found": 4, "value": 0.8, "low": 0.3, "high": 0.98}],
    "by_treatment": [{"treatment": "DMSO", "n_good": 20, "n_bad": 3, "good_lost": 0.05}],
    "random_share": None,
    "notes": ["Twelve bad labels are few; the intervals are wide."],
}


@pytest.fixture
def plate(scientist, quick_learning):
    return make_learnable_experiment(scientist)


@pytest.fixture
def model(plate, scientist):
    experiment, good, bad = plate
    label_all(good[:8], bad[:6], by=scientist)
    return retrain(experiment, by=scientist)


@pytest.fixture
def world(model, scientist):
    save_cutoff_at(model.experiment, -0.5, by=scientist)
    draft = draft_qc_set(model.experiment, by=scientist)
    return SimpleNamespace(experiment=[model.experiment_id], model=[model.pk], sample=[draft.pk, "kept"])


def again(model):
    return ModelVersion.objects.get(pk=model.pk)


# --- who may enter ----------------------------------------------------------------------------------------


def test_every_address_stands_in_the_matrix():
    import training.urls

    assert {pattern.name for pattern in training.urls.urlpatterns} == set(ADDRESSES)


def test_the_cast_enters_where_their_role_lets_them(world, request):
    for who in CAST:
        person = request.getfixturevalue(who)
        client = client_of(person)
        for name, (method, about, action) in ADDRESSES.items():
            response = getattr(client, method)(reverse(name, args=getattr(world, about)))
            if allowed(person.roles, action):
                assert response.status_code != 403, (who, name)
            else:
                assert response.status_code == 403, (who, name)
                assert f"You may not {action.value}." in text_of(response)


def test_who_is_not_logged_in_is_asked_to_and_what_is_not_there_is_404(world, scientist):
    for name, (method, about, _) in ADDRESSES.items():
        response = getattr(Client(), method)(reverse(name, args=getattr(world, about)))
        assert response.status_code == 302, name
        given = {"image": "1", "n": "20"}
        assert (
            getattr(client_of(scientist), method)(
                reverse(name, args=[987654321, *getattr(world, about)[1:]]), given
            ).status_code
            == 404
        ), name
        if method == "post":
            assert client_of(scientist).get(reverse(name, args=getattr(world, about))).status_code == 405, name


# --- the queue --------------------------------------------------------------------------------------------


def test_the_queue_shows_unlabelled_images_each_with_why(plate, client, scientist):
    experiment, good, _ = plate
    client.force_login(scientist)
    label_all(good[:3], [], by=scientist)
    response = client.get(reverse("queue", args=[experiment.pk]))
    shown = [tile.image.pk for tile, _ in response.context["tiles"]]
    assert len(shown) == len(set(shown)) == 20
    assert not set(shown) & {image.pk for image in good[:3]}
    text = text_of(response)
    assert text.count('class="reason') == 20
    assert response.context["tiles"][0][1].why in text
    assert f'action="{reverse("queue_label", args=[experiment.pk])}"' in text


def test_a_label_of_the_queue_counts_as_asked_for(plate, client, scientist):
    experiment = plate[0]
    client.force_login(scientist)
    tiles = client.get(reverse("queue", args=[experiment.pk])).context["tiles"]
    for tile, candidate in tiles:
        answer = client.post(
            reverse("queue_label", args=[experiment.pk]),
            {"image": tile.image.pk, "verdict": "good"},
            headers={"X-Requested-With": "fetch"},
        )
        assert reverse("queue_label", args=[experiment.pk]) in text_of(answer)
        assert Label.objects.latest("id").drawn_at_random == candidate.is_random
    following = client.get(reverse("queue", args=[experiment.pk])).context["tiles"]
    again = {next_repeat(experiment, scientist).earlier.image_id}
    assert {tile.image.pk for tile, _ in following} & {tile.image.pk for tile, _ in tiles} == again


def test_an_unscored_experiment_has_nothing_to_ask(client, scientist):
    client.force_login(scientist)
    assert "Nothing to ask yet" in text_of(client.get(reverse("queue", args=[make_experiment(scientist).pk])))


# --- how far the learning is --------------------------------------------------------------------------------


def test_the_line_says_what_it_learns_from_and_when_it_is_done(plate, client, scientist, worker):
    experiment, good, bad = plate
    client.force_login(scientist)
    label_all(good[:5], bad[:3], by=scientist)
    address = f"{reverse('training', args=[experiment.pk])}?seen=0"
    assert "8 images are labelled good or bad" in text_of(client.get(address))
    client.post(reverse("retrain", args=[experiment.pk]))
    assert "Learning from 8 labels" in text_of(client.get(address))
    Job.objects.update(state="running", message="Learning from 8 labels.")
    assert "Learning from 8 labels." in text_of(client.get(address))
    Job.objects.update(state="queued")
    worker()
    assert "Model 1 is ready." in text_of(client.get(address))
    seen = text_of(client.get(address.replace("seen=0", "seen=1")))
    assert "Model 1 has learnt from 8 labels" in seen
    assert "ready" not in seen


def test_a_failure_is_told_in_words(plate, client, scientist, worker):
    experiment, good, _ = plate
    client.force_login(scientist)
    label_all(good[:2], [], by=scientist)
    client.post(reverse("retrain", args=[experiment.pk]))
    worker()
    assert "Label at least one bad image" in text_of(client.get(reverse("models", args=[experiment.pk])))


# --- the models -------------------------------------------------------------------------------------------


def test_models_are_listed_and_promoted_with_a_reason(model, client, scientist):
    client.force_login(scientist)
    text = text_of(client.get(reverse("models", args=[model.experiment_id])))
    assert "Model 1" in text
    assert "QC sets follow the isolation score" in text
    back = {"HTTP_REFERER": "http://testserver/models/"}
    client.post(reverse("promote_model", args=[model.pk]), {"reason": " "}, **back)
    assert again(model).state == "candidate"
    response = client.post(reverse("promote_model", args=[model.pk]), {"reason": "finds every fibre"}, follow=True)
    assert told(response)[-1:] == ["Model 1 is promoted: its blended scores may decide QC sets."]
    assert (again(model).state, again(model).promoted_by) == ("promoted", scientist)
    assert AuditEvent.objects.get(action="model.promoted").reason == "finds every fibre"


def test_rolling_back_takes_one_click(model, client, scientist):
    client.force_login(scientist)
    promote_model(model, by=scientist, reason="first")
    second = retrain(model.experiment, by=scientist, seed=2)
    promote_model(second, by=scientist, reason="second")
    text = text_of(client.get(reverse("models", args=[model.experiment_id])))
    assert 'value="rolled back from model 2"><button>Roll back to this' in text
    client.post(reverse("promote_model", args=[model.pk]), {"reason": "rolled back from model 2"})
    assert (again(model).state, again(second).state) == ("promoted", "retired")


def test_a_report_is_told_in_words_and_plots(model, client, scientist):
    client.force_login(scientist)
    ModelVersion.objects.update(report=REPORT)
    text = text_of(client.get(reverse("model", args=[model.pk])))
    assert "Bad images found when 3 % of the good ones are lost" in text
    assert "50.0 % to 90.0 %" in text
    assert "Twelve bad labels are few" in text
    assert "fibre" in text
    assert "DMSO" in text
    assert text.count("<svg viewBox") == 4
    assert "style=" not in text  # the browser would refuse it
    assert "<script>" not in text


def test_a_report_without_numbers_says_so(model, client, scientist):
    client.force_login(scientist)
    ModelVersion.objects.update(report={"n_good": 1, "n_bad": 1, "notes": []})
    assert "too few labels" in text_of(client.get(reverse("model", args=[model.pk])))
    assert "too few labels" in text_of(client.get(reverse("models", args=[model.experiment_id])))


def test_plots_put_better_higher_and_keep_to_their_field():
    by_title = {chart.title: chart for chart in charts_of(REPORT)}
    precision = by_title["Found and false alarms"].lines[0].points.split()
    assert precision[0] == "44.0,8.0"  # no recall, full precision: left, on top
    curve = by_title["What more labels bring"]
    assert [line.kind for line in curve.lines] == ["ours", "random", "forest"]
    low = by_title["Is a probability what it says?"].marks[0]
    assert low.low > low.y > low.high  # downwards is more in a drawing
    assert charts_of({}) == []


def test_a_cutoff_is_carried_over_to_the_scores_of_a_new_model(model, client, scientist):
    client.force_login(scientist)
    experiment = model.experiment
    old = ScoreRun.objects.latest_of(experiment, "blended")
    save_cutoff(old, choose_cutoff(old, value=0.6), by=scientist, reason="looked at 40")
    retrain(experiment, by=scientist, seed=2)
    text = text_of(client.get(reverse("models", args=[experiment.pk])))
    assert "No cutoff on the scores of model 2 yet" in text
    assert "Carry 0.6000 over" in text
    client.post(reverse("carry_cutoff", args=[experiment.pk]), {"score": "blended", "reason": "fits as well"})
    new = ScoreRun.objects.latest_of(experiment, "blended")
    assert (new.cutoffs.get().value, new.cutoffs.get().reason) == (0.6, "fits as well")
    assert "Carry" not in text_of(client.get(reverse("models", args=[experiment.pk])))


def test_contradicted_labels_are_shown_for_a_second_look(model, client, scientist, plate):
    client.force_login(scientist)
    report = model.report | {"second_look": [{"image": plate[1][0].pk, "wrong": 0.94}]}
    ModelVersion.objects.update(report=report)
    address = reverse("models", args=[model.experiment_id])
    assert "the models say bad with 94.0 %" in text_of(client.get(address))
    label_all([plate[1][0]], [], by=scientist)  # somebody looked again
    assert "A second look" not in text_of(client.get(address))
