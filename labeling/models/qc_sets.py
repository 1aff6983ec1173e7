"""The decision for every Image of an experiment, and who vouched for it."""

from __future__ import annotations

import pgtrigger
from django.db import models
from django.db.models import Q

from labeling.models.experiments import Experiment, Image
from labeling.models.protection import append_only, keeps_history, no_truncate
from labeling.models.scores import Cutoff, ModelVersion, ScoreRun
from labeling.models.verdicts import Label


@keeps_history()
class QCSet(models.Model):
    """Which Images are in and out. A draft can be thrown away; an approved set never changes."""

    class State(models.TextChoices):
        DRAFT = "draft"
        APPROVED = "approved"
        SUPERSEDED = "superseded"
        WITHDRAWN = "withdrawn"
        DISCARDED = "discarded"

    experiment = models.ForeignKey(Experiment, on_delete=models.PROTECT, related_name="qc_sets")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=State, default=State.DRAFT)
    run = models.ForeignKey(ScoreRun, on_delete=models.PROTECT, related_name="+")
    cutoff = models.ForeignKey(Cutoff, on_delete=models.PROTECT, related_name="+")
    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, null=True, related_name="+")
    last_label = models.ForeignKey(
        Label, on_delete=models.PROTECT, null=True, related_name="+", help_text="The newest label it takes into account"
    )
    n_kept = models.PositiveIntegerField(default=0)
    n_out = models.PositiveIntegerField(default=0)
    warnings = models.JSONField(
        default=list, help_text="What to look at before signing, as it stood when the draft was made: sentences"
    )
    agreement = models.TextField(
        blank=True, help_text="Who labelled how many and how well they agreed, as it stood when the draft was made"
    )
    created_by = models.ForeignKey("User", on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    manifest_sha256 = models.CharField(max_length=64, blank=True)
    supersedes = models.OneToOneField("self", on_delete=models.PROTECT, null=True, related_name="superseded_by")
    withdrawal_reason = models.TextField(blank=True)
    withdrawn_by = models.ForeignKey("User", on_delete=models.PROTECT, null=True, related_name="+")
    withdrawn_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("experiment", "-number")
        constraints = [
            models.UniqueConstraint(fields=("experiment", "number"), name="qc_set_number_once"),
            models.UniqueConstraint(
                fields=("experiment",), condition=Q(state="draft"), name="qc_set_one_draft_at_a_time"
            ),
            models.UniqueConstraint(
                fields=("experiment",), condition=Q(state="approved"), name="qc_set_one_approved_at_a_time"
            ),
            models.CheckConstraint(
                condition=Q(state__in=("draft", "discarded")) | ~Q(manifest_sha256=""),
                name="qc_set_signed_has_a_manifest",
            ),
            models.CheckConstraint(
                condition=~Q(state="withdrawn") | (~Q(withdrawal_reason="") & Q(withdrawn_by__isnull=False)),
                name="qc_set_withdrawal_has_a_reason",
            ),
        ]
        triggers = [
            # After the signature only the state may move on, and only forwards.
            pgtrigger.Trigger(
                name="qc_set_frozen",
                when=pgtrigger.Before,
                operation=pgtrigger.Update | pgtrigger.Delete,
                func=pgtrigger.Func(
                    """
                    IF OLD.state = 'draft' AND TG_OP = 'UPDATE' THEN RETURN NEW; END IF;
                    IF TG_OP = 'UPDATE' AND OLD.state = 'approved'
                        AND NEW.state IN ('superseded', 'withdrawn')
                        AND (to_jsonb(NEW) - 'state' - 'withdrawal_reason' - 'withdrawn_by_id' - 'withdrawn_at')
                          = (to_jsonb(OLD) - 'state' - 'withdrawal_reason' - 'withdrawn_by_id' - 'withdrawn_at')
                    THEN RETURN NEW; END IF;
                    RAISE EXCEPTION 'QC set % is % and cannot be changed', OLD.number, OLD.state
                        USING ERRCODE = 'restrict_violation';
                    """
                ),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.experiment} QC set {self.number}"

    @property
    def is_signed(self) -> bool:
        return bool(self.manifest_sha256)

    @property
    def is_draft(self) -> bool:
        return self.state == self.State.DRAFT


class QCSetImage(models.Model):
    """One Image of a set: in or out, decided by what, and why in words."""

    class DecidedBy(models.TextChoices):
        LABEL = "label"
        SCORE = "score"
        ERROR = "error"

    pk = models.CompositePrimaryKey("qc_set_id", "image_id")
    qc_set = models.ForeignKey(QCSet, on_delete=models.PROTECT, related_name="decisions")
    image = models.ForeignKey(Image, on_delete=models.PROTECT, related_name="decisions")
    kept = models.BooleanField()
    decided_by = models.CharField(max_length=5, choices=DecidedBy)
    reason = models.TextField()
    label = models.ForeignKey(Label, on_delete=models.PROTECT, null=True, related_name="+", db_index=False)
    isolation_score = models.FloatField(null=True)
    blended_score = models.FloatField(null=True)

    class Meta:
        ordering = ("qc_set", "image")
        constraints = [
            models.CheckConstraint(
                condition=~Q(decided_by="label") | Q(label__isnull=False), name="decision_by_label_names_it"
            ),
            models.CheckConstraint(condition=~Q(decided_by="error") | Q(kept=False), name="decision_by_error_is_out"),
            models.CheckConstraint(condition=~Q(reason=""), name="decision_has_a_reason"),
        ]
        indexes = [
            models.Index(fields=("qc_set", "kept", "decided_by", "image"), name="decisions_of_a_kind"),
        ]
        triggers = [
            pgtrigger.Trigger(
                name="decision_frozen",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
                declare=[("state", "text")],
                func=pgtrigger.Func(
                    """
                    SELECT s.state INTO state FROM labeling_qcset s
                        WHERE s.id = CASE WHEN TG_OP = 'INSERT' THEN NEW.qc_set_id ELSE OLD.qc_set_id END;
                    IF state = 'draft' AND TG_OP = 'INSERT' THEN RETURN NEW; END IF;
                    IF state = 'draft' AND TG_OP = 'DELETE' THEN RETURN OLD; END IF;
                    RAISE EXCEPTION 'decisions of a % QC set cannot be changed', state
                        USING ERRCODE = 'restrict_violation';
                    """
                ),
            ),
            no_truncate("decision"),
        ]

    def __str__(self) -> str:
        return f"{self.image_id}: {'in' if self.kept else 'out'}"


class Manifest(models.Model):
    """The frozen text of a signed set: the very bytes whose SHA-256 was signed."""

    qc_set = models.OneToOneField(QCSet, on_delete=models.PROTECT, related_name="manifest")
    csv_gzip = models.BinaryField()
    sha256 = models.CharField(max_length=64)

    class Meta:
        triggers = append_only("manifest")

    def __str__(self) -> str:
        return self.sha256


class Signature(models.Model):
    """Who vouched for which manifest, when and in what sense."""

    qc_set = models.ForeignKey(QCSet, on_delete=models.PROTECT, related_name="signatures")
    by = models.ForeignKey("User", on_delete=models.PROTECT, related_name="signatures")
    printed_name = models.CharField(max_length=300)
    meaning = models.CharField(max_length=300)
    at = models.DateTimeField()
    manifest_sha256 = models.CharField(max_length=64)
    # Over person, name, manifest, meaning and time: a signature moved to another set no longer fits.
    seal = models.CharField(max_length=64)

    class Meta:
        ordering = ("id",)
        constraints = [
            models.UniqueConstraint(fields=("qc_set", "by", "meaning"), name="signature_once_per_meaning"),
            models.CheckConstraint(
                condition=~Q(meaning="") & ~Q(printed_name=""), name="signature_has_name_and_meaning"
            ),
        ]
        triggers = append_only("signature")

    def __str__(self) -> str:
        return f"{self.printed_name}, {self.meaning}"
