"""Scoring, asked for over REST. What comes of it is read where all scores are: in labeling.api."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from labeling.api.experiments import queued
from labeling.api.finding import find_experiment
from labeling.api.serializers import QueuedSerializer
from labeling.models import Job
from labeling.roles import Action
from labeling.services.jobs import start_job


class ScoringViewSet(GenericViewSet):
    needs = {"score": Action.SCORE}

    @extend_schema(request=None, responses={202: QueuedSerializer})
    def score(self, request: Request, experiment_id: int) -> Response:
        """A new isolation-forest run over all measured images."""
        return queued(start_job(Job.Kind.SCORE, find_experiment(experiment_id), by=request.user))
