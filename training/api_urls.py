"""REST calls that start learning or scoring."""

from django.urls import path

from training.api import ScoringViewSet

app_name = "training_api"

urlpatterns = [
    path("experiments/<int:experiment_id>/score/", ScoringViewSet.as_view({"post": "score"}), name="score"),
]
