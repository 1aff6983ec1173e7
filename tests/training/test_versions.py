"""Only a model that a person promoted decides, and everybody can see what that changed."""

from __future__ import annotations

import csv
import hashlib
import io

import pytest

from labeling.models import AuditEvent, ModelVersion, ScoreRun
from labeling.problems import BadValue, Conflict
from labeling.services.cutoffs import choose_cutoff, save_cutoff
from labeling.services.qc_sets import approve_qc_set, draft_qc_set
from labeling.services.rules import Condition, ids_breaking
from labeling.services.verification import faults
from tests.conftest import PASSWORD
from tests.factories import label_all, make_learnable_experiment, save_cutoff_at
from tests.labeling.api.conftest import client_of
from training.retraining import retrain
from training.versions import effects_of, promote_model, retire_model


@pytest.fixture
def plate(scientist, quick_learning):
    return make_learnable_experiment(scientist)


@pytest.fixture
def model(plate, scientist):
    experiment, good, bad = plate
    label_all(good[:6], bad[:4], by=scientist)
    return retrain(experiment, by=scientist)


def states(experiment) -> list[str]:
    return list(experiment.model_versions.order_by("number").values_list("state", flat=True))


def test_promoting_retires_the_one_before_and_rolling_back_is_promoting_again(model, scientist):
    second = retrain(model.experiment, by=scientist, seed=2)
    promote_model(model, by=scientist, reason="finds every fibre")
    promote_model(second, by=scientist, reason="finds dust, too")
    assert states(model.experiment) == ["retired", "promoted"]
    promote_model(model, by=scientist, reason="rolled back from model 2")
    assert states(model.experiment) == ["promoted", "retired"]
    told = AuditEvent.objects.filter(action__startswith="model.").values_list("action", "reason")
    assert list(told.order_by("sequence"))[2:] == [
        ("model.promoted", "finds every fibre"),
        ("model.retired", "model 2 took its place"),
        ("model.promoted", "finds dust, too"),
        ("model.retired", "model 1 took its place"),
        ("model.promoted", "rolled back from model 2"),
    ]
    assert list(faults()) == []


def test_retiring_leaves_no_model_that_decides(model, scientist):
    promote_model(model, by=scientist, reason="good")
    retire_model(model, by=scientist, reason="it misses bubbles")
    assert states(model.experiment) == ["retired"]
    with pytest.raises(Conflict, match="only a promoted model"):
        retire_model(model, by=scientist, reason="again")


def test_a_reason_is_needed_and_once_is_enough(model, scientist):
    for change in (promote_model, retire_model):
        with pytest.raises(BadValue, match="Say why"):
            change(model, by=scientist, reason="  ")
    promote_model(model, by=scientist, reason="good")
    with pytest.raises(Conflict, match="promoted already"):
        promote_model(model, by=scientist, reason="good")


def test_altered_weights_are_not_promoted(model, scientist):
    with model.weights.storage.open(model.weights.name, "wb") as file:
        file.write(b"something else")
    with pytest.raises(Conflict, match="were altered"):
        promote_model(model, by=scientist, reason="good")
    assert states(model.experiment) == ["candidate"]


def test_effects_count_who_would_change_side(model, scientist):
    experiment = model.experiment
    save_cutoff_at(experiment, -0.5, by=scientist)
    draft_qc_set(experiment, by=scientist)
    isolation = dict(ScoreRun.objects.latest_of(experiment).scores.values_list("image", "score"))
    blended = dict(model.score_runs.get().scores.values_list("image", "score"))
    labelled = set(experiment.labels.values_list("image", flat=True))
    out = {pk for pk in isolation if isolation[pk] >= -0.5 and blended[pk] < 0.5}
    back = {pk for pk in isolation if isolation[pk] < -0.5 and blended[pk] >= 0.5}
    of_cutoff, of_draft = effects_of(model)
    assert (of_cutoff.what, of_cutoff.out, of_cutoff.back) == (
        "the cutoff -0.5000 on the isolation scores",
        len(out),
        len(back),
    )
    assert out | back
    # Labels decide as before.
    assert (of_draft.what, of_draft.out, of_draft.back) == ("draft QC set 1", len(out - labelled), len(back - labelled))


def test_effects_count_what_the_whole_rule_flags(model, scientist):
    """On both sides: conditions of the rule in force, and of the rule saved on the model's scores."""
    experiment, run = model.experiment, ScoreRun.objects.latest_of(model.experiment)
    column = run.metric_set.columns[1]
    condition = Condition.of(column=column, unit="z", high=1.0)
    save_cutoff(run, choose_cutoff(run, value=-0.5, conditions=[condition]), by=scientist, reason="and by that metric")
    draft_qc_set(experiment, by=scientist)
    blended_run = model.score_runs.get()
    isolation = dict(run.scores.values_list("image", "score"))
    blended = dict(blended_run.scores.values_list("image", "score"))
    broken = set(ids_breaking(run.pk, [condition]))
    now = {pk for pk in isolation if isolation[pk] < -0.5} | broken
    by_model = {pk for pk in blended if blended[pk] < 0.5}
    of_cutoff, of_draft = effects_of(model)
    assert of_cutoff.what == "the cutoff -0.5000 and 1 condition on the isolation scores"
    assert (of_cutoff.out, of_cutoff.back) == (len(by_model - now), len(now - by_model))
    labelled = set(experiment.labels.values_list("image", flat=True))
    assert (of_draft.out, of_draft.back) == (len(by_model - now - labelled), len(now - by_model - labelled))
    assert broken - {pk for pk in isolation if isolation[pk] < -0.5}

    promote_model(model, by=scientist, reason="so that its scores take a cutoff")
    save_cutoff(
        blended_run, choose_cutoff(blended_run, value=0.5, conditions=[condition]), by=scientist, reason="the same"
    )
    same = next(effect for effect in effects_of(model) if effect.what == "draft QC set 1")
    by_rule = by_model | broken
    assert (same.out, same.back) == (len(by_rule - now - labelled), len(now - by_rule - labelled))


def test_approved_sets_stay_as_they_are(model, scientist):
    experiment = model.experiment
    save_cutoff_at(experiment, -0.5, by=scientist)
    qc_set = draft_qc_set(experiment, by=scientist)
    approve_qc_set(qc_set, by=scientist, password=PASSWORD, meaning="I reviewed this set")
    before = list(qc_set.decisions.values_list("image", "kept"))
    promote_model(model, by=scientist, reason="good")
    qc_set.refresh_from_db()
    assert (qc_set.state, list(qc_set.decisions.values_list("image", "kept"))) == ("approved", before)
    assert "stays as it is" in effects_of(model)[-1].note
    assert list(faults()) == []


# --- over REST ------------------------------------------------------------------------------------------------


def test_from_labels_to_a_signed_set_over_rest(plate, scientist, worker):
    experiment, _, bad = plate
    client, base = client_of(scientist), "/api/v1"
    address = f"{base}/experiments/{experiment.pk}"
    is_bad = {image.pk for image in bad}
    asked = client.get(f"{address}/queue/?limit=20").json()["results"]
    labels = [
        {"image": row["id"], "verdict": "bad" if row["id"] in is_bad else "good", "from_queue": True} for row in asked
    ]
    labels += [{"image": image.pk, "verdict": "bad", "defects": ["debris"]} for image in bad[:4]]
    assert client.post(f"{base}/labels/", labels, format="json").status_code == 201
    answer = client.post(f"{address}/retrain/")
    assert answer.status_code == 202
    worker()
    job = client.get(f"{base}/jobs/{answer.json()['job']}/").json()
    assert job["state"] == "succeeded", job["message"]
    [model] = client.get(f"{address}/models/").json()["results"]
    assert (model["number"], model["state"], model["report"]["n_bad"] >= 4) == (1, "candidate", True)
    saved = client.post(
        f"{address}/cutoffs/", {"score": "blended", "automatic": True, "reason": "one half"}, format="json"
    )
    assert saved.status_code == 201
    assert "Promote model 1 first" in client.post(f"{address}/qc-sets/").json()["detail"]
    assert client.post(f"{base}/models/{model['id']}/promote/", {"reason": ""}, format="json").status_code == 400
    promoted = client.post(
        f"{base}/models/{model['id']}/promote/", {"reason": "finds all debris"}, format="json"
    ).json()
    assert (promoted["state"], promoted["promoted_by"]) == ("promoted", "grace")
    draft = client.post(f"{address}/qc-sets/").json()
    assert (draft["score"], draft["model"], draft["cutoff"]) == ("blended", model["id"], 0.5)
    body = {"password": PASSWORD, "meaning": "I reviewed this set"}
    signature = client.post(f"{base}/qc-sets/{draft['id']}/sign/", body, format="json").json()
    exported = b"".join(client.get(f"{base}/qc-sets/{draft['id']}/export/?format=csv").streaming_content)
    assert hashlib.sha256(exported).hexdigest() == signature["manifest_sha256"]
    rows = list(csv.DictReader(io.StringIO(exported.decode())))
    assert all(row["isolation_score"] and row["blended_score"] for row in rows)
    wrong = [row for row in rows if (row["kept"] == "1") == (int(row["image"]) in is_bad)]
    assert len(wrong) <= 3
    assert list(faults()) == []


def test_the_cast_meets_the_models(model, data_scientist, admin, outsider):
    address = f"/api/v1/models/{model.pk}"
    for person, looks, promotes in ((data_scientist, 200, 403), (admin, 200, 403), (outsider, 403, 403)):
        client = client_of(person)
        assert client.get(f"{address}/").status_code == looks
        assert client.post(f"{address}/promote/", {"reason": "mine"}, format="json").status_code == promotes
        assert client.post(f"{address}/retire/", {"reason": "mine"}, format="json").status_code == promotes
    assert states(model.experiment) == ["candidate"]


def test_a_cutoff_on_a_promoted_model_outlives_newer_ones(model, scientist):
    promote_model(model, by=scientist, reason="good")
    run = model.score_runs.get()
    save_cutoff(run, choose_cutoff(run, value=0.4), by=scientist, reason="looked")
    retrain(model.experiment, by=scientist, seed=2)
    draft = draft_qc_set(model.experiment, by=scientist)
    assert (draft.model_version, draft.run) == (ModelVersion.objects.get(pk=model.pk), run)
