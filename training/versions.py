"""Which model may decide: promote, roll back, retire, and what that would change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from django.db import transaction
from django.utils import timezone

from labeling.models import Cutoff, Experiment, ModelVersion, QCSet, QCSetImage, ScoreKind, ScoreRun, User
from labeling.problems import BadValue, Conflict
from labeling.services import audit
from labeling.services.binary_format import BIGINT, BOOLEAN
from labeling.services.binary_read import copy_out_whole
from labeling.services.cutoffs import AUTOMATIC, CutoffChoice, current_run, cutoff_in_force, flagged_rows
from labeling.services.run_tables import run_table
from training.retraining import load_learner

OPEN_STATES = (QCSet.State.DRAFT, QCSet.State.APPROVED)


@dataclass(frozen=True)
class Effect:
    """How many images lie on another side by a model than they do by `what`."""

    what: str
    out: int
    back: int
    note: str

    @property
    def total(self) -> int:
        return self.out + self.back


@transaction.atomic
def promote_model(model: ModelVersion, *, by: User, reason: str) -> None:
    """Let a model's blended scores decide QC sets; the one promoted before is retired. Promoting that one again
    rolls back.

    Raises BadValue without a reason, Conflict when it is promoted already or its weights are not what was trained.
    """
    reason = _checked(reason, "Say why this model may decide from now on; the reason is kept with it.")
    Experiment.objects.select_for_update().get(pk=model.experiment_id)
    model.refresh_from_db()
    if model.state == ModelVersion.State.PROMOTED:
        raise Conflict(f"Model {model.number} is promoted already.")
    load_learner(model)
    was = model.state
    before = ModelVersion.objects.filter(experiment=model.experiment, state=ModelVersion.State.PROMOTED).first()
    retired = [_retire(before, f"model {model.number} took its place")] if before else []
    model.state, model.promotion_reason = ModelVersion.State.PROMOTED, reason
    model.promoted_by, model.promoted_at = by, timezone.now()
    model.save(update_fields=["state", "promotion_reason", "promoted_by", "promoted_at"])
    new = {"state": model.state, "model": model.number, "weights_sha256": model.weights_sha256}
    promoted = audit.Entry("model.promoted", model, old={"state": was}, new=new, reason=reason)
    audit.record_all([*retired, promoted], by=by)


@transaction.atomic
def retire_model(model: ModelVersion, *, by: User, reason: str) -> None:
    """Let no blended score decide until another model is promoted. Signed sets stay as they are."""
    reason = _checked(reason, "Say why this model may no longer decide; the reason is kept in the audit.")
    Experiment.objects.select_for_update().get(pk=model.experiment_id)
    model.refresh_from_db()
    if model.state != ModelVersion.State.PROMOTED:
        raise Conflict(f"Model {model.number} is {model.state}; only a promoted model can be retired.")
    audit.record_all([_retire(model, reason)], by=by)


def effects_of(model: ModelVersion) -> list[Effect]:
    """What promoting the model would change: against the cutoff in force, the open draft and the approved set.

    The model's rule is the one saved on its scores, else their automatic cutoff; of both sides all that a rule flags
    counts, its conditions as well. Labels and broken images decide as before and are not counted.
    """
    run = run_of(model)
    by_model = _flagged(run, choice_on(run))
    experiment = model.experiment
    effects = []
    cutoff = cutoff_in_force(experiment, current_run(experiment))
    if cutoff and cutoff.run_id != run.pk:
        effects.append(_against_cutoff(cutoff, by_model))
    for qc_set in experiment.qc_sets.filter(state__in=OPEN_STATES).order_by("-number"):
        effects.append(_against_set(qc_set, by_model))
    return effects


def run_of(model: ModelVersion) -> ScoreRun:
    """The blended scores of a model, without their vector."""
    return model.score_runs.defer("vector").order_by("-id")[0]


def saved_cutoff(run: ScoreRun) -> Cutoff | None:
    """The rule saved last on these scores; None while there is none."""
    return run.cutoffs.order_by("-id").first()


def choice_on(run: ScoreRun) -> CutoffChoice:
    """The rule saved last on these scores, else their automatic cutoff."""
    saved = saved_cutoff(run)
    return CutoffChoice.of(saved) if saved else CutoffChoice(AUTOMATIC[ScoreKind(run.kind)], Cutoff.How.AUTOMATIC)


@dataclass(frozen=True)
class _Flags:
    """Images (N,) ascending, and whether a rule flags each (N,)."""

    image_ids: np.ndarray
    is_flagged: np.ndarray

    def beside(self, other: _Flags) -> tuple[np.ndarray, np.ndarray]:
        """What both say of the images they share, in the same order."""
        _, here, there = np.intersect1d(self.image_ids, other.image_ids, assume_unique=True, return_indices=True)
        return self.is_flagged[here], other.is_flagged[there]


def _flagged(run: ScoreRun, choice: CutoffChoice) -> _Flags:
    table = run_table(run.pk)
    return _Flags(table.image_ids[table.by_image], flagged_rows(run, choice)[table.by_image])


def _against_cutoff(cutoff: Cutoff, by_model: _Flags) -> Effect:
    choice = CutoffChoice.of(cutoff)
    n = len(choice.conditions)
    also = f" and {n} condition{'s' if n > 1 else ''}" if n else ""
    what = f"the cutoff {cutoff.value:.4f}{also}" if choice.how != Cutoff.How.UNUSED else also.removeprefix(" and ")
    note = "The saved cutoff stays where it is until somebody saves one on the scores of this model."
    return _effect(f"{what} on the {cutoff.run.kind} scores", _flagged(cutoff.run, choice), by_model, note)


def _against_set(qc_set: QCSet, by_model: _Flags) -> Effect:
    decided = qc_set.decisions.filter(decided_by=QCSetImage.DecidedBy.SCORE).order_by("image_id")
    told = copy_out_whole(decided.values_list("image_id", "kept"), {"image": BIGINT, "kept": BOOLEAN})
    note = "It is signed and stays as it is." if qc_set.is_signed else "Make a new draft to follow the model."
    return _effect(f"{qc_set.state} QC set {qc_set.number}", _Flags(told["image"], told["kept"] == 0), by_model, note)


def _effect(what: str, now: _Flags, by_model: _Flags, note: str) -> Effect:
    is_out, would_be_out = now.beside(by_model)
    return Effect(what, int((~is_out & would_be_out).sum()), int((is_out & ~would_be_out).sum()), note)


def _retire(model: ModelVersion, reason: str) -> audit.Entry:
    ModelVersion.objects.filter(pk=model.pk).update(state=ModelVersion.State.RETIRED)
    new = {"state": ModelVersion.State.RETIRED, "model": model.number}
    return audit.Entry("model.retired", model, old={"state": ModelVersion.State.PROMOTED}, new=new, reason=reason)


def _checked(reason: str, without: str) -> str:
    if not (reason := reason.strip()):
        raise BadValue(without)
    return reason
