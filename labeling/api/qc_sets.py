"""QC sets: draft, sign, withdraw, take along."""

from __future__ import annotations

import io

from django.http import FileResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from labeling.api.finding import QC_SETS, find_experiment, find_qc_set
from labeling.api.pagination import NewestFirst
from labeling.api.queries import ManifestQuery
from labeling.api.serializers import (
    QCSetDetailSerializer,
    QCSetSerializer,
    ReasonSerializer,
    SignatureSerializer,
    SignSerializer,
)
from labeling.api.tables import AnyFormat
from labeling.roles import Action
from labeling.services.exports import export_qc_set
from labeling.services.qc_sets import approve_qc_set, discard_draft, draft_qc_set, withdraw_qc_set


class QCSetViewSet(GenericViewSet):
    needs = {
        "create": Action.DRAFT,
        "discard": Action.DRAFT,
        "sign": Action.SIGN,
        "withdraw": Action.WITHDRAW,
    }
    queryset = QC_SETS
    serializer_class = QCSetSerializer
    pagination_class = NewestFirst

    def list(self, request: Request, experiment_id: int) -> Response:
        page = self.paginate_queryset(self.get_queryset().filter(experiment=find_experiment(experiment_id)))
        return self.get_paginated_response(QCSetSerializer(page, many=True).data)

    @extend_schema(request=None, responses={201: QCSetDetailSerializer})
    def create(self, request: Request, experiment_id: int) -> Response:
        """A draft from the cutoff and labels in force; an earlier draft is discarded."""
        draft = draft_qc_set(find_experiment(experiment_id), by=request.user)
        return Response(_shown(draft.pk), status=status.HTTP_201_CREATED)

    @extend_schema(responses=QCSetDetailSerializer)
    def retrieve(self, request: Request, qc_set_id: int) -> Response:
        return Response(_shown(qc_set_id))

    @extend_schema(request=SignSerializer, responses=SignatureSerializer)
    def sign(self, request: Request, qc_set_id: int) -> Response:
        """Freeze the set: the password says who you are, the meaning what you vouch for."""
        qc_set, asked = find_qc_set(qc_set_id), SignSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        signature = approve_qc_set(qc_set, by=request.user, **asked.validated_data)
        return Response(SignatureSerializer(signature).data)

    @extend_schema(request=ReasonSerializer, responses=QCSetDetailSerializer)
    def withdraw(self, request: Request, qc_set_id: int) -> Response:
        """Declare an approved set void, with the reason."""
        qc_set, asked = find_qc_set(qc_set_id), ReasonSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        withdraw_qc_set(qc_set, by=request.user, reason=asked.validated_data["reason"])
        return Response(_shown(qc_set_id))

    @extend_schema(request=None, responses=QCSetDetailSerializer)
    def discard(self, request: Request, qc_set_id: int) -> Response:
        """Throw a draft away."""
        discard_draft(find_qc_set(qc_set_id), by=request.user)
        return Response(_shown(qc_set_id))


class ManifestViewSet(GenericViewSet):
    needs = {"export": Action.EXPORT}
    content_negotiation_class = AnyFormat

    @extend_schema(parameters=[ManifestQuery], responses={(200, "text/csv"): OpenApiTypes.BINARY})
    def export(self, request: Request, qc_set_id: int) -> FileResponse:
        """A signed set as a file; the CSV is byte for byte what was signed."""
        qc_set, query = find_qc_set(qc_set_id), ManifestQuery.of(request)
        file = export_qc_set(qc_set, by=request.user, kind=query["format"])
        return FileResponse(
            io.BytesIO(file.content),
            as_attachment=True,
            filename=file.name,
            content_type=file.content_type,
            headers={"X-Manifest-SHA256": file.manifest_sha256},
        )


def _shown(qc_set_id: int) -> dict:
    return QCSetDetailSerializer(find_qc_set(qc_set_id)).data
