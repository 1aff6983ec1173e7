"""Labels of earlier experiments with the same channels count less, when somebody wants them to."""

from __future__ import annotations

import numpy as np
import pytest
from django.urls import reverse

from labeling.models import Job, ScoreRun
from tests.factories import label_all, make_experiment, make_learnable_experiment
from tests.labeling.pages.conftest import client_of, text_of
from training.carrying import frame_of
from training.earlier import counted_less, earlier_labels, experiments_before, is_usual, n_earlier
from training.learners.blend import EARLIER_WEIGHT, forest_scale
from training.learning import learning_table
from training.retraining import retrain
from training.scoring import score_experiment


@pytest.fixture
def before(scientist, quick_learning):
    """Two earlier experiments with 20 and 12 labelled images, and one of other channels."""
    made = []
    for name, seed, n_good, n_bad in (("Screen 1", 5, 12, 8), ("Screen 2", 6, 8, 4)):
        experiment, good, bad = make_learnable_experiment(scientist, name=name, seed=seed)
        label_all(good[:n_good], bad[:n_bad], by=scientist)
        made.append(experiment)
    other = make_experiment(scientist, name="Mito", channels=("DNA", "Mito"))
    label_all([other.images.first()], [], by=scientist)
    return made


@pytest.fixture
def now(before, scientist):
    """A new experiment with few labels."""
    experiment, good, bad = make_learnable_experiment(scientist, name="Screen 3", seed=7)
    label_all(good[:3], bad[:1], by=scientist)
    return experiment


def labels_for(experiment):
    run = ScoreRun.objects.latest_of(experiment)
    table = learning_table(experiment, run)
    return earlier_labels(experiment, frame_of(experiment, run, table), table.outlook), table


def test_only_experiments_with_the_same_channels_count(now, before):
    assert experiments_before(now) == before[::-1]
    assert n_earlier(now) == (32, 2)
    assert counted_less(*n_earlier(now)) == ", and 32 of 2 earlier experiments counted less"
    assert counted_less(5, 1) == ", and 5 of 1 earlier experiment counted less"
    assert counted_less(0, 0) == ""


def test_their_labels_come_in_these_columns_and_on_this_forests_scale(now, before):
    (found, left_out), table = labels_for(now)
    assert left_out == []
    assert [labels.experiment for labels in found] == before[::-1]
    assert [labels.features.shape for labels in found] == [(12, len(table.columns)), (20, len(table.columns))]
    assert [int((~labels.verdicts.is_good).sum()) for labels in found] == [4, 8]
    # A label's score lies as many spreads from the middle here as it did there.
    there = learning_table(before[0], ScoreRun.objects.latest_of(before[0]))
    rows = [there.rows_of([label.image_id])[label.image_id] for label in before[0].labels.order_by("id")]
    (middle, spread), (middle_now, spread_now) = forest_scale(there.outlook), forest_scale(table.outlook)
    assert (found[1].isolation - middle_now) / spread_now == pytest.approx((there.outlook[rows] - middle) / spread)


def test_they_change_the_model_and_stand_in_its_recipe(now, before, scientist):
    alone = retrain(now, by=scientist, earlier=False)
    beside = retrain(now, by=scientist, earlier=True)
    again = retrain(now, by=scientist, earlier=True)
    assert alone.weights_sha256 != beside.weights_sha256 == again.weights_sha256
    assert (alone.recipe["with_earlier"], alone.recipe["earlier"]) == (False, [])
    assert (beside.recipe["with_earlier"], beside.recipe["earlier_weight"]) == (True, EARLIER_WEIGHT)
    assert [(one["name"], one["n"]) for one in beside.recipe["earlier"]] == [("Screen 2", 12), ("Screen 1", 20)]
    assert beside.recipe["earlier"][1]["images"] == list(
        before[0].labels.order_by("id").values_list("image", flat=True)
    )
    assert (beside.n_labels, beside.recipe["labels"]) == (4, alone.recipe["labels"])
    assert any("measured without them" in note for note in beside.report["notes"])
    assert not any("measured without them" in note for note in alone.report["notes"])


def test_it_is_usual_unless_the_setting_or_somebody_says_otherwise(now, scientist, settings):
    assert is_usual(now)
    settings.EARLIER_LABELS = False
    assert retrain(now, by=scientist).recipe["with_earlier"] is False
    retrain(now, by=scientist, earlier=True)
    assert retrain(now, by=scientist).recipe["with_earlier"] is True
    settings.EARLIER_LABELS = True
    retrain(now, by=scientist, earlier=False)
    assert retrain(now, by=scientist).recipe["with_earlier"] is False


def test_so_many_of_each_experiment_at_most(now, before, monkeypatch):
    monkeypatch.setattr("training.earlier.MOST_LABELS", 10)
    (found, _), _ = labels_for(now)
    assert [len(labels.verdicts.rows) for labels in found] == [10, 10]
    assert n_earlier(now) == (20, 2)
    given = list(before[0].labels.order_by("id").values_list("image", flat=True))
    assert (found[1].image_ids[0], found[1].image_ids[-1]) == (given[0], given[-1])


def test_labels_that_do_not_compare_are_left_out_and_it_says_why(now, before, scientist):
    score_experiment(before[0], by=scientist, scaling="experiment")
    before[1].metric_sets.update(version="0.1")
    model = retrain(now, by=scientist, earlier=True)
    assert model.recipe["earlier"] == []
    notes = " ".join(model.report["notes"])
    assert "The labels of Screen 2 were left out. Screen 3 has metrics of version" in notes
    assert "The labels of Screen 1 were left out. Screen 3 was scaled by plate" in notes


def test_the_page_offers_and_tells(now, scientist, worker):
    client, address = client_of(scientist), reverse("models", args=[now.pk])
    page = text_of(client.get(address))
    assert 'name="earlier" checked>' in page
    assert "and from 32 labels of 2 earlier experiments, counted less" in page
    client.post(reverse("retrain", args=[now.pk]), {"offers_earlier": "1", "earlier": "on"})
    assert Job.objects.get().parameters == {"earlier": True}
    worker()
    told = "Model 1 has learnt from 4 labels, and 32 of 2 earlier experiments counted less."
    assert Job.objects.get().message.startswith(told)
    page = text_of(client.get(address))
    assert told in page
    assert 'name="earlier" checked>' in page
    detail = text_of(client.get(reverse("model", args=[now.model_versions.get().pk])))
    assert "<b>4</b> labels, and 32 of 2 earlier experiments counted less" in detail
    client.post(reverse("retrain", args=[now.pk]), {"offers_earlier": "1"})
    assert Job.objects.latest("id").parameters == {"earlier": False}
    worker()
    assert 'name="earlier">' in text_of(client.get(address))


def test_they_help_where_the_same_is_bad(now, scientist):
    """Bad images are the same kind in all three: with four labels of its own the model knows little of them."""
    is_bad = np.arange(now.images.count()) % 4 == 0

    def apart(**asked):
        run = retrain(now, by=scientist, **asked).score_runs.get()
        classifier = np.frombuffer(run.parts.classifier, "<f4")
        return classifier[~is_bad].mean() - classifier[is_bad].mean()

    assert apart(earlier=True) > apart(earlier=False)


def test_the_page_costs_the_same_for_many_labels(now, before, scientist, django_assert_max_num_queries):
    with django_assert_max_num_queries(5):
        n_earlier(now)
