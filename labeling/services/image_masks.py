"""Which images pass a filter: one truth value an image, over all images of an experiment at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from labeling.models import Experiment, ScoreRun, User
from labeling.problems import Conflict
from labeling.services.cutoffs import CutoffChoice, flagged_rows
from labeling.services.image_filters import DISPUTED, FLAGGED, KEPT, NONE, UNSCORED, ImageFilter, WellClass
from labeling.services.image_tables import (
    ImageTable,
    LabelColumns,
    WellColumns,
    disputed_images,
    image_table,
    labels_in_force,
    score_column,
    spread,
)
from labeling.services.rules import Condition
from labeling.services.run_tables import check_metric

OF_WELLS = ("plate", "well", "row", "column", "role", "treatment")
OF_LABELS = ("label", "person", "defect")


@dataclass(frozen=True, eq=False)
class Gallery:
    """All images of an experiment with what tells them apart: the scores of a run and a rule on it, once scored."""

    experiment: Experiment
    table: ImageTable
    run: ScoreRun | None = None
    choice: CutoffChoice | None = None
    # Whose parts say how sure a model is; the run itself, where that is a model's.
    blended: ScoreRun | None = None

    @classmethod
    def of(
        cls,
        experiment: Experiment,
        run: ScoreRun | None = None,
        choice: CutoffChoice | None = None,
        blended: ScoreRun | None = None,
    ) -> Gallery:
        # The table comes after the runs: so that it has every image they have.
        return cls(experiment, image_table(experiment), run, choice, blended)

    @property
    def scores(self) -> np.ndarray:
        """(N,) NaN where an image has none."""
        if self.run is None:
            return np.full(len(self.table.image_ids), np.nan)
        return score_column(self.table, self.run.pk)

    @property
    def flagged(self) -> np.ndarray:
        """(N,) True for what the rule flags; nothing while there is no rule."""
        if self.run is None or self.choice is None:
            return np.zeros(len(self.table.image_ids), bool)
        return spread(self.table, self.run.pk, flagged_rows(self.run, self.choice))

    def masks(self, wanted: ImageFilter) -> dict[str, np.ndarray]:
        """By filter that is the images it lets pass, (N,) bool. Five queries at most, for what people said."""
        table, used = self.table, wanted.used
        masks = {
            name: _of_wells(table.wells, name, getattr(wanted, name))[table.well_index]
            for name in OF_WELLS
            if name in used
        }
        if wanted.site:
            masks["site"] = np.isin(table.sites, wanted.site)
        if wanted.metric:
            masks["metric"] = self._within(wanted.metric)
        if any(name in used for name in OF_LABELS):
            masks |= self._labelled(wanted)
        if wanted.side:
            masks["side"] = self._on_side(wanted.side)
        return masks

    def matching(self, wanted: ImageFilter) -> np.ndarray:
        """(N,) True for the images that pass every filter."""
        return every(self.masks(wanted), len(self.table.image_ids))

    def matching_ids(self, wanted: ImageFilter) -> np.ndarray:
        """Their ids (n,), ascending."""
        return self.table.image_ids[self.matching(wanted)]

    def _within(self, conditions: Sequence[Condition]) -> np.ndarray:
        run = self.run
        if run is None:
            raise Conflict("The images are not scored yet. They can be filtered by a metric once they are.")
        for condition in conditions:
            check_metric(run, condition.column, condition.unit)
        metrics = {(one.column, one.unit) for one in conditions}
        return np.logical_and.reduce(
            [
                np.logical_or.reduce(
                    [
                        spread(self.table, run.pk, one.keeps(run.pk))
                        for one in conditions
                        if (one.column, one.unit) == metric
                    ]
                )
                for metric in metrics
            ]
        )

    def _labelled(self, wanted: ImageFilter) -> dict[str, np.ndarray]:
        table, labels, masks = self.table, labels_in_force(self.experiment), {}
        if wanted.label:
            masks["label"] = _any([self._with_label(labels, one) for one in wanted.label])
        if wanted.person:
            people = dict(User.objects.filter(username__in=wanted.person).values_list("username", "id"))
            masks["person"] = _any([table.marked(labels.by(people.get(name, 0))) for name in wanted.person])
        if wanted.defect:
            masks["defect"] = _any([table.marked(labels.with_defect(one)) for one in wanted.defect])
        return masks

    def _with_label(self, labels: LabelColumns, label: str) -> np.ndarray:
        if label == NONE:
            return ~self.table.marked(labels.image_ids)
        if label == DISPUTED:
            return self.table.marked(disputed_images(self.experiment))
        return self.table.marked(labels.with_verdict(label))

    def _on_side(self, sides: Sequence[str]) -> np.ndarray:
        is_scored = ~np.isnan(self.scores)
        if self.choice is None and set(sides) != {UNSCORED}:
            raise Conflict("The images are not scored yet, so none is flagged or kept. Score them first.")
        of_side = {
            FLAGGED: lambda: self.flagged,
            KEPT: lambda: is_scored & ~self.flagged,
            UNSCORED: lambda: ~is_scored,
        }
        return _any([of_side[side]() for side in sides])


def every(masks: Mapping[str, np.ndarray], n: int) -> np.ndarray:
    """(N,) True where all masks are."""
    return np.logical_and.reduce([np.ones(n, bool), *masks.values()])


def _of_wells(wells: WellColumns, name: str, values: Sequence[Any]) -> np.ndarray:
    """(W,) True for the wells that one filter lets pass."""
    if name == "plate":
        return np.isin(wells.plates, [n for n, barcode in enumerate(wells.barcodes) if barcode in values])
    if name == "well":
        return _any([(wells.rows == well.row) & (wells.columns == well.column) for well in values], len(wells.ids))
    if name == "row":
        return np.isin(wells.rows, values)
    if name == "column":
        return np.isin(wells.columns, values)
    if name == "role":
        return np.isin(wells.roles, values)
    return _of_classes(wells, values)


def _of_classes(wells: WellColumns, classes: Sequence[WellClass]) -> np.ndarray:
    """(W,) compound X or compound Y, and dose 3: each treatment field is a filter of its own."""
    nothing = np.full(len(wells.ids), "", object)
    holds = np.ones(len(wells.ids), bool)
    for field in {one.field for one in classes}:
        holds &= np.isin(wells.classes.get(field, nothing), [one.value for one in classes if one.field == field])
    return holds


def _any(masks: Sequence[np.ndarray], n: int = 0) -> np.ndarray:
    return np.logical_or.reduce(masks) if masks else np.zeros(n, bool)
