"""How far a job is."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from labeling.api.finding import find_job
from labeling.api.serializers import JobSerializer


class JobViewSet(GenericViewSet):
    @extend_schema(responses=JobSerializer)
    def retrieve(self, request: Request, job_id: int) -> Response:
        return Response(JobSerializer(find_job(job_id)).data)
