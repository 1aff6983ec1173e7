"""REST calls that score, learn, and say what to label next."""

from django.urls import path

from training.api import ApplyingViewSet, ModelViewSet, QueueViewSet, ScoringViewSet

app_name = "training_api"

EXPERIMENT = "experiments/<int:experiment_id>"
MODEL = "models/<int:model_id>"

urlpatterns = [
    path(f"{EXPERIMENT}/score/", ScoringViewSet.as_view({"post": "score"}), name="score"),
    path(f"{EXPERIMENT}/retrain/", ScoringViewSet.as_view({"post": "retrain"}), name="retrain"),
    path(f"{EXPERIMENT}/apply-model/", ApplyingViewSet.as_view({"post": "apply"}), name="apply_model"),
    path(f"{EXPERIMENT}/queue/", QueueViewSet.as_view({"get": "next"}), name="queue"),
    path(f"{EXPERIMENT}/models/", ModelViewSet.as_view({"get": "list"}), name="models"),
    path(f"{MODEL}/", ModelViewSet.as_view({"get": "retrieve"}), name="model"),
    path(f"{MODEL}/promote/", ModelViewSet.as_view({"post": "promote"}), name="promote"),
    path(f"{MODEL}/retire/", ModelViewSet.as_view({"post": "retire"}), name="retire"),
]
