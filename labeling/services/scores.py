"""Keep the scores training makes, and count with them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

import numpy as np
from django.db import transaction

from labeling.models import Experiment, Image, MetricSet, ModelVersion, Plate, Score, ScoreParts, ScoreRun, User
from labeling.problems import BadValue
from labeling.services import audit
from labeling.services.binary_copy import copy_rows
from labeling.services.binary_format import BIGINT
from labeling.services.binary_read import copy_out_whole


@dataclass(frozen=True)
class Parts:
    """What blended scores are made of, one number (N,) for each image.

    `classifier` and `forest` are each one's own probability of good, `disagreement` how far they lie apart,
    `uncertainty` how little the blended score says; all from 0 to 1.
    """

    classifier: np.ndarray
    forest: np.ndarray
    disagreement: np.ndarray
    uncertainty: np.ndarray

    def at(self, position: int) -> dict[str, float]:
        """The four numbers of one image."""
        return {field.name: float(getattr(self, field.name)[position]) for field in fields(self)}


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
    parts: Parts | None = None,
) -> ScoreRun:
    """Write a new run: its scores as rows, and once more as the vector that browsers count with.

    `image_ids` (N,), `scores` (N,) and the `parts` belong together; higher is better; all scores are finite.
    """
    if not len(scores):
        raise BadValue(f"{experiment.name} has no measured image to score; measure it first.")
    if not np.isfinite(scores).all():
        raise ValueError("scores must be finite")
    scores = scores.astype("<f4")  # as the database keeps them, so that rows and vector agree to the bit
    wells, plates = _places_of(experiment, image_ids)
    plate_ids = np.unique(plates)
    order = np.lexsort((image_ids, scores))  # as the index on (run, score, image) has them
    plate_index = np.searchsorted(plate_ids, plates).astype("<u2")
    run = ScoreRun.objects.create(
        experiment=experiment,
        kind=kind,
        metric_set=metric_set,
        model_version=model_version,
        parameters=parameters,
        seed=seed,
        n_images=len(scores),
        vector=scores[order].tobytes() + plate_index[order].tobytes(),
        plate_ids=plate_ids.tolist(),
        created_by=by,
    )
    copy_rows(Score, {"run_id": run.pk, "image_id": image_ids, "well_id": wells, "score": scores})
    if parts:
        _store_parts(run, image_ids, parts)
    new = {"kind": kind, "images": len(scores), "seed": seed}
    if model_version:
        new["model"] = model_version.number
    audit.record("experiment.scored", run, by=by, new=new)
    return run


def _places_of(experiment: Experiment, image_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The well (N,) and the plate (N,) of each Image."""
    kinds = {"image": BIGINT, "well": BIGINT, "plate": BIGINT}
    # Sorted: they are looked up by halving.
    images = Image.objects.of(experiment).order_by("id").values_list("id", "well_id", "plate_id")
    places = copy_out_whole(images, kinds)
    if not np.isin(image_ids, places["image"]).all():
        raise KeyError(f"an image that is not of {experiment} was scored")
    at = np.searchsorted(places["image"], image_ids)
    return places["well"][at], places["plate"][at]


def _store_parts(run: ScoreRun, image_ids: np.ndarray, parts: Parts) -> None:
    by_id = np.argsort(image_ids)
    vectors = {
        field.name: np.asarray(getattr(parts, field.name))[by_id].astype("<f4").tobytes() for field in fields(parts)
    }
    ScoreParts.objects.create(run=run, image_ids=image_ids[by_id].astype("<i8").tobytes(), **vectors)


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


@lru_cache(maxsize=8)  # 200,000 images are 5 MB
def all_parts_of(run_id: int) -> tuple[np.ndarray, Parts] | None:
    """The images of a blended run, ascending, and the parts of their scores; None where they were not kept."""
    stored = ScoreParts.objects.filter(run=run_id).first()
    if stored is None:
        return None
    vectors = {field.name: np.frombuffer(getattr(stored, field.name), "<f4") for field in fields(Parts)}
    return np.frombuffer(stored.image_ids, "<i8"), Parts(**vectors)


def parts_of(run: ScoreRun | None, image_ids: Iterable[int]) -> dict[int, dict[str, float]]:
    """Image id to the parts of its blended score, for those that have one: no query once the run is in memory."""
    found = all_parts_of(run.pk) if run else None
    if found is None:
        return {}
    known, parts = found
    wanted = np.fromiter(image_ids, np.int64)
    places = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return {
        int(image_id): parts.at(place)
        for image_id, place in zip(wanted, places, strict=True)
        if known[place] == image_id
    }
