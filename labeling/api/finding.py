"""Look things up by the number in the address; what is not there is a 404 with a sentence."""

from __future__ import annotations

from typing import Any

from django.db import models
from rest_framework.exceptions import NotFound

from labeling.models import Experiment, Image, Job, ModelVersion, QCSet

# What a QC set says of itself names its cutoff, people and signatures.
QC_SETS = (
    QCSet.objects.select_related("experiment", "run", "cutoff", "model_version", "created_by", "withdrawn_by")
    .defer("run__vector")
    .prefetch_related("signatures__by")
)


def find_experiment(pk: int) -> Experiment:
    return _find(Experiment.objects.prefetch_related("channels"), pk, "experiment")


def find_job(pk: int) -> Job:
    return _find(Job.objects.all(), pk, "job")


def find_image(pk: int) -> Image:
    return _find(Image.objects.with_place(), pk, "image")


def find_qc_set(pk: int) -> QCSet:
    return _find(QC_SETS.all(), pk, "QC set")


def find_model(pk: int) -> ModelVersion:
    return _find(ModelVersion.objects.select_related("experiment", "created_by", "promoted_by"), pk, "model")


def _find(rows: models.QuerySet, pk: int, called: str) -> Any:
    try:
        return rows.get(pk=pk)
    except rows.model.DoesNotExist:
        raise NotFound(f"There is no {called} {pk}.") from None
