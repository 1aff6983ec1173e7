"""Bring everything learners need of an experiment into one place: features, scores, wells, and what people said."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from labeling.models import Experiment, Image, Label, Score, ScoreRun, Verdict, Well
from labeling.problems import Conflict
from training.comparison import NO_EMBEDDINGS, Scaling, check_scaling, compared_with, seen_by_network
from training.features import embedding_columns, load_features
from training.learners.company import company, with_company
from training.learners.scaling import robust_features, varying_columns
from training.learners.verdicts import Verdicts, Vote, resolve_votes


@dataclass(frozen=True)
class LearningTable:
    """The measured, scored Images of an experiment, rows in the order of their ids.

    image_ids, plate_ids, well_ids (N,) int64; treatments (N,) text, "" where none is known; features (N, P) float32:
    metrics as `robust_features` gives them, then what the network sees where the run used that, named by
    `columns`; isolation (N,) scores of the run, higher is better; outlook (N,) the same averaged with how much company
    an image has, which is what learners start from; values (N, M) the first M columns as measured.
    """

    image_ids: np.ndarray
    plate_ids: np.ndarray
    well_ids: np.ndarray
    treatments: np.ndarray
    features: np.ndarray
    isolation: np.ndarray
    outlook: np.ndarray
    columns: tuple[str, ...]
    values: np.ndarray

    def rows_of(self, image_ids: list[int]) -> dict[int, int]:
        """Image id to its row, for those that have one."""
        rows = np.minimum(np.searchsorted(self.image_ids, image_ids), len(self.image_ids) - 1)
        return {pk: int(row) for pk, row in zip(image_ids, rows, strict=True) if self.image_ids[row] == pk}


def learning_table(experiment: Experiment, run: ScoreRun) -> LearningTable:
    """Features scaled as the isolation run scaled them, beside its scores.

    Raises Conflict when images were measured after that scoring: a model must not pass them over.
    """
    table = load_features(experiment, run.metric_set)
    scores = dict(Score.objects.filter(run=run).values_list("image_id", "score").iterator(chunk_size=20_000))
    missing = sum(int(pk) not in scores for pk in table.image_ids)
    if missing:
        raise Conflict(
            f"{missing:,} images of {experiment.name} were measured after the last scoring. Score it again first."
        )
    scaling = check_scaling(run.parameters.get("scaling", Scaling.PLATE))
    groups, reference = compared_with(experiment, table, scaling)
    varying = np.flatnonzero(varying_columns(table.values))
    wells = dict(Image.objects.of(experiment).values_list("id", "well_id").iterator(chunk_size=20_000))
    well_ids = np.array([wells[int(pk)] for pk in table.image_ids], np.int64)
    treatments = {well.pk: _treatment(well) for well in Well.objects.filter(plate__experiment=experiment)}
    features = robust_features(table.values[:, varying], groups, reference).astype(np.float32)
    columns = tuple(table.columns[n] for n in varying)
    seen = None
    if not run.parameters.get("embeddings", NO_EMBEDDINGS).startswith(NO_EMBEDDINGS):
        seen = seen_by_network(experiment, table, scaling, groups, reference, run.seed)
    if seen is not None:
        features, columns = np.hstack([features, seen.astype(np.float32)]), columns + embedding_columns(seen.shape[1])
    isolation = np.array([scores[int(pk)] for pk in table.image_ids], np.float64)
    of_company = company(features, table.plate_ids, well_ids, random_state=run.seed)
    return LearningTable(
        table.image_ids,
        table.plate_ids,
        well_ids,
        np.array([treatments[int(pk)] for pk in well_ids], dtype=object),
        features,
        isolation,
        with_company(isolation, of_company),
        columns,
        table.values[:, varying],
    )


def _treatment(well: Well) -> str:
    """What was done to a well, as a scientist would group it."""
    values = [str(value) for value in well.treatment.values() if value not in ("", None)]
    return ", ".join(values) or well.control_class


@dataclass(frozen=True)
class Teaching:
    """What people said of the images, ready to learn from.

    `verdicts` by row; `defects` the tags of bad images by row; `random_rows` (R,) labelled because they were drawn
    blindly; `label_ids` every label that counted; `last_label_id` the newest label of the experiment, counted or not.
    """

    verdicts: Verdicts
    defects: dict[int, tuple[str, ...]]
    random_rows: np.ndarray
    label_ids: list[int]
    last_label_id: int | None

    @property
    def n_labels(self) -> int:
        """Images that are good or bad: what a training learns from."""
        return len(self.verdicts.rows)


def teaching_of(experiment: Experiment, table: LearningTable) -> Teaching:
    """The labels of an experiment as they stand: of each person the newest on each image.

    A label that was carried over from an identical image teaches nothing new while its source counts here, too.
    """
    labels = list(Label.objects.filter(experiment=experiment).order_by("id").defer("note"))
    standing = _one_a_picture(_standing(labels))
    rows = table.rows_of([label.image_id for label in standing])
    counted = [label for label in standing if label.image_id in rows]
    votes = [Vote(rows[label.image_id], label.by_id, str(label.verdict)) for label in counted]
    return Teaching(
        verdicts=resolve_votes(votes),
        defects={rows[label.image_id]: tuple(label.defects) for label in counted if label.defects},
        random_rows=np.array(sorted({rows[label.image_id] for label in counted if label.drawn_at_random}), np.int64),
        label_ids=[label.pk for label in counted],
        last_label_id=labels[-1].pk if labels else None,
    )


def _standing(labels: list[Label]) -> list[Label]:
    """What each person last said of each image and did not take back, oldest first.

    An undo takes away the label before it; the copy it leaves of the one before that is nobody's new word. Nor is a
    blind repeat that says the same again: the label it repeats stays, and with it what was learnt.
    """
    of_image: dict[int, list[Label]] = {}
    for label in labels:
        said = of_image.setdefault(label.image_id, [])
        if label.undoes_id is None:
            said.append(label)
        elif said:
            said.pop()
    newest: dict[tuple[int, int], Label] = {}
    for label in (label for said in of_image.values() for label in said):
        before = newest.get((label.image_id, label.by_id))
        if not (label.repeats_id and before and (before.verdict, before.defects) == (label.verdict, label.defects)):
            newest[label.image_id, label.by_id] = label
    return sorted((label for label in newest.values() if label.verdict != Verdict.WITHDRAWN), key=lambda one: one.pk)


def _one_a_picture(labels: list[Label]) -> list[Label]:
    """Without labels carried over from a picture that already counts."""
    own = {label.content_hash for label in labels if label.carried_from_id is None}
    kept = []
    for label in labels:
        if label.carried_from_id is None:
            kept.append(label)
        elif label.content_hash not in own:
            own.add(label.content_hash)
            kept.append(label)
    return kept
