import numpy as np
import pytest

from labeling.models import AuditEvent, Cutoff
from tests.factories import add_scores, make_scored_experiment
from tests.labeling.api.conftest import walk
from tests.labeling.api.test_images import scores_by_image


def test_a_preview_counts_overall_and_per_plate(as_data_scientist, scientist):
    experiment = make_scored_experiment(scientist, plates=("P1", "P2"))
    scores = scores_by_image(experiment)
    shown = as_data_scientist.get(
        f"/api/v1/experiments/{experiment.pk}/cutoff-preview/?score=isolation&value=-0.55"
    ).json()
    flagged = sum(score < -0.55 for score in scores.values())
    plates = shown.pop("per_plate")
    assert shown == {
        "score": "isolation",
        "value": -0.55,
        "how": "by hand",
        "percent": None,
        "flagged": flagged,
        "kept": 24 - flagged,
        "share": flagged / 24,
    }
    assert [plate["plate"] for plate in plates] == ["P1", "P2"]
    assert sum(plate["flagged"] for plate in plates) == flagged
    for plate in plates:
        assert plate["total"] == plate["flagged"] + plate["kept"] == 12
        assert plate["share"] == plate["flagged"] / 12
    assert not Cutoff.objects.exists()


def test_a_percentage_flags_that_share(as_scientist, address):
    shown = as_scientist.get(f"{address}/cutoff-preview/?percent=25").json()
    assert (shown["flagged"], shown["percent"], shown["how"]) == (3, 25, "percent")


def test_automatic_is_half(as_scientist, address):
    shown = as_scientist.get(f"{address}/cutoff-preview/?automatic=1").json()
    assert (shown["value"], shown["how"]) == (-0.5, "automatic")


@pytest.mark.parametrize(
    "query",
    ["", "value=-0.5&percent=3", "value=low", "percent=101", "percent=nan", "score=beauty&value=1", "automatic=0"],
)
def test_a_preview_of_nonsense_is_refused(as_scientist, address, query):
    response = as_scientist.get(f"{address}/cutoff-preview/?{query}")
    assert response.status_code == 400
    assert response.json()["detail"]


def test_a_score_that_is_not_there_yet_is_a_conflict(as_scientist, address):
    assert as_scientist.get(f"{address}/cutoff-preview/?score=blended&value=0.5").status_code == 409


def test_a_saved_cutoff_is_in_force_with_its_reason(as_scientist, address, scientist):
    body = {"score": "isolation", "percent": 25, "reason": "the borderline looked blurred"}
    response = as_scientist.post(f"{address}/cutoffs/", body, format="json")
    assert response.status_code == 201
    cutoff = Cutoff.objects.get()
    assert response.json()["id"] == cutoff.pk
    assert (response.json()["flagged"], response.json()["by"], response.json()["how"]) == (3, "grace", "percent")
    assert AuditEvent.objects.get(action="cutoff.saved").reason == "the borderline looked blurred"


def test_what_the_percentage_previewed_is_what_the_list_then_flags(as_scientist, address):
    body = {"percent": 25, "reason": "looked at it"}
    for seed in range(3):
        saved = as_scientist.post(f"{address}/cutoffs/", {**body, "reason": f"{seed}"}, format="json").json()
        flagged = walk(as_scientist, f"{address}/images/?flagged=true")
        assert saved["flagged"] == len(flagged) == sum(row["flagged"] for row in flagged) == 3


@pytest.mark.parametrize(
    "body",
    [{"value": -0.5}, {"value": -0.5, "reason": "  "}, {"reason": "why"}, {"value": "low", "reason": "why"}],
)
def test_a_cutoff_without_reason_or_value_is_refused(as_scientist, address, body):
    response = as_scientist.post(f"{address}/cutoffs/", body, format="json")
    assert response.status_code == 400
    assert not Cutoff.objects.exists()


def test_the_history_shows_every_cutoff_newest_first(
    as_scientist, address, experiment, scientist, django_assert_num_queries
):
    for value in np.linspace(-0.6, -0.5, 3):
        body = {"value": float(value), "reason": f"try {value:.2f}"}
        as_scientist.post(f"{address}/cutoffs/", body, format="json")
    add_scores(experiment, by=scientist, seed=2)
    rows = walk(as_scientist, f"{address}/cutoffs/?page_size=2")
    assert [row["reason"] for row in rows] == ["try -0.50", "try -0.55", "try -0.60"]
    with django_assert_num_queries(3):  # experiment, channels, cutoffs
        as_scientist.get(f"{address}/cutoffs/")


def test_a_rule_of_several_conditions_is_tried_saved_and_listed(as_scientist, address, experiment):
    also = "raw,,1.0,CellQC_SaturatedPercent_DNA"
    tried = as_scientist.get(f"{address}/cutoff-preview/?value=-0.6&also={also}").json()
    plain = as_scientist.get(f"{address}/cutoff-preview/?value=-0.6").json()
    assert tried["flagged"] > plain["flagged"]
    body = {
        "value": -0.6,
        "conditions": [{"column": "CellQC_SaturatedPercent_DNA", "high": 1.0}],
        "name": "bright",
        "reason": "camera too bright",
    }
    saved = as_scientist.post(f"{address}/cutoffs/", body, content_type="application/json")
    assert saved.status_code == 201
    assert saved.json()["flagged"] == tried["flagged"]
    assert saved.json()["conditions"] == [
        {"column": "CellQC_SaturatedPercent_DNA", "unit": "raw", "low": None, "high": 1.0}
    ]
    assert walk(as_scientist, f"{address}/cutoffs/")[0]["name"] == "bright"
    flagged = walk(as_scientist, f"{address}/images/?flagged=true")
    kept = walk(as_scientist, f"{address}/images/?flagged=false")
    assert (len(flagged), len(flagged) + len(kept)) == (tried["flagged"], 12)
    assert any("saturated" in image["reason"] for image in flagged)


def test_a_condition_that_makes_no_sense_is_refused_in_a_sentence(as_scientist, address):
    body = {"value": -0.6, "conditions": [{"column": "CellQC_Beauty_DNA", "low": 1}], "reason": "r"}
    answer = as_scientist.post(f"{address}/cutoffs/", body, content_type="application/json")
    assert answer.status_code == 400
    assert "has no metric 'CellQC_Beauty_DNA'" in answer.json()["detail"]
