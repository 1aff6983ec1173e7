"""What may stand behind the `?` of an address. What makes no sense is refused with a sentence."""

from __future__ import annotations

import math
from typing import Any

from django.db.models import Q, QuerySet
from rest_framework import serializers
from rest_framework.request import Request

from imaging.wells import parse_well
from labeling.models import Experiment, Image, ScoreKind, Well
from labeling.problems import BadValue, Conflict
from labeling.services.image_facts import Basis, with_verdict
from labeling.services.rules import conditions_of, ids_breaking

PAGING = {"cursor", "page_size"}
VERDICTS = ("good", "bad", "unsure", "none")
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


class ImageQuery(Query):
    plate = serializers.CharField(required=False, help_text="A barcode")
    well = serializers.CharField(required=False, help_text="Such as B07")
    role = one_of(tuple(Well.Role.values), "role", required=False)
    verdict = one_of(VERDICTS, "verdict", required=False)
    flagged = yes_or_no(required=False, help_text="Below the saved cutoff, or not")
    score = one_of(tuple(ScoreKind.values), "score", default=ScoreKind.ISOLATION.value, help_text="Of min and max")
    score_min = NumberField(required=False, help_text="The lowest score to show")
    score_max = NumberField(required=False, help_text="The highest score to show")
    broken = yes_or_no(required=False)
    ordering = one_of(ORDERINGS, "ordering", required=False)

    def validate_well(self, text: str) -> dict[str, int]:
        try:
            position = parse_well(text)
        except ValueError as problem:
            raise serializers.ValidationError(str(problem)) from None
        return {"well__row": position.row, "well__column": position.column}


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


def chosen_images(
    images: QuerySet[Image], experiment: Experiment, basis: Basis, query: dict[str, Any]
) -> QuerySet[Image]:
    """Those of the images (with their scores) that a query asks for. Conflict: `flagged` without a cutoff."""
    plain = {"plate": "plate__barcode", "role": "well__role"}
    plain |= {"score_min": f"{query['score']}_score__gte", "score_max": f"{query['score']}_score__lte"}
    images = images.filter(**{lookup: query[name] for name, lookup in plain.items() if name in query})
    images = images.filter(**query.get("well", {}))
    if "verdict" in query:
        images = with_verdict(images, experiment, query["verdict"])
    if "broken" in query:
        images = images.broken() if query["broken"] else images.filter(state=Image.State.READY)
    if "flagged" in query:
        if basis.cutoff is None:
            raise Conflict("No cutoff is saved for these scores yet, so nothing is flagged. Save one first.")
        broken = Q(pk__in=ids_breaking(basis.cutoff.run_id, conditions_of(basis.cutoff.conditions)))
        flagged = Q(**{f"{basis.score_field}__lt": basis.cutoff.value}) | broken
        kept = Q(**{f"{basis.score_field}__gte": basis.cutoff.value}) & ~broken
        images = images.filter(flagged if query["flagged"] else kept)
    return images
