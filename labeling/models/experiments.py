"""What was imaged: experiments, plates, wells, images and their files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.urls import reverse

from imaging.wells import WellPosition
from labeling.models.protection import keeps_history

if TYPE_CHECKING:
    from labeling.models.measurements import MetricSet


class Experiment(models.Model):
    """Plates imaged for one question, with an ordered list of channels."""

    name = models.CharField(max_length=200, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey("User", on_delete=models.PROTECT, related_name="+")
    # Goes up whenever the display ranges change, so that a thumbnail's address never changes its picture.
    display_version = models.PositiveIntegerField(default=1)

    class Meta:
        ordering = ("-created_at", "-id")

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("overview", args=[self.pk])


@keeps_history()
class Channel(models.Model):
    """One colour of an experiment, in the order people see it."""

    experiment = models.ForeignKey(Experiment, on_delete=models.PROTECT, related_name="channels")
    position = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=100)
    colour = models.CharField(max_length=7, help_text="False colour of the composite, as #rrggbb")
    display_low = models.FloatField(null=True, help_text="Pixel value shown black, for the whole experiment")
    display_high = models.FloatField(null=True, help_text="Pixel value shown at full brightness")
    camera_ceiling = models.PositiveIntegerField(null=True, help_text="Largest value the camera can give")
    warning = models.TextField(blank=True, help_text="Why some of its files must not be compared with others")

    class Meta:
        ordering = ("experiment", "position")
        constraints = [
            models.UniqueConstraint(fields=("experiment", "name"), name="channel_name_once"),
            models.UniqueConstraint(
                fields=("experiment", "position"), name="channel_position_once", deferrable=models.Deferrable.DEFERRED
            ),
            models.CheckConstraint(
                condition=Q(display_low__isnull=True) | Q(display_high__gt=models.F("display_low")),
                name="channel_display_range_ascends",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def display_range(self) -> tuple[float, float] | None:
        if self.display_low is None or self.display_high is None:
            return None
        return self.display_low, self.display_high


class Plate(models.Model):
    experiment = models.ForeignKey(Experiment, on_delete=models.PROTECT, related_name="plates")
    barcode = models.CharField(max_length=200)
    n_rows = models.PositiveSmallIntegerField(validators=[MinValueValidator(1)])
    n_columns = models.PositiveSmallIntegerField(validators=[MinValueValidator(1)])

    class Meta:
        ordering = ("experiment", "barcode")
        constraints = [
            models.UniqueConstraint(fields=("experiment", "barcode"), name="plate_barcode_once"),
            models.CheckConstraint(condition=Q(n_rows__gte=1, n_columns__gte=1), name="plate_has_wells"),
        ]

    def __str__(self) -> str:
        return self.barcode


@keeps_history()
class Well(models.Model):
    class Role(models.TextChoices):
        SAMPLE = "sample"
        CONTROL = "control"
        EMPTY = "empty"

    plate = models.ForeignKey(Plate, on_delete=models.PROTECT, related_name="wells")
    row = models.PositiveSmallIntegerField(help_text="1 is row A")
    column = models.PositiveSmallIntegerField(help_text="1 is the first column")
    role = models.CharField(max_length=10, choices=Role, default=Role.SAMPLE)
    control_class = models.CharField(max_length=100, blank=True)
    treatment = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ("plate", "row", "column")
        constraints = [
            models.UniqueConstraint(fields=("plate", "row", "column"), name="well_position_once"),
            models.CheckConstraint(condition=Q(row__gte=1, column__gte=1), name="well_position_from_one"),
            models.CheckConstraint(condition=Q(role__in=["sample", "control", "empty"]), name="well_role_known"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        return WellPosition(self.row, self.column).name


class ImageQuerySet(models.QuerySet["Image"]):
    def of(self, experiment: Experiment) -> ImageQuerySet:
        return self.filter(experiment=experiment)

    def in_plate_order(self) -> ImageQuerySet:
        """Plate, well by row then column, site, time: the order of manifests and exports."""
        return self.order_by("plate__barcode", "well__row", "well__column", "site", "timepoint")

    def with_place(self) -> ImageQuerySet:
        """Bring along what names an Image to people."""
        return self.select_related("plate", "well")

    def measured(self, metric_set: MetricSet) -> ImageQuerySet:
        return self.filter(measurements__metric_set=metric_set)

    def due_for_measuring(self, metric_set: MetricSet) -> ImageQuerySet:
        """Complete Images without metrics; failed ones are tried again, their file may have been mended."""
        return (
            self.with_files()
            .exclude(state=Image.State.INCOMPLETE)
            .exclude(models.Exists(metric_set.measurements.filter(image=models.OuterRef("pk"))))
        )

    def with_files(self) -> ImageQuerySet:
        """Images that have pixels somewhere; those of an imported table may have none."""
        return self.filter(models.Exists(ImageFile.objects.filter(image=models.OuterRef("pk"))))

    def expecting_files(self) -> ImageQuerySet:
        """Images known by their files, whole or refused, and not only by the numbers of a table."""
        named = models.Exists(ImageFile.objects.filter(image=models.OuterRef("pk"))) | models.Exists(
            RefusedFile.objects.filter(image=models.OuterRef("pk"))
        )
        return self.filter(named)

    def broken(self) -> ImageQuerySet:
        return self.exclude(state=Image.State.READY)


class Image(models.Model):
    """One field of view: one well, one site, all its channels. What is scored, labelled and decided."""

    class State(models.TextChoices):
        READY = "ready"
        INCOMPLETE = "incomplete", "a channel is missing or was refused"
        FAILED = "failed", "could not be measured"

    experiment = models.ForeignKey(Experiment, on_delete=models.PROTECT, related_name="images")
    plate = models.ForeignKey(Plate, on_delete=models.PROTECT, related_name="images")
    well = models.ForeignKey(Well, on_delete=models.PROTECT, related_name="images")
    site = models.PositiveIntegerField()
    timepoint = models.PositiveIntegerField(default=1)
    state = models.CharField(max_length=10, choices=State, default=State.READY)
    problem = models.TextField(blank=True, help_text="Why it is incomplete or failed, in words")
    content_hash = models.CharField(
        max_length=64, blank=True, help_text="SHA-256 over the channels' file hashes; empty until measured"
    )

    objects = ImageQuerySet.as_manager()

    class Meta:
        ordering = ("id",)
        constraints = [
            models.UniqueConstraint(fields=("plate", "well", "site", "timepoint"), name="image_place_once"),
            models.CheckConstraint(
                condition=Q(state="ready", problem="") | (~Q(state="ready") & ~Q(problem="")),
                name="image_problem_has_a_reason",
            ),
        ]
        indexes = [
            models.Index(fields=("experiment", "id"), name="image_of_experiment"),
            models.Index(fields=("content_hash",), name="image_by_content"),
            models.Index(fields=("experiment",), condition=~Q(state="ready"), name="image_broken"),
        ]

    def __str__(self) -> str:
        return f"{self.plate.barcode} {self.place}"

    @property
    def has_picture(self) -> bool:
        """Its pixels were read here, so there are thumbnails; not so before measuring, or for an imported table."""
        return self.content_hash != ""

    @property
    def place(self) -> str:
        """Well and site, as under a tile: `B07 · s3`."""
        time = f" · t{self.timepoint}" if self.timepoint != 1 else ""
        return f"{self.well.name} · s{self.site}{time}"


class ImageFile(models.Model):
    """One channel of an Image: where its pixels are and what was found there."""

    image = models.ForeignKey(Image, on_delete=models.PROTECT, related_name="files")
    channel = models.ForeignKey(Channel, on_delete=models.PROTECT, related_name="+")
    uri = models.TextField()
    page = models.PositiveIntegerField(default=0)
    z = models.IntegerField(null=True)
    size_bytes = models.PositiveBigIntegerField()
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    bit_depth = models.PositiveSmallIntegerField(help_text="Of the container: 8 or 16")
    camera_ceiling = models.PositiveIntegerField(null=True, help_text="The ceiling that was assumed when measured")
    sha256 = models.CharField(max_length=64, blank=True, help_text="Of the file's bytes; empty until measured")
    scaling = models.CharField(
        max_length=100, blank=True, help_text="How its numbers became 8 or 16 bits; empty when they were"
    )

    class Meta:
        ordering = ("image", "channel")
        constraints = [
            models.UniqueConstraint(fields=("image", "channel"), name="file_once_per_channel"),
        ]

    def __str__(self) -> str:
        return self.uri


class RefusedFile(models.Model):
    """A file that could not be taken, and why. Kept after it was mended, as resolved."""

    experiment = models.ForeignKey(Experiment, on_delete=models.PROTECT, related_name="refused_files")
    image = models.ForeignKey(Image, on_delete=models.PROTECT, null=True, related_name="refused_files")
    channel = models.ForeignKey(Channel, on_delete=models.PROTECT, null=True, related_name="+")
    uri = models.TextField()
    reason = models.TextField()
    found_at = models.DateTimeField(auto_now_add=True)
    resolved_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("uri",)
        constraints = [
            models.UniqueConstraint(
                fields=("experiment", "uri", "image", "channel"),
                condition=Q(resolved_at__isnull=True),
                nulls_distinct=False,
                name="refusal_open_once",
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="refusal_has_a_reason"),
        ]

    def __str__(self) -> str:
        return f"{self.uri}: {self.reason}"
