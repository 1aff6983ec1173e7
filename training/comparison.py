"""What an image is compared with before anything learns from its metrics."""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from labeling.models import Experiment, Image, Well
from labeling.problems import BadValue
from training.embedding import reduced_embeddings
from training.features import FeatureTable, placed_embeddings
from training.learners.reduce import N_COMPONENTS

# A median and a spread of fewer control fields are chance.
FEWEST_CONTROLS = 4
# How a run begins that says it did without the network.
NO_EMBEDDINGS = "none"
# Of a plate, before what the network sees may change scores: three for each component. On a real row of 72 fields it
# put a phenotype above the fibres; on plates of 384 it found more of what is bad (docs/embeddings.md).
FEWEST_TO_EMBED = 3 * N_COMPONENTS


class Scaling(StrEnum):
    """What an image is compared with before the forest sees it."""

    PLATE = "plate"  # a plate's own images: batch effects between plates fall away
    CONTROLS = "controls"  # the plate's control wells, for plates whose samples differ as a whole
    EXPERIMENT = "experiment"  # everything, for plates that are known to be alike


IN_WORDS = {
    Scaling.PLATE: "robust z per plate",
    Scaling.CONTROLS: "robust z by the control wells of each plate",
    Scaling.EXPERIMENT: "robust z over the experiment",
}


def check_scaling(scaling: str) -> Scaling:
    """The scaling of that name. Raises BadValue for another word."""
    if scaling not in list(Scaling):
        raise BadValue(f"{scaling!r} is no scaling; use {', '.join(Scaling)}.")
    return Scaling(scaling)


def compared_with(
    experiment: Experiment, table: FeatureTable, scaling: Scaling
) -> tuple[np.ndarray, np.ndarray | None]:
    """The group each image is scaled in (N,), and which images of it tell what is usual (None: all)."""
    if scaling == Scaling.EXPERIMENT:
        return np.zeros(len(table.image_ids), int), None
    if scaling == Scaling.PLATE:
        return table.plate_ids, None
    in_controls = Image.objects.of(experiment).filter(well__role=Well.Role.CONTROL)
    is_control = np.isin(table.image_ids, list(in_controls.values_list("id", flat=True)))
    for plate in experiment.plates.all():
        n = int((is_control & (table.plate_ids == plate.pk)).sum())
        if n < FEWEST_CONTROLS and (table.plate_ids == plate.pk).any():
            raise BadValue(
                f"Plate {plate.barcode} has {n} measured fields in control wells; scaling by controls needs "
                f"{FEWEST_CONTROLS}. Apply a plate map, or scale per plate."
            )
    return table.plate_ids, is_control


def seen_by_network(
    experiment: Experiment,
    table: FeatureTable,
    scaling: Scaling,
    groups: np.ndarray,
    reference: np.ndarray | None,
    seed: int,
) -> np.ndarray | None:
    """Reduced embeddings (N, K), scaled as the metrics are; None where plates are small or images were not seen."""
    if np.unique(table.plate_ids, return_counts=True)[1].min() < FEWEST_TO_EMBED:
        return None
    if scaling == Scaling.PLATE:
        return placed_embeddings(experiment, table.image_ids)
    return reduced_embeddings(experiment, table.image_ids, groups, reference, seed=seed)
