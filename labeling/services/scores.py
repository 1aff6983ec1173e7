"""Keep the scores training makes, and count with them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from django.db import connection, transaction

from labeling.models import Experiment, Image, MetricSet, ModelVersion, Plate, Score, ScoreRun, User
from labeling.problems import BadValue
from labeling.services import audit


@transaction.atomic
def store_scores(
    experiment: Experiment,
    *,
    kind: str,
    image_ids: np.ndarray,
    scores: np.ndarray,
    metric_set: MetricSet,
    parameters: dict[str, Any],
    seed: int,
    by: User,
    model_version: ModelVersion | None = None,
) -> ScoreRun:
    """Write a new run: its scores as rows, and once more as the vector that browsers count with.

    `image_ids` (N,) and `scores` (N,) belong together; higher is better; all scores are finite.
    """
    if not len(scores):
        raise BadValue(f"{experiment.name} has no measured image to score; measure it first.")
    if not np.isfinite(scores).all():
        raise ValueError("scores must be finite")
    scores = scores.astype("<f4")  # as the database keeps them, so that rows and vector agree to the bit
    places = {
        image_id: (well_id, plate_id)
        for image_id, well_id, plate_id in Image.objects.of(experiment).values_list("id", "well_id", "plate_id")
    }
    wells, plates = zip(*(places[int(image_id)] for image_id in image_ids), strict=True)
    plate_ids = sorted(set(plates))
    order = np.lexsort((image_ids, scores))  # as the index on (run, score, image) has them
    plate_index = np.searchsorted(plate_ids, np.asarray(plates)).astype("<u2")
    run = ScoreRun.objects.create(
        experiment=experiment,
        kind=kind,
        metric_set=metric_set,
        model_version=model_version,
        parameters=parameters,
        seed=seed,
        n_images=len(scores),
        vector=scores[order].tobytes() + plate_index[order].tobytes(),
        plate_ids=plate_ids,
        created_by=by,
    )
    _copy_rows(run, image_ids, wells, scores)
    audit.record("experiment.scored", run, by=by, new={"kind": kind, "images": len(scores), "seed": seed})
    return run


def _copy_rows(run: ScoreRun, image_ids: np.ndarray, wells: tuple[int, ...], scores: np.ndarray) -> None:
    columns = ", ".join(("run_id", "image_id", "well_id", "score"))
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY {Score._meta.db_table} ({columns}) FROM STDIN") as copy,
    ):
        for image_id, well_id, score in zip(image_ids.tolist(), wells, scores.tolist(), strict=True):
            copy.write_row((run.pk, image_id, well_id, score))


@dataclass(frozen=True)
class Scores:
    """All scores of a run for counting: `ascending` (N,) and the plate of each as an index (N,)."""

    ascending: np.ndarray
    plate_index: np.ndarray
    plates: tuple[tuple[int, str], ...]

    def n_below(self, cutoff: float) -> int:
        """How many images a cutoff flags."""
        return int(np.searchsorted(self.ascending, cutoff, side="left"))

    def n_below_by_plate(self, cutoff: float) -> list[int]:
        flagged = self.plate_index[: self.n_below(cutoff)]
        return np.bincount(flagged, minlength=len(self.plates)).tolist()

    def n_by_plate(self) -> list[int]:
        return np.bincount(self.plate_index, minlength=len(self.plates)).tolist()

    def value_flagging(self, percent: float) -> float:
        """The cutoff that flags that share, or as near as ties allow: the score of the first image kept."""
        n = round(len(self.ascending) * percent / 100)
        if n == len(self.ascending):
            return float(np.nextafter(self.ascending[-1], np.inf))
        return float(self.ascending[n])

    def histogram(self, bins: int) -> tuple[np.ndarray, np.ndarray]:
        """Counts (bins,) and edges (bins + 1,) over the span of the data."""
        return np.histogram(self.ascending, bins=bins)


@lru_cache(maxsize=16)  # runs never change; 16 of 200,000 scores are 30 MB
def scores_of(run_id: int) -> Scores:
    """The scores of a run, from its vector. Unknown run: ScoreRun.DoesNotExist."""
    run = ScoreRun.objects.only("vector", "plate_ids", "n_images").get(pk=run_id)
    barcodes = dict(Plate.objects.filter(pk__in=run.plate_ids).values_list("id", "barcode"))
    ascending = np.frombuffer(run.vector, "<f4", count=run.n_images).astype(np.float64)
    plate_index = np.frombuffer(run.vector, "<u2", offset=4 * run.n_images)
    return Scores(ascending, plate_index, tuple((pk, barcodes[pk]) for pk in run.plate_ids))
