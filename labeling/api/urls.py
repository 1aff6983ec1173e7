"""The table of the REST API: which call goes where."""

from django.urls import path
from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiYamlRenderer
from drf_spectacular.views import SpectacularAPIView

from labeling.api.agreement import AgreementViewSet
from labeling.api.audit import AuditViewSet
from labeling.api.cutoffs import CutoffViewSet
from labeling.api.experiments import ExperimentViewSet, PlateMapViewSet
from labeling.api.images import ImageViewSet, SimilarViewSet, TableViewSet
from labeling.api.importing import ImportViewSet
from labeling.api.jobs import JobViewSet
from labeling.api.labels import LabelViewSet
from labeling.api.qc_sets import ManifestViewSet, QCSetViewSet
from labeling.api.tokens import TokenView

app_name = "api"

EXPERIMENT = "experiments/<int:experiment_id>"
QC_SET = "qc-sets/<int:qc_set_id>"

urlpatterns = [
    path("auth/token/", TokenView.as_view(), name="token"),
    # JSON unless YAML is asked for, so that problems are JSON here too.
    path(
        "schema/",
        SpectacularAPIView.as_view(renderer_classes=[OpenApiJsonRenderer, OpenApiYamlRenderer]),
        name="schema",
    ),
    path("experiments/", ExperimentViewSet.as_view({"get": "list", "post": "create"}), name="experiments"),
    path(f"{EXPERIMENT}/", ExperimentViewSet.as_view({"get": "retrieve"}), name="experiment"),
    path(f"{EXPERIMENT}/ingest/", ExperimentViewSet.as_view({"post": "ingest"}), name="ingest"),
    path(f"{EXPERIMENT}/measure/", ExperimentViewSet.as_view({"post": "measure"}), name="measure"),
    path(f"{EXPERIMENT}/platemap/", PlateMapViewSet.as_view({"post": "create"}), name="platemap"),
    path(f"{EXPERIMENT}/import-metrics/", ImportViewSet.as_view({"post": "create"}), name="import_metrics"),
    path(f"{EXPERIMENT}/images/", ImageViewSet.as_view({"get": "list"}), name="images"),
    path(f"{EXPERIMENT}/metrics/", TableViewSet.as_view({"get": "metrics"}), name="metrics"),
    path(f"{EXPERIMENT}/scores/", TableViewSet.as_view({"get": "scores"}), name="scores"),
    path(f"{EXPERIMENT}/labels/", LabelViewSet.as_view({"get": "list"}), name="label_history"),
    path(f"{EXPERIMENT}/agreement/", AgreementViewSet.as_view({"get": "retrieve"}), name="agreement"),
    path(f"{EXPERIMENT}/cutoff-preview/", CutoffViewSet.as_view({"get": "preview"}), name="cutoff_preview"),
    path(f"{EXPERIMENT}/cutoffs/", CutoffViewSet.as_view({"get": "list", "post": "create"}), name="cutoffs"),
    path(f"{EXPERIMENT}/qc-sets/", QCSetViewSet.as_view({"get": "list", "post": "create"}), name="qc_sets"),
    path("images/<int:image_id>/similar/", SimilarViewSet.as_view({"get": "similar"}), name="similar"),
    path("jobs/<int:job_id>/", JobViewSet.as_view({"get": "retrieve"}), name="job"),
    path("labels/", LabelViewSet.as_view({"post": "create"}), name="labels"),
    path("labels/undo/", LabelViewSet.as_view({"post": "undo"}), name="undo"),
    path(f"{QC_SET}/", QCSetViewSet.as_view({"get": "retrieve"}), name="qc_set"),
    path(f"{QC_SET}/sign/", QCSetViewSet.as_view({"post": "sign"}), name="sign"),
    path(f"{QC_SET}/withdraw/", QCSetViewSet.as_view({"post": "withdraw"}), name="withdraw"),
    path(f"{QC_SET}/discard/", QCSetViewSet.as_view({"post": "discard"}), name="discard"),
    path(f"{QC_SET}/export/", ManifestViewSet.as_view({"get": "export"}), name="export"),
    path("audit/", AuditViewSet.as_view({"get": "list"}), name="audit"),
]
