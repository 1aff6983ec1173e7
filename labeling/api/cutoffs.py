"""Try a cutoff, save one, read the history."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from labeling.api.finding import find_experiment
from labeling.api.pagination import NewestFirst
from labeling.api.queries import CutoffQuery
from labeling.api.serializers import CutoffPreviewSerializer, CutoffSerializer, NewCutoffSerializer
from labeling.models import Cutoff
from labeling.roles import Action
from labeling.services.cutoffs import choose_cutoff, current_run, preview_cutoff, save_cutoff
from labeling.services.rules import Condition, conditions_of

WAYS = ("value", "percent", "automatic", "unused")


class CutoffViewSet(GenericViewSet):
    needs = {"create": Action.SET_CUTOFF}
    queryset = Cutoff.objects.select_related("by", "run").defer("run__vector")
    serializer_class = CutoffSerializer
    pagination_class = NewestFirst

    def list(self, request: Request, experiment_id: int) -> Response:
        """Every cutoff that was ever saved, newest first."""
        experiment = find_experiment(experiment_id)
        page = self.paginate_queryset(self.get_queryset().filter(run__experiment=experiment))
        return self.get_paginated_response(CutoffSerializer(page, many=True).data)

    @extend_schema(request=NewCutoffSerializer, responses={201: CutoffSerializer})
    def create(self, request: Request, experiment_id: int) -> Response:
        """Put a cutoff in force, with its reason."""
        experiment, asked = find_experiment(experiment_id), NewCutoffSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        run = current_run(experiment, asked.validated_data["score"])
        conditions = conditions_of(asked.validated_data.get("conditions", []))
        choice = choose_cutoff(run, **_way(asked.validated_data), conditions=conditions)
        why, name = asked.validated_data["reason"], asked.validated_data["name"]
        cutoff = save_cutoff(run, choice, by=request.user, reason=why, name=name)
        return Response(CutoffSerializer(cutoff).data, status=status.HTTP_201_CREATED)

    @extend_schema(parameters=[CutoffQuery], responses=CutoffPreviewSerializer)
    def preview(self, request: Request, experiment_id: int) -> Response:
        """What a cutoff would do, overall and per plate."""
        experiment, asked = find_experiment(experiment_id), CutoffQuery.of(request)
        run = current_run(experiment, asked["score"])
        conditions = [Condition.parse(text) for text in asked.get("also", [])]
        preview = preview_cutoff(run, choose_cutoff(run, **_way(asked), conditions=conditions))
        return Response(CutoffPreviewSerializer(preview, context={"score": run.kind}).data)


def _way(asked: dict) -> dict:
    return {name: asked.get(name) for name in WAYS}
