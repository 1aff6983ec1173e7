"""Give verdicts, take one back, read the history."""

from __future__ import annotations

from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from labeling.api.finding import find_experiment, find_image
from labeling.api.pagination import NewestFirst
from labeling.api.serializers import LabelSerializer, NewLabelSerializer, UndoneSerializer, UndoSerializer
from labeling.models import Label
from labeling.problems import BadValue
from labeling.roles import Action
from labeling.services.labels import NewLabel, label_images, undo_label

MOST_LABELS = 1000


def _one_or_many(name: str, serializer: type) -> PolymorphicProxySerializer:
    return PolymorphicProxySerializer(
        component_name=name,
        serializers=[serializer, serializer(many=True)],
        resource_type_field_name=None,
        many=False,
    )


class LabelViewSet(GenericViewSet):
    needs = {"create": Action.LABEL, "undo": Action.LABEL}
    queryset = Label.objects.select_related("by")
    serializer_class = LabelSerializer
    pagination_class = NewestFirst

    def list(self, request: Request, experiment_id: int) -> Response:
        """Every verdict that was ever given, newest first."""
        page = self.paginate_queryset(self.get_queryset().filter(experiment=find_experiment(experiment_id)))
        return self.get_paginated_response(LabelSerializer(page, many=True).data)

    @extend_schema(
        request=_one_or_many("OneOrManyNewLabels", NewLabelSerializer),
        responses=dict.fromkeys((200, 201), _one_or_many("OneOrManyLabels", LabelSerializer)),
    )
    def create(self, request: Request) -> Response:
        """One label or a list: the whole list or nothing. Sent again with its request keys: 200 and what is stored."""
        many = isinstance(request.data, list)
        given = NewLabelSerializer(data=_checked_list(request.data) if many else [request.data], many=True)
        given.is_valid(raise_exception=True)
        labels = label_images([_new_label(entry) for entry in given.validated_data], by=request.user)
        shown = LabelSerializer(labels if many else labels[0], many=many)
        is_resent = all(label.is_resent for label in labels)
        return Response(shown.data, status=status.HTTP_200_OK if is_resent else status.HTTP_201_CREATED)

    @extend_schema(request=UndoSerializer, responses=UndoneSerializer)
    def undo(self, request: Request) -> Response:
        """Take one's own last label of an image back; answers with the label now in force."""
        asked = UndoSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        image = find_image(asked.validated_data["image"])
        in_force = undo_label(image, by=request.user)
        return Response(UndoneSerializer({"image": image.pk, "label": in_force}).data)


def _checked_list(labels: list) -> list:
    if not 1 <= len(labels) <= MOST_LABELS:
        raise BadValue(f"The list has {len(labels):,} labels; send 1 to {MOST_LABELS:,} at a time.")
    return labels


def _new_label(entry: dict) -> NewLabel:
    return NewLabel(
        entry["image"],
        entry["verdict"],
        tuple(entry["defects"]),
        entry["note"],
        from_queue=entry["from_queue"],
        request_key=entry["request_key"],
    )
