"""The audit trail, for those who audit."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from labeling.api.pagination import AuditPages
from labeling.api.queries import AuditQuery
from labeling.api.serializers import AuditEventSerializer
from labeling.models import AuditEvent
from labeling.roles import Action
from labeling.services.audit import find_events


class AuditViewSet(GenericViewSet):
    needs = {"list": Action.READ_AUDIT}
    queryset = AuditEvent.objects.all()
    serializer_class = AuditEventSerializer
    pagination_class = AuditPages

    @extend_schema(parameters=[AuditQuery])
    def list(self, request: Request) -> Response:
        """Every change that matters, newest first."""
        query = AuditQuery.of(request)
        if "object" in query:
            query["subject"] = query.pop("object")
        page = self.paginate_queryset(find_events(**query))
        return self.get_paginated_response(AuditEventSerializer(page, many=True).data)
