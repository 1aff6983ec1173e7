"""Decide every image, sign the decision, and never change it again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from django.db import models, transaction
from django.utils import timezone

from labeling.models import (
    AuditEvent,
    Experiment,
    Image,
    Label,
    Manifest,
    ModelVersion,
    QCSet,
    QCSetImage,
    Score,
    ScoreKind,
    ScoreRun,
    Signature,
    User,
)
from labeling.problems import BadValue, Conflict, NotAllowed
from labeling.services import audit
from labeling.services.agreement import agreement_of_people
from labeling.services.binary_copy import MANY, copy_objects, gather_statistics
from labeling.services.cutoffs import current_run, cutoff_in_force, deciding_cutoff
from labeling.services.decisions import decide, printed_names
from labeling.services.manifests import freeze
from labeling.services.plate_map import losses_of_set, map_of, warnings_of
from labeling.services.reasons import sentences_of
from labeling.services.rules import Judge, conditions_of

BATCH = 5000
WRONG_PASSWORDS = 5
LOCKED_FOR = timedelta(minutes=15)


@transaction.atomic
def draft_qc_set(experiment: Experiment, *, by: User) -> QCSet:
    """Decide every Image of the experiment from the labels and cutoff in force. An earlier draft is discarded.

    A label beats the score; unsure and unlabelled images follow the score; an image that is broken is
    out. Raises Conflict when scores are missing, no cutoff was saved, or the cutoff lies on the scores of a
    model that nobody promoted.
    """
    Experiment.objects.select_for_update().get(pk=experiment.pk)
    cutoff = deciding_cutoff(experiment)
    run = cutoff.run
    _refuse_unscored(experiment, run)
    discarded = [_discard(old) for old in experiment.qc_sets.filter(state=QCSet.State.DRAFT)]
    last_label = Label.objects.filter(experiment=experiment).order_by("-id").first()
    number = (experiment.qc_sets.aggregate(last=models.Max("number"))["last"] or 0) + 1
    qc_set = QCSet.objects.create(
        experiment=experiment,
        number=number,
        run=run,
        cutoff=cutoff,
        model_version=run.model_version,
        last_label=last_label,
        created_by=by,
    )
    # In one statement: the trigger that guards each decision is slower after every earlier one of the transaction.
    decisions = list(_decisions(qc_set))
    copy_objects(decisions)
    qc_set.n_kept = sum(decision.kept for decision in decisions)
    qc_set.n_out = len(decisions) - qc_set.n_kept
    if len(decisions) >= MANY:
        gather_statistics(QCSetImage)
    qc_set.warnings = warnings_of(map_of(experiment, losses_of_set(qc_set)))
    qc_set.agreement = agreement_of_people(experiment).in_short
    qc_set.save(update_fields=["n_kept", "n_out", "warnings", "agreement"])
    drafted = audit.Entry("qc_set.drafted", qc_set, new=_as_json(qc_set))
    audit.record_all([*discarded, drafted], by=by)  # last: it makes other writers wait
    return qc_set


@transaction.atomic
def discard_draft(qc_set: QCSet, *, by: User) -> None:
    """Throw a draft away. Its number is not used again."""
    qc_set = QCSet.objects.select_for_update().get(pk=qc_set.pk)
    if not qc_set.is_draft:
        raise Conflict(f"QC set {qc_set.number} is {qc_set.state}; only a draft can be discarded.")
    audit.record_all([_discard(qc_set)], by=by)


def staleness(qc_set: QCSet) -> str:
    """Why a draft no longer says what labels and cutoff say; empty while it does."""
    experiment = qc_set.experiment
    n_labels = Label.objects.filter(experiment=experiment, pk__gt=qc_set.last_label_id or 0).count()
    if n_labels:
        were = "label was" if n_labels == 1 else "labels were"
        return f"{n_labels:,} {were} given after this draft was made"
    isolation_run = current_run(experiment)
    if qc_set.model_version is None and isolation_run.pk != qc_set.run_id:
        return "the experiment was scored again after this draft was made"
    if qc_set.model_version and qc_set.model_version.state != ModelVersion.State.PROMOTED:
        return f"model {qc_set.model_version.number}, whose scores it follows, is no longer promoted"
    if cutoff_in_force(experiment, isolation_run) != qc_set.cutoff:
        return "another cutoff was saved after this draft was made"
    if experiment.images.count() != qc_set.n_kept + qc_set.n_out:
        return "images were added after this draft was made"
    n_errors = qc_set.decisions.filter(kept=False, decided_by=QCSetImage.DecidedBy.ERROR).count()
    if experiment.images.broken().count() != n_errors:
        return "broken images were mended, or others broke, after this draft was made"
    mapped = AuditEvent.objects.filter(experiment=experiment, action="platemap.applied", at__gt=qc_set.created_at)
    if mapped.exists():  # the manifest tells roles and control classes
        return "a plate map was applied after this draft was made"
    return ""


def approve_qc_set(qc_set: QCSet, *, by: User, password: str, meaning: str) -> Signature:
    """Freeze the set and record who vouched for it, in what sense, over which bytes.

    The set approved before is superseded. Raises NotAllowed on a wrong password (which is recorded, and
    after five locks signing for 15 minutes), Conflict on a draft that is stale or no draft.
    """
    meaning = meaning.strip()
    if not meaning:
        raise BadValue("Say what your signature means, for example: I reviewed this set and approve it for training.")
    if len(meaning) > 300:
        raise BadValue("The meaning of a signature has at most 300 characters; shorten it.")
    _check_password(qc_set, by=by, password=password)
    return _approve(qc_set, by=by, meaning=meaning)


@transaction.atomic
def withdraw_qc_set(qc_set: QCSet, *, by: User, reason: str) -> None:
    """Declare an approved set void. It stays readable, marked as withdrawn, with the reason."""
    reason = reason.strip()
    if not reason:
        raise BadValue("Say why the set is withdrawn; people who trained on it will ask.")
    qc_set = QCSet.objects.select_for_update().get(pk=qc_set.pk)
    if qc_set.state != QCSet.State.APPROVED:
        raise Conflict(f"QC set {qc_set.number} is {qc_set.state}; only an approved set can be withdrawn.")
    qc_set.state, qc_set.withdrawal_reason = QCSet.State.WITHDRAWN, reason
    qc_set.withdrawn_by, qc_set.withdrawn_at = by, timezone.now()
    qc_set.save(update_fields=["state", "withdrawal_reason", "withdrawn_by", "withdrawn_at"])
    audit.record(
        "qc_set.withdrawn",
        qc_set,
        by=by,
        old={"state": QCSet.State.APPROVED},
        new={"state": QCSet.State.WITHDRAWN},
        reason=reason,
    )


def seal_of(*, username: str, printed_name: str, manifest_sha256: str, meaning: str, at: datetime) -> str:
    """SHA-256 that binds a signature to its person, manifest, meaning and time."""
    text = "\n".join((username, printed_name, manifest_sha256, meaning, at.astimezone(UTC).isoformat()))
    return hashlib.sha256(text.encode()).hexdigest()


@transaction.atomic
def _approve(qc_set: QCSet, *, by: User, meaning: str) -> Signature:
    Experiment.objects.select_for_update().get(pk=qc_set.experiment_id)
    qc_set = (
        QCSet.objects.select_for_update(of=("self",))
        .select_related("experiment", "cutoff", "run", "model_version")
        .get(pk=qc_set.pk)
    )
    if not qc_set.is_draft:
        raise Conflict(f"QC set {qc_set.number} is {qc_set.state}; only a draft can be signed.")
    if why := staleness(qc_set):
        raise Conflict(f"This draft is out of date: {why}. Make a new draft and look at it before signing.")
    (csv_gzip, sha256), now = freeze(qc_set), timezone.now()
    Manifest.objects.create(qc_set=qc_set, csv_gzip=csv_gzip, sha256=sha256)
    superseded = QCSet.objects.filter(experiment=qc_set.experiment, state=QCSet.State.APPROVED).first()
    if superseded:
        QCSet.objects.filter(pk=superseded.pk).update(state=QCSet.State.SUPERSEDED)
        qc_set.supersedes = superseded
    qc_set.state, qc_set.manifest_sha256 = QCSet.State.APPROVED, sha256
    qc_set.save(update_fields=["state", "manifest_sha256", "supersedes"])
    signature = Signature.objects.create(
        qc_set=qc_set,
        by=by,
        printed_name=by.printed_name,
        meaning=meaning,
        at=now,
        manifest_sha256=sha256,
        seal=seal_of(
            username=by.username,
            printed_name=by.printed_name,
            manifest_sha256=sha256,
            meaning=meaning,
            at=now,
        ),
    )
    entries = [audit.Entry("qc_set.approved", qc_set, old={"state": "draft"}, new=_as_json(qc_set), reason=meaning)]
    if superseded:
        entries.append(
            audit.Entry(
                "qc_set.superseded",
                superseded,
                old={"state": QCSet.State.APPROVED},
                new={"state": QCSet.State.SUPERSEDED, "by": qc_set.number},
            )
        )
    audit.record_all(entries, by=by)
    return signature


def _discard(draft: QCSet) -> audit.Entry:
    draft.decisions.all().delete()
    QCSet.objects.filter(pk=draft.pk).update(state=QCSet.State.DISCARDED)
    return audit.Entry("qc_set.discarded", draft, old={"state": "draft"}, new={"state": "discarded"})


def _check_password(qc_set: QCSet, *, by: User, password: str) -> None:
    refused = AuditEvent.objects.filter(
        actor=by, action="signature.refused", at__gte=timezone.now() - LOCKED_FOR
    ).count()
    if refused >= WRONG_PASSWORDS:
        raise NotAllowed("Signing is locked for 15 minutes after five wrong passwords. Your admin can see why.")
    if not by.check_password(password):
        # On its own: the refusal is kept although nothing is signed.
        audit.record("signature.refused", qc_set, by=by, reason="wrong password")
        raise NotAllowed("The password is not right. Nothing was signed.")


def _refuse_unscored(experiment: Experiment, run: ScoreRun) -> None:
    scored = Score.objects.filter(run=run, image=models.OuterRef("pk"))
    n = experiment.images.filter(state=Image.State.READY).exclude(models.Exists(scored)).count()
    if n and run.model_version:
        raise Conflict(
            f"{n:,} images have no score of model {run.model_version.number} yet. Measure and score them, then score "
            "them with the model, or retrain and promote the new one, on the page Models."
        )
    if n:
        raise Conflict(f"{n:,} images have no score yet. Measure and score the experiment again first.")


def _decisions(qc_set: QCSet) -> Iterator[QCSetImage]:
    """One decision for each Image of the experiment, streamed."""
    labels = Label.objects.in_force(qc_set.experiment)
    isolation, blended = _runs_told(qc_set)
    images = (
        qc_set.experiment.images.annotate(isolation=_score_in(isolation), blended=_score_in(blended))
        .only("experiment", "state", "problem")
        .order_by("id")
    )
    names = printed_names()
    judge = Judge(qc_set.experiment, qc_set.run_id, conditions_of(qc_set.cutoff.conditions))
    because = sentences_of(qc_set.run)
    for image in images.iterator(chunk_size=BATCH):
        label = labels.get(image.pk)
        score = image.blended if qc_set.run.kind == ScoreKind.BLENDED else image.isolation
        broken = judge.why(image.pk)
        decision = decide(image, score, label, names, qc_set.cutoff.value, broken, because.get(image.pk, ""))
        yield QCSetImage(
            qc_set=qc_set,
            image=image,
            kept=decision.kept,
            decided_by=decision.decided_by,
            reason=decision.reason,
            label=label,
            isolation_score=image.isolation,
            blended_score=image.blended,
        )


def _runs_told(qc_set: QCSet) -> tuple[int | None, int | None]:
    """The isolation and the blended run a set tells of: its own, and the other kind beside it.

    That is the isolation run the model was blended with, or the promoted model's run.
    """
    if qc_set.run.kind == ScoreKind.BLENDED:
        return qc_set.run.parameters.get("isolation_run"), qc_set.run_id
    promoted = ScoreRun.objects.defer("vector").of_promoted_model(qc_set.experiment)
    return qc_set.run_id, promoted.pk if promoted else None


def _score_in(run_id: int | None) -> models.Subquery:
    return models.Subquery(Score.objects.filter(run=run_id, image=models.OuterRef("pk")).order_by().values("score"))


def _as_json(qc_set: QCSet) -> dict[str, object]:
    said = {
        "state": qc_set.state,
        "kept": qc_set.n_kept,
        "out": qc_set.n_out,
        "cutoff": qc_set.cutoff.value,
        "run": qc_set.run_id,
        "warnings": qc_set.warnings,
        "agreement": qc_set.agreement,
        "manifest_sha256": qc_set.manifest_sha256,
    }
    if qc_set.model_version:
        said["model"] = qc_set.model_version.number
    if estimates := {sample.part: sample.result["sentence"] for sample in qc_set.samples.exclude(result=None)}:
        said["estimates"] = estimates
    return said
