"""The record of every change that matters."""

from django.db import models
from django.db.models import Q

from labeling.models.experiments import Experiment
from labeling.models.protection import append_only


class AuditEvent(models.Model):
    """Who did what to which record, when, from where and why. Appended only, and chained by hashes."""

    class Origin(models.TextChoices):
        PAGE = "page"
        API = "API"
        COMMAND = "command"
        JOB = "job"

    sequence = models.PositiveBigIntegerField(unique=True, help_text="1, 2, 3 ... without gaps")
    at = models.DateTimeField(help_text="Server clock, UTC")
    # The link and the name as text: the record outlives a change of name.
    actor = models.ForeignKey("User", on_delete=models.PROTECT, null=True, related_name="+")
    actor_name = models.CharField(max_length=300)
    action = models.CharField(max_length=60, help_text="A noun and a verb, such as `qc_set.approved`")
    experiment = models.ForeignKey(Experiment, on_delete=models.PROTECT, null=True, related_name="+")
    object_type = models.CharField(max_length=40)
    object_id = models.BigIntegerField(null=True)
    object_name = models.CharField(max_length=400)
    old = models.JSONField(null=True)
    new = models.JSONField(null=True)
    reason = models.TextField(blank=True)
    origin = models.CharField(max_length=10, choices=Origin)
    address = models.GenericIPAddressField(null=True)
    request_id = models.CharField(max_length=36, blank=True)
    software_version = models.CharField(max_length=20)
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64, unique=True)

    class Meta:
        ordering = ("-sequence",)
        constraints = [
            models.CheckConstraint(condition=~Q(actor_name="") & ~Q(action=""), name="audit_names_who_and_what"),
        ]
        indexes = [
            models.Index(fields=("actor", "-sequence"), name="audit_by_actor"),
            models.Index(fields=("action", "-sequence"), name="audit_by_action"),
            models.Index(fields=("object_type", "object_id", "-sequence"), name="audit_by_object"),
            models.Index(fields=("at",), name="audit_by_time"),
        ]
        triggers = append_only("audit")

    def __str__(self) -> str:
        return f"{self.sequence}: {self.action} by {self.actor_name}"
