"""What a model has seen, kept beside its weights: later images are compared with it before it judges them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import safetensors.numpy

from labeling.models import MetricSet, ModelVersion
from labeling.problems import Conflict
from labeling.services.feature_spaces import Axes
from training.carrying import Frame
from training.learners.novelty import Familiarity
from training.learning import LearningTable

# Of fewer images nobody can say what is usual among them.
FEWEST_IMAGES = 20


@dataclass(frozen=True)
class Experience:
    """How plates are told to be near or far, and what the model's features mean."""

    familiarity: Familiarity
    frame: Frame


def experience_bytes(frame: Frame, table: LearningTable, *, seed: int) -> bytes | None:
    """A safetensors file of what there is to see in a table; None where that is too little."""
    if len(table.image_ids) < FEWEST_IMAGES:
        return None
    arrays = Familiarity(random_state=seed).fit(table.features, table.plate_ids).to_arrays()
    if frame.axes is not None:
        arrays |= {"mean": frame.axes.mean, "components": frame.axes.components}
    return safetensors.numpy.save({name: np.ascontiguousarray(part) for name, part in arrays.items()})


def load_experience(model: ModelVersion) -> Experience:
    """Raises Conflict when the model keeps none, or its file is missing or is not the one that was kept."""
    named = f"Model {model.number} of {model.experiment.name}"
    recipe = model.recipe
    if not model.experience:
        raise Conflict(f"{named} does not tell what it has seen; train and promote a new one there.")
    try:
        with model.experience.open("rb") as file:
            data = file.read()
    except OSError:
        data = b""
    if hashlib.sha256(data).hexdigest() != recipe.get("experience_sha256"):
        raise Conflict(f"What {named.lower()[:1]}{named[1:]} has seen is missing or was altered; tell your admin.")
    arrays = safetensors.numpy.load(data)
    axes = Axes(arrays["mean"], arrays["components"]) if "mean" in arrays else None
    metrics = MetricSet.objects.values_list("version", flat=True).get(pk=recipe["metric_set"])
    frame = Frame(
        model.experiment.name, tuple(recipe["columns"]), recipe["scaling"], metrics, recipe.get("network", ""), axes
    )
    return Experience(Familiarity.from_arrays(arrays), frame)
