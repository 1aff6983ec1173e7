"""The isolation and the blended score side by side: cutoffs stay where they were saved, only promoted models decide."""

from __future__ import annotations

import csv
import io

import pytest

from labeling.models import Cutoff, ModelVersion, QCSet, ScoreRun
from labeling.problems import Conflict
from labeling.services.cutoffs import (
    CutoffChoice,
    carry_cutoff,
    choose_cutoff,
    current_run,
    cutoff_in_force,
    earlier_cutoff,
    save_cutoff,
    score_choices,
)
from labeling.services.exports import scores_table
from labeling.services.manifests import csv_of
from labeling.services.qc_sets import approve_qc_set, draft_qc_set, staleness
from tests.conftest import PASSWORD
from tests.factories import add_blended_scores, add_scores, save_cutoff_at
from tests.labeling.conftest import MEANING


def cut(run: ScoreRun, value: float, by) -> Cutoff:
    return save_cutoff(run, choose_cutoff(run, value=value), by=by, reason="looked at the borderline")


def in_force(experiment) -> Cutoff | None:
    return cutoff_in_force(experiment, ScoreRun.objects.latest_of(experiment))


def promote(run: ScoreRun, by) -> None:
    ModelVersion.objects.filter(pk=run.model_version_id).update(
        state="promoted", promoted_by=by, promotion_reason="finds every fibre"
    )


# --- which scores and which cutoff -----------------------------------------------------------------------


def test_each_score_has_its_run_and_the_promoted_model_its_own(experiment, scientist):
    first = add_blended_scores(experiment, by=scientist, state="promoted")
    second = add_blended_scores(experiment, by=scientist)
    isolation = ScoreRun.objects.latest_of(experiment)
    assert [current_run(experiment, kind) for kind in ("isolation", "blended", "promoted")] == [
        isolation,
        second,
        first,
    ]
    assert [(name, title) for name, title, _ in score_choices(experiment)] == [
        ("isolation", "isolation"),
        ("blended", "blended, model 2"),
        ("promoted", "blended, model 1, promoted"),
    ]


def test_without_a_promoted_model_that_is_said(experiment, scientist):
    add_blended_scores(experiment, by=scientist)
    with pytest.raises(Conflict, match="no promoted model"):
        current_run(experiment, "promoted")


def test_a_new_model_never_moves_a_saved_cutoff(experiment, scientist):
    cutoff = save_cutoff_at(experiment, -0.55, by=scientist)
    first = add_blended_scores(experiment, by=scientist)
    assert in_force(experiment) == cutoff
    cutoff = cut(first, 0.4, scientist)
    second = add_blended_scores(experiment, by=scientist)
    assert in_force(experiment) == cutoff
    assert not second.cutoffs.exists()


def test_new_isolation_scores_end_the_cutoff_on_those_before(experiment, scientist):
    save_cutoff_at(experiment, -0.55, by=scientist)
    add_scores(experiment, by=scientist, seed=2)
    assert in_force(experiment) is None


def test_a_cutoff_is_carried_over_with_a_reason_and_only_once(experiment, scientist):
    old = add_blended_scores(experiment, by=scientist)
    cut(old, 0.4, scientist)
    new = add_blended_scores(experiment, by=scientist)
    assert earlier_cutoff(new).value == 0.4
    carried = carry_cutoff(new, by=scientist, reason="fits as well")
    assert (carried.run, carried.value, carried.how, carried.reason) == (new, 0.4, "by hand", "fits as well")
    assert in_force(experiment) == carried
    with pytest.raises(Conflict, match="no cutoff on earlier blended scores"):
        carry_cutoff(new, by=scientist, reason="again")


def test_an_isolation_cutoff_is_not_carried_to_blended_scores(experiment, scientist):
    save_cutoff_at(experiment, -0.55, by=scientist)
    assert earlier_cutoff(add_blended_scores(experiment, by=scientist)) is None


def test_scores_that_newer_ones_replaced_take_no_cutoff_but_the_promoted_ones_do(experiment, scientist):
    first = add_blended_scores(experiment, by=scientist)
    add_blended_scores(experiment, by=scientist)
    with pytest.raises(Conflict, match="scored again"):
        cut(first, 0.4, scientist)
    promote(first, scientist)
    assert cut(current_run(experiment, "promoted"), 0.4, scientist).run == first


def test_automatic_is_one_half_on_probabilities(experiment, scientist):
    run = add_blended_scores(experiment, by=scientist)
    assert choose_cutoff(run, automatic=1) == CutoffChoice(0.5, "automatic")


# --- QC sets ----------------------------------------------------------------------------------------------


def test_a_model_nobody_promoted_decides_no_set(experiment, scientist):
    cut(add_blended_scores(experiment, by=scientist), 0.5, scientist)
    with pytest.raises(Conflict, match=r"model 1, which is candidate\. Promote model 1 first, or save a cutoff"):
        draft_qc_set(experiment, by=scientist)
    assert not QCSet.objects.exists()


def test_the_promoted_models_cutoff_decides_and_both_scores_are_told(experiment, scientist):
    run = add_blended_scores(experiment, by=scientist, state="promoted")
    cut(run, 0.5, scientist)
    add_blended_scores(experiment, by=scientist)  # a newer candidate changes nothing
    draft = draft_qc_set(experiment, by=scientist)
    assert (draft.run, draft.model_version, draft.n_out) == (run, run.model_version, 6)
    approve_qc_set(draft, by=scientist, password=PASSWORD, meaning=MEANING)
    isolation = dict(ScoreRun.objects.latest_of(experiment).scores.values_list("image", "score"))
    blended = dict(run.scores.values_list("image", "score"))
    draft.refresh_from_db()
    for row in csv.DictReader(io.StringIO(csv_of(draft).decode())):
        pk = int(row["image"])
        assert float(row["isolation_score"]) == pytest.approx(isolation[pk], rel=1e-6)
        assert float(row["blended_score"]) == pytest.approx(blended[pk], rel=1e-6)
        assert row["kept"] == str(int(blended[pk] >= 0.5))
        assert f"score {blended[pk]:.4f} is" in row["reason"]


def test_a_set_by_the_isolation_score_tells_the_promoted_models_beside_it(experiment, scientist):
    save_cutoff_at(experiment, -0.55, by=scientist)
    assert draft_qc_set(experiment, by=scientist).decisions.first().blended_score is None
    add_blended_scores(experiment, by=scientist, state="promoted")
    draft = draft_qc_set(experiment, by=scientist)
    assert draft.model_version is None
    assert draft.decisions.order_by("image").first().blended_score == pytest.approx(0.05)


def test_a_draft_of_a_model_that_was_retired_is_out_of_date(experiment, scientist):
    run = add_blended_scores(experiment, by=scientist, state="promoted")
    cut(run, 0.5, scientist)
    draft = draft_qc_set(experiment, by=scientist)
    add_blended_scores(experiment, by=scientist)
    assert staleness(draft) == ""
    add_blended_scores(experiment, by=scientist, state="promoted")
    draft = QCSet.objects.get(pk=draft.pk)
    assert staleness(draft) == "model 1, whose scores it follows, is no longer promoted"
    with pytest.raises(Conflict, match="no longer promoted"):
        approve_qc_set(draft, by=scientist, password=PASSWORD, meaning=MEANING)


def test_a_newer_cutoff_on_other_scores_makes_a_draft_out_of_date(experiment, scientist):
    save_cutoff_at(experiment, -0.55, by=scientist)
    draft = draft_qc_set(experiment, by=scientist)
    cut(add_blended_scores(experiment, by=scientist), 0.5, scientist)
    assert staleness(draft) == "another cutoff was saved after this draft was made"


def test_images_the_model_does_not_know_are_not_decided(experiment, scientist):
    run = add_blended_scores(experiment, by=scientist, state="promoted")
    cut(run, 0.5, scientist)
    image = experiment.images.first()
    image.pk, image.site = None, 9
    image.save()
    with pytest.raises(Conflict, match=r"1 images have no score of model 1 yet\. .* then score them with the model"):
        draft_qc_set(experiment, by=scientist)


# --- tables and lists ---------------------------------------------------------------------------------------


def test_the_table_of_scores_has_both_and_the_uncertainty(experiment, scientist):
    run = add_blended_scores(experiment, by=scientist)
    cut(run, 0.5, scientist)
    table = scores_table(experiment)
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    blended = dict(run.scores.values_list("image", "score"))
    for row in rows:
        assert row["blended_score"] == blended[row["image"]]
        assert row["isolation_score"] < 0
        assert row["uncertainty"] == pytest.approx(4 * row["blended_score"] * (1 - row["blended_score"]), abs=1e-6)
        assert row["flagged"] == (row["blended_score"] < 0.5)


def test_preview_and_list_follow_the_score_asked_for(experiment, scientist, client):
    run = add_blended_scores(experiment, by=scientist)
    client.force_login(scientist)
    address = f"/api/v1/experiments/{experiment.pk}"
    preview = client.get(f"{address}/cutoff-preview/?score=blended&value=0.5").json()
    assert (preview["score"], preview["flagged"], preview["kept"]) == ("blended", 6, 6)
    rows = client.get(f"{address}/images/?ordering=-blended_score&score=blended&score_min=0.5").json()["results"]
    assert [row["blended_score"] for row in rows] == sorted(
        (score for score in run.scores.values_list("score", flat=True) if score >= 0.5), reverse=True
    )
    assert client.get(f"{address}/images/?flagged=1").status_code == 409
    body = {"score": "blended", "value": 0.3, "reason": "looked"}
    assert client.post(f"{address}/cutoffs/", body, content_type="application/json").json()["score"] == "blended"
    rows = client.get(f"{address}/images/?flagged=1").json()["results"]
    assert rows
    assert all(row["blended_score"] < 0.3 for row in rows)


@pytest.mark.parametrize("size", [1, 5])
def test_pages_in_blended_order_show_each_image_once(experiment, scientist, client, size):
    add_blended_scores(experiment, by=scientist, scores=[0.5] * 6 + [0.1] * 6)
    client.force_login(scientist)
    address, seen = f"/api/v1/experiments/{experiment.pk}/images/?ordering=blended_score&page_size={size}", []
    while address:
        page = client.get(address).json()
        seen += [(row["blended_score"], row["id"]) for row in page["results"]]
        address = page["next"]
    assert len(seen) == 12
    assert seen == sorted(seen)
