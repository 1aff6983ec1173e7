"""Reasons name what is wrong in a microscopist's words, and come from the model's own trees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest

from imaging.metrics import measure_field_planes, metric_columns, parse_column
from imaging.simulate import DEFECTS, PlateRecipe, plan_plate, render_field
from training.learners.isolation import IsolationScorer
from training.learners.phenomena import PHENOMENA, sign_of
from training.learners.reasons import UNLIKE, blend_attributions, explain, forest_attributions
from training.learners.scaling import robust_features, robust_z

CHANNELS = ("DNA", "ER", "AGP")
CLEAR = 0.7


def measure(recipe, plan):
    planes = list(render_field(recipe, plan))
    return measure_field_planes(planes, [65535] * 3, [recipe.ceiling] * 3)


@pytest.fixture(scope="module")
def explained():
    """First reasons of clear artefacts, by kind: each field spoiled alone on a plate of good ones."""
    recipe = PlateRecipe(seed=31, rows=6, columns=12, sites=1, size=(360, 360), bad_share=0.0)
    plans = plan_plate(recipe)
    good = np.array([measure(recipe, plan) for plan in plans])
    columns = metric_columns(CHANNELS)
    kept = [n for n, column in enumerate(columns) if parse_column(column, CHANNELS)[0].for_scoring]
    names = [columns[n] for n in kept]
    usual = [plan for plan in plans if not plan.phenotype]
    found = {}
    for kind in DEFECTS:
        spoiled = [
            replace(plan, is_bad=True, defect=kind, severity=CLEAR, defect_channels="+".join(CHANNELS))
            for plan in usual[:3]
        ]
        values = np.vstack([good, [measure(recipe, plan) for plan in spoiled]])[:, kept].astype(np.float32)
        values = values.astype(np.float64)
        plates = np.zeros(len(values), int)
        scorer = IsolationScorer(n_estimators=100, random_state=0).fit(values, plates)
        used = scorer.columns_
        features = robust_features(values[:, used], plates)
        rows = np.arange(len(good), len(values))
        attributions = np.zeros((3, len(kept)))
        attributions[:, used] = forest_attributions(scorer.forest_, features[rows])
        found[kind] = explain(values, robust_z(values, plates), names, CHANNELS, rows=rows, attributions=attributions)
    return found


def test_the_first_reason_names_the_kind_in_9_of_10_clear_cases(explained):
    named = [kind in reasons[0].kinds for kind, images in explained.items() for reasons in images]
    missed = {kind: images[0][0].text for kind, images in explained.items() if kind not in images[0][0].kinds}
    assert np.mean(named) >= 0.9, missed


@pytest.mark.parametrize(
    ("kind", "words"), [("blur", "blurrier than"), ("saturated", "ceiling"), ("empty", "no cells"), ("fibre", "line")]
)
def test_the_words_are_a_microscopists(explained, kind, words):
    assert any(words in reason.text for reasons in explained[kind] for reason in reasons[:2])


def test_strengths_are_shares_in_falling_order(explained):
    for images in explained.values():
        for reasons in images:
            strengths = [reason.strength for reason in reasons]
            assert strengths == sorted(strengths, reverse=True)
            assert 0 < sum(strengths) <= 1 + 1e-9


def test_the_forests_attributions_add_up_to_its_score():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(200, 6)).astype(np.float32)
    features[0, 2] = 9
    forest = IsolationForest(n_estimators=100, random_state=0).fit(features)
    added = forest_attributions(forest, features)
    assert added[0].argmax() == 2
    # score_samples is -2 ** (-depth / c): its logarithm is the depth, which is what attributions explain.
    depth = np.log2(-forest.score_samples(features))
    assert np.corrcoef(added.sum(axis=1), depth)[0, 1] > 0.999


def test_attributions_of_a_blend_weigh_both_parts():
    of_forest, of_classifier = np.array([[1.0, 0.0, -3.0]]), np.array([[0.0, -2.0, 5.0]])
    assert blend_attributions(of_forest, of_classifier, 0.25).tolist() == [[0.75, 0.25, 0.0]]


def test_nothing_against_an_image_gives_no_reason():
    column = "CellQC_SaturatedPercent_DNA"
    values = np.zeros((5, 1))
    assert explain(values, values, [column], ["DNA"], rows=np.array([0]), attributions=np.array([[-1.0]])) == [[]]


def test_the_amount_saturated_is_said():
    values = np.array([[0.0], [0.0], [0.0], [4.4]])
    reasons = explain(
        values,
        values * 10,
        ["CellQC_SaturatedPercent_ER"],
        ["DNA", "ER"],
        rows=np.array([3]),
        attributions=np.array([[1.0]]),
    )
    assert reasons[0][0].text == "4.4 % of pixels at the camera's ceiling in ER (saturated)"
    assert reasons[0][0].kinds == ("saturated",)


def test_what_only_the_network_sees_is_said_so():
    values = np.zeros((4, 2))
    reasons = explain(
        values,
        values,
        ["Embedding_01", "Embedding_02"],
        ["DNA"],
        rows=np.array([1]),
        attributions=np.array([[1.0, 2.0]]),
    )
    assert [(reason.text, reason.strength) for reason in reasons[0]] == [(UNLIKE, 1.0)]


def test_every_sign_of_a_phenomenon_belongs_to_a_metric():
    known = {
        sign_of(parse_column(column, CHANNELS)[0], is_high) for column in metric_columns(CHANNELS) for is_high in (0, 1)
    }
    named = {sign for phenomenon in PHENOMENA for sign in phenomenon.signs}
    assert named <= known
