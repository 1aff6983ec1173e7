"""Why an image is doubtful, from the models' own attributions through the database to every page that judges it."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import numpy as np
import pytest
from django.urls import reverse
from django.utils.html import escape

from imaging.metrics import METRIC_SET_VERSION, measure_field_planes, metric_columns
from imaging.simulate import DEFECTS, PlateRecipe, plan_plate, render_field
from labeling.models import ImageReason, MetricSet, QueueEntry, ScoreRun
from labeling.services.cutoffs import choose_cutoff, save_cutoff
from labeling.services.exports import scores_table
from labeling.services.manifests import manifest_csv
from labeling.services.measurements import store_measurements
from labeling.services.qc_sets import draft_qc_set
from labeling.services.reasons import reasons_of
from tests.factories import (
    add_blended_scores,
    label_all,
    make_experiment,
    make_learnable_experiment,
    make_scored_experiment,
    save_cutoff_at,
)
from tests.labeling.pages.conftest import HTMX, client_of, text_of
from training.learners.phenomena import PHENOMENA
from training.learning import learning_table
from training.queue import images_to_label
from training.reasons import doubtful_rows, forest_of
from training.retraining import retrain
from training.scoring import score_experiment

CHANNELS = ("DNA", "ER", "AGP")
SHAPE = {"rows": 6, "columns": 16, "sites": 1, "channels": CHANNELS}
KINDS_OF = {phenomenon.name: phenomenon.kinds for phenomenon in PHENOMENA}
CLEAR = 0.75


@pytest.fixture(scope="module")
def plate():
    """Metrics of 96 fields, two of each kind of artefact spoiled plainly: values (96, P), and kind by row."""
    recipe = PlateRecipe(seed=47, size=(300, 300), bad_share=0.0, rows=6, columns=16, sites=1, channels=CHANNELS)
    plans = plan_plate(recipe)
    usual = [n for n, plan in enumerate(plans) if not plan.phenotype]
    spoiled = dict(zip(usual[:: len(usual) // (2 * len(DEFECTS))], [*DEFECTS, *DEFECTS], strict=False))
    for row, kind in spoiled.items():
        plans[row] = replace(plans[row], is_bad=True, defect=kind, severity=CLEAR, defect_channels="+".join(CHANNELS))
    planes = (list(render_field(recipe, plan)) for plan in plans)
    values = np.array([measure_field_planes(field, [65535] * 3, [recipe.ceiling] * 3) for field in planes])
    return values.astype(np.float32), spoiled


@pytest.fixture
def simulated(plate, scientist, quick_learning):
    """The plate in the database, scored, and image id to its kind of artefact."""
    values, spoiled = plate
    experiment = make_experiment(scientist, **SHAPE)
    ids = np.array(experiment.images.order_by("id").values_list("id", flat=True))
    metric_set = MetricSet.objects.create(
        experiment=experiment, version=METRIC_SET_VERSION, columns=metric_columns(CHANNELS)
    )
    store_measurements(metric_set, ids, values)
    score_experiment(experiment, by=scientist)
    return experiment, {int(ids[row]): kind for row, kind in spoiled.items()}


@pytest.fixture
def learnable(scientist, quick_learning):
    return make_learnable_experiment(scientist)


def named_kinds(run, image_ids, *, among: int):
    """Image id to the kinds of artefact that its first so many reasons may be."""
    named = dict.fromkeys(image_ids, ())
    for reason in ImageReason.objects.filter(run=run, image__in=list(image_ids), rank__lte=among):
        named[reason.image_id] += KINDS_OF.get(reason.code, ())
    return named


# --- what is kept ---------------------------------------------------------------------------------------------


def test_the_page_tells_the_kind_of_artefact_first_in_clear_cases(simulated, scientist):
    experiment, kinds = simulated
    run = ScoreRun.objects.latest_of(experiment)
    # Clear to the forest as well: among its worst fifth. What it overlooks it cannot explain.
    worst = set(run.scores.order_by("score").values_list("image_id", flat=True)[:20])
    clear = {pk: kind for pk, kind in kinds.items() if pk in worst}
    assert len(clear) >= 10
    named, client = named_kinds(run, clear, among=1), client_of(scientist)
    assert np.mean([kind in named[pk] for pk, kind in clear.items()]) >= 0.9
    for pk in clear:
        first = ImageReason.objects.get(run=run, image=pk, rank=1)
        page = text_of(client.get(reverse("image", args=[pk])))
        assert page.index(escape(first.words)) < page.index("What sets it apart on its plate")


def test_a_model_tells_the_kind_as_well(simulated, scientist):
    experiment, kinds = simulated
    bad = list(kinds)
    good = [pk for pk in experiment.images.order_by("id").values_list("id", flat=True) if pk not in kinds]
    images = experiment.images.in_bulk()
    label_all([images[pk] for pk in good[:20]], [images[pk] for pk in bad[::2]], by=scientist)
    retrain(experiment, by=scientist, classifier="trees")
    run = ScoreRun.objects.latest_of(experiment, "blended")
    scores = dict(run.scores.values_list("image", "score"))
    found = [pk for pk in bad[1::2] if scores[pk] < 0.5]
    named = named_kinds(run, found, among=2)
    assert len(found) >= 4
    assert np.mean([kinds[pk] in named[pk] for pk in found]) >= 0.8


def test_reasons_have_codes_numbers_and_words(simulated):
    run = ScoreRun.objects.latest_of(simulated[0])
    reasons = list(run.reasons.order_by("image", "rank"))
    by_image = {}
    for reason in reasons:
        by_image.setdefault(reason.image_id, []).append(reason)
    for found in by_image.values():
        assert [reason.rank for reason in found] == list(range(1, len(found) + 1))
        assert len(found) <= 3
        strengths = [reason.strength for reason in found]
        assert strengths == sorted(strengths, reverse=True)
        assert sum(strengths) <= 1 + 1e-9
    metrics = [reason for reason in reasons if reason.value is not None]
    assert metrics
    assert {reason.column for reason in metrics} <= set(run.metric_set.columns)
    assert all(0 <= reason.share <= 1 for reason in metrics)
    assert {reason.code for reason in reasons} & set(KINDS_OF)


def test_the_forest_grown_again_is_the_one_that_scored(simulated):
    experiment, _ = simulated
    run = ScoreRun.objects.latest_of(experiment)
    table = learning_table(experiment, run)
    scores = forest_of(run, table).score_samples(table.features)
    assert scores.astype(np.float32).tolist() == table.isolation.astype(np.float32).tolist()


def test_the_worst_the_flagged_and_the_asked_for_are_explained(scientist, monkeypatch, quick_learning):
    monkeypatch.setattr("training.reasons.FEWEST", 2)
    experiment, _, _ = make_learnable_experiment(scientist, rows=8, columns=10)
    run = ScoreRun.objects.latest_of(experiment)
    table = learning_table(experiment, run)
    queue = experiment.label_queues.first()
    QueueEntry.objects.filter(queue=queue, rank__gt=1).delete()
    asked = set(queue.entries.values_list("image_id", flat=True))
    scores = np.linspace(-0.45, -0.3, len(table.image_ids))  # nothing is flagged by the automatic cutoff
    by_score = table.image_ids[np.argsort(scores, kind="stable")].tolist()

    def explained():
        return set(table.image_ids[doubtful_rows(run, table, scores, queue)].tolist())

    assert explained() == set(by_score[:16]) | asked
    save_cutoff(run, choose_cutoff(run, value=scores[20]), by=scientist, reason="flags 20")
    assert explained() == set(by_score[:20]) | asked
    save_cutoff(run, choose_cutoff(run, value=0.0), by=scientist, reason="flags all")
    assert explained() == set(by_score[:40]) | asked  # a quarter at most


def test_batches_change_nothing(learnable, scientist, monkeypatch):
    experiment = learnable[0]

    def kept():
        run = score_experiment(experiment, by=scientist)
        return list(run.reasons.order_by("image", "rank").values_list("image", "code", "words", "strength"))

    whole = kept()
    monkeypatch.setattr("training.reasons.BATCH", 7)
    assert kept() == whole


# --- where it is shown ----------------------------------------------------------------------------------------


@pytest.fixture
def flagged(learnable, scientist):
    """An experiment with a cutoff, and one image it flags with its first reason."""
    experiment = learnable[0]
    run = ScoreRun.objects.latest_of(experiment)
    first = run.scores.order_by("score").first()
    save_cutoff_at(experiment, float(np.quantile(list(run.scores.values_list("score", flat=True)), 0.2)), by=scientist)
    return experiment, first.image, ImageReason.objects.get(run=run, image=first.image, rank=1)


@pytest.mark.parametrize("page", ["image", "viewer"])
def test_the_image_says_why_it_is_flagged(flagged, scientist, page):
    _, image, first = flagged
    text = text_of(client_of(scientist).get(reverse(page, args=[image.pk]), headers=HTMX if page == "image" else {}))
    assert "Why it is flagged" in text
    assert escape(first.words) in text
    assert "the forest weighs it" in text


def test_tiles_of_review_say_why_when_pointed_at(flagged, scientist):
    experiment, image, first = flagged
    text = text_of(client_of(scientist).get(reverse("review", args=[experiment.pk])))
    tile = text[text.index(f'data-image="{image.pk}"') - 400 : text.index(f'data-image="{image.pk}"')]
    assert f'title="{escape(first.words)}' in tile


def test_review_costs_one_query_for_all_reasons(flagged, scientist, django_assert_num_queries):
    experiment, image, _ = flagged
    run = ScoreRun.objects.latest_of(experiment)
    with django_assert_num_queries(1):
        found = reasons_of([run, run, None], [image.pk, 1, 2])
    assert list(found) == [image.pk]
    with django_assert_num_queries(0):
        assert reasons_of([None], [image.pk]) == {}


def test_the_queue_says_why_but_not_of_what_was_drawn_blindly(learnable, scientist):
    experiment = learnable[0]
    candidates = images_to_label(experiment, limit=20)
    assert any(candidate.is_random and candidate.facts.reasons for candidate in candidates)
    response = client_of(scientist).get(reverse("queue", args=[experiment.pk]))
    for tile, candidate in response.context["tiles"]:
        telling = [one for one in candidate.facts.reasons if one.share is None or one.share >= 0.95]
        assert list(tile.reasons) == ([] if candidate.is_random else telling[:1])
    shown = [tile.why for tile, _ in response.context["tiles"] if tile.reasons]
    assert shown
    assert f"Against it: {escape(shown[0])}" in text_of(response)


def test_sets_manifests_and_tables_tell_it_in_the_reason(flagged, scientist):
    experiment, image, first = flagged
    draft = draft_qc_set(experiment, by=scientist)
    reason = draft.decisions.get(image=image).reason
    assert reason.startswith("score -0.")
    assert f"is below the cutoff {draft.cutoff.value:.4f}: {first.words}" in reason
    kept = draft.decisions.filter(kept=True).first()
    assert kept.reason.endswith(f"is not below the cutoff {draft.cutoff.value:.4f}")
    rows = {row["image"]: row for row in csv.DictReader(io.StringIO(manifest_csv(draft).decode()))}
    assert rows[str(image.pk)]["reason"] == reason
    assert escape(reason) in text_of(client_of(scientist).get(reverse("qc_set", args=[draft.pk])))
    table = scores_table(experiment)
    told = {row[3]: row[list(table.columns).index("reason")] for row in table.rows}
    assert told[image.pk] == reason


def test_a_label_still_gives_its_own_reason(flagged, scientist):
    experiment, image, _ = flagged
    label_all([], [image], by=scientist)
    assert draft_qc_set(experiment, by=scientist).decisions.get(image=image).reason == "labelled bad by Grace Plate"


def test_rest_lists_reasons(flagged, scientist):
    experiment, image, first = flagged
    rows = client_of(scientist).get(f"/api/v1/experiments/{experiment.pk}/images/?flagged=1").json()["results"]
    row = next(row for row in rows if row["id"] == image.pk)
    assert row["reasons"][0]["words"] == first.words
    assert set(row["reasons"][0]) == {"code", "words", "metric", "value", "share", "strength"}
    assert first.words in row["reason"]


def test_runs_nobody_explained_still_work(scientist):
    """As those from before reasons were kept: pages say where the metrics stand."""
    experiment = make_scored_experiment(scientist)
    save_cutoff_at(experiment, -0.55, by=scientist)
    add_blended_scores(experiment, by=scientist)
    client = client_of(scientist)
    for name in ("review", "queue", "models"):
        assert client.get(reverse(name, args=[experiment.pk])).status_code == 200
    text = text_of(client.get(reverse("image", args=[experiment.images.first().pk])))
    assert "What sets it apart on its plate" in text
    assert "Why it is flagged" not in text
    assert draft_qc_set(experiment, by=scientist).decisions.filter(reason__contains=": ").count() == 0


def test_the_reasons_of_the_deciding_run_come_first(learnable, scientist):
    """Where the cutoff lies on the isolation scores, its reasons are told, although a model came later."""
    experiment, good, bad = learnable
    label_all(good[:8], bad[:6], by=scientist)
    retrain(experiment, by=scientist)
    save_cutoff_at(experiment, -0.45, by=scientist)
    isolation, blended = (ScoreRun.objects.latest_of(experiment, kind) for kind in ("isolation", "blended"))
    both = set(isolation.reasons.values_list("image", flat=True)) & set(blended.reasons.values_list("image", flat=True))
    found = reasons_of([isolation, blended], both)
    assert {reason.run_id for reasons in found.values() for reason in reasons} == {isolation.pk}
    alone = set(blended.reasons.values_list("image", flat=True)) - set(
        isolation.reasons.values_list("image", flat=True)
    )
    if alone:
        assert {one[0].run_id for one in reasons_of([isolation, blended], alone).values()} == {blended.pk}
