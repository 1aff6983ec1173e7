"""Images of a draft drawn at random and looked at: how bad is the set still?"""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from labeling.models.experiments import Image
from labeling.models.qc_sets import QCSet


class SetSample(models.Model):
    """A draw from one part of a draft, from bands of its score, and what the draw told when all were looked at."""

    class Part(models.TextChoices):
        KEPT = "kept", "images in the set"
        OUT = "out", "images left out"

    qc_set = models.ForeignKey(QCSet, on_delete=models.PROTECT, related_name="samples")
    part = models.CharField(max_length=4, choices=Part)
    n = models.PositiveIntegerField()
    seed = models.BigIntegerField()
    strata_sizes = models.JSONField(help_text="Images of each band of the score, worst first")
    strata_drawn = models.JSONField(help_text="Of these, drawn")
    result = models.JSONField(null=True, help_text="Share, interval and sentence, once all were looked at")
    drawn_by = models.ForeignKey("User", on_delete=models.PROTECT, related_name="+")
    drawn_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("qc_set", "part")
        constraints = [
            models.UniqueConstraint(fields=("qc_set", "part"), name="sample_once_per_part"),
            models.CheckConstraint(condition=Q(part__in=("kept", "out")), name="sample_part_known"),
        ]

    def __str__(self) -> str:
        return f"{self.qc_set} sample of {self.n} {self.part}"


class SampledImage(models.Model):
    """One drawn image and the verdict on it; no label, so that looking at a draft does not make it out of date."""

    sample = models.ForeignKey(SetSample, on_delete=models.PROTECT, related_name="images", db_index=False)
    rank = models.PositiveIntegerField()
    image = models.ForeignKey(Image, on_delete=models.PROTECT, related_name="+", db_index=False)
    stratum = models.PositiveSmallIntegerField()
    verdict = models.CharField(max_length=10, blank=True)
    by = models.ForeignKey("User", on_delete=models.PROTECT, null=True, related_name="+")
    at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("sample", "rank")
        constraints = [
            models.UniqueConstraint(fields=("sample", "image"), name="sampled_once"),
            models.CheckConstraint(
                condition=Q(verdict="") | (Q(verdict__in=("good", "bad", "unsure")) & Q(by__isnull=False)),
                name="sampled_verdict_names_its_person",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.image_id}: {self.verdict or 'not looked at'}"
