"""Old knowledge, new images: score an experiment with a model trained before its images came.

A promoted model of another experiment with the same channels can start this one: it becomes a version of this
experiment, a candidate like any other. A model of this experiment can score images that were added after it was
trained. Either way each plate is compared with what the model has seen; on a plate that lies far the forest decides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import Any

import numpy as np
from django.core.files.base import ContentFile
from django.db import models, transaction

from labeling.models import EarlierModel, Experiment, ModelVersion, Plate, ScoreKind, ScoreRun, User
from labeling.problems import BadValue, Conflict, Problem
from labeling.services import audit
from labeling.services.cutoffs import current_run
from labeling.services.run_tables import run_table
from labeling.services.scores import Parts, store_scores
from training.carrying import channels_of, check_same_channels, features_in, rescaled
from training.experience import load_experience
from training.learners.blend import Prediction, forest_alone, forest_scale
from training.learners.novelty import PlateNovelty
from training.learning import LearningTable, learning_table
from training.queue import renew_queue
from training.reasons import Blend, forest_of, keep_reasons
from training.retraining import LIBRARIES, load_learner

# The newest promoted models are compared: each takes some seconds at 200,000 images.
MOST_COMPARED = 5

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Judged:
    """All images of a table as a model sees them (N rows), and how far each plate lies from what it has seen."""

    prediction: Prediction
    blend: Blend
    plates: list[dict[str, Any]]

    @property
    def far(self) -> list[str]:
        return [plate["plate"] for plate in self.plates if plate["is_far"]]


def earlier_models(experiment: Experiment) -> list[ModelVersion]:
    """Promoted models of other experiments with the same channels, the one promoted last first."""
    promoted = ModelVersion.objects.filter(state=ModelVersion.State.PROMOTED).exclude(experiment=experiment)
    promoted = promoted.select_related("experiment", "promoted_by").prefetch_related("experiment__channels")
    ours = channels_of(experiment)
    alike = [model for model in promoted.order_by("-promoted_at", "-id") if channels_of(model.experiment) == ours]
    return alike[:MOST_COMPARED]


def compare_with_earlier(experiment: Experiment, *, progress: Progress | None = None) -> str:
    """Keep how far each plate lies from what the earlier models have seen; returns what was found, in a sentence.

    Raises Conflict before the first scoring, or when images wait for one. A model that cannot be used here is kept
    with the reason.
    """
    run = current_run(experiment)
    table, found = learning_table(experiment, run), []
    sources = earlier_models(experiment)
    for n, model in enumerate(sources, start=1):
        try:
            experience = load_experience(model)
            features = features_in(experience.frame, experiment, run, table)
            plates = _named(experiment, experience.familiarity.measure(features, table.plate_ids))
            found.append(EarlierModel(experiment=experiment, model=model, run=run, plates=plates))
        except Problem as problem:
            found.append(EarlierModel(experiment=experiment, model=model, run=run, problem=str(problem)))
        if progress:
            progress(n, len(sources))
    with transaction.atomic():
        EarlierModel.objects.filter(experiment=experiment).delete()
        EarlierModel.objects.bulk_create(found)
    if not found:
        return f"No other experiment with the channels {', '.join(channels_of(experiment))} has a promoted model."
    return f"Compared with {len(found)} earlier model{'s' if len(found) > 1 else ''}."


def apply_model(experiment: Experiment, source: ModelVersion, *, by: User) -> ModelVersion:
    """Score all images with a model trained before; returns the version whose scores they are.

    That is a new candidate where the model is of another experiment: the same weights, with their origin in its
    recipe. On plates far from what the model has seen the forest alone decides. Raises BadValue for other channels,
    Conflict when the source is not promoted (or of this experiment), its files were altered, features do not
    compare, or every plate is far.
    """
    is_own = source.experiment_id == experiment.pk
    if not is_own:
        check_same_channels(experiment, source.experiment)
        if source.state != ModelVersion.State.PROMOTED:
            raise Conflict(
                f"Model {source.number} of {source.experiment.name} is {source.state}; only a promoted model can "
                "start another experiment."
            )
    run = current_run(experiment)
    table = learning_table(experiment, run)
    judged = _judge(experiment, source, run, table)
    if len(judged.far) == len(judged.plates):
        raise Conflict(
            f"Every plate of {experiment.name} lies far from what model {source.number} has seen, so the forest "
            "decides everywhere and nothing changes. Label some images and learn from them instead."
        )
    with transaction.atomic():
        Experiment.objects.select_for_update().get(pk=experiment.pk)
        model = source if is_own else _start(experiment, source, run, judged, by=by)
        blended = _store(experiment, model, run, table, judged, by=by)
    queue = renew_queue(table, blended, seed=run.seed, prediction=judged.prediction)
    forest = forest_of(run, table)
    keep_reasons(blended, table, judged.prediction.good, forest, queue=queue, blend=judged.blend)
    return model


def n_without_score(run: ScoreRun, isolation_run: ScoreRun | None) -> int:
    """How many images have an isolation score and none of this run: they were added after it."""
    if isolation_run is None:
        return 0
    return len(np.setdiff1d(run_table(isolation_run.pk).image_ids, run_table(run.pk).image_ids, assume_unique=True))


def _judge(experiment: Experiment, source: ModelVersion, run: ScoreRun, table: LearningTable) -> Judged:
    learner, experience = load_learner(source), load_experience(source)
    features = features_in(experience.frame, experiment, run, table)
    plates = experience.familiarity.measure(features, table.plate_ids)
    prediction = learner.predict(features, rescaled(table.outlook, forest_scale(table.outlook), learner.middle_))
    is_far = np.isin(table.plate_ids, [plate.plate for plate in plates if plate.is_far])
    forest = forest_alone(table.isolation)
    good = np.where(is_far, forest, prediction.good)
    prediction = replace(
        prediction,
        good=good,
        forest=np.where(is_far, forest, prediction.forest),
        disagreement=np.where(is_far, np.abs(prediction.classifier - forest), prediction.disagreement),
        uncertainty=np.where(is_far, 4 * good * (1 - good), prediction.uncertainty),
    )
    blend = Blend(learner, features, experience.frame.columns, np.where(is_far, 0.0, learner.weight_))
    return Judged(prediction, blend, _named(experiment, plates))


def _named(experiment: Experiment, plates: Sequence[PlateNovelty]) -> list[dict[str, Any]]:
    barcodes = dict(Plate.objects.filter(experiment=experiment).values_list("id", "barcode"))
    return [asdict(plate) | {"plate": barcodes[plate.plate], "distance": round(plate.distance, 4)} for plate in plates]


def _start(experiment: Experiment, source: ModelVersion, run: ScoreRun, judged: Judged, *, by: User) -> ModelVersion:
    """The source's weights and experience as a candidate of this experiment."""
    last = ModelVersion.objects.filter(experiment=experiment).aggregate(last=models.Max("number"))["last"] or 0
    assert source.promoted_at is not None
    kept = ("classifier", "weight_of_classifier", "seed", "scaling", "columns", "network", "experience_sha256")
    recipe = {name: source.recipe[name] for name in kept if name in source.recipe} | {
        "labels": [],
        "metric_set": run.metric_set_id,
        "isolation_run": run.pk,
        "embeddings": source.recipe.get("embeddings", ""),
        "versions": {name: version(name) for name in LIBRARIES},
        "origin": {
            "model": source.pk,
            "number": source.number,
            "experiment": source.experiment_id,
            "name": source.experiment.name,
            "weights_sha256": source.weights_sha256,
            "promoted_by": source.promoted_by.printed_name if source.promoted_by else "",
            "promoted_at": source.promoted_at.isoformat(),
            "reason": source.promotion_reason,
            "n_labels": source.n_labels,
        },
    }
    model = ModelVersion(
        experiment=experiment,
        number=last + 1,
        weights_sha256=source.weights_sha256,
        recipe=recipe,
        report={"plates": judged.plates, "notes": _notes(source, judged)},
        created_by=by,
    )
    name = f"{experiment.pk}-{model.number}-{source.weights_sha256[:16]}"
    for field, ending in (("weights", "zip"), ("experience", "safetensors")):
        with getattr(source, field).open("rb") as file:
            getattr(model, field).save(f"{name}.{ending}", ContentFile(file.read()), save=False)
    model.save()
    new = {"model": model.number, "from": str(source), "weights_sha256": model.weights_sha256, "far": judged.far}
    audit.record("model.started", model, by=by, new=new)
    return model


def _notes(source: ModelVersion, judged: Judged) -> list[str]:
    notes = [
        f"It learnt from {source.n_labels:,} labels of {source.experiment.name} and from none of this experiment; how "
        "good it is here nobody has measured yet."
    ]
    if judged.far:
        notes.append(f"Far from what it has seen, so that the forest decides there: {', '.join(judged.far)}.")
    return notes


def _store(
    experiment: Experiment, model: ModelVersion, run: ScoreRun, table: LearningTable, judged: Judged, *, by: User
) -> ScoreRun:
    said = judged.prediction
    return store_scores(
        experiment,
        kind=ScoreKind.BLENDED,
        image_ids=table.image_ids,
        scores=said.good,
        metric_set=run.metric_set,
        parameters={
            "method": "classifier and isolation forest of an earlier training, blended on the logit scale; the forest "
            "alone on plates far from what the model has seen",
            "weight_of_classifier": judged.blend.learner.weight_,
            "isolation_run": run.pk,
            "scaling": run.parameters.get("scaling", ""),
            "embeddings": model.recipe.get("embeddings", ""),
            "plates": judged.plates,
        },
        seed=run.seed,
        by=by,
        model_version=model,
        parts=Parts(said.classifier, said.forest, said.disagreement, said.uncertainty),
    )


def find_source(experiment: Experiment, model_id: Any) -> ModelVersion:
    """The model somebody asks to score this experiment with. Raises BadValue when there is none of that number."""
    given = str(model_id)
    found = None
    if given.isdecimal() and len(given) < 19:
        found = ModelVersion.objects.select_related("experiment", "promoted_by").filter(pk=int(given)).first()
    if found is None:
        raise BadValue(f"There is no model {given!r} to score {experiment.name} with.")
    return found
