"""Which images people are asked to label next."""

from __future__ import annotations

from django.db import models
from django.db.models import OuterRef, Q, Subquery

from labeling.models.experiments import Experiment, Image
from labeling.models.scores import ScoreRun
from labeling.models.verdicts import Label, Verdict


class LabelQueue(models.Model):
    """A ranked list of images worth a label, chosen when scores or labels changed. The newest one is served."""

    experiment = models.ForeignKey(Experiment, on_delete=models.PROTECT, related_name="label_queues")
    run = models.ForeignKey(ScoreRun, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-id",)
        indexes = [models.Index(fields=("experiment", "-id"), name="newest_queue")]

    def __str__(self) -> str:
        return f"{self.experiment} queue {self.pk}"


class QueueEntryQuerySet(models.QuerySet["QueueEntry"]):
    def unlabelled(self) -> QueueEntryQuerySet:
        """Those whose Image is whole and has no label in force, best first."""
        newest = Label.objects.filter(image=OuterRef("image")).order_by("-id").values("verdict")[:1]
        return (
            self.filter(image__state=Image.State.READY)
            .annotate(newest_verdict=Subquery(newest))
            .filter(Q(newest_verdict__isnull=True) | Q(newest_verdict=Verdict.WITHDRAWN))
            .order_by("rank")
        )


class QueueEntry(models.Model):
    """One image of a queue: its place, and why it was chosen."""

    queue = models.ForeignKey(LabelQueue, on_delete=models.CASCADE, related_name="entries", db_index=False)
    rank = models.PositiveSmallIntegerField()
    image = models.ForeignKey(Image, on_delete=models.PROTECT, related_name="+", db_index=False)
    why = models.TextField()
    is_random = models.BooleanField(default=False, help_text="Drawn at random, for honest measurement")

    objects = QueueEntryQuerySet.as_manager()

    class Meta:
        ordering = ("queue", "rank")
        constraints = [
            models.UniqueConstraint(fields=("queue", "rank"), name="queue_rank_once"),
            models.UniqueConstraint(fields=("queue", "image"), name="queue_image_once"),
        ]

    def __str__(self) -> str:
        return f"{self.rank}: {self.image_id}"
