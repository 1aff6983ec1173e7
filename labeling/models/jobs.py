"""Long work people asked for, and how far it is."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from labeling.models.experiments import Experiment


class JobQuerySet(models.QuerySet["Job"]):
    def unfinished(self) -> JobQuerySet:
        return self.filter(state__in=(Job.State.QUEUED, Job.State.RUNNING))


class Job(models.Model):
    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        FAILED = "failed"

    class Kind(models.TextChoices):
        INGEST = "ingest"
        IMPORT = "import", "Import metrics"
        MEASURE = "measure"
        EMBED = "embed", "look with the network"
        SCORE = "score"
        THUMBNAILS = "thumbnails"
        RETRAIN = "retrain"
        COMPARE = "compare", "compare with earlier models"
        APPLY = "apply", "score with a model"

    experiment = models.ForeignKey(Experiment, on_delete=models.PROTECT, related_name="jobs")
    kind = models.CharField(max_length=10, choices=Kind)
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    parameters = models.JSONField(default=dict)
    followed_by = models.JSONField(default=list, help_text="Kinds of job to start when this one succeeds")
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(null=True)
    message = models.TextField(blank=True, help_text="What it did, or why it failed, in words")
    requested_by = models.ForeignKey("User", on_delete=models.PROTECT, related_name="+")
    requested_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        constraints = [
            models.CheckConstraint(
                condition=~Q(state__in=("succeeded", "failed")) | Q(finished_at__isnull=False),
                name="job_end_has_a_time",
            ),
        ]
        indexes = [models.Index(fields=("experiment", "-id"), name="job_of_experiment")]

    def __str__(self) -> str:
        return f"{self.kind} {self.experiment}"

    @property
    def is_finished(self) -> bool:
        return self.state in (self.State.SUCCEEDED, self.State.FAILED)
