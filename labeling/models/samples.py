"""Images of a draft drawn at random and looked at: how bad is the set still?"""

from __future__ import annotations

import pgtrigger
from django.db import models
from django.db.models import Q

from labeling.models.experiments import Image
from labeling.models.protection import no_truncate
from labeling.models.qc_sets import QCSet

# What was drawn never changes; what was seen may, while the set is a draft.
DRAWN_STAYS = """
IF TG_OP = 'UPDATE' AND {drawn_changed} THEN
    RAISE EXCEPTION 'what was drawn cannot be changed' USING ERRCODE = 'restrict_violation';
END IF;
SELECT s.state INTO state FROM labeling_qcset s {of_the_set};
IF state = 'draft' AND TG_OP <> 'DELETE' THEN RETURN NEW; END IF;
RAISE EXCEPTION 'the sample of a % QC set cannot be changed', state USING ERRCODE = 'restrict_violation';
"""


def frozen_with_its_set(name: str, *, judged: list[str], of_the_set: str) -> list[pgtrigger.Trigger]:
    """Rows are only added, and only their columns `judged` change, and both only while the set is a draft."""
    columns = ", ".join(f"'{column}'" for column in judged)
    drawn_changed = f"(to_jsonb(NEW) - ARRAY[{columns}]) <> (to_jsonb(OLD) - ARRAY[{columns}])"
    return [
        pgtrigger.Trigger(
            name=f"{name}_frozen",
            when=pgtrigger.Before,
            operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
            declare=[("state", "text")],
            func=DRAWN_STAYS.format(drawn_changed=drawn_changed, of_the_set=of_the_set),
        ),
        no_truncate(name),
    ]


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
        triggers = frozen_with_its_set(
            "sample", judged=["result"], of_the_set="WHERE s.id = coalesce(NEW.qc_set_id, OLD.qc_set_id)"
        )

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
        triggers = frozen_with_its_set(
            "sampled",
            judged=["verdict", "by_id", "at"],
            of_the_set="JOIN labeling_setsample d ON d.qc_set_id = s.id"
            " WHERE d.id = coalesce(NEW.sample_id, OLD.sample_id)",
        )

    def __str__(self) -> str:
        return f"{self.image_id}: {self.verdict or 'not looked at'}"
