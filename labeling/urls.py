"""The pages."""

from django.contrib.auth import views as auth
from django.urls import path

from labeling.views import audit, experiments, images, labels, overview, qc_sets, review

urlpatterns = [
    path("login/", auth.LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout/", auth.LogoutView.as_view(), name="logout"),
    path("password/", auth.PasswordChangeView.as_view(success_url="/"), name="password_change"),
    path("", experiments.index, name="experiments"),
    path("experiments/new/", experiments.new, name="new_experiment"),
    path("experiments/<int:pk>/", overview.overview, name="overview"),
    path("experiments/<int:pk>/progress/", overview.progress, name="progress"),
    path("experiments/<int:pk>/files/", overview.files, name="files"),
    path("experiments/<int:pk>/ingest/", overview.ingest, name="ingest"),
    path("experiments/<int:pk>/measure/", overview.measure, name="measure"),
    path("experiments/<int:pk>/platemap/", overview.platemap, name="platemap"),
    path("experiments/<int:pk>/display/", overview.display, name="display"),
    path("experiments/<int:pk>/review/", review.review, name="review"),
    path("experiments/<int:pk>/cutoff/", review.save, name="save_cutoff"),
    path("scores/<int:run_id>.bin", review.vector, name="score_vector"),
    path("scores/<int:run_id>/metric.bin", review.metric_vector, name="metric_vector"),
    path("experiments/<int:pk>/labels/", labels.label, name="label"),
    path("experiments/<int:pk>/labels/undo/", labels.undo, name="undo_label"),
    path("experiments/<int:pk>/qc-sets/", qc_sets.index, name="qc_sets"),
    path("experiments/<int:pk>/qc-sets/draft/", qc_sets.draft, name="draft_qc_set"),
    path("qc-sets/<int:pk>/", qc_sets.detail, name="qc_set"),
    path("qc-sets/<int:pk>/sign/", qc_sets.sign, name="sign_qc_set"),
    path("qc-sets/<int:pk>/withdraw/", qc_sets.withdraw, name="withdraw_qc_set"),
    path("qc-sets/<int:pk>/discard/", qc_sets.discard, name="discard_qc_set"),
    path("qc-sets/<int:pk>/manifest.csv", qc_sets.manifest, name="qc_set_manifest"),
    path("images/<int:pk>/", images.image, name="image"),
    path("images/<int:pk>/thumbnail/v<int:display_version>/<str:view>.jpg", images.thumbnail, name="thumbnail"),
    path(
        "images/<int:pk>/thumbnail/v<int:display_version>/own/<str:view>.jpg",
        images.own_thumbnail,
        name="own_thumbnail",
    ),
    path("images/<int:pk>/full/v<int:display_version>/<str:view>.jpg", images.full, name="full_image"),
    path("audit/", audit.index, name="audit"),
    path("audit/events.csv", audit.export, name="audit_csv"),
    path("help/", experiments.help_page, name="help"),
]
