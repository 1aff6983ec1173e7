"""Labels of earlier experiments with the same channels: a model may learn from them, too, and they count less."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from django.conf import settings
from django.db.models import Count, Exists, OuterRef

from labeling.models import Experiment, Label, ModelVersion, ScoreRun
from labeling.problems import Problem
from labeling.services.learning import TEACHING
from training.carrying import Frame, channels_of, features_in, rescaled
from training.learners.blend import forest_scale
from training.learners.verdicts import Verdicts
from training.learning import learning_table, teaching_of

# Each is read as a whole, one after another, because images are compared with their plates: seconds for a large one.
MOST_EXPERIMENTS = 3
# Of each: what was measured to help are 60 of two. Thousands would drown the first labels of this experiment.
MOST_LABELS = 100


@dataclass(frozen=True)
class EarlierLabels:
    """Labelled images of one experiment as another one sees them: features (L, P), isolation (L,) on its scale.

    `verdicts` are about these rows; `image_ids` and `run_id` say where they come from.
    """

    experiment: Experiment
    run_id: int
    image_ids: list[int]
    features: np.ndarray
    isolation: np.ndarray
    verdicts: Verdicts


def experiments_before(experiment: Experiment) -> list[Experiment]:
    """Other experiments with the same channels that have scores and labels, the newest first; three queries."""
    of_theirs = {"experiment": OuterRef("pk")}
    others = Experiment.objects.exclude(pk=experiment.pk).filter(
        Exists(Label.objects.filter(**of_theirs, verdict__in=TEACHING)), Exists(ScoreRun.objects.filter(**of_theirs))
    )
    ours = channels_of(experiment)
    alike = [other for other in others.order_by("-id").prefetch_related("channels") if channels_of(other) == ours]
    return alike[:MOST_EXPERIMENTS]


def n_earlier(experiment: Experiment) -> tuple[int, int]:
    """How many labelled images of how many earlier experiments a training would learn from besides; four queries."""
    others = experiments_before(experiment)
    if not others:
        return 0, 0
    in_force = Label.objects.filter(pk__in=Label.objects.filter(experiment__in=others).current().values("pk"))
    counts = in_force.filter(verdict__in=TEACHING).order_by().values("experiment").annotate(n=Count("pk"))
    found = [min(row["n"], MOST_LABELS) for row in counts]
    return sum(found), len(found)


def counted_less(n_labels: int, n_experiments: int) -> str:
    """What follows "43 labels" in a sentence; empty without any."""
    if not n_labels:
        return ""
    return f", and {n_labels:,} of {n_experiments} earlier experiment{'s' if n_experiments > 1 else ''} counted less"


def is_usual(experiment: Experiment) -> bool:
    """Whether a training that says nothing of it takes them: as the newest one did, else as the setting says."""
    newest = ModelVersion.objects.filter(experiment=experiment, recipe__has_key="with_earlier").order_by("-number")
    asked = newest.values_list("recipe__with_earlier", flat=True).first()
    return settings.EARLIER_LABELS if asked is None else bool(asked)


def earlier_labels(experiment: Experiment, frame: Frame, outlook: np.ndarray) -> tuple[list[EarlierLabels], list[str]]:
    """The labels of earlier experiments in the features of this one, and why those of others were left out.

    `outlook` (N,) are this experiment's (`LearningTable`), on whose scale theirs are put.
    """
    found, left_out, scale = [], [], forest_scale(outlook)
    for other in experiments_before(experiment):
        try:
            labels = _labels_of(other, frame, scale)
        except Problem as problem:
            left_out.append(f"The labels of {other.name} were left out. {problem}")
        else:
            if len(labels.verdicts.rows):
                found.append(labels)
    return found, left_out


def _labels_of(other: Experiment, frame: Frame, scale: tuple[float, float]) -> EarlierLabels:
    run = ScoreRun.objects.defer("vector").select_related("metric_set").latest_of(other)
    assert run is not None  # experiments_before
    table = learning_table(other, run)
    known = teaching_of(other, table).verdicts
    # Evenly over the time they were given in: the first were chosen otherwise than the last.
    known = known.take(np.unique(np.linspace(0, len(known.rows) - 1, min(len(known.rows), MOST_LABELS)).astype(int)))
    rows = known.rows
    verdicts = replace(
        known,
        rows=np.arange(len(rows)),
        unsure_rows=np.zeros(0, np.int64),
        unsure_disagreement=np.zeros(0),
    )
    features = features_in(frame, other, run, table)[rows]
    isolation = rescaled(table.outlook[rows], forest_scale(table.outlook), scale)
    return EarlierLabels(other, run.pk, table.image_ids[rows].tolist(), features, isolation, verdicts)
