"""Where everything is: pages at the top, REST under /api/v1/."""

from django.urls import include, path

urlpatterns = [
    path("", include("labeling.urls")),
    path("", include("training.urls")),
    path("api/v1/", include("labeling.api.urls")),
    path("api/v1/", include("training.api_urls")),
]
