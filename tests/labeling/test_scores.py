"""Scores are kept once as rows and once as the vector browsers count with; both say the same to the bit."""

from __future__ import annotations

import numpy as np
import pytest

from labeling.models import AuditEvent, Score, ScoreRun
from labeling.problems import BadValue
from labeling.services.scores import scores_of, store_scores
from tests.factories import add_scores, make_experiment

EDGY = [-0.1, -0.2, -0.3, -0.7, -0.55, -0.6, -0.123456789, -1.0, 0.0, -0.5, -0.5, -1 / 3]


@pytest.fixture
def two_plates(scientist):
    return make_experiment(scientist, plates=("0412", "0413"), rows=1, columns=3, sites=2)


def test_rows_and_vector_hold_the_same_numbers(scientist):
    run = add_scores(make_experiment(scientist), by=scientist, scores=EDGY)
    rows = sorted(run.scores.values_list("score", flat=True))
    assert rows == scores_of(run.pk).ascending.tolist()
    assert rows == sorted(float(np.float32(score)) for score in EDGY)


def test_each_score_is_its_images_own(scientist):
    experiment = make_experiment(scientist)
    run = add_scores(experiment, by=scientist, scores=EDGY)
    by_image = dict(run.scores.values_list("image", "score"))
    assert [by_image[image.pk] for image in experiment.images.order_by("id")] == pytest.approx(EDGY)
    for score in run.scores.select_related("image"):
        assert score.well_id == score.image.well_id


def test_the_vector_is_float32_ascending_then_the_plates(two_plates, scientist):
    run = add_scores(two_plates, by=scientist, scores=EDGY)
    vector = bytes(ScoreRun.objects.get(pk=run.pk).vector)
    assert len(vector) == 12 * (4 + 2)
    scores, plates = np.frombuffer(vector, "<f4", 12), np.frombuffer(vector, "<u2", offset=48)
    assert (np.diff(scores) >= 0).all()
    images = {image.pk: image.plate_id for image in two_plates.images.all()}
    expected = sorted((score.score, images[score.image_id]) for score in run.scores.all())
    assert sorted(zip(scores.tolist(), [run.plate_ids[n] for n in plates], strict=True)) == expected


def test_counts_below_agree_with_the_database(scientist):
    run = add_scores(make_experiment(scientist), by=scientist, scores=EDGY)
    scores = scores_of(run.pk)
    for cutoff in [*scores.ascending.tolist(), *EDGY, -2.0, 2.0]:
        assert scores.n_below(cutoff) == run.scores.filter(score__lt=cutoff).count(), cutoff


def test_counts_per_plate_add_up(two_plates, scientist):
    run = add_scores(two_plates, by=scientist, scores=EDGY)
    scores = scores_of(run.pk)
    assert [barcode for _, barcode in scores.plates] == ["0412", "0413"]
    assert scores.n_by_plate() == [6, 6]
    first, second = scores.n_below_by_plate(-0.5)
    assert (first, second) == (3, 1)
    assert scores.n_below_by_plate(-2) == [0, 0]
    assert scores.n_below_by_plate(2) == [6, 6]


@pytest.mark.parametrize("percent", [0, 1, 3, 25, 50, 99, 99.9, 100])
def test_value_flagging_a_share_flags_it(scientist, percent):
    experiment = make_experiment(scientist, rows=5, columns=10, sites=2)
    run = add_scores(experiment, by=scientist)
    scores = scores_of(run.pk)
    assert scores.n_below(scores.value_flagging(percent)) == round(percent)


def test_ties_at_the_share_are_all_kept(scientist):
    run = add_scores(make_experiment(scientist), by=scientist, scores=[-0.5] * 12)
    scores = scores_of(run.pk)
    assert scores.n_below(scores.value_flagging(50)) == 0
    assert scores.n_below(scores.value_flagging(100)) == 12


def test_histogram_counts_every_image(scientist):
    run = add_scores(make_experiment(scientist), by=scientist, scores=EDGY)
    counts, edges = scores_of(run.pk).histogram(7)
    assert (counts.sum(), len(counts), len(edges)) == (12, 7, 8)
    assert (edges[0], edges[-1]) == (-1, 0)


def test_storing_a_run_is_in_the_audit(experiment, scientist):
    event = AuditEvent.objects.get(action="experiment.scored")
    assert (event.actor, event.object_type, event.experiment) == (scientist, "scorerun", experiment)
    assert event.new == {"kind": "isolation", "images": 12, "seed": 1}


def test_a_new_run_leaves_the_old_one_as_it_was(experiment, scientist):
    old = ScoreRun.objects.get()
    before = list(old.scores.values_list("image", "score"))
    new = add_scores(experiment, by=scientist, seed=2)
    assert list(old.scores.values_list("image", "score")) == before
    assert ScoreRun.objects.latest_of(experiment) == new
    assert Score.objects.count() == 24


def test_the_latest_run_is_of_that_experiment_and_kind(experiment, scientist):
    other = make_experiment(scientist, name="Other", plates=("9",))
    add_scores(other, by=scientist)
    assert ScoreRun.objects.latest_of(experiment).experiment == experiment
    assert ScoreRun.objects.latest_of(experiment, "blended") is None


def given(run, **changes):
    image_ids = np.array([score.image_id for score in run.scores.all()])
    return {
        "kind": "isolation",
        "image_ids": image_ids,
        "scores": np.zeros(len(image_ids)),
        "metric_set": run.metric_set,
        "parameters": {},
        "seed": 1,
        **changes,
    }


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_scores_are_finite(experiment, scientist, value):
    wrong = given(ScoreRun.objects.get())
    wrong["scores"][3] = value
    with pytest.raises(ValueError, match="scores must be finite"):
        store_scores(experiment, by=scientist, **wrong)


def test_a_run_without_images_says_what_is_missing(experiment, scientist):
    nothing = given(ScoreRun.objects.get(), image_ids=np.array([], int), scores=np.array([]))
    with pytest.raises(BadValue, match="Plate 0412 has no measured image to score; measure it first"):
        store_scores(experiment, by=scientist, **nothing)


def test_an_image_of_another_experiment_writes_nothing(experiment, scientist):
    stranger = make_experiment(scientist, name="Other", plates=("9",)).images.first()
    wrong = given(ScoreRun.objects.get())
    wrong["image_ids"][0] = stranger.pk
    with pytest.raises(KeyError):
        store_scores(experiment, by=scientist, **wrong)
    assert ScoreRun.objects.count() == 1


def test_an_unknown_run_has_no_scores(db):
    with pytest.raises(ScoreRun.DoesNotExist):
        scores_of(987654321)
