"""Metrics from elsewhere over REST: a table by its address, or the table itself."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from labeling.api.experiments import queued
from labeling.api.finding import find_experiment
from labeling.api.serializers import ImportFormSerializer, ImportSerializer, QueuedSerializer
from labeling.roles import Action
from labeling.services.import_metrics import queue_import
from labeling.services.table_uploads import keep_upload


class ImportViewSet(GenericViewSet):
    needs = {"create": Action.INGEST}
    parser_classes = (MultiPartParser, JSONParser)

    @extend_schema(
        request={"application/json": ImportSerializer, "multipart/form-data": ImportFormSerializer},
        responses={202: QueuedSerializer},
    )
    def create(self, request: Request, experiment_id: int) -> Response:
        """Take metrics that were computed elsewhere; when that is done the experiment is scored."""
        experiment, is_sent = find_experiment(experiment_id), "file" in request.FILES
        asked = (ImportFormSerializer if is_sent else ImportSerializer)(data=request.data)
        asked.is_valid(raise_exception=True)
        given = dict(asked.validated_data)
        file = given.pop("file", None)
        return queued(
            queue_import(experiment, by=request.user, upload=keep_upload(experiment, file) if file else "", **given)
        )
