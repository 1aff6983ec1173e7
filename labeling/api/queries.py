"""What may stand behind the `?` of an address. What makes no sense is refused with a sentence."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from rest_framework import serializers
from rest_framework.request import Request

from labeling.models import Experiment, ScoreKind
from labeling.problems import BadValue, Conflict
from labeling.services.cutoffs import CutoffChoice
from labeling.services.image_facts import Basis
from labeling.services.image_filters import DEFECTS, FLAGGED, KEPT, LABELS, ROLES, ImageFilter
from labeling.services.image_masks import Gallery
from labeling.services.image_orders import Lineup, by_score
from labeling.services.image_tables import score_column

PAGING = {"cursor", "page_size"}
ORDERINGS = ("id", "isolation_score", "-isolation_score", "blended_score", "-blended_score")


def one_of(values: tuple[str, ...], noun: str, **options: Any) -> serializers.ChoiceField:
    """One of a few words."""
    message = f"“{{input}}” is no {noun}; use {', '.join(values[:-1])} or {values[-1]}."
    return serializers.ChoiceField(values, error_messages={"invalid_choice": message}, **options)


def yes_or_no(**options: Any) -> serializers.BooleanField:
    return serializers.BooleanField(error_messages={"invalid": "use true or false."}, **options)


class NumberField(serializers.FloatField):
    """A number; `nan` and `inf` are none."""

    def to_internal_value(self, data: Any) -> float:
        number = super().to_internal_value(data)
        if not math.isfinite(number):
            self.fail("invalid")
        return number


class Query(serializers.Serializer):
    """Checked parameters. A name nobody knows is refused: a misspelt filter would answer with everything."""

    @classmethod
    def of(cls, request: Request) -> dict[str, Any]:
        known = set(cls().fields)
        for name in request.query_params:
            if name not in known | PAGING:
                raise BadValue(f"There is no parameter {name!r} here; there are {', '.join(sorted(known))}.")
        given, fields = request.query_params, cls().fields
        # A plain dictionary: given a form, a missing yes-or-no would count as no.
        query = cls(
            data={
                name: given.getlist(name) if isinstance(fields.get(name), serializers.ListField) else value
                for name, value in given.items()
                if value != ""
            }
        )
        query.is_valid(raise_exception=True)
        return query.validated_data


class Several(serializers.ListField):
    """A parameter that may be given several times; the first value that makes no sense is told."""

    def __init__(self, child: serializers.Field, **options: Any) -> None:
        super().__init__(child=child, required=False, **options)

    def run_child_validation(self, data: list[Any]) -> list[Any]:
        return [self.child.run_validation(one) for one in data if one != ""]


class ImageQuery(Query):
    """Several values of one parameter widen, different parameters narrow; as in the gallery."""

    plate = Several(serializers.CharField(), help_text="A barcode")
    well = Several(serializers.CharField(), help_text="Such as B07")
    row = Several(serializers.CharField(), help_text="Such as B")
    column = Several(serializers.CharField(), help_text="Such as 7")
    site = Several(serializers.CharField(), help_text="Such as 2")
    role = Several(one_of(ROLES, "role"))
    treatment = Several(serializers.CharField(), help_text="field=value, such as compound=DMSO, control class=M1")
    metric = Several(serializers.CharField(), help_text="unit,low,high,metric: within these limits")
    verdict = Several(one_of(LABELS, "verdict"), help_text="In force; none, or that people disagree")
    person = Several(serializers.CharField(), help_text="Log-in of who gave the verdict in force")
    defect = Several(one_of(DEFECTS, "defect"))
    flagged = yes_or_no(required=False, help_text="By the saved rule, or not")
    score = one_of(tuple(ScoreKind.values), "score", default=ScoreKind.ISOLATION.value, help_text="Of min and max")
    score_min = NumberField(required=False, help_text="The lowest score to show")
    score_max = NumberField(required=False, help_text="The highest score to show")
    broken = yes_or_no(required=False)
    ordering = one_of(ORDERINGS, "ordering", required=False)


class TableQuery(Query):
    format = serializers.CharField(default="csv", help_text="csv or parquet")


class ManifestQuery(Query):
    format = serializers.CharField(default="csv", help_text="csv, parquet or loaddata")


class SimilarQuery(Query):
    limit = serializers.IntegerField(default=20, help_text="1 to 200")


class CutoffQuery(Query):
    """Which score, exactly one of value, percent and automatic, and the conditions beside it."""

    score = serializers.CharField(default=ScoreKind.ISOLATION.value, help_text="isolation, blended or promoted")
    value = NumberField(required=False)
    percent = NumberField(required=False, help_text="The share to flag, 0 to 100")
    automatic = yes_or_no(required=False)
    unused = yes_or_no(required=False, help_text="The conditions alone flag")
    also = serializers.ListField(
        child=serializers.CharField(),
        required=False,
        help_text="Conditions that flag too, each `unit,low,high,metric`: `raw,,1,CellQC_SaturatedPercent_DNA`",
    )


class AuditQuery(Query):
    actor = serializers.CharField(required=False, help_text="Part of a name or log-in")
    action = serializers.CharField(required=False, help_text="Or how it begins: qc_set")
    object = serializers.CharField(required=False, help_text="Part of a record's name, or type:id")
    since = serializers.DateTimeField(required=False, help_text="From this time on")
    until = serializers.DateTimeField(required=False, help_text="Before this time")


def chosen_images(experiment: Experiment, basis: Basis, query: dict[str, Any]) -> Lineup:
    """The images that a query asks for, in its order. Conflict: `flagged` without a cutoff."""
    if "flagged" in query and basis.cutoff is None:
        raise Conflict("No cutoff is saved for these scores yet, so nothing is flagged. Save one first.")
    choice = CutoffChoice.of(basis.cutoff) if basis.cutoff else None
    gallery = Gallery.of(experiment, basis.run, choice)
    table, matching = gallery.table, gallery.matching(_filter_asked(query))
    runs = {ScoreKind.ISOLATION: basis.isolation_run, ScoreKind.BLENDED: basis.blended_run}
    if "score_min" in query or "score_max" in query:
        run = runs[query["score"]]
        scores = score_column(table, run.pk) if run else np.full(len(matching), np.nan)
        # No score lies within any limits.
        matching &= (scores >= query.get("score_min", -np.inf)) & (scores <= query.get("score_max", np.inf))
    if "broken" in query:
        broken = table.marked(np.array(experiment.images.broken().values_list("pk", flat=True), np.int64))
        matching &= broken if query["broken"] else ~broken
    name = query.get("ordering", "id")
    run = runs.get(name.removeprefix("-").removesuffix("_score"))
    return Lineup(table, by_score(table, run, descending=name.startswith("-")), matching)


def _filter_asked(query: dict[str, Any]) -> ImageFilter:
    wanted = ImageFilter.parse(query | {"label": query.get("verdict", [])})
    if "flagged" in query:
        wanted = wanted.with_value("side", FLAGGED if query["flagged"] else KEPT)
    return wanted
