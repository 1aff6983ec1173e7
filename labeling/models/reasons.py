"""Why images are doubtful, as the models see it, and how far experiments lie from what a model has seen."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from labeling.models.experiments import Experiment, Image
from labeling.models.protection import append_only
from labeling.models.scores import ModelVersion, ScoreRun


class ImageReason(models.Model):
    """One thing that speaks against an Image by the scores of one run: a code, its numbers, and the words for them.

    The worst images of a run have up to three, and those the queue asks for. Written with the run, never changed.
    """

    pk = models.CompositePrimaryKey("run_id", "image_id", "rank")
    run = models.ForeignKey(ScoreRun, on_delete=models.PROTECT, related_name="reasons", db_index=False)
    image = models.ForeignKey(Image, on_delete=models.PROTECT, related_name="+", db_index=False)
    rank = models.PositiveSmallIntegerField(help_text="1 is the strongest")
    code = models.CharField(max_length=100, help_text="What it is: blur, spot, saturated, or a metric's own key")
    column = models.TextField(help_text="The column it rests on most")
    value = models.FloatField(null=True, help_text="Of that column, where it is a metric")
    share = models.FloatField(null=True, help_text="Of the plate's images that it goes beyond, 0 to 1")
    strength = models.FloatField(help_text="Share of all that speaks against the image, 0 to 1")
    words = models.TextField()

    class Meta:
        ordering = ("run", "image", "rank")
        constraints = [models.CheckConstraint(condition=~Q(words=""), name="reason_is_in_words")]
        triggers = append_only("image_reason")

    def __str__(self) -> str:
        return self.words


class EarlierModel(models.Model):
    """A promoted model of another experiment, and how far this one's plates lie from what it has seen.

    Derived: each comparison replaces the one before.
    """

    experiment = models.ForeignKey(Experiment, on_delete=models.PROTECT, related_name="earlier_models")
    model = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="+")
    run = models.ForeignKey(
        ScoreRun, on_delete=models.PROTECT, related_name="+", help_text="Whose features were compared"
    )
    plates = models.JSONField(default=list, help_text="Of each plate its barcode, distance 0 to 1, is_far and sentence")
    problem = models.TextField(blank=True, help_text="Why it cannot be used here, in words; empty when it can")
    compared_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("experiment", "-model")
        constraints = [models.UniqueConstraint(fields=("experiment", "model"), name="earlier_model_once")]

    def __str__(self) -> str:
        return f"{self.model} for {self.experiment}"
