import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from labeling.models import Image, ScoreKind, ScoreRun, Well
from labeling.services.labels import NewLabel, label_images, undo_label
from labeling.services.scores import store_scores
from tests.factories import make_experiment, make_scored_experiment, save_cutoff_at
from tests.labeling.api.conftest import walk


def scores_by_image(experiment):
    run = ScoreRun.objects.latest_of(experiment)
    return dict(run.scores.values_list("image_id", "score"))


def test_an_image_tells_all_the_contract_names(as_scientist, address, experiment):
    image = experiment.images.first()
    Well.objects.filter(pk=image.well_id).update(role="control", control_class="M0", treatment={"compound": "DMSO"})
    shown = as_scientist.get(f"{address}/images/").json()["results"][0]
    score = shown.pop("isolation_score")
    assert score == scores_by_image(experiment)[image.pk]
    assert shown == {
        "id": image.pk,
        "plate": "0412",
        "well": "A01",
        "site": 1,
        "timepoint": 1,
        "role": "control",
        "control_class": "M0",
        "treatment": {"compound": "DMSO"},
        "content_hash": image.content_hash,
        "blended_score": None,
        "uncertainty": None,
        "disagreement": None,
        "verdict": None,
        "flagged": None,
        "reason": f"score {score:.4f}, no cutoff is saved yet",
        "reasons": [],
        "problem": "",
        "thumbnail": f"/images/{image.pk}/thumbnail/v1/composite.jpg",
    }


def test_the_list_takes_ten_queries_however_long_a_page_is(
    as_scientist, address, experiment, scientist, django_assert_num_queries
):
    save_cutoff_at(experiment, -0.55, by=scientist)
    label_images([NewLabel(image.pk, "good") for image in experiment.images.all()], by=scientist)
    as_scientist.get(f"{address}/images/?page_size=1")
    for size in (1, 12):
        # Experiment, channels; runs of both kinds, cutoff; whether images or wells changed; images, labels, reasons.
        with django_assert_num_queries(10):
            as_scientist.get(f"{address}/images/?page_size={size}")


@pytest.mark.parametrize("ordering", ["id", "isolation_score", "-isolation_score"])
@pytest.mark.parametrize("size", [1, 5, 12, 100])
def test_pages_show_each_image_once_even_with_tied_scores(as_scientist, scientist, ordering, size):
    experiment = make_experiment(scientist)
    ids = np.array(experiment.images.order_by("id").values_list("id", flat=True))
    run = ScoreRun.objects.latest_of(make_scored_experiment(scientist, name="lends its metric set"))
    # 0.1 and its like are not exact in 4 bytes; two images have no score at all.
    store_scores(
        experiment,
        kind=ScoreKind.ISOLATION,
        image_ids=ids[:10],
        scores=np.array([-0.3, -0.1, -0.1, -0.7, -0.1, -0.7, -0.3, -0.3, -0.6, -0.1]),
        metric_set=run.metric_set,
        parameters={},
        seed=1,
        by=scientist,
    )
    rows = walk(as_scientist, f"/api/v1/experiments/{experiment.pk}/images/?ordering={ordering}&page_size={size}")
    assert sorted(row["id"] for row in rows) == ids.tolist()
    if ordering == "id":
        assert [row["id"] for row in rows] == ids.tolist()
        return
    scores = [row["isolation_score"] for row in rows]
    assert scores[10:] == [None, None]
    assert scores[:10] == sorted(scores[:10], reverse=ordering.startswith("-"))


@pytest.mark.parametrize("ordering", ["id", "-isolation_score"])
def test_pages_go_back_too(as_scientist, address, ordering):
    first = as_scientist.get(f"{address}/images/?page_size=5&ordering={ordering}").json()
    second = as_scientist.get(first["next"]).json()
    assert as_scientist.get(second["previous"]).json()["results"] == first["results"]
    assert first["previous"] is None


def test_flagged_is_by_the_saved_cutoff(as_scientist, address, experiment, scientist):
    scores = scores_by_image(experiment)
    cutoff = sorted(scores.values())[4]  # exactly the score of an image, which is then kept
    save_cutoff_at(experiment, cutoff, by=scientist)
    flagged = walk(as_scientist, f"{address}/images/?flagged=true&page_size=3")
    kept = walk(as_scientist, f"{address}/images/?flagged=false&ordering=isolation_score&page_size=3")
    assert {row["id"] for row in flagged} == {pk for pk, score in scores.items() if score < cutoff}
    assert (len(flagged), len(kept)) == (4, 8)
    assert all(row["flagged"] is True and "is below the cutoff" in row["reason"] for row in flagged)
    assert all(row["flagged"] is False and "is not below the cutoff" in row["reason"] for row in kept)
    assert kept[0]["isolation_score"] == cutoff


def test_flagged_needs_a_saved_cutoff(as_scientist, address):
    response = as_scientist.get(f"{address}/images/?flagged=true")
    assert response.status_code == 409
    assert "No cutoff is saved" in response.json()["detail"]


def test_verdicts_are_those_in_force(as_scientist, address, experiment, scientist):
    a, b, c, d = experiment.images.all()[:4]
    label_images([NewLabel(a.pk, "bad", ("blur", "debris")), NewLabel(b.pk, "good")], by=scientist)
    label_images([NewLabel(b.pk, "unsure"), NewLabel(c.pk, "good"), NewLabel(d.pk, "bad")], by=scientist)
    undo_label(d, by=scientist)
    found = {v: walk(as_scientist, f"{address}/images/?verdict={v}") for v in ("good", "bad", "unsure", "none")}
    ids = {verdict: [row["id"] for row in rows] for verdict, rows in found.items()}
    assert (ids["bad"], ids["unsure"], ids["good"]) == ([a.pk], [b.pk], [c.pk])
    assert len(ids["none"]) == 9
    assert d.pk in ids["none"]
    assert found["bad"][0]["reason"] == "labelled bad (blur, debris) by Grace Plate"
    assert found["unsure"][0]["reason"].endswith("labelled unsure")
    assert found["bad"][0]["verdict"] == "bad"


def test_filters_choose_place_role_score_and_broken(as_scientist, scientist):
    experiment = make_scored_experiment(scientist, name="two", plates=("P1", "P2"))
    Well.objects.filter(plate__experiment=experiment, row=1, column=1).update(role="control")
    broken = experiment.images.last()
    Image.objects.filter(pk=broken.pk).update(state="incomplete", problem="ER: there is no file", content_hash="")
    scores = scores_by_image(experiment)
    low, high = sorted(scores.values())[3], sorted(scores.values())[9]

    def ids(query):
        return {row["id"] for row in walk(as_scientist, f"/api/v1/experiments/{experiment.pk}/images/?{query}")}

    assert ids("plate=P2") == set(experiment.images.filter(plate__barcode="P2").values_list("id", flat=True))
    assert len(ids("well=B2")) == len(ids("well=b02")) == 4
    assert len(ids("role=control")) == len(ids("well=A01")) == 4
    assert ids("plate=P1&well=A01&role=sample") == set()
    assert ids(f"score_min={low!r}&score_max={high!r}") == {p for p, s in scores.items() if low <= s <= high}
    assert ids("broken=true") == {broken.pk}
    assert len(ids("broken=false")) == 23
    assert ids("plate=unknown") == set()


def test_a_broken_image_says_why(as_scientist, address, experiment):
    pk = experiment.images.first().pk
    Image.objects.filter(pk=pk).update(state="incomplete", problem="ER: there is no file", content_hash="")
    shown = as_scientist.get(f"{address}/images/?broken=true").json()["results"][0]
    assert shown["problem"] == shown["reason"] == "ER: there is no file"
    assert shown["thumbnail"] is None


def test_images_are_listed_before_they_are_scored(as_scientist, scientist):
    experiment = make_experiment(scientist)
    for ordering in ("id", "isolation_score"):
        rows = walk(
            as_scientist,
            f"/api/v1/experiments/{experiment.pk}/images/?ordering={ordering}&page_size=5&score_min=",
        )
        assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)
        assert len(rows) == 12
        assert {(row["isolation_score"], row["reason"]) for row in rows} == {(None, "not scored yet")}


def test_another_experiments_images_are_left_out(as_scientist, address, scientist):
    make_scored_experiment(scientist, name="another")
    for ordering in ("id", "isolation_score"):
        assert len(walk(as_scientist, f"{address}/images/?ordering={ordering}")) == 12


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("verdict=great", "verdict: “great” is no verdict; use good, bad, unsure, none or disagree."),
        ("ordering=plate", "ordering: “plate” is no ordering"),
        ("role=poscon", "role: “poscon” is no role; use sample, control or empty."),
        ("flagged=perhaps", "flagged: use true or false."),
        ("well=hello", "'hello' is not a well"),
        ("score_min=low", "score_min"),
        ("score_max=nan", "score_max"),
        ("verdct=good", "There is no parameter 'verdct' here"),
        ("plate=%00", "plate"),
        ("treatment=DMSO", "'DMSO' is no treatment; it reads field=value"),
        ("metric=raw,1,2,CellQC_Beauty", "has no metric 'CellQC_Beauty'"),
        ("row=7B", "'7B' is not a row"),
        ("cursor=AAAA", "The cursor is not one that a page of this list gave"),
    ],
)
def test_a_filter_that_makes_no_sense_is_refused(as_scientist, address, query, says):
    response = as_scientist.get(f"{address}/images/?{query}")
    assert response.status_code == 400
    assert says in response.json()["detail"]


def test_no_page_counts_its_way_with_offset(as_scientist, experiment):
    address = f"/api/v1/experiments/{experiment.pk}/images/?ordering=isolation_score&page_size=4"
    second = as_scientist.get(address).json()["next"]
    with CaptureQueriesContext(connection) as captured:
        as_scientist.get(second)
    assert not [query["sql"] for query in captured if "OFFSET" in query["sql"]]


def test_several_values_widen_and_several_filters_narrow(as_scientist, address, experiment, scientist):
    Well.objects.filter(column=2).update(treatment={"compound": "X", "dose": 3})
    label_images([NewLabel(experiment.images.first().pk, "bad", ("fibre",))], by=scientist)

    def n(query):
        return len(walk(as_scientist, f"{address}/images/?{query}"))

    assert (n("well=A01"), n("well=A01&well=B02"), n("well=A01&site=1")) == (2, 4, 1)
    assert (n("row=A&column=2"), n("row=A&row=B&column=2")) == (2, 4)
    assert (n("treatment=compound=X"), n("treatment=compound=X&treatment=dose=4")) == (4, 0)
    assert (n("defect=fibre"), n("person=grace&defect=fibre"), n("person=rosa")) == (1, 1, 0)
    column = "CellQC_SaturatedPercent_DNA"
    assert n(f"metric=raw,,0.5,{column}") + n(f"metric=raw,0.5,,{column}") == 12


def test_labels_given_between_pages_skip_and_repeat_nothing(as_scientist, address, experiment, scientist):
    first = as_scientist.get(f"{address}/images/?verdict=none&page_size=5").json()
    label_images([NewLabel(row["id"], "good") for row in first["results"]], by=scientist)
    rest = walk(as_scientist, first["next"])
    seen = [row["id"] for row in first["results"] + rest]
    assert sorted(seen) == sorted(experiment.images.values_list("id", flat=True))
