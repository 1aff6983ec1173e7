"""The pages of training."""

from django.urls import path

from labeling.views import labels, labels_at_once
from training.views import earlier, models, queue, samples, scoring

urlpatterns = [
    path("experiments/<int:pk>/score/", scoring.score, name="score"),
    path("experiments/<int:pk>/retrain/", scoring.retrain, name="retrain"),
    path("experiments/<int:pk>/training/", scoring.training, name="training"),
    path("experiments/<int:pk>/queue/", queue.queue, name="queue"),
    path("experiments/<int:pk>/queue/labels/", labels.label, {"from_queue": True}, name="queue_label"),
    path("experiments/<int:pk>/queue/labels/undo/", labels.undo, {"from_queue": True}, name="undo_queue_label"),
    path(
        "experiments/<int:pk>/queue/labels/many/",
        labels_at_once.label_many,
        {"from_queue": True},
        name="queue_label_many",
    ),
    path(
        "experiments/<int:pk>/queue/labels/many/undo/",
        labels_at_once.undo_many,
        {"from_queue": True},
        name="undo_queue_many",
    ),
    path("experiments/<int:pk>/models/", models.index, name="models"),
    path("experiments/<int:pk>/models/earlier/", earlier.earlier, name="earlier_models"),
    path("experiments/<int:pk>/models/compare/", earlier.compare, name="compare_models"),
    path("experiments/<int:pk>/models/apply/", earlier.apply, name="apply_model"),
    path("experiments/<int:pk>/cutoff/carry/", models.carry, name="carry_cutoff"),
    path("qc-sets/<int:pk>/sample/<str:part>/", samples.sample, name="sample"),
    path("qc-sets/<int:pk>/sample/<str:part>/draw/", samples.draw, name="draw_sample"),
    path("qc-sets/<int:pk>/sample/<str:part>/verdicts/", samples.judge, name="judge_sampled"),
    path("qc-sets/<int:pk>/sample/<str:part>/verdicts/undo/", samples.judge, {"undo": True}, name="unjudge_sampled"),
    path("models/<int:pk>/", models.detail, name="model"),
    path("models/<int:pk>/promote/", models.promote, name="promote_model"),
    path("models/<int:pk>/retire/", models.retire, name="retire_model"),
]
