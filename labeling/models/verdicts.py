"""What people say of images."""

from __future__ import annotations

from collections.abc import Iterable

import pgtrigger
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Exists, OuterRef, Q

from labeling.models.experiments import Experiment, Image
from labeling.models.protection import append_only


class Verdict(models.TextChoices):
    GOOD = "good"
    BAD = "bad"
    UNSURE = "unsure"
    # Taking a label back is a record too: the Image is unlabelled again, and everybody can see that it was not.
    WITHDRAWN = "withdrawn"


class Defect(models.TextChoices):
    """What is wrong with a bad image; key 1 tags the first, and so on."""

    DEBRIS = "debris"
    FIBRE = "fibre"
    DRIED = "dried"
    BUBBLE = "bubble"
    BLUR = "blur"
    SATURATED = "saturated"
    EMPTY = "empty"
    UNEVEN = "uneven light"
    OTHER = "other"


class LabelQuerySet(models.QuerySet["Label"]):
    def current(self) -> LabelQuerySet:
        """The verdict in force of each Image: the one given last, whoever gave it. Withdrawn ones are included."""
        return self.order_by("image_id", "-id").distinct("image_id")

    def newest(self) -> LabelQuerySet:
        """The same to filter and count by: labels with none after them on their Image."""
        later = Label.objects.filter(image=models.OuterRef("image"), pk__gt=models.OuterRef("pk"))
        return self.filter(~models.Exists(later))

    def in_force(self, experiment: Experiment) -> dict[int, Label]:
        """Image id to its current Label, withdrawn ones left out. One row a labelled Image."""
        labels = self.filter(experiment=experiment).current()
        return {label.image_id: label for label in labels if label.verdict != Verdict.WITHDRAWN}

    def standing(self) -> LabelQuerySet:
        """Words that were given and not taken back: neither undone nor what an undo said again."""
        return self.filter(undoes__isnull=True, undone_by__isnull=True)

    def with_dissent(self) -> LabelQuerySet:
        """Each with `is_disputed`: somebody else's last word on the Image is another verdict."""
        of_others = Label.objects.standing().filter(image=OuterRef("image")).exclude(by=OuterRef("by"))
        other_word = of_others.exclude(verdict=OuterRef("verdict"))
        same_person = Label.objects.standing().filter(image=OuterRef("image"), by=OuterRef("by"))
        is_last = ~Exists(same_person.filter(pk__gt=OuterRef("pk")))
        return self.annotate(is_disputed=Exists(other_word.filter(is_last)))

    def not_undone_on(self, image_ids: Iterable[int]) -> dict[int, list[Label]]:
        """The labels of Images that nobody took back, oldest first: each undo takes away the one before it."""
        standing: dict[int, list[Label]] = {}
        for label in self.filter(image__in=list(image_ids)).select_related("by").order_by("id"):
            labels = standing.setdefault(label.image_id, [])
            if label.undoes_id is None:
                labels.append(label)
            else:
                labels.pop()
        return standing

    def on(self, image_ids: Iterable[int]) -> dict[int, Label]:
        """Image id to its current Label, for the Images of one page, each with whether people disagree."""
        labels = self.filter(image__in=list(image_ids)).select_related("by").with_dissent().current()
        return {label.image_id: label for label in labels if label.verdict != Verdict.WITHDRAWN}


class Label(models.Model):
    """One person's verdict on one Image. Appended, never edited."""

    experiment = models.ForeignKey(Experiment, on_delete=models.PROTECT, related_name="labels")
    image = models.ForeignKey(Image, on_delete=models.PROTECT, related_name="labels", db_index=False)
    verdict = models.CharField(max_length=10, choices=Verdict)
    defects = ArrayField(models.CharField(max_length=20, choices=Defect), default=list, blank=True)
    note = models.TextField(blank=True)
    by = models.ForeignKey("User", on_delete=models.PROTECT, related_name="labels")
    at = models.DateTimeField(auto_now_add=True)
    undoes = models.OneToOneField("self", on_delete=models.PROTECT, null=True, related_name="undone_by")
    carried_from = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        db_index=False,
        help_text="Same content elsewhere",
    )
    repeats = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        db_index=False,
        help_text="The same person's earlier verdict, which was not shown: a blind repeat",
    )
    # Only images that were drawn at random and labelled because of it tell how good a model is without bias.
    drawn_at_random = models.BooleanField(default=False, help_text="Asked for by the random share of the queue")
    # A verdict is about pixels: should the files come back under another name, it can be found again.
    content_hash = models.CharField(max_length=64, blank=True)
    # A page resends what it got no answer to; the database stores it once.
    request_key = models.UUIDField(null=True, help_text="Made where it was given; shared by labels given at once")

    # Known only where it was just given: what it took the place of, and whether an earlier request had stored it.
    replaces: Label | None = None
    is_resent = False

    objects = LabelQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        constraints = [
            models.CheckConstraint(condition=Q(verdict__in=Verdict.values), name="label_verdict_known"),
            models.CheckConstraint(condition=Q(defects=[]) | Q(verdict="bad"), name="label_defects_only_on_bad"),
            models.CheckConstraint(condition=Q(defects__contained_by=Defect.values), name="label_defects_known"),
            models.CheckConstraint(
                condition=Q(repeats__isnull=True)
                | Q(undoes__isnull=True, carried_from__isnull=True, verdict__in=("good", "bad", "unsure")),
                name="label_repeat_is_a_verdict",
            ),
            models.UniqueConstraint(
                fields=("request_key", "image"),
                condition=Q(request_key__isnull=False),
                name="label_once_per_request",
            ),
        ]
        indexes = [
            models.Index(fields=("experiment", "image", "-id"), name="label_in_force"),
            models.Index(fields=("image", "-id"), name="label_of_image"),
            models.Index(fields=("content_hash",), name="label_by_content"),
            models.Index(fields=("experiment", "by", "id"), name="label_of_person"),
            models.Index(fields=("experiment", "by", "id"), name="label_repeats", condition=Q(repeats__isnull=False)),
        ]
        triggers = [
            *append_only("label"),
            pgtrigger.Trigger(
                name="label_repeats_own",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                condition=pgtrigger.Condition("NEW.repeats_id IS NOT NULL"),
                func=pgtrigger.Func(
                    """
                    IF EXISTS (
                        SELECT FROM labeling_label earlier
                        WHERE earlier.id = NEW.repeats_id AND earlier.image_id = NEW.image_id
                            AND earlier.by_id = NEW.by_id AND earlier.verdict IN ('good', 'bad')
                            AND earlier.repeats_id IS NULL AND earlier.undoes_id IS NULL
                            AND earlier.carried_from_id IS NULL
                    ) THEN RETURN NEW; END IF;
                    RAISE EXCEPTION 'a label repeats a good or bad of the same person on the same image, no other'
                        USING ERRCODE = 'restrict_violation';
                    """
                ),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.verdict} by {self.by}"

    @property
    def is_in_force(self) -> bool:
        """Whether it says something of the Image, provided it is the newest."""
        return self.verdict != Verdict.WITHDRAWN
