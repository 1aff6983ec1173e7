"""Experiments: list, make, fill, measure, describe."""

from __future__ import annotations

from typing import IO, Any

from django.core.files.uploadedfile import UploadedFile
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.parsers import BaseParser, JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from imaging.platemap import read_platemap
from labeling.api.finding import find_experiment
from labeling.api.pagination import NewestFirst
from labeling.api.serializers import (
    ExperimentSerializer,
    IngestSerializer,
    PlateMapAnswerSerializer,
    QueuedSerializer,
)
from labeling.models import Experiment, Job
from labeling.problems import BadValue
from labeling.roles import Action
from labeling.services.experiments import apply_platemap, create_experiment
from labeling.services.ingest import queue_ingest
from labeling.services.jobs import start_job
from labeling.services.overview import progress_of

LARGEST_PLATEMAP = 10 * 2**20  # bytes; a map of 1,536 wells has 100 kB


class ExperimentViewSet(GenericViewSet):
    needs = {"create": Action.INGEST, "ingest": Action.INGEST, "measure": Action.INGEST}
    queryset = Experiment.objects.prefetch_related("channels")
    serializer_class = ExperimentSerializer
    pagination_class = NewestFirst

    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(_shown(page, many=True))

    def create(self, request: Request) -> Response:
        new = self.get_serializer(data=request.data)
        new.is_valid(raise_exception=True)
        experiment = create_experiment(new.validated_data["name"], by=request.user)
        return Response(_shown(experiment), status=status.HTTP_201_CREATED)

    def retrieve(self, request: Request, experiment_id: int) -> Response:
        return Response(_shown(find_experiment(experiment_id)))

    @extend_schema(request=IngestSerializer, responses={202: QueuedSerializer})
    def ingest(self, request: Request, experiment_id: int) -> Response:
        """Take a folder of images; when that is done they are measured and scored."""
        experiment, asked = find_experiment(experiment_id), IngestSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        job = queue_ingest(experiment, by=request.user, **asked.validated_data)
        return queued(job)

    @extend_schema(request=None, responses={202: QueuedSerializer})
    def measure(self, request: Request, experiment_id: int) -> Response:
        """Metrics, thumbnails and hashes of what is not yet measured."""
        return queued(start_job(Job.Kind.MEASURE, find_experiment(experiment_id), by=request.user))


class CsvParser(BaseParser):
    """The body is the table itself: `curl --data-binary @map.csv -H "Content-Type: text/csv"`."""

    media_type = "text/csv"

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None) -> bytes:
        return stream.read(LARGEST_PLATEMAP + 1)


class PlateMapViewSet(GenericViewSet):
    needs = {"create": Action.INGEST}
    parser_classes = (MultiPartParser, CsvParser, JSONParser)

    @extend_schema(
        request={
            "multipart/form-data": {
                "type": "object",
                "properties": {
                    "file": {"type": "string", "format": "binary"},
                    "reason": {"type": "string"},
                    "plate": {"type": "string", "description": "Of rows that name none; every plate when empty"},
                },
                "required": ["file"],
            },
            "text/csv": OpenApiTypes.BINARY,
        },
        responses={200: PlateMapAnswerSerializer},
    )
    def create(self, request: Request, experiment_id: int) -> Response:
        """Roles, control classes and treatments of wells, from a table. Rows that make no sense are told."""
        experiment, (name, content, reason) = find_experiment(experiment_id), _sent_table(request)
        platemap = read_platemap(content, name=name)
        plate = "" if isinstance(request.data, bytes) else request.data.get("plate", "")
        errors = apply_platemap(experiment, platemap, by=request.user, reason=reason, only=[plate] if plate else [])
        return Response({"rows": len(platemap.rows), "errors": [str(error) for error in errors]})


def queued(job: Job) -> Response:
    """202: the work waits for the worker."""
    return Response(QueuedSerializer(job).data, status=status.HTTP_202_ACCEPTED)


def _shown(experiments: Any, *, many: bool = False) -> Any:
    """Experiments with their counts."""
    listed = experiments if many else [experiments]
    progress = progress_of(listed)
    for experiment in listed:
        experiment.progress = progress[experiment.pk]
    return ExperimentSerializer(experiments, many=many).data


def _sent_table(request: Request) -> tuple[str, bytes, str]:
    """Name, bytes and reason of a plate map that came as a form or as the body itself."""
    sent, name, reason = request.data, "plate map", ""
    if not isinstance(sent, bytes):
        file, reason = sent.get("file") if isinstance(sent, dict) else None, ""
        if not isinstance(file, UploadedFile):
            raise BadValue("Send the plate map as the field `file` of a form, or as a body of type text/csv.")
        name, reason, sent = file.name, sent.get("reason", ""), file.read(LARGEST_PLATEMAP + 1)
    if len(sent) > LARGEST_PLATEMAP:
        raise BadValue("The plate map is larger than 10 MB; send the table of one experiment only.")
    return name, sent, reason
