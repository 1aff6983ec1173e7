"""Keep where the images of an experiment lie among each other, and find what lies near."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from django.db import transaction

from labeling.models import Experiment, FeatureSpace

KEPT_AS = np.dtype("<f2")
LARGEST = float(np.finfo(KEPT_AS).max)


@dataclass(frozen=True)
class Space:
    """Images (N,) ascending, where each lies (N, K) float32, and its direction: the same at length 1."""

    basis: str
    image_ids: np.ndarray
    vectors: np.ndarray
    directions: np.ndarray

    def row_of(self, image_id: int) -> int | None:
        """The row of an image; None when the space was made without it."""
        row = int(np.searchsorted(self.image_ids, image_id))
        return row if row < len(self.image_ids) and self.image_ids[row] == image_id else None

    def nearest(self, image_id: int, *, limit: int) -> list[tuple[int, float]]:
        """The most alike images and their cosines (-1 to 1, 1: the same direction), the nearest first.

        Without the image itself; of equally near ones the lower id first. Empty when it has no place here.
        """
        row = self.row_of(image_id)
        if row is None:
            return []
        cosine = self.directions @ self.directions[row]
        cosine[row] = -np.inf
        limit = min(limit, len(cosine) - 1)
        near = np.argpartition(-cosine, limit)[: limit + 1] if limit + 1 < len(cosine) else np.arange(len(cosine))
        near = near[np.lexsort((near, -cosine[near]))][:limit]
        return [(int(self.image_ids[n]), float(cosine[n])) for n in near]


@dataclass(frozen=True)
class Axes:
    """How scaled embeddings (N, D) come to their places: mean (D,) and principal components (K, D), float32."""

    mean: np.ndarray
    components: np.ndarray


@transaction.atomic
def store_feature_space(
    experiment: Experiment,
    basis: str,
    image_ids: np.ndarray,
    vectors: np.ndarray,
    *,
    parameters: dict[str, Any],
    axes: Axes | None = None,
) -> FeatureSpace:
    """Keep a new space in place of the experiment's older one of that basis.

    `image_ids` (N,) ascending, `vectors` (N, K) finite. Zero is the middle of a plate.
    """
    if not np.isfinite(vectors).all() or (np.diff(image_ids) <= 0).any():
        raise ValueError("A space holds finite vectors in the order of their images.")
    space = FeatureSpace.objects.create(
        experiment=experiment,
        basis=basis,
        parameters=parameters,
        n_images=len(image_ids),
        dimensions=vectors.shape[1],
        image_ids=image_ids.astype("<i8").tobytes(),
        vectors=np.clip(vectors, -LARGEST, LARGEST).astype(KEPT_AS).tobytes(),
        mean=axes and axes.mean.astype("<f4").tobytes(),
        axes=axes and axes.components.astype("<f4").tobytes(),
    )
    experiment.feature_spaces.filter(basis=basis).exclude(pk=space.pk).delete()
    return space


def newest_space(experiment: Experiment, basis: str) -> Space | None:
    """The experiment's space of that basis; None before there is one."""
    pk = experiment.feature_spaces.filter(basis=basis).order_by("-id").values_list("pk", flat=True).first()
    return _space(pk) if pk else None


def axes_of(experiment: Experiment) -> Axes | None:
    """Those of the experiment's space of embeddings; None before there is one, or where it was kept without them."""
    spaces = experiment.feature_spaces.filter(basis=FeatureSpace.Basis.EMBEDDINGS)
    kept = spaces.order_by("-id").values_list("mean", "axes", "dimensions").first()
    if kept is None or kept[0] is None:
        return None
    mean, axes, dimensions = kept
    return Axes(np.frombuffer(mean, "<f4"), np.frombuffer(axes, "<f4").reshape(dimensions, -1))


@lru_cache(maxsize=4)  # a space never changes; 200,000 x 64 float32 twice are 100 MB
def _space(pk: int) -> Space:
    kept = FeatureSpace.objects.get(pk=pk)
    vectors = np.frombuffer(kept.vectors, KEPT_AS).reshape(kept.n_images, kept.dimensions).astype(np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    directions = vectors / np.where(lengths > 0, lengths, 1)
    return Space(kept.basis, np.frombuffer(kept.image_ids, "<i8"), vectors, directions)
