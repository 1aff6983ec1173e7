"""The numbers taken from the pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models

from labeling.models.experiments import Experiment, Image
from labeling.models.fields import RealArrayField


def fingerprint_of(columns: Sequence[str]) -> str:
    """SHA-256 that tells any two lists of columns apart."""
    return hashlib.sha256("\n".join(columns).encode()).hexdigest()


class MetricSet(models.Model):
    """The columns that the values of a Measurement stand for, fixed for one version and experiment.

    A set that was imported names the table it came from; when a table changes, a further revision holds the new
    numbers and the old ones stay.
    """

    experiment = models.ForeignKey(Experiment, on_delete=models.PROTECT, related_name="metric_sets")
    version = models.CharField(max_length=40)
    columns = ArrayField(models.TextField())
    source = models.TextField(blank=True, help_text="First table it was imported from; empty when measured here")
    revision = models.PositiveIntegerField(default=1, help_text="Counts what was imported in place of earlier numbers")
    # In the place of the columns in the index: a table of 1,400 of them is longer than an index row may be.
    fingerprint = models.CharField(max_length=64, editable=False, help_text="SHA-256 of the columns")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("experiment", "-id")
        constraints = [
            models.UniqueConstraint(fields=("experiment", "version", "fingerprint", "revision"), name="metric_set_once")
        ]

    def __str__(self) -> str:
        return f"{self.experiment}: metrics {self.version}"

    def save(self, *arguments: Any, **options: Any) -> None:
        self.fingerprint = fingerprint_of(self.columns)
        super().save(*arguments, **options)

    @property
    def is_imported(self) -> bool:
        return self.source != ""


class Measurement(models.Model):
    """The metrics of one Image, in the order its metric set names; NaN where a metric is undefined."""

    metric_set = models.ForeignKey(MetricSet, on_delete=models.PROTECT, related_name="measurements")
    image = models.ForeignKey(Image, on_delete=models.PROTECT, related_name="measurements")
    values = RealArrayField()
    measured_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("metric_set", "image")
        constraints = [
            models.UniqueConstraint(fields=("metric_set", "image"), name="measured_once_per_set"),
        ]

    def __str__(self) -> str:
        return f"{self.image_id} in {self.metric_set_id}"
