"""Learn from all labels of an experiment: a new model version, its report, and blended scores of every image."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from typing import Any

import numpy as np
from django.conf import settings
from django.core.files.base import ContentFile
from django.db import models, transaction
from threadpoolctl import threadpool_limits

from labeling.models import Experiment, ModelVersion, ScoreKind, ScoreRun, User
from labeling.problems import BadValue, Conflict
from labeling.services import audit
from labeling.services.cutoffs import current_run
from labeling.services.scores import Parts, store_scores
from training.carrying import frame_of
from training.earlier import EarlierLabels, earlier_labels, is_usual
from training.experience import experience_bytes
from training.learners.blend import EARLIER_WEIGHT, BlendedLearner, DamagedModel, Prediction, TooFewLabels
from training.learners.classifiers import CLASSIFIERS
from training.learners.company import COMPANY_IN_WORDS
from training.learners.evaluation import evaluate
from training.learners.label_errors import suspicious_labels
from training.learning import LearningTable, Teaching, learning_table, teaching_of
from training.queue import renew_queue
from training.reasons import Blend, forest_of, keep_reasons
from training.scoring import DEFAULT_SEED

LIBRARIES = ("scikit-learn", "numpy", "scipy", "safetensors")
MOST_SUSPICIOUS = 100


class NothingToLearn(BadValue):
    """There are too few labels yet, or none that the newest model does not know; the message says which."""


def retrain(
    experiment: Experiment,
    *,
    by: User,
    seed: int = DEFAULT_SEED,
    classifier: str | None = None,
    only_new: bool = False,
    earlier: bool | None = None,
) -> ModelVersion:
    """Train a candidate on all labels in force and score every image with it; older scores stay as they are.

    The same labels, scores and seed give the same bytes. `classifier` is that of the settings when None. With
    `earlier` labels of earlier experiments with the same channels count, too, and less; as usual when None. Raises
    Conflict before the first scoring or when images wait for one, NothingToLearn with too few labels, and with
    `only_new` when the newest model knows them all, BadValue for a classifier that is none.
    """
    classifier = check_classifier(classifier or settings.CLASSIFIER)
    isolation_run = current_run(experiment)
    table = learning_table(experiment, isolation_run)
    teaching = teaching_of(experiment, table)
    if only_new and _is_known(experiment, teaching, isolation_run):
        raise NothingToLearn("There is no new label since the newest model; it stays.")
    with_earlier = is_usual(experiment) if earlier is None else earlier
    frame = frame_of(experiment, isolation_run, table)
    before, left_out = earlier_labels(experiment, frame, table.outlook) if with_earlier else ([], [])
    learner = BlendedLearner(classifier, random_state=seed)
    try:
        # Hundreds of small fits: threads would only wait for each other, and their number would show in the bits.
        with threadpool_limits(1):
            learner.fit(
                table.features,
                table.outlook,
                table.well_ids,
                teaching.verdicts,
                earlier=[(labels.features, labels.isolation, labels.verdicts) for labels in before],
            )
            prediction = learner.predict(table.features, table.outlook)
            report = _report(table, teaching, learner)
    except TooFewLabels as problem:
        renew_queue(table, isolation_run, seed=seed, teaching=teaching)
        raise NothingToLearn(str(problem)) from problem
    report["notes"] += _notes(before, left_out)
    recipe = _recipe(table, teaching, learner, isolation_run, seed) | {
        "network": frame.network,
        "with_earlier": with_earlier,
        "earlier": [_as_recipe(labels) for labels in before],
        "earlier_weight": EARLIER_WEIGHT,
    }
    experience = experience_bytes(frame, table, seed=seed)
    model, run = _store(
        experiment, isolation_run, table, teaching, learner, experience, prediction, report, recipe, by=by
    )
    queue = renew_queue(table, run, seed=seed, teaching=teaching, prediction=prediction)
    blend = Blend(learner, table.features, table.columns, np.full(len(table.features), learner.weight_))
    keep_reasons(run, table, prediction.good, forest_of(isolation_run, table), queue=queue, blend=blend)
    return model


def check_classifier(name: str) -> str:
    """The classifier of that name. Raises BadValue for another word."""
    if name not in CLASSIFIERS:
        raise BadValue(f"{name!r} is no classifier; use {', '.join(CLASSIFIERS)}.")
    return name


def load_learner(model: ModelVersion) -> BlendedLearner:
    """The frozen model. Raises Conflict when its file is missing or is not the one that was trained."""
    try:
        with model.weights.open("rb") as file:
            return BlendedLearner.from_bytes(file.read(), model.weights_sha256)
    except (OSError, DamagedModel) as problem:
        raise Conflict(
            f"The weights of model {model.number} are missing or were altered; it cannot be used. Retrain to get a "
            "sound one, and tell your admin."
        ) from problem


def _is_known(experiment: Experiment, teaching: Teaching, isolation_run: ScoreRun) -> bool:
    newest = ModelVersion.objects.filter(experiment=experiment).order_by("-number").first()
    return newest is not None and (newest.recipe["labels"], newest.recipe["isolation_run"]) == (
        teaching.label_ids,
        isolation_run.pk,
    )


@transaction.atomic
def _store(
    experiment: Experiment,
    isolation_run: ScoreRun,
    table: LearningTable,
    teaching: Teaching,
    learner: BlendedLearner,
    experience: bytes | None,
    prediction: Prediction,
    report: dict[str, Any],
    recipe: dict[str, Any],
    *,
    by: User,
) -> tuple[ModelVersion, ScoreRun]:
    """Version, weights, scores and audit, all or nothing."""
    Experiment.objects.select_for_update().get(pk=experiment.pk)
    weights = learner.to_bytes()
    sha256 = hashlib.sha256(weights).hexdigest()
    last = ModelVersion.objects.filter(experiment=experiment).aggregate(last=models.Max("number"))["last"] or 0
    model = ModelVersion(
        experiment=experiment,
        number=last + 1,
        weights_sha256=sha256,
        recipe=recipe,
        report=report,
        n_labels=teaching.n_labels,
        last_label_id=teaching.last_label_id,
        created_by=by,
    )
    model.weights.save(f"{experiment.pk}-{model.number}-{sha256[:16]}.zip", ContentFile(weights), save=False)
    if experience:
        model.recipe["experience_sha256"] = hashlib.sha256(experience).hexdigest()
        name = f"{experiment.pk}-{model.number}-{sha256[:16]}.safetensors"
        model.experience.save(name, ContentFile(experience), save=False)
    model.save()
    new = {"model": model.number, "labels": teaching.n_labels, "weights_sha256": sha256}
    audit.record("model.trained", model, by=by, new=new)
    run = store_scores(
        experiment,
        kind=ScoreKind.BLENDED,
        image_ids=table.image_ids,
        scores=prediction.good,
        metric_set=isolation_run.metric_set,
        parameters={
            "method": "classifier and isolation forest with company, blended on the logit scale",
            "weight_of_classifier": learner.weight_,
            "isolation_run": isolation_run.pk,
            "scaling": isolation_run.parameters.get("scaling", ""),
            "embeddings": isolation_run.parameters.get("embeddings", ""),
        },
        seed=recipe["seed"],
        by=by,
        model_version=model,
        parts=Parts(prediction.classifier, prediction.forest, prediction.disagreement, prediction.uncertainty),
    )
    return model, run


def _report(table: LearningTable, teaching: Teaching, learner: BlendedLearner) -> dict[str, Any]:
    """How the model does on labels it did not see, and which labels it contradicts."""
    known = (table.features, table.outlook, table.well_ids)
    same = {"random_state": learner.random_state, "classifier": learner.classifier}
    report = evaluate(
        *known,
        table.plate_ids,
        teaching.verdicts,
        defects=teaching.defects,
        treatments=table.treatments if (table.treatments != "").any() else None,
        random_share_rows=teaching.random_rows,
        **same,
    )
    suspicious = suspicious_labels(*known, teaching.verdicts, **same)[:MOST_SUSPICIOUS]
    rows = teaching.verdicts.rows
    report["second_look"] = [
        {"image": int(table.image_ids[rows[index]]), "wrong": round(wrong, 4)} for index, wrong in suspicious
    ]
    return _as_json(report)


def _recipe(
    table: LearningTable, teaching: Teaching, learner: BlendedLearner, isolation_run: ScoreRun, seed: int
) -> dict[str, Any]:
    """Everything needed to train the same model again."""
    return {
        "classifier": learner.classifier,
        "weight_of_classifier": learner.weight_,
        "seed": seed,
        "labels": teaching.label_ids,
        "metric_set": isolation_run.metric_set_id,
        "isolation_run": isolation_run.pk,
        "scaling": isolation_run.parameters.get("scaling", ""),
        "embeddings": isolation_run.parameters.get("embeddings", ""),
        "company": COMPANY_IN_WORDS,
        "columns": list(table.columns),
        "versions": {name: version(name) for name in LIBRARIES},
    }


def _notes(before: list[EarlierLabels], left_out: list[str]) -> list[str]:
    """What the report must say of labels of earlier experiments."""
    if not before:
        return left_out
    return [
        "It also learnt from labels of earlier experiments; the numbers here were measured without them, on labels of "
        "this experiment alone.",
        *left_out,
    ]


def _as_recipe(labels: EarlierLabels) -> dict[str, Any]:
    return {
        "experiment": labels.experiment.pk,
        "name": labels.experiment.name,
        "isolation_run": labels.run_id,
        "images": labels.image_ids,
        "n": len(labels.verdicts.rows),
    }


def _as_json(value: Any) -> Any:
    """Plain numbers; what is not a number, which JSON does not know, becomes None."""
    if isinstance(value, dict):
        return {str(name): _as_json(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_json(entry) for entry in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
