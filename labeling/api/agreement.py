"""How well people agree, as numbers."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from labeling.api.finding import find_experiment
from labeling.api.serializers import AgreementSerializer
from labeling.services.agreement import agreement_of_people, disagreements


class AgreementViewSet(GenericViewSet):
    pagination_class = None

    @extend_schema(responses=AgreementSerializer)
    def retrieve(self, request: Request, experiment_id: int) -> Response:
        """Who labelled how many, Cohen's kappa of each pair and of each person's blind repeats, and open cases."""
        experiment = find_experiment(experiment_id)
        found, disputed = agreement_of_people(experiment), disagreements(experiment, limit=0)
        shown = {
            "people": found.people,
            "pairs": found.pairs,
            "repeats": found.selves,
            "n_disputed": disputed.n,
            "n_open": disputed.n_open,
        }
        return Response(AgreementSerializer(shown).data)
