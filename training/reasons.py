"""Explain a run's doubtful images once, when they are scored, and keep what speaks against them beside the scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from django.db import transaction
from sklearn.ensemble import IsolationForest

from labeling.models import Cutoff, ImageReason, LabelQueue, ScoreKind, ScoreRun
from labeling.services.binary_copy import copy_rows
from labeling.services.cutoffs import AUTOMATIC
from training.learners.blend import BlendedLearner
from training.learners.isolation import IsolationScorer
from training.learners.reasons import Reason, blend_attributions, explain, forest_attributions
from training.learning import LearningTable

# Of a run's images, the worst: more where a cutoff flags more, up to a limit that keeps 200,000 images to some seconds.
SHARE, MOST_SHARE = 0.10, 0.25
FEWEST = 50
# Images explained at once: with 121 columns their attributions take 5 MB, and some copies.
BATCH = 5000


@dataclass(frozen=True)
class Blend:
    """The classifier's part in blended scores: its features (N, C) named by `columns`, and its weight for each image
    (N,), 0 where the forest decides alone."""

    learner: BlendedLearner
    features: np.ndarray
    columns: tuple[str, ...]
    weights: np.ndarray

    def contributions(self, rows: np.ndarray, columns: tuple[str, ...]) -> np.ndarray:
        """What each of these columns (R, P) adds towards good; 0 for those the classifier does not know."""
        added = self.learner.contributions(self.features[rows])
        if columns == self.columns:
            return added
        placed, own = np.zeros((len(rows), len(columns))), {column: n for n, column in enumerate(self.columns)}
        for n, column in enumerate(columns):
            if column in own:
                placed[:, n] = added[:, own[column]]
        return placed


@transaction.atomic
def keep_reasons(
    run: ScoreRun,
    table: LearningTable,
    scores: np.ndarray,
    forest: IsolationForest,
    *,
    queue: LabelQueue,
    blend: Blend | None = None,
) -> int:
    """Keep up to three reasons for each doubtful image of a new run; returns for how many images there are some.

    Doubtful are the worst by `scores` (N,), all that the automatic cutoff or the one saved last on such scores flags
    (at most a quarter of the run), and those the `queue` asks for. Reasons are those of the isolation forest, and of
    the classifier by its weight where the run is a blend.
    """
    rows = doubtful_rows(run, table, scores, queue)
    channels = list(run.experiment.channels.values_list("name", flat=True))
    n_explained = 0
    # Plate by plate, as far as a batch holds: each is compared with all of its plate.
    rows = rows[np.argsort(table.plate_ids[rows], kind="stable")]
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        against = _attributions(table, batch, forest, blend)
        found: list[list[Reason]] = []
        for plate in np.unique(table.plate_ids[batch]):
            here = table.plate_ids[batch] == plate
            found += _of_plate(table, int(plate), batch[here], against[here], channels)
        n_explained += _store(run, table.image_ids[batch], found)
    return n_explained


def doubtful_rows(run: ScoreRun, table: LearningTable, scores: np.ndarray, queue: LabelQueue) -> np.ndarray:
    """Rows of the table (R,) ascending that are worth explaining; see `keep_reasons`."""
    saved = Cutoff.objects.filter(run__experiment=run.experiment_id, run__kind=run.kind).order_by("-id")
    limits = [AUTOMATIC[ScoreKind(run.kind)], *saved.values_list("value", flat=True)[:1]]
    n_flagged = int((scores < max(limits)).sum())
    n = max(round(SHARE * len(scores)), min(n_flagged, round(MOST_SHARE * len(scores))), FEWEST)
    worst = np.argsort(scores, kind="stable")[:n]
    asked = table.rows_of(list(queue.entries.values_list("image_id", flat=True)))
    return np.union1d(worst, np.array(sorted(asked.values()), np.int64)).astype(np.int64)


def forest_of(run: ScoreRun, table: LearningTable) -> IsolationForest:
    """The forest of an isolation run, grown again from its own features, seed and size: the same trees."""
    usual = IsolationScorer()
    return IsolationForest(
        n_estimators=run.parameters.get("n_estimators", usual.n_estimators),
        max_samples=run.parameters.get("max_samples", min(usual.max_samples, len(table.features))),
        random_state=run.seed,
    ).fit(table.features)


def _attributions(table: LearningTable, rows: np.ndarray, forest: IsolationForest, blend: Blend | None) -> np.ndarray:
    of_forest = forest_attributions(forest, table.features[rows])
    if blend is None:
        return of_forest
    return blend_attributions(of_forest, blend.contributions(rows, table.columns), blend.weights[rows, None])


def _of_plate(
    table: LearningTable, plate: int, rows: np.ndarray, attributions: np.ndarray, channels: list[str]
) -> list[list[Reason]]:
    """Reasons against the images `rows` (R,) of one plate."""
    on_plate = np.flatnonzero(table.plate_ids == plate)
    features = table.features[on_plate].astype(np.float64)
    n_metrics = table.values.shape[1]
    # A feature is the signed log of a robust z: this is that z again.
    z = np.sign(features) * np.expm1(np.abs(features))
    values = np.hstack([table.values[on_plate], features[:, n_metrics:]])
    return explain(
        values,
        z,
        table.columns,
        channels,
        rows=np.searchsorted(on_plate, rows),
        attributions=attributions,
    )


def _store(run: ScoreRun, image_ids: np.ndarray, found: list[list[Reason]]) -> int:
    rows = [
        (int(pk), rank, reason)
        for pk, reasons in zip(image_ids, found, strict=True)
        for rank, reason in enumerate(reasons, start=1)
    ]
    if rows:
        ids, ranks, reasons = zip(*rows, strict=True)
        columns = {
            "run_id": run.pk,
            "image_id": np.array(ids, np.int64),
            "rank": np.array(ranks, np.int64),
            "code": [reason.code for reason in reasons],
            "column": [reason.column for reason in reasons],
            "value": [reason.value for reason in reasons],
            "share": [reason.share for reason in reasons],
            "strength": np.array([reason.strength for reason in reasons]),
            "words": [reason.text for reason in reasons],
        }
        copy_rows(ImageReason, columns)
    return sum(bool(reasons) for reasons in found)
