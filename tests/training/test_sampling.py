"""How bad is a draft still: drawn blindly, looked at, told with its interval, kept with what is signed."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, connection, transaction
from django.urls import reverse

from labeling.models import AuditEvent, Label, SampledImage
from labeling.problems import BadValue, Conflict
from labeling.services.labels import NewLabel, label_images
from labeling.services.qc_sets import approve_qc_set, draft_qc_set, staleness
from tests.conftest import PASSWORD
from tests.factories import make_scored_experiment, save_cutoff_at
from tests.labeling.pages.conftest import client_of, text_of
from training.sampling import draw_sample, judge_sampled, plans


def run(statement: str) -> None:
    """A statement past the app, as somebody with a database shell might give it."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.fixture
def draft(scientist):
    experiment = make_scored_experiment(scientist, rows=8, columns=8)
    save_cutoff_at(experiment, -0.6, by=scientist)
    return draft_qc_set(experiment, by=scientist)


@pytest.fixture
def sample(draft, scientist):
    return draw_sample(draft, part="kept", n=20, by=scientist, seed=4)


def judge_all(sample, by, bad: int = 0) -> None:
    for row in sample.images.select_related("image"):
        judge_sampled(sample, row.image, "bad" if row.rank < bad else "good", by=by)
    sample.refresh_from_db()


def test_drawn_are_whole_bands_of_the_part_alike(draft, sample):
    kept = set(draft.decisions.filter(kept=True).values_list("image", flat=True))
    drawn = list(sample.images.values_list("image", flat=True))
    assert len(set(drawn)) == sample.n == 20
    assert set(drawn) <= kept
    assert sum(sample.strata_sizes) == len(kept)
    assert sum(sample.strata_drawn) == 20
    scores = dict(draft.decisions.values_list("image", "isolation_score"))
    worst = [scores[row.image_id] for row in sample.images.all() if row.stratum == 0]
    best = [scores[row.image_id] for row in sample.images.all() if row.stratum == len(sample.strata_sizes) - 1]
    assert max(worst) < min(best)


def test_labels_need_no_second_opinion(draft, scientist):
    label_images([NewLabel(image.pk, "good") for image in draft.experiment.images.all()], by=scientist)
    again = draft_qc_set(draft.experiment, by=scientist)
    with pytest.raises(BadValue, match="decided no image of this part"):
        draw_sample(again, part="kept", n=20, by=scientist, seed=1)


def test_all_looked_at_gives_share_interval_and_a_sentence(sample, scientist):
    assert sample.result is None
    judge_all(sample, scientist, bad=2)
    assert sample.result["low"] < sample.result["share"] < sample.result["high"]
    assert "2 bad of 20 drawn" in sample.result["sentence"]
    event = AuditEvent.objects.get(action="qc_set.sample_judged")
    assert event.new["result"] == sample.result["sentence"]


def test_unsure_counts_against_the_set_and_what_is_taken_back_waits_again(sample, scientist):
    judge_all(sample, scientist)
    first = sample.images.select_related("image").first()
    judge_sampled(sample, first.image, "unsure", by=scientist)
    sample.refresh_from_db()
    assert "1 bad of 20 drawn" in sample.result["sentence"]
    assert sample.result["n_unsure"] == 1
    judge_sampled(sample, first.image, "", by=scientist)
    sample.refresh_from_db()
    assert sample.result is None
    assert SampledImage.objects.get(pk=first.pk).by is None


def test_looking_makes_no_label_and_no_draft_out_of_date(draft, sample, scientist):
    judge_all(sample, scientist, bad=1)
    assert not Label.objects.exists()
    assert staleness(draft) == ""


def test_nobody_draws_twice_or_from_what_is_signed_or_stale(draft, sample, scientist):
    with pytest.raises(Conflict, match="already"):
        draw_sample(draft, part="kept", n=20, by=scientist, seed=5)
    draw_sample(draft, part="out", n=10, by=scientist, seed=5)
    approve_qc_set(draft, by=scientist, password=PASSWORD, meaning="I reviewed this set")
    with pytest.raises(Conflict, match="is approved; only a draft"):
        judge_sampled(sample, sample.images.first().image, "good", by=scientist)
    later = draft_qc_set(draft.experiment, by=scientist)
    label_images([NewLabel(draft.experiment.images.first().pk, "good")], by=scientist)
    with pytest.raises(Conflict, match="out of date"):
        draw_sample(later, part="kept", n=20, by=scientist, seed=5)


@pytest.mark.parametrize(("part", "n"), [("best", 20), ("kept", 9), ("kept", 1001)])
def test_what_makes_no_sense_is_refused(draft, scientist, part, n):
    with pytest.raises(BadValue):
        draw_sample(draft, part=part, n=n, by=scientist, seed=1)


def test_the_signature_tells_the_estimate(draft, sample, scientist):
    judge_all(sample, scientist)
    approve_qc_set(draft, by=scientist, password=PASSWORD, meaning="I reviewed this set")
    event = AuditEvent.objects.get(action="qc_set.approved")
    assert event.new["estimates"] == {"kept": sample.result["sentence"]}
    assert "0 bad of 20 drawn" in text_of(client_of(scientist).get(reverse("qc_set", args=[draft.pk])))


def test_the_plan_says_what_a_number_is_worth():
    assert dict(plans(100_000, "kept"))[60].startswith("0 bad of 60 drawn: at most 4.9 %")


def test_people_draw_and_look_without_the_score(draft, scientist, data_scientist):
    client = client_of(scientist)
    address = reverse("sample", args=[draft.pk, "kept"])
    assert "0 bad of 30 drawn" in text_of(client.get(address))
    assert client_of(data_scientist).post(reverse("draw_sample", args=[draft.pk, "kept"]), {"n": 30}).status_code == 403
    client.post(reverse("draw_sample", args=[draft.pk, "kept"]), {"n": 30})
    page = client.get(address)
    assert len(page.context["tiles"]) == 30
    assert {tile.score for tile in page.context["tiles"]} == {None}
    judge = reverse("judge_sampled", args=[draft.pk, "kept"])
    for tile in page.context["tiles"]:
        answer = client.post(judge, {"image": tile.image.pk, "verdict": "good"}, headers={"X-Requested-With": "fetch"})
        assert f'action="{judge}"' in text_of(answer)
        assert "is-good" in text_of(answer)
    assert "0 bad of 30 drawn" in text_of(client.get(address))
    client.post(reverse("unjudge_sampled", args=[draft.pk, "kept"]), {"image": page.context["tiles"][0].image.pk})
    assert "29 of 30 looked at" in text_of(client.get(address))


@pytest.mark.parametrize("statement", ["UPDATE {} SET {}", "DELETE FROM {}"])
@pytest.mark.parametrize(
    ("table", "judged"), [("labeling_setsample", "result = NULL"), ("labeling_sampledimage", "verdict = 'bad'")]
)
def test_a_sample_is_frozen_with_its_set(draft, sample, scientist, table, judged, statement):
    judge_all(sample, scientist)
    approve_qc_set(draft, by=scientist, password=PASSWORD, meaning="reviewed")
    with pytest.raises(IntegrityError, match="the sample of a approved QC set cannot be changed"):
        run(statement.format(table, judged))


@pytest.mark.parametrize(
    "statement",
    ["UPDATE labeling_setsample SET seed = seed + 1", "UPDATE labeling_sampledimage SET stratum = stratum + 1"],
)
def test_what_was_drawn_never_changes(sample, statement):
    with pytest.raises(IntegrityError, match="what was drawn cannot be changed"):
        run(statement)


@pytest.mark.parametrize("table", ["labeling_setsample", "labeling_sampledimage"])
def test_a_draw_cannot_be_thrown_away_for_a_nicer_one(sample, table):
    with pytest.raises(IntegrityError, match="the sample of a draft QC set cannot be changed"):
        run(f"DELETE FROM {table}")
