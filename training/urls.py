"""The pages of training."""

from django.urls import path

from training import views

urlpatterns = [
    path("experiments/<int:pk>/score/", views.score, name="score"),
]
