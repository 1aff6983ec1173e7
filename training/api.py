"""Scoring, asked for over REST. What comes of it is read where all scores are: in labeling.api."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.fields import empty
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from labeling.api.experiments import queued
from labeling.api.finding import find_experiment
from labeling.api.serializers import QueuedSerializer
from labeling.models import Job
from labeling.roles import Action
from labeling.services.jobs import start_job
from training.scoring import Scaling


class YesOrNothing(serializers.BooleanField):
    """A form that does not name it says nothing; a checkbox would say no."""

    default_empty_html = empty


class ScoringSerializer(serializers.Serializer):
    scaling = serializers.ChoiceField([scaling.value for scaling in Scaling], required=False)
    embeddings = YesOrNothing(required=False, help_text="False leaves out what the image network saw")
    seed = serializers.IntegerField(required=False, min_value=0, max_value=2**32 - 1)


class ScoringViewSet(GenericViewSet):
    needs = {"score": Action.SCORE}

    @extend_schema(request=ScoringSerializer, responses={202: QueuedSerializer})
    def score(self, request: Request, experiment_id: int) -> Response:
        """A new isolation-forest run over all measured images."""
        asked = ScoringSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        experiment = find_experiment(experiment_id)
        return queued(start_job(Job.Kind.SCORE, experiment, by=request.user, parameters=asked.validated_data))
