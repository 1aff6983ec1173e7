"""Score an experiment: from its metrics to a run that can be repeated."""

from __future__ import annotations

import numpy as np
import pytest

from imaging.metrics import parse_column
from labeling.models import AuditEvent, Experiment, Image, Measurement, MetricSet, ScoreRun
from labeling.problems import BadValue, Conflict
from labeling.services.jobs import start_job
from tests.factories import make_experiment, make_scored_experiment
from training import tasks
from training.features import load_features
from training.scoring import DEFAULT_SEED, score_experiment


@pytest.fixture
def metric_set(experiment: Experiment) -> MetricSet:
    return experiment.metric_sets.get()


def by_image(run: ScoreRun) -> dict[int, float]:
    return dict(run.scores.values_list("image", "score"))


# --- features -----------------------------------------------------------------------------------------


def test_features_come_in_the_order_of_ids_with_their_plates(scientist):
    experiment = make_scored_experiment(scientist, plates=("B", "A"))
    table = load_features(experiment, experiment.metric_sets.get())
    images = list(experiment.images.order_by("id"))
    assert table.image_ids.tolist() == [image.pk for image in images]
    assert table.plate_ids.tolist() == [image.plate_id for image in images]


def test_features_hold_the_measured_values(experiment, metric_set):
    table = load_features(experiment, metric_set)
    measurement = Measurement.objects.get(image=int(table.image_ids[3]))
    whole = dict(zip(metric_set.columns, measurement.values, strict=True))
    assert table.values.dtype == np.float32
    assert table.values[3] == pytest.approx([whole[column] for column in table.columns])


def test_features_are_the_metrics_that_serve_scoring(experiment, metric_set):
    columns = load_features(experiment, metric_set).columns
    metrics = {column: parse_column(column, ["DNA", "ER"])[0] for column in metric_set.columns}
    assert list(columns) == [column for column, metric in metrics.items() if metric.for_scoring]
    assert not any(metrics[column].is_setup for column in columns)


def test_broken_images_and_other_experiments_are_no_features(experiment, metric_set, scientist):
    make_scored_experiment(scientist, name="Other", plates=("9",))
    broken = experiment.images.first()
    Image.objects.filter(pk=broken.pk).update(state="failed", problem="torn")
    ids = load_features(experiment, metric_set).image_ids.tolist()
    assert len(ids) == 11
    assert broken.pk not in ids


# --- scoring ------------------------------------------------------------------------------------------


def test_every_measured_image_gets_a_score(experiment, scientist):
    run = score_experiment(experiment, by=scientist)
    assert set(by_image(run)) == set(experiment.images.values_list("id", flat=True))
    assert (run.kind, run.n_images, run.created_by, run.seed) == ("isolation", 12, scientist, DEFAULT_SEED)
    assert all(-1 < score < 0 for score in by_image(run).values())


def test_scoring_twice_gives_the_same_scores(experiment, scientist):
    first, second = (score_experiment(experiment, by=scientist) for _ in range(2))
    assert first.pk != second.pk
    assert by_image(first) == by_image(second)
    assert bytes(first.vector) == bytes(second.vector)


def test_the_odd_one_out_is_the_worst(scientist):
    experiment = make_scored_experiment(scientist, rows=5, columns=8, sites=2)
    odd = experiment.images.order_by("id")[33]
    measurement = Measurement.objects.get(image=odd)
    measurement.values = [value + 40 for value in measurement.values]
    measurement.save()
    scores = by_image(score_experiment(experiment, by=scientist))
    assert min(scores, key=scores.get) == odd.pk


def test_a_run_says_how_to_repeat_it(experiment, metric_set, scientist):
    run = score_experiment(experiment, by=scientist, seed=7)
    said = run.parameters
    assert (run.seed, run.metric_set, said["method"], said["n_estimators"]) == (7, metric_set, "isolation forest", 300)
    assert set(said["versions"]) == {"scikit-learn", "numpy"}
    assert set(said["columns"]) | set(said["dropped"]) == set(metric_set.columns)
    assert not set(said["columns"]) & set(said["dropped"])


def test_a_metric_undefined_everywhere_is_dropped_and_named(experiment, metric_set, scientist):
    column = score_experiment(experiment, by=scientist).parameters["columns"][0]
    n = metric_set.columns.index(column)
    for measurement in Measurement.objects.all():
        measurement.values[n] = float("nan")
        measurement.save()
    run = score_experiment(experiment, by=scientist)
    assert column in run.parameters["dropped"]
    assert run.n_images == 12


def test_scoring_is_in_the_audit(experiment, scientist):
    run = score_experiment(experiment, by=scientist)
    event = AuditEvent.objects.filter(action="experiment.scored").latest("sequence")
    assert (event.actor, event.object_id, event.new["images"]) == (scientist, run.pk, 12)


def test_an_experiment_without_metrics_says_what_is_missing(scientist):
    with pytest.raises(Conflict, match="Plate 0412 has no metrics yet; measure it first"):
        score_experiment(make_experiment(scientist), by=scientist)


def test_too_few_images_to_compare_are_told(experiment, scientist):
    keep = list(experiment.images.values_list("id", flat=True)[:3])
    Image.objects.exclude(pk__in=keep).update(state="failed", problem="torn")
    with pytest.raises(BadValue, match="has 3 measured images; a score compares images and needs at least 4"):
        score_experiment(experiment, by=scientist)


def test_images_that_are_all_alike_are_told(experiment, scientist):
    values = Measurement.objects.first().values
    for measurement in Measurement.objects.all():
        measurement.values = values
        measurement.save()
    with pytest.raises(BadValue, match="Plate 0412 cannot be scored: No metric varies between these images"):
        score_experiment(experiment, by=scientist)
    assert ScoreRun.objects.count() == 1


def test_the_job_says_how_many_were_scored(experiment, scientist, monkeypatch):
    monkeypatch.setattr("labeling.services.jobs.close_old_connections", lambda: None)
    job = start_job("score", experiment, by=scientist, parameters={"seed": 3})
    tasks.score(job_id=job.pk)
    job.refresh_from_db()
    assert (job.state, job.message) == ("succeeded", "12 images scored.")
    assert ScoreRun.objects.latest_of(experiment).seed == 3


# --- the page's button ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "may"), [("scientist", True), ("data_scientist", True), ("admin", True), ("outsider", False)]
)
def test_the_cast_asks_for_scores(experiment, client, request, who, may):
    client.force_login(request.getfixturevalue(who))
    response = client.post(f"/experiments/{experiment.pk}/score/")
    assert response.status_code == (302 if may else 403)
    assert experiment.jobs.exists() == may


def test_scores_are_asked_for_with_post(experiment, client, scientist):
    client.force_login(scientist)
    assert client.get(f"/experiments/{experiment.pk}/score/").status_code == 405
    assert client.post("/experiments/999999/score/").status_code == 404


def test_nobody_asks_for_scores_without_logging_in(experiment, client):
    response = client.post(f"/experiments/{experiment.pk}/score/")
    assert response.status_code == 302
    assert response["Location"].startswith("/login/")
