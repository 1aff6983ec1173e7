"""Scores of images, cutoffs on scores, and the models that learn from labels. Higher is always better."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from labeling.models.experiments import Experiment, Image, Well
from labeling.models.fields import ScoreField
from labeling.models.measurements import MetricSet
from labeling.models.protection import append_only, keeps_history


class ScoreKind(models.TextChoices):
    ISOLATION = "isolation"
    BLENDED = "blended"


@keeps_history()
class ModelVersion(models.Model):
    """A trained classifier: frozen weights, how they were made, and how well they do."""

    class State(models.TextChoices):
        CANDIDATE = "candidate"
        PROMOTED = "promoted"
        RETIRED = "retired"

    experiment = models.ForeignKey(Experiment, on_delete=models.PROTECT, related_name="model_versions")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=State, default=State.CANDIDATE)
    weights = models.FileField(upload_to="models/", blank=True)
    weights_sha256 = models.CharField(max_length=64)
    experience = models.FileField(
        upload_to="models/", blank=True, help_text="What it has seen, so that other experiments can be compared with it"
    )
    recipe = models.JSONField(help_text="Features, labels used by id, seed, library versions")
    report = models.JSONField(help_text="How it does on labels it did not see")
    n_labels = models.PositiveIntegerField(default=0, help_text="Labelled images it learnt from")
    last_label = models.ForeignKey(
        "Label",
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        help_text="The newest label it takes into account",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey("User", on_delete=models.PROTECT, related_name="+")
    promoted_at = models.DateTimeField(null=True)
    promoted_by = models.ForeignKey("User", on_delete=models.PROTECT, null=True, related_name="+")
    promotion_reason = models.TextField(blank=True)

    class Meta:
        ordering = ("experiment", "-number")
        constraints = [
            models.UniqueConstraint(fields=("experiment", "number"), name="model_number_once"),
            models.UniqueConstraint(
                fields=("experiment",), condition=Q(state="promoted"), name="model_promoted_one_at_a_time"
            ),
            models.CheckConstraint(
                condition=~Q(state="promoted") | (Q(promoted_by__isnull=False) & ~Q(promotion_reason="")),
                name="model_promotion_has_a_reason",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.experiment} model {self.number}"


class ScoreRunQuerySet(models.QuerySet["ScoreRun"]):
    def latest_of(self, experiment: Experiment, kind: str = ScoreKind.ISOLATION) -> ScoreRun | None:
        """The newest finished run of that kind, or None before the first."""
        return self.filter(experiment=experiment, kind=kind).order_by("-id").first()

    def of_promoted_model(self, experiment: Experiment) -> ScoreRun | None:
        """The newest blended run of the model that may decide QC sets, or None while none is promoted."""
        promoted = self.filter(experiment=experiment, model_version__state=ModelVersion.State.PROMOTED)
        return promoted.order_by("-id").first()


class ScoreRun(models.Model):
    """One scoring of an experiment, with everything needed to repeat it. Written once, never changed."""

    experiment = models.ForeignKey(Experiment, on_delete=models.PROTECT, related_name="score_runs")
    kind = models.CharField(max_length=10, choices=ScoreKind)
    metric_set = models.ForeignKey(MetricSet, on_delete=models.PROTECT, related_name="+")
    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, null=True, related_name="score_runs")
    parameters = models.JSONField(help_text="Scaling, forest, columns used, library versions")
    seed = models.BigIntegerField()
    n_images = models.PositiveIntegerField()
    # All scores ascending as little-endian float32, then each one's plate as uint16 (an index into
    # plate_ids): what the browser counts with, read in 1 ms where the rows take 9 s.
    vector = models.BinaryField()
    plate_ids = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey("User", on_delete=models.PROTECT, related_name="+")

    objects = ScoreRunQuerySet.as_manager()

    class Meta:
        ordering = ("experiment", "-id")
        constraints = [
            models.CheckConstraint(
                condition=~Q(kind="blended") | Q(model_version__isnull=False), name="blended_score_names_its_model"
            ),
        ]
        triggers = append_only("score_run")

    def __str__(self) -> str:
        return f"{self.experiment} {self.kind} scores {self.pk}"


class ScoreParts(models.Model):
    """What a blended run is made of, for each Image, as vectors: rows would be five times the size.

    Each holds one number an Image in the order of `image_ids`: little-endian int64 the ids, float32 the rest.
    """

    run = models.OneToOneField(ScoreRun, on_delete=models.PROTECT, primary_key=True, related_name="parts")
    image_ids = models.BinaryField(help_text="Ascending")
    classifier = models.BinaryField(help_text="Probability of good by the classifier alone")
    forest = models.BinaryField(help_text="Probability of good by the isolation forest alone")
    disagreement = models.BinaryField(help_text="How far the two lie apart, 0 to 1")
    uncertainty = models.BinaryField(help_text="How little the blended score says, 0 to 1")

    class Meta:
        triggers = append_only("score_parts")

    def __str__(self) -> str:
        return f"parts of {self.run_id}"


class MetricVector(models.Model):
    """One metric of every Image of a run: what rules and browsers count with, frozen at the first look.

    Little-endian float32 in the order of the run's own vector (by score, then image), NaN where undefined.
    """

    run = models.ForeignKey(ScoreRun, on_delete=models.PROTECT, related_name="metric_vectors")
    column = models.TextField()
    values = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=("run", "column"), name="metric_vector_once")]
        triggers = append_only("metric_vector")

    def __str__(self) -> str:
        return f"{self.column} of {self.run_id}"


class Score(models.Model):
    """The value of one Image in one run. New runs are new rows; none is ever updated."""

    pk = models.CompositePrimaryKey("run_id", "image_id")
    run = models.ForeignKey(ScoreRun, on_delete=models.PROTECT, related_name="scores")
    image = models.ForeignKey(Image, on_delete=models.PROTECT, related_name="scores")
    well = models.ForeignKey(Well, on_delete=models.PROTECT, related_name="+", db_index=False)
    score = ScoreField()

    class Meta:
        ordering = ("run", "score", "image")
        indexes = [
            # The image is part of the order, so that pages of a band never skip or repeat a tie.
            models.Index(fields=("run", "score", "image"), include=("well",), name="score_bands"),
        ]
        triggers = append_only("score")

    def __str__(self) -> str:
        return f"{self.image_id}: {self.score:.3f}"


class CutoffQuerySet(models.QuerySet["Cutoff"]):
    def current(self, run: ScoreRun) -> Cutoff | None:
        """The cutoff in force for that run: the one saved last."""
        return self.filter(run=run).select_related("by").order_by("-id").first()

    def newest(self, experiment: Experiment) -> Cutoff | None:
        """The one saved last in an experiment, on whatever scores; its run comes along without the vector."""
        cutoffs = self.filter(run__experiment=experiment).select_related("by", "run__model_version")
        return cutoffs.defer("run__vector").order_by("-id").first()


class Cutoff(models.Model):
    """A rule on one run: images whose score lies below the value are flagged, or any of whose metrics leaves
    the limits of a condition. Appended; the newest is in force.
    """

    class How(models.TextChoices):
        AUTOMATIC = "automatic"
        PERCENT = "percent"
        BY_HAND = "by hand"
        # Conditions alone decide; the value lies where no score is below it.
        UNUSED = "unused"

    run = models.ForeignKey(ScoreRun, on_delete=models.PROTECT, related_name="cutoffs")
    value = models.FloatField()
    how = models.CharField(max_length=10, choices=How)
    percent = models.FloatField(null=True, help_text="The share asked for, when chosen by percent")
    conditions = models.JSONField(
        default=list, blank=True, help_text="Each a metric column, its unit (raw or z), and limits low and high"
    )
    name = models.CharField(max_length=100, blank=True, help_text="What people call this rule, to find it again")
    n_flagged = models.PositiveIntegerField()
    reason = models.TextField()
    by = models.ForeignKey("User", on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(auto_now_add=True)

    objects = CutoffQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        constraints = [
            models.CheckConstraint(condition=~Q(reason=""), name="cutoff_has_a_reason"),
            models.CheckConstraint(
                # A check passes on NULL: that a share is there must be said as well.
                condition=Q(how="percent", percent__isnull=False, percent__gte=0, percent__lte=100)
                | (~Q(how="percent") & Q(percent__isnull=True)),
                name="cutoff_percent_only_by_percent",
            ),
        ]
        triggers = append_only("cutoff")

    def __str__(self) -> str:
        return f"{self.value:.4f}"
