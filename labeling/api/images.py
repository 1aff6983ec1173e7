"""The images of an experiment, as a list and as tables."""

from __future__ import annotations

from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from labeling.api.finding import find_experiment, find_image
from labeling.api.pagination import ImagePages
from labeling.api.queries import ImageQuery, SimilarQuery, TableQuery, chosen_images
from labeling.api.serializers import ImageSerializer, SimilarSerializer
from labeling.api.tables import AnyFormat, table_response
from labeling.models import Image
from labeling.roles import Action
from labeling.services.exports import metrics_table, scores_table
from labeling.services.image_facts import basis_of, facts_of_page, with_scores
from labeling.services.similar import similar_images


class ImageViewSet(GenericViewSet):
    queryset = Image.objects.with_place()
    serializer_class = ImageSerializer
    pagination_class = ImagePages

    @extend_schema(parameters=[ImageQuery])
    def list(self, request: Request, experiment_id: int) -> Response:
        experiment, query = find_experiment(experiment_id), ImageQuery.of(request)
        basis = basis_of(experiment)
        page = self.paginator.paginate(chosen_images(experiment, basis, query), request)
        images = with_scores(self.get_queryset(), basis).in_bulk(page)
        facts = facts_of_page([images[pk] for pk in page], basis)
        shown = ImageSerializer(facts, many=True, context={"experiment": experiment})
        return self.get_paginated_response(shown.data)


class SimilarViewSet(GenericViewSet):
    pagination_class = None

    @extend_schema(parameters=[SimilarQuery], responses=SimilarSerializer)
    def similar(self, request: Request, image_id: int) -> Response:
        """The images of the same experiment most alike one, the most alike first."""
        image, query = find_image(image_id), SimilarQuery.of(request)
        found = similar_images(image, limit=query["limit"])
        return Response(SimilarSerializer(found, context={"experiment": image.experiment}).data)


class TableViewSet(GenericViewSet):
    needs = {"metrics": Action.EXPORT, "scores": Action.EXPORT}
    content_negotiation_class = AnyFormat

    @extend_schema(parameters=[TableQuery], responses={(200, "text/csv"): OpenApiTypes.BINARY})
    def metrics(self, request: Request, experiment_id: int) -> HttpResponseBase:
        """One row an image in plate order: plate, well, site, the metrics, timepoint; empty where missing."""
        experiment, query = find_experiment(experiment_id), TableQuery.of(request)
        return table_response(metrics_table(experiment), query["format"])

    @extend_schema(parameters=[TableQuery], responses={(200, "text/csv"): OpenApiTypes.BINARY})
    def scores(self, request: Request, experiment_id: int) -> HttpResponseBase:
        """One row an image in plate order with its score, verdict and side of the saved cutoff."""
        experiment, query = find_experiment(experiment_id), TableQuery.of(request)
        return table_response(scores_table(experiment), query["format"])
