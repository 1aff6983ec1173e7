"""Scoring, learning, the queue and the models over REST. Scores are read where all are: in labeling.api."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from labeling.api.experiments import queued
from labeling.api.finding import find_experiment, find_model
from labeling.api.pagination import NewestFirst
from labeling.api.serializers import QueuedSerializer, ReasonSerializer
from labeling.models import Job, ModelVersion
from labeling.roles import Action
from labeling.services.jobs import start_job
from training.api_shapes import (
    ApplyingSerializer,
    CandidateSerializer,
    ModelDetailSerializer,
    ModelSerializer,
    QueueQuery,
    QueueSerializer,
    RetrainingSerializer,
    ScoringSerializer,
)
from training.applying import find_source
from training.queue import images_to_label
from training.versions import effects_of, promote_model, retire_model


class ScoringViewSet(GenericViewSet):
    needs = {"score": Action.SCORE, "retrain": Action.RETRAIN}

    @extend_schema(request=ScoringSerializer, responses={202: QueuedSerializer})
    def score(self, request: Request, experiment_id: int) -> Response:
        """A new isolation-forest run over all measured images."""
        asked = ScoringSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        experiment = find_experiment(experiment_id)
        return queued(start_job(Job.Kind.SCORE, experiment, by=request.user, parameters=asked.validated_data))

    @extend_schema(request=RetrainingSerializer, responses={202: QueuedSerializer})
    def retrain(self, request: Request, experiment_id: int) -> Response:
        """A candidate model from all labels, and blended scores of all images."""
        asked = RetrainingSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        experiment = find_experiment(experiment_id)
        return queued(start_job(Job.Kind.RETRAIN, experiment, by=request.user, parameters=asked.validated_data))


class ApplyingViewSet(GenericViewSet):
    needs = {"apply": Action.RETRAIN}

    @extend_schema(request=ApplyingSerializer, responses={202: QueuedSerializer})
    def apply(self, request: Request, experiment_id: int) -> Response:
        """Score with a model trained before: a promoted one of another experiment becomes a candidate here."""
        asked, experiment = ApplyingSerializer(data=request.data), find_experiment(experiment_id)
        asked.is_valid(raise_exception=True)
        source = find_source(experiment, asked.validated_data["model"])
        return queued(start_job(Job.Kind.APPLY, experiment, by=request.user, parameters={"model": source.pk}))


class QueueViewSet(GenericViewSet):
    pagination_class = None

    @extend_schema(parameters=[QueueQuery], responses=QueueSerializer)
    def next(self, request: Request, experiment_id: int) -> Response:
        """The images to label next, best first, with why each was chosen."""
        experiment, query = find_experiment(experiment_id), QueueQuery.of(request)
        candidates = images_to_label(experiment, limit=query["limit"])
        shown = CandidateSerializer(candidates, many=True, context={"experiment": experiment})
        return Response({"results": shown.data})


class ModelViewSet(GenericViewSet):
    needs = {"promote": Action.PROMOTE, "retire": Action.PROMOTE}
    queryset = ModelVersion.objects.select_related("created_by", "promoted_by")
    serializer_class = ModelSerializer
    pagination_class = NewestFirst

    def list(self, request: Request, experiment_id: int) -> Response:
        """All versions with their reports, newest first."""
        page = self.paginate_queryset(self.get_queryset().filter(experiment=find_experiment(experiment_id)))
        return self.get_paginated_response(ModelSerializer(page, many=True).data)

    @extend_schema(responses=ModelDetailSerializer)
    def retrieve(self, request: Request, model_id: int) -> Response:
        """One version, and what promoting it would change."""
        return Response(_shown(model_id))

    @extend_schema(request=ReasonSerializer, responses=ModelDetailSerializer)
    def promote(self, request: Request, model_id: int) -> Response:
        """Let it decide QC sets, with a reason; promoting an earlier one rolls back."""
        model, asked = find_model(model_id), ReasonSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        promote_model(model, by=request.user, reason=asked.validated_data["reason"])
        return Response(_shown(model_id))

    @extend_schema(request=ReasonSerializer, responses=ModelDetailSerializer)
    def retire(self, request: Request, model_id: int) -> Response:
        """Let no blended score decide until another model is promoted."""
        model, asked = find_model(model_id), ReasonSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        retire_model(model, by=request.user, reason=asked.validated_data["reason"])
        return Response(_shown(model_id))


def _shown(model_id: int) -> dict:
    model = find_model(model_id)
    model.effects = effects_of(model)
    return ModelDetailSerializer(model).data
