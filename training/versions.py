"""Which model may decide: promote, roll back, retire, and what that would change."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction
from django.db.models import Count, F, FilteredRelation, Q
from django.utils import timezone

from labeling.models import Experiment, ModelVersion, QCSet, QCSetImage, Score, ScoreKind, ScoreRun, User
from labeling.problems import BadValue, Conflict
from labeling.services import audit
from labeling.services.cutoffs import AUTOMATIC, current_run, cutoff_in_force
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

    The model's cutoff is the one saved on its scores, else the automatic one. Counted in the database; labels and
    broken images decide as before and are not counted.
    """
    run = run_of(model)
    value = cutoff_value(run)
    experiment = model.experiment
    effects = []
    cutoff = cutoff_in_force(experiment, current_run(experiment))
    if cutoff and cutoff.run_id != run.pk:
        effects.append(_against_scores(cutoff.run, cutoff.value, run, value))
    for qc_set in experiment.qc_sets.filter(state__in=OPEN_STATES).order_by("-number"):
        effects.append(_against_set(qc_set, run, value))
    return effects


def run_of(model: ModelVersion) -> ScoreRun:
    """The blended scores of a model, without their vector."""
    return model.score_runs.defer("vector").order_by("-id")[0]


def cutoff_value(run: ScoreRun) -> float:
    """The cutoff saved on these scores, else the automatic one."""
    saved = run.cutoffs.order_by("-id").first()
    return saved.value if saved else AUTOMATIC[ScoreKind(run.kind)]


def _against_scores(now: ScoreRun, now_cutoff: float, run: ScoreRun, value: float) -> Effect:
    in_run = FilteredRelation("image__scores", condition=Q(image__scores__run=run.pk))
    scores = Score.objects.filter(run=now).annotate(by_model=in_run, blended=F("by_model__score"))
    counts = scores.order_by().aggregate(
        out=Count("image", filter=Q(score__gte=now_cutoff, blended__lt=value)),
        back=Count("image", filter=Q(score__lt=now_cutoff, blended__gte=value)),
    )
    note = "The saved cutoff stays where it is until somebody saves one on the scores of this model."
    return Effect(f"the cutoff {now_cutoff:.4f} on the {now.kind} scores", counts["out"], counts["back"], note)


def _against_set(qc_set: QCSet, run: ScoreRun, value: float) -> Effect:
    in_run = FilteredRelation("image__scores", condition=Q(image__scores__run=run.pk))
    decided = qc_set.decisions.filter(decided_by=QCSetImage.DecidedBy.SCORE)
    decided = decided.annotate(by_model=in_run, blended=F("by_model__score"))
    counts = decided.order_by().aggregate(
        out=Count("image", filter=Q(kept=True, blended__lt=value)),
        back=Count("image", filter=Q(kept=False, blended__gte=value)),
    )
    note = "It is signed and stays as it is." if qc_set.is_signed else "Make a new draft to follow the model."
    return Effect(f"{qc_set.state} QC set {qc_set.number}", counts["out"], counts["back"], note)


def _retire(model: ModelVersion, reason: str) -> audit.Entry:
    ModelVersion.objects.filter(pk=model.pk).update(state=ModelVersion.State.RETIRED)
    new = {"state": ModelVersion.State.RETIRED, "model": model.number}
    return audit.Entry("model.retired", model, old={"state": ModelVersion.State.PROMOTED}, new=new, reason=reason)


def _checked(reason: str, without: str) -> str:
    if not (reason := reason.strip()):
        raise BadValue(without)
    return reason
